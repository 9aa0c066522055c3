"""Gradient of a batch from two halves of it at once; the same bits for any number of threads."""

import copy
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

import numpy as np
import torch

from relion4plugin.ranker.dropout import seed_dropout
from relion4plugin.ranker.network import ClassRankerNet

# Two half batches on a thread each are faster than one batch whose every layer is divided among threads, and do not stall
# where other programs run.
LANES = 2


def weighted_square_error(output: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Sum of squared errors, each times its weight."""
    return torch.sum(weight * (output - target) ** 2)


class BatchGradient:
    """Computes gradients of a network by lanes; a context that owns the threads.

    Parameters
    ----------
    net
        The network, whose parameters are read and whose ``grad`` is set.
    threads
        1 computes the lanes one after the other.
    """

    def __init__(self, net: ClassRankerNet, threads: int) -> None:
        self._net = net
        self._replicas = [net, *(_replica(net) for _ in range(LANES - 1))]
        self._threads = min(threads, LANES)

    def __enter__(self) -> "BatchGradient":
        self._before = torch.get_num_threads()
        torch.set_num_threads(1)
        self._pool = ThreadPoolExecutor(self._threads, initializer=torch.set_num_threads, initargs=(1,))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._pool.shutdown()
        torch.set_num_threads(self._before)

    def seed(self, sequence: np.random.SeedSequence) -> None:
        """Start the random numbers of dropout anew."""
        for replica, child in zip(self._replicas, sequence.spawn(LANES), strict=True):
            replica.train()
            seed_dropout(replica, child)

    def compute(self, images: torch.Tensor, features: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> float:
        """Set the gradient of the weighted mean square error and return that error.

        Parameters
        ----------
        images, features, target, weight
            ``(n, 1, 64, 64)``, ``(n, 24)``, ``(n,)`` and ``(n,)``.
        """
        total = weight.sum()
        parts = list(zip(*(x.tensor_split(LANES) for x in (images, features, target, weight / total)), strict=True))
        results = list(self._pool.map(_lane, self._replicas, parts))
        for i, parameter in enumerate(self._net.parameters()):
            parameter.grad = torch.stack([gradients[i] for _, gradients in results]).sum(0)
        return float(sum(loss for loss, _ in results))


def _lane(net: ClassRankerNet, part: tuple[torch.Tensor, ...]) -> tuple[float, list[torch.Tensor]]:
    images, features, target, weight = part
    parameters = list(net.parameters())
    if len(images) == 0:  # a last batch of one sample
        return 0.0, [torch.zeros_like(p) for p in parameters]
    output = net(images.contiguous(memory_format=torch.channels_last), features)[:, 0]
    loss = weighted_square_error(output, target, weight)
    return float(loss.detach()), list(torch.autograd.grad(loss, parameters))


def _replica(net: ClassRankerNet) -> ClassRankerNet:
    """Return a copy with its own random numbers but the very same parameters."""
    replica = copy.deepcopy(net)
    for ours, theirs in zip(replica.parameters(), net.parameters(), strict=True):
        ours.data = theirs.data
    return replica
