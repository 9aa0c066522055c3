"""The refinement loop: expectation, maximisation, and everything that is decided between iterations."""

import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from relion4plugin.files.iterations import append_iteration, truncate_iterations
from relion4plugin.files.particles import ParticleSet
from relion4plugin.geometry.symmetry import point_group
from relion4plugin.imaging.masks import soft_disc
from relion4plugin.progress import Progress, Silent
from relion4plugin.refinement import accuracy, autosampling, gold_standard, maximise, nuisance, output, resolution, restart, schedules
from relion4plugin.refinement.centring import centre_classes
from relion4plugin.refinement.images import MASK_EDGE, ImageModel, ImageSource
from relion4plugin.refinement.initial_maps import lowpass_start, solvent_mask
from relion4plugin.refinement.output import RefinementResult
from relion4plugin.refinement.particles import Plan, SortedParticles, make_batch, store_poses
from relion4plugin.refinement.plans import make_plan
from relion4plugin.refinement.references import PaddedGrid, forward, reference_power
from relion4plugin.refinement.run_state import RunState
from relion4plugin.refinement.search import Expectation, SearchPlan
from relion4plugin.refinement.seeding import choose_classes, expect_seeds, expect_together, seeding_iteration
from relion4plugin.refinement.settings import Algorithm, RefinementSettings
from relion4plugin.refinement.shared_expectation import make_expectation
from relion4plugin.refinement.start import Inputs, check, start_run
from relion4plugin.refinement.state import Changes, Model, measure_changes

ACCURACY_EVERY = 10
FINAL_FSC = 0.143  # between half maps, at the resolution that is reported
FIRST_GAIN = 10  # VDAM iterations before which a lack of gain means nothing


def refine(
    settings: RefinementSettings,
    particles: ParticleSet,
    out_dir: str | Path,
    progress: Progress | None = None,
    *,
    resume: str | Path | None = None,
    stop_after: int | None = None,
) -> RefinementResult:
    """Classify or refine particles by VDAM or EM, in 2D or 3D, and write RELION's files.

    Parameters
    ----------
    settings : RefinementSettings
    particles : ParticleSet
        One box and pixel size.
    out_dir : path
        Folder for ``run_itNNN_*`` and ``run_iterations.jsonl``; made if absent.
    progress : Progress, optional
    resume : path, optional
        ``run_itNNN_optimiser.star`` to continue from; the result equals that of an uninterrupted run.
    stop_after : int, optional
        End after this iteration (its files are written) to be resumed later.

    Raises
    ------
    UserError
        If the particles cannot be refined with these settings.
    """
    with closing(Refinement(settings, particles, Path(out_dir), progress or Silent())) as run:
        return run.run(Path(resume) if resume else None, stop_after)


