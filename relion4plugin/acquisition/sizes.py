"""Box, mask and downscaled box for a particle or a filament, and how many frames are averaged.

The rules are those of MDCatch (RELION-4.0 paper, section 3.4), with the box rounded to even before it is downscaled.

>>> sizes = session_sizes(size=180, movie_px=0.50226, super_resolution=True, binning=1)
>>> sizes.mask, sizes.box, sizes.small_box, sizes.mask_A
(198, 270, 96, 198)
"""

import math
from dataclasses import dataclass

from relion4plugin.errors import UserError
from relion4plugin.schemes.it.sizes import small_box

_BOX, _MASK = 1.5, 1.1  # in diameters of a particle
_HELICAL_BOX, _HELICAL_MASK = 1.8, 1.62  # in widths of a filament; the mask is 90 % of the box
_TUBE = 1.2
_BOX_DISTANCE = 0.1  # of the box, between segments
_ROUNDING = 1e-6
_LOWEST_DOSE, _LARGEST_GROUP = 0.8, 3  # e/A^2 in a group of frames; frames
_EER_LOWEST, _EER_HIGHEST = 0.5, 1.25  # e/A^2 in an EER fraction


@dataclass(frozen=True)
class SessionSizes:
    """Sizes for a particle.

    Attributes
    ----------
    mask, box, small_box : int
        Mask and box in pixels of the corrected micrographs, and box after downscaling.
    small_px : float
        Pixel after downscaling, A.
    mask_A : int
        Diameter of the mask for 2D and 3D, A.
    tube_A, box_distance : int or None
        Outer diameter of a filament (A) and distance between its boxes (px); None for particles.
    """

    mask: int
    box: int
    small_box: int
    small_px: float
    mask_A: int
    tube_A: int | None
    box_distance: int | None


def motion_binning(super_resolution: bool, binning: float) -> int:
    """Return by how much motion correction bins: 2 for super-resolution frames that were saved unbinned, else 1."""
    return 2 if super_resolution and binning <= 1 else 1


def session_sizes(size: float, movie_px: float, super_resolution: bool = False, binning: float = 1, helical: bool = False) -> SessionSizes:
    """Return the sizes for a particle of diameter `size` (or a filament of width `size`) in A.

    Parameters
    ----------
    size, movie_px : float
        A.
    super_resolution, binning : bool, float
        How the frames were recorded (see `motion_binning`).
    helical : bool
        Whether `size` is the width of a filament.

    Raises
    ------
    UserError
        If a size is not positive, or no box is large enough.
    """
    if not (size > 0 and movie_px > 0):
        raise UserError(f"particle size {size:g} A and pixel size {movie_px:g} A must be positive; check both")
    pixel = movie_px * motion_binning(super_resolution, binning)
    across = size / pixel
    mask = math.ceil((_HELICAL_MASK if helical else _MASK) * across - _ROUNDING)
    box = 2 * math.ceil((_HELICAL_BOX if helical else _BOX) * across / 2 - _ROUNDING)
    small = small_box(box, pixel)
    tube = math.ceil(_TUBE * size - _ROUNDING) if helical else None
    distance = int(_BOX_DISTANCE * box) if helical else None
    return SessionSizes(mask, box, small, pixel * box / small, int(mask * pixel), tube, distance)


def frame_group(dose_per_frame: float) -> int:
    """Return how many frames to average so that a group has 0.8 e/A^2, at most 3 (MDCatch's rule; not for EER)."""
    if not dose_per_frame > 0:
        raise UserError(f"a dose of {dose_per_frame:g} e/A^2 per frame is not positive; give dose_per_frame_eA2")
    return min(_LARGEST_GROUP, max(1, math.ceil(_LOWEST_DOSE / dose_per_frame - _ROUNDING)))


@dataclass(frozen=True)
class EerGrouping:
    """How EER frames are put into fractions: camera frames in a fraction, fractions, frames left out, and dose of a fraction (e/A^2)."""

    frames: int
    fractions: int
    dropped: int
    dose: float


def eer_grouping(dose_total: float, n_frames: int, target: float = 1.0) -> EerGrouping:
    """Return the fractions whose dose is near `target` (e/A^2) and that leave out few frames.

    Among the numbers of frames that give 0.5 to 1.25 times the target, the sum of the relative distance from the target and of the
    part of the frames that is left out is least. A dose in which no number of frames falls gives the nearest one.

    >>> grouping = eer_grouping(28.5048, 190)
    >>> grouping.frames, grouping.fractions, grouping.dropped, round(grouping.dose, 3)
    (7, 27, 1, 1.05)

    Raises
    ------
    UserError
        If dose, frames or target are not positive.
    """
    if not (dose_total > 0 and n_frames > 0 and target > 0):
        raise UserError(
            f"EER fractions need a positive dose, number of frames and target, not {dose_total:g} e/A^2, {n_frames} and {target:g} e/A^2"
        )
    dose = dose_total / n_frames

    def cost(frames: int) -> float:
        return abs(frames * dose - target) / target + (n_frames % frames) / n_frames

    lowest, highest = math.ceil(_EER_LOWEST * target / dose), math.floor(_EER_HIGHEST * target / dose)
    candidates = range(max(lowest, 1), min(highest, n_frames) + 1)
    nearest = min(max(round(target / dose), 1), n_frames)
    frames = min(candidates, key=lambda item: (cost(item), item)) if candidates else nearest
    return EerGrouping(frames, n_frames // frames, n_frames % frames, frames * dose)
