"""The expectation step with the particles shared out among processes.

An expectation step is a sum over particles, so it can be cut anywhere: each process takes a run of consecutive particles of the batch
and reads only their images; references, back-projection grids and working arrays are held by each. The leader gets the sums over all
grids and the results of all particles, and goes on as if it had done everything itself: maximisation, schedules, decisions and files
are its own. They could as well be computed by all, but then all would have to agree on them to the last bit.
"""

import socket
import traceback
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from itertools import count
from threading import Lock
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from relion4plugin.errors import UserError
from relion4plugin.files.particles import ParticleSet
from relion4plugin.parallel.ranks import Ranks
from relion4plugin.parallel.world import world
from relion4plugin.refinement.expectation import ExpectationStep, own_expectation
from relion4plugin.refinement.images import ImageModel, ImageSource
from relion4plugin.refinement.search import Batch, Expectation, ParticleSums
from relion4plugin.refinement.settings import RefinementSettings
from relion4plugin.refinement.state import Model


@dataclass(frozen=True)
class _Begin:
    """Make ready for a run."""

    run: int
    settings: RefinementSettings
    particles: ParticleSet
    images: ImageModel


@dataclass(frozen=True)
class _Expect:
    """Expect over a share of a batch; the references follow."""

    run: int
    plan: Any
    model: Model  # without references and moments
    shape: tuple[int, ...]  # of the references' transforms


@dataclass(frozen=True)
class _End:
    """Forget a run."""

    run: int


@dataclass(frozen=True)
class _Share:
    """Particles of one process; where there are fewer particles than processes, one that does not count."""

    batch: Batch
    counts: bool


@dataclass(frozen=True)
class _Answer:
    """What a helper found out about its particles, or what went wrong."""

    sums: ParticleSums | None
    problem: str = ""
    is_mistake: bool = False  # of the user: said in one line


def share_out(batch: Batch, size: int) -> list[_Share]:
    """Cut a batch into runs of consecutive particles, as even as can be, one for each of `size` processes."""
    parts = np.array_split(np.arange(len(batch.rows)), size)
    return [_Share(batch.part(part if len(part) else np.array([0])), bool(len(part))) for part in parts]


def make_expectation(settings: RefinementSettings, source: ImageSource, images: ImageModel) -> ExpectationStep:
    """Return the expectation step of a run, which takes all processes that were started together.

    Raises
    ------
    UserError
        If they do not know of each other, or the device of the settings is not there.
    """
    ranks = world()
    own = own_expectation(settings, source, images)
    if ranks.size == 1:
        return own
    return SharedExpectation(ranks, own, settings, source, images)


class SharedExpectation:
    """Expects over a batch with the help of other processes; for the leader.

    Parameters
    ----------
    ranks : Ranks
    step : ExpectationStep
        For the leader's own share.
    settings, source, images
        As helpers need them to make steps of their own.
    """

    _numbers = count(1)

    def __init__(self, ranks: Ranks, step: ExpectationStep, settings: RefinementSettings, source: ImageSource, images: ImageModel) -> None:
        self._ranks, self._step, self._run = ranks, step, next(self._numbers)
        self._in_step = False  # helpers then expect the end of that step, and nothing else
        particles = source.particles
        addresses = replace(particles, table=particles.table[[]])  # rows without columns: only images are read
        self._order(_Begin(self._run, settings, addresses, images))

    def close(self) -> None:
        """Free threads and memory, also those of the helpers."""
        self._step.close()
        if not self._in_step:
            self._order(_End(self._run))

    def run(self, batch: Batch, transforms: np.ndarray, plan: Any, model: Model, advance: Callable[[int], object]) -> Expectation:
        """Expect over a batch; see `ExpectationStep`."""
        own, *others = share_out(batch, self._ranks.size)
        self._in_step = True
        plain = replace(model, references=model.references[:, :0], moment1=None, moment2=None)
        self._order(_Expect(self._run, plan, plain, transforms.shape), others)
        transforms = np.ascontiguousarray(transforms)
        self._ranks.spread(transforms)
        told = _Scaled(advance, len(own.batch.rows), len(batch.rows))
        result = self._step.run(own.batch, transforms, plan, model, told)
        answers = self._ranks.answers()
        for answer in answers:
            _check(answer)
        _add_up(self._ranks, result)
        self._in_step = False
        found = [answer.sums for answer in answers if answer.sums is not None]
        sums = [np.concatenate([getattr(one, f.name) for one in (result.particles, *found)]) for f in fields(ParticleSums)]
        return replace(result, particles=ParticleSums(*sums))

    def _order(self, order: Any, shares: Any = None) -> None:
        self._ranks.order(order, shares or [None] * (self._ranks.size - 1))


