"""Dropout with random numbers of its own: fast on processors, and the same for the same seed whatever else draws numbers."""

import numpy as np
import torch
from torch import nn

_LEVELS = 256  # a random byte decides on each element


class Dropout(nn.Module):
    """Element-wise dropout, identity in evaluation mode.

    Torch draws one Mersenne number per element, which takes a quarter of a training step of this network; bytes of a small fast
    generator take a twentieth. The probability is therefore rounded to 1/256.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self._dropped = round(probability * _LEVELS)
        self._random = np.random.Generator(np.random.SFC64(0))

    def seed(self, sequence: np.random.SeedSequence) -> None:
        """Start the random numbers anew."""
        self._random = np.random.Generator(np.random.SFC64(sequence))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Drop elements and scale up the others, so that the mean stays."""
        if not self.training or self._dropped == 0:
            return values
        keep = np.frombuffer(self._random.bytes(values.numel()), np.uint8) >= self._dropped
        mask = torch.from_numpy(keep).to(values.dtype).mul_(_LEVELS / (_LEVELS - self._dropped))
        if values.ndim == 4:  # the memory order of the images, or the product would be copied
            n, channels, rows, columns = values.shape
            return values * mask.view(n, rows, columns, channels).permute(0, 3, 1, 2)
        return values * mask.view(values.shape)


def seed_dropout(net: nn.Module, sequence: np.random.SeedSequence) -> None:
    """Start the random numbers of all dropout layers of a network anew, each with its own."""
    layers = [module for module in net.modules() if isinstance(module, Dropout)]
    for layer, child in zip(layers, sequence.spawn(len(layers)), strict=True):
        layer.seed(child)
