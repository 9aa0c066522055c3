"""The refinement loop: expectation, maximisation, and everything that is decided between iterations."""

import time
from contextlib import closing
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from relion4plugin.errors import UserError
from relion4plugin.files.iterations import append_iteration, truncate_iterations
from relion4plugin.files.mrc import read_mrc
from relion4plugin.files.particles import ParticleSet
from relion4plugin.imaging.masks import soft_disc
from relion4plugin.progress import Progress, Silent
from relion4plugin.refinement import accuracy, em, initialise, nuisance, output, resolution, restart, schedules, vdam
from relion4plugin.refinement.centring import centre_classes
from relion4plugin.refinement.expectation import make_expectation
from relion4plugin.refinement.images import MASK_EDGE, ImageModel, ImageSource
from relion4plugin.refinement.output import RefinementResult
from relion4plugin.refinement.particles import SortedParticles, make_batch, store_poses
from relion4plugin.refinement.references import PaddedGrid, forward, reference_power
from relion4plugin.refinement.sampling import Sampling, coarse_image_size, likelihood_size, make_sampling, next_perturbation
from relion4plugin.refinement.search import Expectation, SearchPlan, make_search_plan
from relion4plugin.refinement.settings import Algorithm, RefinementSettings
from relion4plugin.refinement.slices import make_hermitian
from relion4plugin.refinement.state import Changes, Model, Poses, measure_changes

ACCURACY_EVERY = 10
SETTLING = 10  # iterations at the end in which no class is replaced


def refine(
    settings: RefinementSettings,
    particles: ParticleSet,
    out_dir: str | Path,
    progress: Progress | None = None,
    *,
    resume: str | Path | None = None,
    stop_after: int | None = None,
) -> RefinementResult:
    """Classify particles in 2D by VDAM or EM and write RELION's files.

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
        If the particles cannot be classified with these settings.
    """
    # threads work on whole chunks of particles; a matrix library that starts its own would only get in their way
    with threadpool_limits(1), closing(Refinement(settings, particles, Path(out_dir), progress or Silent())) as run:
        return run.run(Path(resume) if resume else None, stop_after)


