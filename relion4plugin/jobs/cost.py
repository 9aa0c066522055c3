"""What a 2D classification, an initial model or an auto-refinement costs: processor time and memory, from what is known beforehand.

Visits of particles follow from the schedules, the work of a visit from the grid that is searched; a few constants were fitted to measured
runs (docs/cost.md). They are those of one core of an AMD EPYC with AVX-512; other processors differ by a factor.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.refinement.sampling import make_sampling
from relion4plugin.refinement.schedules import Phases, subset_size
from relion4plugin.refinement.settings import Algorithm, RefinementSettings

JOBS = ("class2d", "class2d-em", "initialmodel", "refine3d")
PARALLEL = 0.8  # of the threads' time is used; measured on two cores
MIB = 1.0 / 1024**2
ITERATIONS = (6, 6, 5, 6)  # of a refinement at coarse steps of 7.5, 3.75, 1.88 and 0.94 degrees, the last two in local searches
HALVES = 4  # iterations in which the halves of an initial model are refined
STARTS = 4.5  # of six starts all go through the first half of the first phase, three through the second


@dataclass(frozen=True)
class Constants:
    """What was fitted to measured runs.

    Attributes
    ----------
    update, image, search
        2D: processor seconds per 10^6 voxels of the padded classes in an iteration, per 10^6 pixels of an image that is visited, and per
        10^9 products of coarse samples and their pixels.
    em
        Factor for EM, whose samples that matter are not capped.
    start, half
        Initial model: seconds per visit and class, whose images are small whatever the box, and per visit when its halves are refined.
    stages
        Refinement: seconds per visit and 10^3 pixels of the image, for each of the angular steps.
    padded
        Refinement: seconds per iteration and 10^6 voxels of the padded map.
    """

    update: float = 0.10
    image: float = 0.023
    search: float = 0.024
    em: float = 1.6
    start: float = 0.00095
    half: float = 0.001
    stages: tuple[float, float, float, float] = (0.0006, 0.0029, 0.0038, 0.0062)
    padded: float = 0.5


FITTED = Constants()
BASE_2D, BASE_3D = 350.0, 400.0  # MiB
PARTICLE, IMAGE_PIXEL = 0.0011, 0.0085  # MiB per particle, and per px of one image
EM_PARTICLE, BLOCK = 0.45, 2048  # MiB for each particle of a block whose samples wait for back-projection, at most so many
COPIES_2D, COPIES_3D = 2.0, 7.0  # of templates, of a padded map


@dataclass(frozen=True)
class Task:
    """A job whose cost is asked for.

    Attributes
    ----------
    job
        One of `JOBS`.
    n_particles, box, n_classes, n_iterations, threads
        As they will be given; box in px. The number of iterations of a refinement is its own.
    filled
        Mask diameter as a part of the box.
    detail
        Resolution that will be reached, in px of the particles; images are used up to ten shells beyond it.
    """

    job: str
    n_particles: int
    box: int
    n_classes: int = 1
    n_iterations: int = 200
    threads: int = 1
    filled: float = 0.8
    detail: float = 4.0

    def __post_init__(self) -> None:
        if self.job not in JOBS:
            raise UserError(f"there is no job {self.job} to estimate; known: {', '.join(JOBS)}")
        for name, least in (("n_particles", 1), ("box", 16), ("n_classes", 1), ("n_iterations", 1), ("threads", 1)):
            if getattr(self, name) < least:
                raise UserError(f"{name} is {getattr(self, name)}; expected at least {least}")
        if not (0 < self.filled <= 1 and self.detail >= 2):
            raise UserError(
                f"mask of {self.filled:g} boxes, detail of {self.detail:g} px: expected a mask within the box and at least 2 px"
            )


@dataclass(frozen=True)
class Cost:
    """Visits of particles, processor seconds, wall hours with the threads of the task, and peak memory in GiB."""

    visits: int
    cpu_seconds: float
    hours: float
    memory: float


def estimate(task: Task, constants: Constants = FITTED) -> Cost:
    """Estimate a job that runs on the processor, without a graphics card.

    Parameters
    ----------
    task : Task
        The job.
    constants : Constants
        Other ones than those of the processor that was measured.

    Returns
    -------
    Cost
    """
    kinds: Mapping[str, Callable[[Task, Constants], tuple[int, float, float]]] = {
        "class2d": _classes,
        "class2d-em": _classes,
        "initialmodel": _initial_model,
        "refine3d": _refinement,
    }
    visits, seconds, memory = kinds[task.job](task, constants)
    used = PARALLEL * task.threads if task.threads > 1 else 1.0
    return Cost(visits, seconds, seconds / used / 3600, memory / 1024)


def image_size(task: Task) -> int:
    """Return the width in px, in Fourier space, of the images that are compared."""
    return min(task.box, 2 * (math.ceil(task.box / task.detail) + 10))


def plane_terms(task: Task, size: int) -> tuple[float, float, float]:
    """Return what `Constants.update` (per iteration), `image` and `search` (per visit) are multiplied with, at an image size (px)."""
    sampling = make_sampling(RefinementSettings(), 0.0)
    finest = 2 * math.ceil(1.5 * 360 / (math.pi * task.filled * sampling.psi_step))  # what the coarse angles tell apart at the mask's edge
    samples = task.n_classes * len(sampling.psi_coarse) * len(sampling.shifts.coarse)
    padded = RefinementSettings().padding * task.box
    return task.n_classes * padded**2 / 1e6, task.box**2 / 1e6, samples * _pixels(min(size, finest)) / 1e9


def _pixels(size: int) -> float:
    """Return the number of pixels of half a Fourier transform within the circle."""
    return math.pi * size**2 / 8


def _settings(task: Task) -> RefinementSettings:
    return RefinementSettings(
        dimension=2 if task.job.startswith("class2d") else 3,
        algorithm=Algorithm.EM if task.job == "class2d-em" else Algorithm.VDAM,
        n_classes=task.n_classes,
        n_iterations=task.n_iterations,
    )


def _subsets(task: Task) -> np.ndarray:
    settings = _settings(task)
    return np.array([subset_size(settings, i, task.n_particles) for i in range(1, task.n_iterations + 1)])


def _classes(task: Task, constants: Constants) -> tuple[int, float, float]:
    size, visits, is_em = image_size(task), int(_subsets(task).sum()), task.job == "class2d-em"
    update, image, search = plane_terms(task, size)
    seconds = task.n_iterations * constants.update * update + visits * (constants.image * image + constants.search * search)
    templates = task.n_classes * len(make_sampling(RefinementSettings(), 0.0).psi_fine) * _pixels(size) * 8 * MIB
    memory = (
        BASE_2D
        + IMAGE_PIXEL * task.box**2
        + PARTICLE * task.n_particles
        + COPIES_2D * templates
        + (EM_PARTICLE * min(task.n_particles, BLOCK) if is_em else 0.0)
    )
    return visits, seconds * (constants.em if is_em else 1.0), memory


def _initial_model(task: Task, constants: Constants) -> tuple[int, float, float]:
    subsets, first = _subsets(task), Phases.of(_settings(task)).initial
    visits = int(STARTS * subsets[:first].sum() + subsets[first:].sum())
    seconds = constants.start * task.n_classes * visits + constants.half * HALVES * task.n_particles
    return visits + HALVES * task.n_particles, seconds, _memory_3d(task)


def _refinement(task: Task, constants: Constants) -> tuple[int, float, float]:
    """All iterations but the last, which takes the whole box, are at the image size of the task."""
    visits, size, last = sum(ITERATIONS) * task.n_particles, image_size(task), constants.stages[-1]
    rates = sum(count * rate for count, rate in zip(ITERATIONS, constants.stages, strict=True)) - last
    searches = task.n_particles * (rates * refined_pixels(size) + last * refined_pixels(task.box))
    maps = (sum(ITERATIONS) - 1) * padded_voxels(size) + padded_voxels(task.box)
    return visits, searches + constants.padded * maps, _memory_3d(task)


def refined_pixels(size: int) -> float:
    """Return what `stages` are multiplied with per visit, at an image size (px)."""
    return _pixels(size) / 1e3


def padded_voxels(size: int) -> float:
    """Return what `padded` is multiplied with per iteration, at an image size (px)."""
    return (RefinementSettings().padding * size) ** 3 / 1e6


def _memory_3d(task: Task) -> float:
    voxels = (RefinementSettings().padding * task.box) ** 3
    return BASE_3D + PARTICLE * task.n_particles + COPIES_3D * task.n_classes * voxels * 4 * MIB
