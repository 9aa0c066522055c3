"""2D classification by VDAM while particles arrive: the state stays, new particles join the mini-batches.

An offline run follows its schedules (step size, T, mini-batch size; RELION-4.0 paper, section 3.1) once from begin to end. Here the first
particles are annealed like that, and the run then waits just before its last iteration. When particles have joined, it goes back on the
schedules by an amount that depends only on how much their number has grown, and forward again: many small arrivals cost as much as one
large one. Half of each mini-batch are particles that were never seen, as long as there are any. The last pass over all particles
follows once, when no more will come.
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

REANNEAL = 0.12  # of all iterations, gone back when the number of particles has doubled
FRESH_SHARE = 0.5  # of a mini-batch
LEAST_BATCH, PART_OF_ALL = 200, 4  # the largest mini-batch is no more than a quarter of the particles, unless that is fewer than 200


@dataclass(frozen=True)
class StreamState:
    """How far a stream has come.

    Attributes
    ----------
    position : int
        Iteration of the offline schedules that was done last.
    annealed : float
        Number of particles to which the references are annealed once `position` is at the end.
    n_visits : int
        Particles looked at so far, with repetitions: the cost.
    """

    position: int = 0
    annealed: float = 0.0
    n_visits: int = 0


def after_growth(settings: RefinementSettings, stream: StreamState, n_particles: int) -> StreamState:
    """Return from where a run goes on with `n_particles` particles.

    The run goes back by 12 % of its iterations for each doubling since it was last annealed, in whole iterations (what is left over
    counts the next time), and never before the end of the initial phase. One that was stopped on its way stays where it is if that
    is further back.
    """
    phases, end = schedules.Phases.of(settings), settings.n_iterations - 1
    per_doubling = REANNEAL * settings.n_iterations
    doublings = max(0.0, math.log2(n_particles / max(stream.annealed, 1.0)))
    back = math.floor(per_doubling * doublings)
    position = min(stream.position, max(end - back, min(phases.initial, end)))
    return replace(stream, position=position, annealed=stream.annealed * 2.0 ** (back / per_doubling))


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
        return self.stream.position

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
            self.stream = StreamState(0, float(n), 0)
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
        ahead = [schedules.subset_size(settings, i, n) for i in range(self.stream.position + 1, end + 1)]
        self.progress.start("2D classification", sum(ahead) + (n if last else 0))
        with threadpool_limits(1):
            while self.stream.position < end:
                self._forward(state, None)
            if last:
                self._forward(state, state.iteration + 1)
            else:
                self._assign(state)
        self.progress.finish()
        return output.result_files(self.out_dir, state.iteration, last, settings)

    def _forward(self, state: RunState, last: int | None) -> None:
        """Do one iteration; every tenth is written, and iteration `last`."""
        settings, n = self.settings, len(self.inputs.particles.table)
        position = self.stream.position + 1
        size = schedules.subset_size(settings, position, n)
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
        plan = make_plan(inputs, state, self.stream.position)
        if len(rows):
            self.progress.start("Particles not seen yet", len(rows))
            result = self._expect(state, 0, rows, plan)
            self._update_nuisance(state.model, state, rows, result, plan, full=False)  # sets the norms of these particles
            assert result.batch is not None
            store_poses(state.poses, result.batch, result.particles, plan, settings, inputs.pixel_size)
            state.models[0] = replace(model, perturbation=state.model.perturbation)
            self.stream = replace(self.stream, n_visits=self.stream.n_visits + len(rows))
        self._write(state, plan, measure_changes(before, state.poses, rows))
