"""The search of one iteration as data: grid, image sizes, templates, priors; and the sums that come out of it."""

from dataclasses import dataclass, field, fields

import numpy as np

from relion4plugin.imaging.fourier import shift_phases
from relion4plugin.refinement.pixels import PixelList
from relion4plugin.refinement.sampling import Sampling, Shifts
from relion4plugin.refinement.slices import SlicePlan, make_slice_plan


@dataclass(frozen=True)
class SearchPlan:
    """Everything that all particles of an iteration share, apart from the references.

    Pixel counts are prefixes of the shell-sorted list: ``coarse <= likelihood <= all``.
    """

    sampling: Sampling
    pixels: PixelList
    padding: int
    current_size: int  # px
    count: int  # pixels of the fine images
    count_likelihood: int  # of them in the likelihood
    count_coarse: int  # in the coarse pass
    phases_coarse: np.ndarray  # complex64 (T, count_coarse)
    phases_fine: np.ndarray  # complex64 (T_fine, count)
    slices_coarse: SlicePlan  # the first half turn of the coarse angles
    slices_fine: SlicePlan
    fraction: float  # adaptive fraction
    max_significants: int  # <= 0: no cap
    halves: int  # accumulators: 2 pseudo half-sets, or 1
    gradient: bool  # accumulate residuals instead of images

    @property
    def correlate(self) -> bool:
        """Whether only correlations count: never in 2D."""
        return False

    @property
    def shifts(self) -> Shifts:
        """The grid of shifts."""
        return self.sampling.shifts

    @property
    def children(self) -> tuple[int, int, int]:
        """Coarse angles, fine angles per coarse angle, fine shifts per coarse shift."""
        return len(self.sampling.psi_coarse), self.sampling.psi_children, self.shifts.children


def make_search_plan(
    sampling: Sampling,
    pixels: PixelList,
    padding: int,
    *,
    current_size: int,
    coarse_size: int,
    likelihood_size: int,
    fraction: float,
    max_significants: int,
    gradient: bool,
) -> SearchPlan:
    """Plan the search for image sizes in px."""
    count, count_coarse = pixels.count(current_size), pixels.count(coarse_size)
    half = len(sampling.psi_coarse) // 2

    def phases(shifts: np.ndarray, n: int) -> np.ndarray:
        return shift_phases(pixels.ky[:n], pixels.kx[:n], shifts, pixels.box)

    return SearchPlan(
        sampling,
        pixels,
        padding,
        current_size,
        count,
        pixels.count(likelihood_size),
        count_coarse,
        phases(sampling.shifts.coarse, count_coarse),
        phases(sampling.shifts.fine, count),
        make_slice_plan(sampling.psi_coarse[:half], pixels, coarse_size, padding, current_size),
        make_slice_plan(sampling.psi_fine, pixels, current_size, padding),
        fraction,
        max_significants,
        2 if gradient else 1,
        gradient,
    )


@dataclass(frozen=True)
class Batch:
    """The particles of one expectation step and what is known of them before it."""

    rows: np.ndarray  # int64 (n,), into the particle table
    factor: np.ndarray  # float32 (n,), what images are multiplied by (norm correction)
    scale: np.ndarray  # float64 (n,), of the particle's group
    old_offset: np.ndarray  # int32 (n, 2), px, applied to the image before the search
    offset_prior: np.ndarray  # float32 (n, T), log prior of the coarse shifts
    offset_centre: np.ndarray  # float64 (n, 2), A, old offset minus the centre of its prior
    psi_prior: np.ndarray  # float32 (n, R), or (0, 0) where flat
    half: np.ndarray  # int8 (n,), pseudo half-set
    angles: np.ndarray  # float64 (n, 3), deg, last rot, tilt, psi
    rest: np.ndarray  # float64 (n, 2), px, last offset minus `old_offset`

    def part(self, chunk: slice | np.ndarray) -> "Batch":
        """Return the particles of a slice, or of some indices."""
        values = (getattr(self, field.name) for field in fields(self))
        return Batch(*(value[chunk] if len(value) else value for value in values))


@dataclass
class ParticleSums:
    """Per-particle outcome of an expectation step, arrays of n particles."""

    best_class: np.ndarray  # int32, from 0
    best_angles: np.ndarray  # float64 (n, 3), rot, tilt, psi in deg
    best_shift: np.ndarray  # int32, fine shift
    pmax: np.ndarray  # float64
    n_significant: np.ndarray  # int32, coarse samples kept
    log_likelihood: np.ndarray  # float64
    weight: np.ndarray  # float64, retained posterior weight
    norm_power: np.ndarray  # float64, weighted residual power, with the image power above the current size
    offset_power: np.ndarray  # float64, weighted squared distance from the offset prior, A^2
    scale_cross: np.ndarray  # float64
    scale_power: np.ndarray  # float64

    @classmethod
    def empty(cls, n: int) -> "ParticleSums":
        """Allocate zeros."""
        return cls(
            np.zeros(n, np.int32),
            np.zeros((n, 3)),
            np.zeros(n, np.int32),
            np.zeros(n),
            np.zeros(n, np.int32),
            np.zeros(n),
            np.zeros(n),
            np.zeros(n),
            np.zeros(n),
            np.zeros(n),
            np.zeros(n),
        )


@dataclass
class Expectation:
    """Result of an expectation step: sums per particle and the back-projected grids."""

    particles: ParticleSums
    class_weight: np.ndarray  # float64 (K,)
    noise_power: np.ndarray  # float64 (n_optics, shells)
    data: np.ndarray  # complex64 (halves, K, [M,] M, M//2+1)
    weight: np.ndarray  # float32 (halves, K, [M,] M, M//2+1)
    direction_weight: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))  # float64 (K, D) in 3D
    noise_counts: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, 0)))  # float64 (n_optics, shells, bins), see `robust_noise`
    batch: Batch | None = None  # what was expected over