class Refinement:
    """One run: holds the particles and the devices, and steps a `RunState` through the iterations."""

    def __init__(self, settings: RefinementSettings, particles: ParticleSet, out_dir: Path, progress: Progress) -> None:
        check(settings, particles)
        self.settings, self.out_dir, self.progress = settings, out_dir, progress
        table = SortedParticles.of(particles, settings)
        images = ImageModel.of(table.table, settings)
        grid = PaddedGrid(particles.box_size, settings.padding, settings.dimension)
        if settings.dimension == 2:
            flatten = soft_disc(grid.box, settings.particle_diameter / 2 / particles.pixel_size, MASK_EDGE)
        else:
            flatten = solvent_mask(settings, grid.box, particles.pixel_size)
        self.inputs = Inputs(settings, table, images, ImageSource(table.table, settings.memory_limit), grid, flatten)
        self.operators = point_group(settings.symmetry) if settings.dimension == 3 else None
        self.expectation = make_expectation(settings, self.inputs.source, images)

    def close(self) -> None:
        """Free threads and device memory."""
        self.expectation.close()

    def run(self, resume: Path | None, stop_after: int | None) -> RefinementResult:
        """Run to the end, or to `stop_after`."""
        self.out_dir.mkdir(parents=True, exist_ok=True)
        if resume is None:
            state = start_run(self.inputs)
            truncate_iterations(self._log, 0)
            self._write(state, None, Changes(0, 0, 0))
        else:
            state = restart.load_run(resume, self.settings, self.inputs.particles, self.inputs.grid)
            truncate_iterations(self._log, state.iteration)
        return self.proceed(state, stop_after)

    @property
    def _log(self) -> Path:
        return self.out_dir / "run_iterations.jsonl"

    def begin(self, seed: int) -> RunState:
        """Return the state of iteration 0 that another seed gives; no files are written."""
        return start_run(replace(self.inputs, settings=replace(self.settings, seed=seed)))

    def step(self, state: RunState, seed: int) -> dict[str, object]:
        """Do one iteration of a run with another seed, without progress and files, and return its record."""
        own, told = self.inputs, self.progress
        self.settings = replace(self.settings, seed=seed)
        self.inputs, self.progress = replace(own, settings=self.settings), Silent()
        try:
            with threadpool_limits(1):
                return self._iterate(state, None)
        finally:
            self.inputs, self.progress, self.settings = own, told, own.settings

    def proceed(self, state: RunState, stop_after: int | None) -> RefinementResult:
        """Continue from a state to the end, or to `stop_after`."""
        settings, n = self.settings, len(self.inputs.particles.table)
        last = min(settings.n_iterations, stop_after or settings.n_iterations)
        if not settings.auto_refine:
            visits = [schedules.subset_size(settings, i, n) for i in range(state.iteration + 1, last + 1)]
            self.progress.start(_label(settings), sum(visits))
        # threads work on whole chunks of particles; a matrix library that starts its own would only get in their way
        with threadpool_limits(1):
            while state.iteration < last and not state.joined:
                if settings.auto_refine:
                    self.progress.start(f"{_label(settings)}, iteration {state.iteration + 1}", n)
                append_iteration(self._log, self._iterate(state, last))
                if settings.auto_refine:
                    self.progress.finish()
        if not settings.auto_refine:
            self.progress.finish()
        finished = state.joined if settings.auto_refine else state.iteration == settings.n_iterations
        return output.result_files(self.out_dir, state.iteration, finished, settings, converged=state.joined)

    def _writes(self, iteration: int, last: int | None) -> bool:
        if last is None:
            return False
        every = 1 if self.settings.algorithm is Algorithm.EM else self.settings.write_every
        return iteration % every == 0 or iteration == last

    def _write(self, state: RunState, plan: Plan | None, changes: Changes) -> None:
        inputs = self.inputs
        sampling = plan if isinstance(plan, SearchPlan) else state.sampling
        output.write_iteration(
            self.out_dir, state.iteration, self.settings, inputs.particles, state.models, state.poses, inputs.images, sampling,
            changes, directions=state.directions, half=state.half,
        )  # fmt: skip

    def _position(self, state: RunState) -> int:
        """Return where on the schedules an iteration stands; a run of a stream of particles does not only go forward."""
        return state.iteration

    def _draw(self, state: RunState, size: int) -> np.ndarray:
        """Return the rows of a mini-batch, in ascending order."""
        return schedules.select_subset(self.settings.seed, state.iteration, len(self.inputs.particles.table), size)

    def _iterate(self, state: RunState, last: int | None) -> dict[str, object]:
        """Do one iteration in place, write its files where due, and return its record."""
        settings, inputs, n = self.settings, self.inputs, len(self.inputs.particles.table)
        wall, cpu = time.perf_counter(), time.process_time()
        state.iteration += 1
        iteration, position = state.iteration, self._position(state)
        fudge = schedules.tau2_fudge(settings, position)
        rows = self._draw(state, schedules.subset_size(settings, position, n))
        self._choose_sampling(state)
        plan = make_plan(inputs, state, position)
        before = state.poses.copy()
        results = [self._expect(state, number, rows, plan) for number in range(len(state.models))]
        unfiltered = None
        change = None
        if state.joined:
            unfiltered = maximise.join_halves(inputs, state, results, fudge, self._fsc_mask)
        elif settings.auto_refine:
            maximise.maximise_halves(inputs, state, results, plan, fudge, self._fsc_mask)
        else:
            change = maximise.maximise_one(inputs, state, results[0], plan, position, fudge)
        for number, result in enumerate(results):
            self._update_nuisance(state.models[number], state, state.rows_of(number, rows), result, plan, full=len(rows) == n)
            assert result.batch is not None
            store_poses(state.poses, result.batch, result.particles, plan, settings, inputs.pixel_size)
        self._after(state)
        changes = measure_changes(before, state.poses, rows, self.operators)
        if state.sampling is not None:
            state.sampling = autosampling.note_changes(state.sampling, changes, inputs.pixel_size, settings.oversampling)
        state.changes = changes
        if unfiltered is not None and state.sampling is not None:
            output.write_final(
                self.out_dir, iteration, settings, inputs.particles, state.model, unfiltered, state.poses, inputs.images,
                state.sampling, changes, directions=state.directions, half=state.half,
            )  # fmt: skip
        elif self._writes(iteration, last):
            self._write(state, plan, changes)
        eta = schedules.step_size(settings, position) if plan.gradient else 1.0
        return output.record(iteration, state.models, changes, change, inputs.pixel_size, stepsize=eta, tau2_fudge=fudge,
                             subset_size=len(rows), image_size=plan.current_size, seconds=time.perf_counter() - wall,
                             cpu=time.process_time() - cpu, sampling=state.sampling, oversampling=settings.oversampling,
                             converged=state.joined)  # fmt: skip

    @property
    def _fsc_mask(self) -> np.ndarray | None:
        return self.inputs.flatten if self.settings.solvent_correct_fsc and self.settings.solvent_mask else None

    def _choose_sampling(self, state: RunState) -> None:
        """Refine the grid of a 3D run where it is due; or end an auto-refinement that has converged."""
        settings, old, model = self.settings, state.sampling, state.model
        if old is None or state.changes is None:
            return
        if autosampling.has_converged(old, settings, model.iterations_without_gain):
            state.joined = True
            return
        pixel_size = self.inputs.pixel_size
        state.sampling = autosampling.next_state(
            old, settings, iteration=state.iteration,
            accuracy_rotation=float(max(m.accuracy_rotation.min() for m in state.models)),
            accuracy_translation=float(max(m.accuracy_translation.min() for m in state.models)),
            iterations_without_gain=model.iterations_without_gain,
            resolution=resolution.resolution_of_shell(model.resolution_shell, model.box, pixel_size),
            pixel_size=pixel_size, changes=state.changes,
        )  # fmt: skip
        if replace(state.sampling, fine_enough=old.fine_enough) != old:
            for each in state.models:
                each.iterations_without_gain = 0

    def _expect(self, state: RunState, number: int, rows: np.ndarray, plan: Plan) -> Expectation:
        """Run the expectation step of one model over its particles and store their poses."""
        settings, inputs, model = self.settings, self.inputs, state.models[number]
        mine = state.rows_of(number, rows)
        transforms = forward(model.references, inputs.grid, corrected=True, current_size=model.current_size, workers=settings.threads)
        model.tau2 = reference_power(transforms, inputs.grid, model.current_size)
        if self._estimates_accuracy(self._position(state)):
            accuracy.estimate(model, state.poses, inputs.images, transforms, settings.padding, (settings.seed, state.iteration, 7))
        batch = make_batch(mine, inputs.particles, model, state.poses, plan, settings)
        seeding, given = seeding_iteration(settings), (self.expectation, batch, transforms, plan, model)
        if state.iteration < seeding:
            result = expect_together(*given, self.progress.advance)
        elif state.iteration == seeding:
            result = expect_seeds(*given, self.progress.advance, choose_classes(*given, inputs))
        else:
            result = self.expectation.run(batch, transforms, plan, model, self.progress.advance)
        result.batch = batch
        return result

    def _estimates_accuracy(self, iteration: int) -> bool:
        settings = self.settings
        if iteration <= 1:
            return False
        if settings.dimension == 3 and settings.algorithm is Algorithm.EM:
            return True
        ahead = 1 if settings.dimension == 3 else 0  # known when VDAM reconsiders its grid
        return (iteration + ahead) % ACCURACY_EVERY == 0 or iteration == settings.n_iterations

    def _update_nuisance(self, model: Model, state: RunState, rows: np.ndarray, result: Expectation, plan: Plan, *, full: bool) -> None:
        settings, inputs = self.settings, self.inputs
        if plan.correlate:
            return  # correlation with a map of unknown grey scale tells poses, not noise or scale
        mu = settings.mu if plan.gradient and not full else 0.0
        assert result.batch is not None
        nuisance.update(
            model, state.poses, result.batch, result, mu, optics=inputs.images.optics.index[rows], groups=inputs.particles.group[rows],
            pixels=inputs.images.pixels, norm=settings.norm_correction, scale=settings.scale_correction,
        )  # fmt: skip
        model.log_likelihood = float(result.particles.log_likelihood.sum())
        model.ave_pmax = float(result.particles.pmax.sum() / max(result.particles.weight.sum(), 1e-30))

    def _after(self, state: RunState) -> None:
        """Centre, flatten, and judge the resolution."""
        settings, inputs, iteration = self.settings, self.inputs, self._position(state)
        gradient = schedules.is_gradient(settings, iteration)
        phases = schedules.Phases.of(settings)
        early = iteration < phases.initial + phases.between or not schedules.is_gradient(settings, iteration + 1)
        # a map of known position stays where it is; one from nowhere drifts out of its mask
        moves = settings.center_classes and (settings.dimension == 2 or settings.de_novo)
        if moves and (not gradient or (early and iteration < settings.n_iterations)):
            centre_classes(state.model, settings, inputs.grid, inputs.pixel_size, gradient)
        for model in state.models:
            if settings.firstiter_cc and iteration == 1:
                model.references = lowpass_start(model.references, settings, inputs.pixel_size)
            if settings.flatten_solvent and not (settings.auto_refine and state.joined):
                model.references *= inputs.flatten
            if settings.non_negative and gradient:
                np.maximum(model.references, 0.0, out=model.references)
        self._judge_resolution(state, gradient and iteration < FIRST_GAIN)

    def _judge_resolution(self, state: RunState, early: bool) -> None:
        settings, inputs = self.settings, self.inputs
        if settings.firstiter_cc and state.iteration == 1:
            return  # the start map's low-pass filter still is what is known
        for model in state.models:
            resolved = gold_standard.resolved_shell(model.data_vs_prior[0]) if settings.auto_refine else None
            if state.joined:
                below = np.flatnonzero(model.fsc[1:] < FINAL_FSC)
                resolved = int(below[0]) if len(below) else inputs.grid.box // 2
            resolution.update_resolution(model, inputs.pixel_size, early, resolved)


def _label(settings: RefinementSettings) -> str:
    if settings.dimension == 2:
        return "2D classification"
    if settings.auto_refine:
        return "3D refinement"
    return "3D initial model" if settings.de_novo else "3D classification"
