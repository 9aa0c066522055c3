"""2D classification by VDAM while particles arrive: the state stays, new particles join the mini-batches.

An offline run follows its schedules (step size, T, mini-batch size; RELION-4.0 paper, section 3.1) once from begin to end. Here the
first particles are annealed like that, in half as many iterations, and the run then waits just before its last iteration. Particles
that join are met there by a few mini-batches, a number that depends only on how much the set has grown: many small arrivals cost as
much as one large one. Whenever the set has doubled, classes that suited fewer particles are loosened: the run goes back to large steps
and passes the schedules again, in long strides. Half of each mini-batch are particles that were never seen, as long as there are any.
The last pass over all particles follows once, when no more will come.
"""

import json
import math
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from relion4plugin.errors import UserError
from relion4plugin.files.atomic import atomic_write_text
from relion4plugin.files.iterations import append_iteration, truncate_iterations
from relion4plugin.files.particles import ParticleSet, read_particles
from relion4plugin.progress import Progress, Silent
from relion4plugin.refinement import output, restart, schedules
from relion4plugin.refinement.engine import Refinement
from relion4plugin.refinement.growth import grown
from relion4plugin.refinement.output import RefinementResult
from relion4plugin.refinement.particles import SortedParticles, store_poses
from relion4plugin.refinement.plans import make_plan
from relion4plugin.refinement.run_state import RunState
from relion4plugin.refinement.settings import Algorithm, RefinementSettings
from relion4plugin.refinement.start import start_run
from relion4plugin.refinement.state import Changes, measure_changes

JOINING = 0.03  # of all iterations, done as the number of particles doubles
LOOSENED_FROM = 0.1  # of the in-between phase, where the step is still large: from there a set that has doubled is annealed again,
LOOSENED_LENGTH = 0.25  # in so many of all iterations
FIRST_STRIDE = 2.0  # of the first particles, which are annealed again before long
ROUNDING = 1e-6  # of sums of strides
FRESH_SHARE = 0.5  # of a mini-batch
LEAST_BATCH, PART_OF_ALL = 200, 4  # the largest mini-batch is no more than a quarter of the particles, unless that is fewer than 200


@dataclass(frozen=True)
class StreamState:
    """How far a stream has come.

    Attributes
    ----------
    position : float
        Where on the offline schedules the run stands, in iterations.
    stride : float
        By how much an iteration moves it on.
    annealed : float
        Number of particles when the run was last annealed.
    joined : float
        Number of particles that mini-batches have made up for.
    n_visits : int
        Particles looked at so far, with repetitions: the cost.
    """

    position: float = 0.0
    stride: float = 1.0
    annealed: float = 0.0
    joined: float = 0.0
    n_visits: int = 0


def after_growth(settings: RefinementSettings, stream: StreamState, n_particles: int) -> StreamState:
    """Return from where, and in which strides, a run goes on with `n_particles` particles.

    A run that was stopped on its way goes on from there. Whole iterations are done for particles that join; what is left over counts the
    next time.
    """
    phases, end = schedules.Phases.of(settings), float(settings.n_iterations - 1)
    if stream.position < end:
        return stream
    if n_particles >= 2.0 * stream.annealed:
        start = min(phases.initial + LOOSENED_FROM * phases.between, end)
        stride = max(1.0, (end - start) / max(1.0, LOOSENED_LENGTH * settings.n_iterations))
        return replace(stream, position=start, stride=stride, annealed=float(n_particles), joined=float(n_particles))
    per_doubling = JOINING * settings.n_iterations
    doublings = max(0.0, math.log2(n_particles / max(stream.joined, 1.0)))
    back = math.floor(per_doubling * doublings)
    return replace(stream, position=max(end - back, 0.0), stride=1.0, joined=stream.joined * 2.0 ** (back / per_doubling))


