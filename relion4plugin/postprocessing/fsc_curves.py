"""Fourier shell correlations of two half maps, corrected for what a mask adds."""

from dataclasses import dataclass

import numpy as np

from relion4plugin.imaging.filters import fsc, randomise_phases, resolution_at
from relion4plugin.postprocessing.maps import HalfMaps

THRESHOLD = 0.143  # Rosenthal and Henderson (2003) J. Mol. Biol. 333, 721-745
# Volume of a sphere of the box's diameter over that of the box, over 1.1: the part of the box that a reconstruction fills.
BOX_FRACTION = np.pi / 6 / 1.1
_MARGIN = 2  # shells after the first random one that keep the masked curve


@dataclass(frozen=True)
class FscCurves:
    """Correlations per shell, float64 (N//2+1,), and what follows from them; masked curves are None without a mask.

    `corrected` is the curve to quote. `random_from` is the first shell with random phases (None: nothing was randomised).
    `resolution` is in A (THRESHOLD on `corrected`). `box_fraction` is the reconstruction's volume over that of the mask.
    """

    unmasked: np.ndarray
    corrected: np.ndarray
    resolution: float
    masked: np.ndarray | None = None
    randomised: np.ndarray | None = None
    particle: np.ndarray | None = None
    random_from: int | None = None
    box_fraction: float | None = None
    remarks: tuple[str, ...] = ()


def correct_for_mask(masked: np.ndarray, randomised: np.ndarray, random_from: int) -> np.ndarray:
    """Take out of a masked curve what the mask alone correlates: ``(Ft - Fn) / (1 - Fn)``.

    Chen et al. (2013) Ultramicroscopy 135, 24-35. Shells before `random_from` + 2 keep the masked curve.

    Parameters
    ----------
    masked, randomised : float (..., S)
        Correlations per shell of the masked maps, and of the same maps with random phases.
    random_from : int
        First shell with random phases.

    Returns
    -------
    float64 (..., S)
        Negative where the random curve is above the masked one; 0 where it is 1.
    """
    masked, noise = np.asarray(masked, dtype=np.float64), np.asarray(randomised, dtype=np.float64)
    known = noise < 1
    corrected = np.where(known, (masked - noise) / np.where(known, 1 - noise, 1), 0.0)
    corrected[..., : random_from + _MARGIN] = masked[..., : random_from + _MARGIN]
    return corrected


def first_random_shell(unmasked: np.ndarray, threshold: float) -> int | None:
    """First shell, from 1 on, where a curve is below a threshold; None if there is none."""
    below = np.flatnonzero(unmasked[1:] < threshold)
    return int(below[0]) + 1 if below.size else None


def particle_fraction_curve(unmasked: np.ndarray, box_fraction: float) -> np.ndarray:
    """Curve expected inside the mask if all signal of the box were there: ``f F / (1 + (f - 1) F)``."""
    denominator = 1 + (box_fraction - 1) * unmasked
    return np.where(np.abs(denominator) > 1e-6, box_fraction * unmasked / np.where(denominator == 0, 1, denominator), 0.0)


def fsc_curves(
    halves: HalfMaps,
    mask: np.ndarray | None,
    *,
    randomise_at_fsc: float = 0.8,
    seed: int = 0,
    force_mask: bool = False,
) -> FscCurves:
    """Compute all curves of a pair of half maps.

    Parameters
    ----------
    halves : HalfMaps
        The maps.
    mask : float32 (N, N, N) or None
        Solvent mask with values in [0, 1].
    randomise_at_fsc : float
        Phases are random from the first shell on where the unmasked curve is below this.
    seed : int
        Seed of the random phases.
    force_mask : bool
        Quote the corrected curve even where the unmasked one reaches further.

    Returns
    -------
    FscCurves
    """
    unmasked = _first_is_one(fsc(halves.first, halves.second))

    def resolution(curve: np.ndarray) -> float:
        return resolution_at(curve, THRESHOLD, halves.pixel_size, halves.box)

    if mask is None:
        return FscCurves(unmasked, unmasked, resolution(unmasked))
    masked = _first_is_one(fsc(halves.first * mask, halves.second * mask))
    random_from = first_random_shell(unmasked, randomise_at_fsc)
    randomised, corrected, remarks = None, masked, []
    if random_from is None:
        remarks.append(f"the unmasked FSC never falls below {randomise_at_fsc:g}: no phases were randomised, the mask's part is unknown")
    else:
        randomised = _randomised_curve(halves, mask, random_from, seed)
        corrected = correct_for_mask(masked, randomised, random_from)
    if resolution(corrected) > resolution(unmasked) and not force_mask:
        remarks.append(
            f"the unmasked maps agree to {resolution(unmasked):.2f} A, further than with the mask ({resolution(corrected):.2f} A): "
            "the mask cuts density; the unmasked curve is used"
        )
        corrected = unmasked
    fraction = float(BOX_FRACTION / max((mask > 0.5).mean(), 1 / mask.size))
    reached = resolution(corrected)
    if randomised is not None and corrected is not unmasked:
        remarks += _mask_remarks(randomised, reached, halves)
    particle = particle_fraction_curve(unmasked, fraction)
    return FscCurves(unmasked, corrected, reached, masked, randomised, particle, random_from, fraction, tuple(remarks))


def _randomised_curve(halves: HalfMaps, mask: np.ndarray, random_from: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    first, second = (randomise_phases(half, random_from, rng) * mask for half in (halves.first, halves.second))
    return _first_is_one(fsc(first, second))


def _first_is_one(curve: np.ndarray) -> np.ndarray:
    """Shell 0 holds the mean grey value, which says nothing."""
    curve[0] = 1.0
    return curve


def _mask_remarks(randomised: np.ndarray, resolution: float, halves: HalfMaps) -> list[str]:
    shell = min(round(halves.box * halves.pixel_size / resolution), len(randomised) - 1)
    if randomised[shell] <= 0.1:
        return []
    return [
        f"the phase-randomised FSC is {randomised[shell]:.2f} at {resolution:.2f} A, above 0.1: the mask is too tight or its edge too "
        "sharp; make a wider, softer mask"
    ]
