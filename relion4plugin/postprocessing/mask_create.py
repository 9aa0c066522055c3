"""A soft solvent mask from a map: low-pass filter, threshold, extension, soft edge."""

from dataclasses import dataclass

import numpy as np
import scipy.ndimage

from relion4plugin.errors import UserError
from relion4plugin.imaging.filters import lowpass_volume
from relion4plugin.postprocessing.maps import touches_edge

_NOISE_SIGMAS = 4.0
_DENSITY_PART = 0.3
_MAD_TO_SIGMA = 1.4826


@dataclass(frozen=True)
class MaskSettings:
    """How the mask is made.

    `low_pass` in A (not positive: no filter); `threshold` a grey value of the filtered map (None: automatic); `extend` and
    `edge` in px (negative `extend` shrinks); `keep_largest` drops all but the largest piece above the threshold; `fill` closes
    holes; `invert` makes the mask of everything else.
    """

    low_pass: float = 15.0
    threshold: float | None = 0.02
    extend: int = 3
    edge: int = 3
    keep_largest: bool = False
    fill: bool = False
    invert: bool = False


@dataclass(frozen=True)
class SolventMask:
    """A mask, float32 (N, N, N) in [0, 1], the threshold it was made with, and the part of the box it covers."""

    mask: np.ndarray
    threshold: float
    fraction: float
    remarks: tuple[str, ...]


def create_mask(volume: np.ndarray, pixel_size: float, settings: MaskSettings) -> SolventMask:
    """Make a solvent mask.

    Parameters
    ----------
    volume : float32 (N, N, N)
        A map with bright density, origin at voxel N/2.
    pixel_size : float
        A.
    settings : MaskSettings
        How.

    Returns
    -------
    SolventMask

    Raises
    ------
    UserError
        If the low-pass filter is finer than the map allows, or no voxel or every voxel is above the threshold.
    """
    if 0 < settings.low_pass < 2 * pixel_size:
        raise UserError(
            f"low-pass filter of {settings.low_pass:g} A is beyond the map's limit of {2 * pixel_size:g} A (twice the pixel size): "
            "raise --lowpass_filter or set it to -1"
        )
    filtered = lowpass_volume(volume, pixel_size, settings.low_pass) if settings.low_pass > 0 else volume
    threshold = automatic_threshold(filtered) if settings.threshold is None else settings.threshold
    inside = filtered >= threshold
    _check_extent(inside, filtered, threshold)
    if settings.keep_largest:
        inside = _largest_piece(inside)
    if settings.fill:
        inside = scipy.ndimage.binary_fill_holes(inside)
    inside = extend(inside, settings.extend)
    if not inside.any():
        raise UserError(f"nothing is left of the mask after shrinking it by {-settings.extend} px: raise --extend_inimask")
    mask = soft_edge(inside, settings.edge)
    remarks = _remarks(inside, mask)
    if settings.invert:
        mask = 1 - mask
    return SolventMask(mask, float(threshold), float(mask.mean()), remarks)


def automatic_threshold(filtered: np.ndarray) -> float:
    """Choose a grey value between solvent and density.

    Solvent fills most of a box, so its level is the median, and its spread the scaled median deviation of the voxels below that
    (density raises only the upper half; voxels that hold exactly the level, as in maps with flattened solvent, say nothing).
    Density is what lies four deviations above. The threshold is 30 % of the way from the solvent to the median of the density,
    but not below those four deviations.

    Parameters
    ----------
    filtered : float (N, N, N)
        Low-pass filtered map.

    Returns
    -------
    float

    Raises
    ------
    UserError
        If nothing stands out.
    """
    values = filtered.ravel()
    level, rounding = float(np.median(values)), 1e-6 * float(np.ptp(values))
    below = level - values[values < level - rounding]
    sigma = _MAD_TO_SIGMA * float(np.median(below)) if below.size else 0.0
    low = level + _NOISE_SIGMAS * sigma
    density = values[values > low]
    if sigma == 0 or density.size < 10:
        raise UserError(
            "no density stands out of the solvent, so no threshold can be chosen: give --inimask_threshold with --do_auto_threshold No"
        )
    return max(low, level + _DENSITY_PART * (float(np.median(density)) - level))


def extend(inside: np.ndarray, pixels: int) -> np.ndarray:
    """Grow a binary mask by all voxels closer than `pixels` to it; negative numbers shrink it likewise."""
    if pixels == 0:
        return inside
    if pixels > 0:
        return np.asarray(scipy.ndimage.distance_transform_edt(~inside) < pixels)
    return ~np.asarray(scipy.ndimage.distance_transform_edt(inside) < -pixels)


def soft_edge(inside: np.ndarray, width: float) -> np.ndarray:
    """Put half a cosine of `width` px around a binary mask.

    Parameters
    ----------
    inside : bool (N, N, N)
        Becomes 1.
    width : float
        Distance in px over which the mask falls to 0; 0 gives a binary mask.

    Returns
    -------
    float32 (N, N, N)
        ``0.5 + 0.5 cos(pi d / width)`` at distance d.
    """
    if width <= 0 or inside.all():
        return inside.astype(np.float32)
    distance = scipy.ndimage.distance_transform_edt(~inside).astype(np.float32)
    mask = 0.5 + 0.5 * np.cos(np.float32(np.pi / width) * np.minimum(distance, np.float32(width)))
    return np.asarray(mask, dtype=np.float32)


def _largest_piece(inside: np.ndarray) -> np.ndarray:
    labels, count = scipy.ndimage.label(inside)
    if count <= 1:
        return inside
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(labels == sizes.argmax())


def _check_extent(inside: np.ndarray, filtered: np.ndarray, threshold: float) -> None:
    low, high = float(filtered.min()), float(filtered.max())
    if not inside.any():
        raise UserError(
            f"no voxel of the filtered map (largest {high:.4g}) reaches the threshold {threshold:.4g}: lower --inimask_threshold, or let "
            "it be chosen with --do_auto_threshold"
        )
    if inside.all():
        raise UserError(
            f"every voxel of the filtered map (smallest {low:.4g}) is above the threshold {threshold:.4g}: raise --inimask_threshold"
        )


def _remarks(inside: np.ndarray, mask: np.ndarray) -> tuple[str, ...]:
    remarks = []
    if touches_edge(mask):
        remarks.append("the mask reaches the edge of the box: raise the threshold, extend less, or use a larger box")
    if inside.mean() > 0.5:
        remarks.append(f"the mask covers {100 * inside.mean():.0f} % of the box: the threshold may be too low")
    return tuple(remarks)