def paced(settings: RefinementSettings, n_particles: int) -> RefinementSettings:
    """Return settings whose mini-batches suit a set that has only begun: RELION's largest are half of 2,000 particles."""
    if settings.fin_subset > 0:
        return settings
    offline = schedules.subset_size(settings, settings.n_iterations - 1, n_particles)
    return replace(settings, fin_subset=max(min(offline, n_particles // PART_OF_ALL), min(LEAST_BATCH, n_particles)))


def stream_file(optimiser: Path) -> Path:
    """Return where the state of a stream lies beside the optimiser file of an iteration."""
    return optimiser.with_name(optimiser.name.replace("_optimiser.star", "_stream.json"))


def read_stream(optimiser: Path) -> StreamState:
    """Read how far a stream had come at an iteration.

    Raises
    ------
    UserError
        If the run was none of a stream.
    """
    path = stream_file(optimiser)
    if not path.is_file():
        raise UserError(f"{optimiser}: {path.name} is not beside it, so this run was none of growing particles; start a new one")
    return StreamState(**json.loads(path.read_text(encoding="utf-8")))


def classify_stream(
    settings: RefinementSettings,
    particles: ParticleSet,
    out_dir: str | Path,
    progress: Progress | None = None,
    *,
    resume: str | Path | None = None,
    last: bool = False,
) -> RefinementResult:
    """Classify the particles that are there, so that more can join later.

    Parameters
    ----------
    settings : RefinementSettings
        Of a 2D classification by VDAM; `n_iterations` is the length of its schedules.
    particles : ParticleSet
        All that there are now, those of earlier calls included.
    out_dir : path
        Folder for ``run_itNNN_*``; NNN counts on from call to call.
    progress : Progress, optional
    resume : path, optional
        ``run_itNNN_optimiser.star`` of the last call, or of one that was interrupted.
    last : bool
        No more will come: end with an iteration over all particles. Otherwise only particles that were never seen are assigned.

    Returns
    -------
    RefinementResult
        Of an iteration in which every particle has a class.

    Raises
    ------
    UserError
        If the particles cannot be classified with these settings, or `resume` is of another kind of run.
    """
    if settings.dimension != 2 or settings.algorithm is not Algorithm.VDAM:
        raise UserError("only 2D classification by VDAM takes particles while they arrive: choose --grad, or wait for all particles")
    now = paced(settings, len(particles))
    with closing(_Streaming(now, particles, Path(out_dir), progress or Silent())) as run:
        state = run.open(Path(resume) if resume else None)
        return run.catch_up(state, last)


class _Streaming(Refinement):
    """A run that goes back on its schedules when particles have joined."""

    stream = StreamState()

    def _position(self, state: RunState) -> int:
        return round(self.stream.position)

    def _draw(self, state: RunState, size: int) -> np.ndarray:
        n = len(self.inputs.particles.table)
        if size >= n:
            return np.arange(n)
        rng = np.random.default_rng((self.settings.seed, state.iteration, 1))
        unseen = state.poses.n_significant == 0
        fresh, seen = np.flatnonzero(unseen), np.flatnonzero(~unseen)
        n_fresh = min(len(fresh), max(int(FRESH_SHARE * size), size - len(seen)))
        chosen = [rng.permutation(fresh)[:n_fresh], rng.permutation(seen)[: size - n_fresh]]
        return np.sort(np.concatenate(chosen))

    def open(self, resume: Path | None) -> RunState:
        """Start, or go on with what an earlier call left."""
        self.out_dir.mkdir(parents=True, exist_ok=True)
        n = len(self.inputs.particles.table)
        if resume is None:
            self.stream = StreamState(stride=FIRST_STRIDE, annealed=float(n), joined=float(n))
            truncate_iterations(self._log, 0)
            return start_run(self.inputs)
        self.stream = after_growth(self.settings, read_stream(resume), n)
        data = resume.with_name(resume.name.replace("_optimiser.star", "_data.star"))
        old = SortedParticles.of(read_particles(data), self.settings)
        state = grown(restart.load_run(resume, self.settings, old, self.inputs.grid), old, self.inputs.particles)
        truncate_iterations(self._log, state.iteration)
        return state

    def catch_up(self, state: RunState, last: bool) -> RefinementResult:
        """Go forward to the end of the schedules, and give every particle a class."""
        settings, n = self.settings, len(self.inputs.particles.table)
        end = settings.n_iterations - 1
        self.progress.start("2D classification", sum(self._sizes_ahead()) + (n if last else 0))
        before = state.iteration
        with threadpool_limits(1):
            while self.stream.position < end:
                self._forward(state, None)
            if last:
                self._forward(state, state.iteration + 1)
            else:
                state.iteration = max(state.iteration, before + 1)  # files of an earlier call are never written over
                self._assign(state)
        self.progress.finish()
        return output.result_files(self.out_dir, state.iteration, last, settings)

    def _next_position(self, position: float) -> float:
        """Return where the next iteration stands: before the last one for as long as more may come, then there."""
        end = float(self.settings.n_iterations - 1)
        if position >= end:
            return end + 1
        ahead = position + self.stream.stride
        return ahead if ahead < end - ROUNDING else end

    def _sizes_ahead(self) -> list[int]:
        """Return the sizes of the mini-batches up to the last iteration."""
        position, n, sizes = self.stream.position, len(self.inputs.particles.table), []
        while position < self.settings.n_iterations - 1:
            position = self._next_position(position)
            sizes.append(schedules.subset_size(self.settings, round(position), n))
        return sizes

    def _forward(self, state: RunState, last: int | None) -> None:
        """Do one iteration; every tenth is written, and iteration `last`."""
        settings, n = self.settings, len(self.inputs.particles.table)
        position = self._next_position(self.stream.position)
        size = schedules.subset_size(settings, round(position), n)
        self.stream = replace(self.stream, position=position, n_visits=self.stream.n_visits + size)
        due = state.iteration + 1 if (state.iteration + 1) % settings.write_every == 0 else last
        record = self._iterate(state, due)
        append_iteration(self._log, record | {"position": position, "n_particles": n, "n_visits": self.stream.n_visits})

    def _write(self, state: RunState, plan: object, changes: Changes) -> None:
        optimiser = output.result_files(self.out_dir, state.iteration, False, self.settings).optimiser_star
        atomic_write_text(stream_file(optimiser), json.dumps(asdict(self.stream)))
        super()._write(state, plan, changes)  # type: ignore[arg-type]

    def _assign(self, state: RunState) -> None:
        """Give particles that were never seen a class and a pose; references and nuisance parameters stay."""
        settings, inputs = self.settings, self.inputs
        rows = np.flatnonzero(state.poses.n_significant == 0)
        before, model = state.poses.copy(), state.model.copy()
        plan = make_plan(inputs, state, self._position(state))
        if len(rows):
            self.progress.start("Particles not seen yet", len(rows))
            result = self._expect(state, 0, rows, plan)
            self._update_nuisance(state.model, state, rows, result, plan, full=False)  # sets the norms of these particles
            assert result.batch is not None
            store_poses(state.poses, result.batch, result.particles, plan, settings, inputs.pixel_size)
            state.models[0] = replace(model, perturbation=state.model.perturbation)
            self.stream = replace(self.stream, n_visits=self.stream.n_visits + len(rows))
        self._write(state, plan, measure_changes(before, state.poses, rows))