class Refinement:
    """One run: holds the particles, the model and the plan, and steps through the iterations."""

    def __init__(self, settings: RefinementSettings, particles: ParticleSet, out_dir: Path, progress: Progress) -> None:
        check(settings, particles)
        self.settings, self.out_dir, self.progress = settings, out_dir, progress
        self.particles = SortedParticles.of(particles, settings)
        self.pixel_size = particles.pixel_size
        self.images = ImageModel.of(self.particles.table, settings)
        self.source = ImageSource(self.particles.table, settings.memory_limit)
        self.grid = PaddedGrid(particles.box_size, settings.padding)
        self.flatten = soft_disc(particles.box_size, settings.particle_diameter / 2 / self.pixel_size, MASK_EDGE)
        self.expectation = make_expectation(settings, self.source, self.images)

    def close(self) -> None:
        """Free threads and device memory."""
        self.expectation.close()

    def run(self, resume: Path | None, stop_after: int | None) -> RefinementResult:
        """Run to the end, or to `stop_after`."""
        settings, n = self.settings, len(self.particles.table)
        self.out_dir.mkdir(parents=True, exist_ok=True)
        log = self.out_dir / "run_iterations.jsonl"
        if resume is None:
            done = 0
            model, poses = self._start()
            truncate_iterations(log, 0)
            output.write_iteration(self.out_dir, 0, settings, self.particles, model, poses, self.images, None, Changes(0, 0, 0))
        else:
            done, model, poses = restart.load(resume, settings, self.particles, self.grid)
            truncate_iterations(log, done)
        last = min(settings.n_iterations, stop_after or settings.n_iterations)
        visits = [schedules.subset_size(settings, i, n) for i in range(done + 1, last + 1)]
        self.progress.start("2D classification", sum(visits))
        for iteration in range(done + 1, last + 1):
            record = self._iterate(iteration, model, poses, write=self._writes(iteration, last))
            append_iteration(log, record)
        self.progress.finish()
        return output.result_files(self.out_dir, max(last, done), max(last, done) == settings.n_iterations)

    def _writes(self, iteration: int, last: int) -> bool:
        every = 1 if self.settings.algorithm is Algorithm.EM else self.settings.write_every
        return iteration % every == 0 or iteration == last

    def _start(self) -> tuple[Model, Poses]:
        """Build the state of iteration 0."""
        settings, images = self.settings, self.images
        rows = initialise.sample_rows(images.optics.index, settings.seed)
        sigma2 = initialise.noise_spectra(self.source, images, rows)
        if settings.reference:
            references, _ = read_mrc(settings.reference)
            expected = (settings.n_classes, self.grid.box, self.grid.box)
            if references.shape != expected:
                raise UserError(f"{settings.reference}: {references.shape} images, expected a stack of {expected}; correct --ref or --K")
        else:
            averages = initialise.random_averages(self.source, images, rows, settings, settings.seed)
            references = initialise.start_references(averages, settings, self.pixel_size, settings.seed)
        k, shells = settings.n_classes, self.grid.box // 2 + 1
        model = Model(references, np.full(k, 1 / k), sigma2, np.ones(self.particles.n_groups))
        model.resolution_shell = initialise.start_shell(settings, self.grid.box, self.pixel_size)
        model.current_size = resolution.next_image_size(model)
        model.tau2 = reference_power(forward(references, self.grid, corrected=False), self.grid, self.grid.box)
        noise = np.average(sigma2, axis=0, weights=np.bincount(images.optics.index, minlength=len(sigma2)))
        model.data_vs_prior = settings.tau2_fudge * model.tau2 * len(self.particles.table) / k / noise
        model.sigma2_class, model.coverage, model.orientability = (np.zeros((k, shells)) for _ in range(3))
        model.accuracy_rotation = model.accuracy_translation = np.full(k, accuracy.UNKNOWN)
        poses = self.particles.start_poses()
        visited = poses.n_significant > 0
        if visited.any():
            model.avg_norm = float(poses.norm[visited].mean())
        return model, poses

    def _plan(self, iteration: int, model: Model) -> SearchPlan:
        """Decide grid and image sizes of an iteration; moves the random perturbation."""
        settings = self.settings
        rng = np.random.default_rng((settings.seed, iteration, 6))
        model.perturbation = next_perturbation(model.perturbation, settings.perturbation, rng)
        sampling: Sampling = make_sampling(settings, model.perturbation)
        model.current_size = resolution.next_image_size(model)
        gradient = schedules.is_gradient(settings, iteration)
        cap = settings.max_significants
        if cap < 0:
            cap = 5 * settings.n_classes if settings.algorithm is Algorithm.VDAM else 0
        box = self.grid.box
        return make_search_plan(
            sampling,
            self.images.pixels,
            settings.padding,
            current_size=model.current_size,
            coarse_size=coarse_image_size(settings, box, self.pixel_size, sampling.psi_step, model.current_size),
            likelihood_size=likelihood_size(settings, box, self.pixel_size, model.current_size),
            fraction=settings.adaptive_fraction,
            max_significants=cap,
            gradient=gradient,
        )

    def _iterate(self, iteration: int, model: Model, poses: Poses, write: bool) -> dict[str, object]:
        """Do one iteration in place, write its files if asked, and return its record."""
        settings, n = self.settings, len(self.particles.table)
        wall, cpu = time.perf_counter(), time.process_time()
        fudge = schedules.tau2_fudge(settings, iteration)
        rows = schedules.select_subset(settings.seed, iteration, n, schedules.subset_size(settings, iteration, n))
        plan = self._plan(iteration, model)
        transforms = forward(model.references, self.grid, corrected=True)
        model.tau2 = reference_power(transforms, self.grid, model.current_size)
        if iteration > 1 and (iteration % ACCURACY_EVERY == 0 or iteration == settings.n_iterations):
            accuracy.estimate(model, poses, self.images, transforms, settings.padding, (settings.seed, iteration, 7))
        batch = make_batch(rows, self.particles, model, poses, plan, settings)
        result = self.expectation.run(batch, transforms, plan, model, self.progress.advance)
        change = self._maximise(iteration, model, result, plan, fudge, full=len(rows) == n)
        before = poses.copy()
        mu = settings.mu if plan.gradient and len(rows) < n else 0.0
        nuisance.update(
            model, poses, batch, result, mu, optics=self.images.optics.index[rows], groups=self.particles.group[rows],
            pixels=self.images.pixels, norm=settings.norm_correction, scale=settings.scale_correction,
        )  # fmt: skip
        store_poses(poses, batch, result.particles, plan, settings, self.pixel_size)
        model.log_likelihood = float(result.particles.log_likelihood.sum())
        model.ave_pmax = float(result.particles.pmax.sum() / max(result.particles.weight.sum(), 1e-30))
        self._after(iteration, model)
        changes = measure_changes(before, poses, rows)
        if write:
            output.write_iteration(self.out_dir, iteration, settings, self.particles, model, poses, self.images, plan, changes)
        eta = schedules.step_size(settings, iteration) if plan.gradient else 1.0
        return output.record(iteration, model, changes, change, self.pixel_size, stepsize=eta, tau2_fudge=fudge, subset_size=len(rows),
                             image_size=plan.current_size, seconds=time.perf_counter() - wall, cpu=time.process_time() - cpu)  # fmt: skip

    def _maximise(
        self, iteration: int, model: Model, result: Expectation, plan: SearchPlan, fudge: float, *, full: bool
    ) -> vdam.Replacement | None:
        """Update spectra and references from the accumulated grids."""
        settings = self.settings
        make_hermitian(result.data)
        make_hermitian(result.weight)
        occupied = result.class_weight > 1e-6
        resolution.update_spectra(model, self.grid, result.weight[0], fudge, np.flatnonzero(occupied))
        if not plan.gradient:
            model.data_vs_prior[~occupied] = 0.0
            em.update_references(model, self.grid, result.data, result.weight, fudge, occupied)
            return None
        phases = schedules.Phases.of(settings)
        last = max(phases.initial + phases.between, settings.n_iterations - SETTLING)
        replacing = phases.initial < iteration < last
        return vdam.update_references(
            model, self.grid, result.data, result.weight,
            step_size=schedules.step_size(settings, iteration), tau2_fudge=fudge,
            threshold=settings.inactivity_threshold if replacing else 0.0,
        )  # fmt: skip

    def _after(self, iteration: int, model: Model) -> None:
        """Centre, flatten, and judge the resolution."""
        settings = self.settings
        gradient = schedules.is_gradient(settings, iteration)
        phases = schedules.Phases.of(settings)
        early = iteration < phases.initial + phases.between or not schedules.is_gradient(settings, iteration + 1)
        if settings.center_classes and (not gradient or (early and iteration < settings.n_iterations)):
            centre_classes(model, settings, self.grid, self.pixel_size, gradient)
        if settings.flatten_solvent:
            model.references *= self.flatten
        resolution.update_resolution(model, self.pixel_size, early=gradient and iteration < 10)


def check(settings: RefinementSettings, particles: ParticleSet) -> None:
    """Refuse what cannot be classified.

    Raises
    ------
    UserError
    """
    n, where = len(particles), particles.source
    if n == 0:
        raise UserError(f"{where}: no particles, expected at least one per class; check the selection that made this file")
    if settings.n_classes > n:
        raise UserError(f"{where}: {n} particles cannot fill {settings.n_classes} classes; lower --K to {max(1, n // 20)} or so")
    if settings.n_classes < 1 or settings.n_iterations < 1:
        raise UserError(f"{settings.n_classes} classes and {settings.n_iterations} iterations were asked for, expected at least 1 of each")
    if particles.box_size % 2:
        raise UserError(f"{where}: box of {particles.box_size} px, expected an even number; re-extract with an even box")
    width = particles.box_size * particles.pixel_size
    if not 0 < settings.particle_diameter <= width:
        raise UserError(
            f"particle diameter of {settings.particle_diameter:g} A does not fit the box of {width:.0f} A "
            f"({particles.box_size} px of {particles.pixel_size:g} A); correct --particle_diameter or extract a larger box"
        )
