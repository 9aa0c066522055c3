"""The grid of in-plane angles and shifts that all particles of an iteration share.

A coarse grid is searched in full, then only the children of its significant samples: each angle has two
children at +- a quarter of the coarse step, each shift has four.
"""

import math
from dataclasses import dataclass

import numpy as np

from relion4plugin.refinement.settings import RefinementSettings


@dataclass(frozen=True)
class Shifts:
    """Shifts in px as (x, y); child `4t + c` belongs to shift `t`."""

    coarse: np.ndarray  # (T, 2) float64
    fine: np.ndarray  # (T * children, 2)
    step: float  # px, coarse
    reach: float  # px

    @property
    def children(self) -> int:
        """Fine shifts per coarse shift."""
        return len(self.fine) // len(self.coarse)


@dataclass(frozen=True)
class Sampling:
    """Angles in degrees; child `2r + c` belongs to angle `r`.

    The number of coarse angles is even: angle `r + R/2` is angle `r` turned by half a turn, whose central slice
    is the complex conjugate. The score kernels compute only one of the two.
    """

    psi_coarse: np.ndarray  # (R,) float64
    psi_fine: np.ndarray  # (R * psi_children,)
    shifts: Shifts
    psi_step: float  # deg, coarse
    perturbation: float  # state of the random perturbation, -0.5..0.5

    @property
    def psi_children(self) -> int:
        """Fine angles per coarse angle."""
        return len(self.psi_fine) // len(self.psi_coarse)


def number_of_angles(psi_step: float) -> int:
    """Return the even number of in-plane angles for a step in degrees."""
    count = math.ceil(360.0 / psi_step - 1e-6)
    return count + count % 2


def next_perturbation(previous: float, factor: float, rng: np.random.Generator) -> float:
    """Move the perturbation by a random 0.5..1 of `factor` and wrap it to (-0.5, 0.5]."""
    if factor <= 0:
        return 0.0
    moved = previous + rng.uniform(0.5 * factor, factor)
    return moved - math.ceil(moved - 0.5)


def make_sampling(settings: RefinementSettings, perturbation: float) -> Sampling:
    """Build the grid of one iteration.

    Parameters
    ----------
    settings : RefinementSettings
        Coarse steps and the offset range (px).
    perturbation : float
        In units of the coarse steps, added to every angle and to both shift coordinates.
    """
    n_psi = number_of_angles(settings.psi_step)
    step = 360.0 / n_psi
    psi = (np.arange(n_psi) + perturbation) * step
    shifts = make_shifts(settings.offset_step, settings.offset_range, perturbation, settings.oversampling)
    if settings.oversampling == 0:
        return Sampling(psi, psi, shifts, step, perturbation)
    children = 2**settings.oversampling
    offsets = (np.arange(children) - (children - 1) / 2) / children
    return Sampling(psi, (psi[:, None] + offsets * step).ravel(), shifts, step, perturbation)


def make_shifts(step: float, reach: float, perturbation: float, oversampling: int) -> Shifts:
    """Build the grid of shifts inside a disc of radius `reach` (px); the perturbation moves it in units of the step."""
    count = math.floor(reach / step + 1e-6)
    axis = np.arange(-count, count + 1) * step
    y, x = np.meshgrid(axis, axis, indexing="ij")
    inside = x**2 + y**2 <= reach**2 + 1e-3
    coarse = np.stack([x[inside], y[inside]], axis=1) + perturbation * step
    if oversampling == 0:
        return Shifts(coarse, coarse, step, reach)
    children = 2**oversampling
    offsets = (np.arange(children) - (children - 1) / 2) / children
    cy, cx = np.meshgrid(offsets, offsets, indexing="ij")
    child = np.stack([cx.ravel(), cy.ravel()], axis=1) * step
    return Shifts(coarse, (coarse[:, None] + child).reshape(-1, 2), step, reach)


def coarse_image_size(settings: RefinementSettings, box: int, pixel_size: float, step: float, current_size: int) -> int:
    """Return the image size (px, even) of the coarse pass: what an angular step (deg) can tell apart at the particle's edge.

    ``strict_highres`` replaces the estimate and then bounds the fine pass too (`likelihood_size`).
    """
    if settings.strict_highres > 0:
        return min(likelihood_size(settings, box, pixel_size, current_size), current_size)
    keep_safe = 1.5 if settings.dimension == 2 else 1.2
    resolution = step / 360.0 * math.pi * settings.particle_diameter / keep_safe
    return min(2 * math.ceil(pixel_size * box / resolution), current_size)


def likelihood_size(settings: RefinementSettings, box: int, pixel_size: float, current_size: int) -> int:
    """Return the image size (px) that enters the likelihood of the fine pass."""
    if settings.strict_highres <= 0:
        return current_size
    return min(2 * max(1, int(box * pixel_size / settings.strict_highres + 0.5)), current_size)