def help_leader(ranks: Ranks) -> None:
    """Carry out the leader's orders until it sends None; for the other processes."""
    runs: dict[int, _Begin | ExpectationStep] = {}
    while True:
        order, share = ranks.next_order()
        if order is None:
            return
        if isinstance(order, _Begin):
            runs[order.run] = order
        elif isinstance(order, _End):
            step = runs.pop(order.run)
            if not isinstance(step, _Begin):
                step.close()
        else:
            transforms = np.empty(order.shape, np.complex64)
            ranks.spread(transforms)
            with threadpool_limits(1):  # as the leader does
                _carry_out(ranks, runs, order, share, transforms)


def _carry_out(
    ranks: Ranks, runs: dict[int, _Begin | ExpectationStep], order: _Expect, share: _Share, transforms: np.ndarray
) -> None:
    """Expect over a share and answer; a problem is the answer too, and the leader ends the run."""
    try:
        step = runs[order.run]
        if isinstance(step, _Begin):
            step = runs[order.run] = _make(ranks, step)
        result = step.run(share.batch, transforms, order.plan, order.model, lambda count: None)
    except UserError as error:
        ranks.answer(_Answer(None, f"{error} ({_name(ranks)})", is_mistake=True))
        return
    except Exception:  # whatever it is, the leader waits for an answer
        ranks.answer(_Answer(None, f"{_name(ranks)} failed:\n{traceback.format_exc()}"))
        return
    if not share.counts:
        for values in _sums(result):
            values[...] = 0
    ranks.answer(_Answer(result.particles if share.counts else None))
    _add_up(ranks, result)


def _name(ranks: Ranks) -> str:
    return f"process {ranks.rank} on {socket.gethostname()}"


def _make(ranks: Ranks, begin: _Begin) -> ExpectationStep:
    settings = begin.settings
    if settings.gpus:
        settings = replace(settings, gpu=settings.gpus[ranks.rank % len(settings.gpus)])
    return own_expectation(settings, ImageSource(begin.particles, settings.memory_limit), begin.images)


def _add_up(ranks: Ranks, result: Expectation) -> None:
    """Add up what an expectation step sums, in the leader's arrays; in 2D, grids lie there with their axes swapped."""
    for values in _sums(result):
        total = np.ascontiguousarray(values)
        ranks.add_up(total)
        if total is not values:
            values[...] = total


def _sums(result: Expectation) -> tuple[np.ndarray, ...]:
    return result.class_weight, result.noise_power, result.noise_counts, result.direction_weight, result.data, result.weight


def _check(answer: _Answer) -> None:
    """Take over what went wrong in a helper."""
    if answer.problem:
        raise UserError(answer.problem) if answer.is_mistake else RuntimeError(answer.problem)


class _Scaled:
    """Progress of all processes, guessed from that of one: it has `own` of `total` particles."""

    def __init__(self, advance: Callable[[int], object], own: int, total: int) -> None:
        self._advance, self._own, self._total = advance, own, total
        self._done, self._lock = 0, Lock()

    def __call__(self, count: int) -> None:
        with self._lock:
            before = self._done * self._total // self._own
            self._done += count
            self._advance(self._done * self._total // self._own - before)
