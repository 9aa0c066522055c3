"""Post-processing: from two unfiltered half maps to one sharpened map and the resolution to quote."""

from dataclasses import dataclass

import numpy as np
import scipy.fft

from relion4plugin.imaging.aberrations import mtf_at
from relion4plugin.imaging.fourier import round_half_away
from relion4plugin.postprocessing.bfactor import GuinierFit, fit_line, log_amplitudes
from relion4plugin.postprocessing.fsc_curves import FscCurves, fsc_curves
from relion4plugin.postprocessing.maps import HalfMaps
from relion4plugin.postprocessing.shells import by_shell, radii, shell_index, shell_means
from relion4plugin.progress import Progress, Silent

_NO_SIGNAL = 1e-4  # correlation below which nothing further out is trusted
_CUT_CORRELATION = 0.1


@dataclass(frozen=True)
class PostprocessSettings:
    """What to do; resolutions in A, B-factors in A^2 (negative sharpens).

    `bfactor` None estimates it between `fit_lowest` and `fit_highest` (not positive: as far as the weighted map has amplitudes).
    `low_pass` not positive filters nothing beyond the FSC weighting. `mtf_pixel_size` is that of the detector; not positive: of
    the maps.
    """

    bfactor: float | None = None
    fit_lowest: float = 10.0
    fit_highest: float = 0.0
    fsc_weighting: bool = True
    low_pass: float = 0.0
    edge_width: float = 2.0
    mtf_pixel_size: float = -1.0
    randomise_at_fsc: float = 0.8
    force_mask: bool = False
    seed: int = 0


@dataclass(frozen=True)
class Guinier:
    """Logarithms of the mean amplitude per shell, float64 (N//2+1,), after each step; None for a step that was not made."""

    original: np.ndarray
    mtf_corrected: np.ndarray | None
    weighted: np.ndarray | None
    sharpened: np.ndarray


@dataclass(frozen=True)
class PostprocessResult:
    """The processed map (float32 (N, N, N)), the same under the mask, curves, B-factor (A^2) and remarks for the user."""

    volume: np.ndarray
    masked: np.ndarray | None
    curves: FscCurves
    guinier: Guinier
    fit: GuinierFit | None
    bfactor: float
    pixel_size: float
    remarks: tuple[str, ...]


def postprocess(
    halves: HalfMaps,
    mask: np.ndarray | None,
    settings: PostprocessSettings,
    mtf: np.ndarray | None = None,
    progress: Progress | None = None,
) -> PostprocessResult:
    """Estimate the resolution of two half maps and sharpen their average.

    Parameters
    ----------
    halves : HalfMaps
        Unfiltered half maps.
    mask : float32 (N, N, N) or None
        Solvent mask in [0, 1].
    settings : PostprocessSettings
        What to do.
    mtf : float64 (m, 2) or None
        Detector curve (see `maps.read_mtf`) by which the map is divided.
    progress : Progress, optional
        Told of the two phases.

    Returns
    -------
    PostprocessResult
    """
    progress = progress or Silent()
    progress.start("Post-processing", 2)
    curves = fsc_curves(halves, mask, randomise_at_fsc=settings.randomise_at_fsc, seed=settings.seed, force_mask=settings.force_mask)
    progress.advance(1, f"resolution {curves.resolution:.2f} A")
    remarks = [*halves.remarks, *curves.remarks]
    if mask is not None:
        remarks += _density_cut(halves, mask)
    volume, guinier, fit, bfactor = _sharpen(halves, curves, settings, mtf, remarks)
    progress.advance(1, f"B-factor {bfactor:.1f} A^2")
    progress.finish()
    return PostprocessResult(
        volume, None if mask is None else volume * mask, curves, guinier, fit, bfactor, halves.pixel_size, tuple(remarks)
    )


def _sharpen(
    halves: HalfMaps, curves: FscCurves, settings: PostprocessSettings, mtf: np.ndarray | None, remarks: list[str]
) -> tuple[np.ndarray, Guinier, GuinierFit | None, float]:
    """Divide by the MTF, weight by the FSC, apply the B-factor and the low-pass filter; remarks are appended."""
    n, extent = halves.box, halves.box * halves.pixel_size
    shells, count = shell_index(n), n // 2 + 1
    transform = scipy.fft.rfftn(halves.average())
    transform[shells >= count] = 0
    scale = float(n) ** 3

    def logs() -> np.ndarray:
        return log_amplitudes(shell_means(np.abs(transform), shells, count) / scale)

    original, corrected, weighted = logs(), None, None
    if mtf is not None:
        transform /= mtf_values(n, halves.pixel_size, mtf, settings.mtf_pixel_size)
        corrected = logs()
    if settings.fsc_weighting:
        transform *= by_shell(fsc_weights(curves.corrected), shells)
        weighted = logs()
    last = next(step for step in (weighted, corrected, original) if step is not None)
    fit, bfactor = None, settings.bfactor
    if bfactor is None:
        highest = settings.fit_highest if settings.fit_highest > 0 else 2 * halves.pixel_size
        fit = fit_line(last, extent, settings.fit_lowest, highest) if curves.resolution < settings.fit_lowest else None
        bfactor = fit.bfactor if fit is not None else 0.0
        if fit is None:
            remarks.append(
                f"the resolution of {curves.resolution:.2f} A leaves too few shells beyond {settings.fit_lowest:g} A to estimate a "
                "B-factor: the map is not sharpened; give one with --adhoc_bfac or raise --autob_lowres"
            )
    if bfactor:
        transform *= np.exp(np.float32(-bfactor / 4) * (radii(n) / np.float32(extent)) ** 2)
    sharpened = logs()
    if settings.low_pass > 0:
        transform *= lowpass_weights(n, extent / settings.low_pass, settings.edge_width)
    volume = np.asarray(scipy.fft.irfftn(transform, s=(n, n, n)), dtype=np.float32)
    return volume, Guinier(original, corrected, weighted, sharpened), fit, float(bfactor)


def fsc_weights(curve: np.ndarray) -> np.ndarray:
    """Figure of merit per shell, ``sqrt(2 F / (1 + F))``, zero from the first shell without signal on.

    Rosenthal and Henderson (2003) J. Mol. Biol. 333, 721-745.
    """
    none = np.flatnonzero(curve < _NO_SIGNAL)
    end = int(none[0]) if none.size else len(curve)
    positive = np.clip(curve, 0, 1)
    return np.where(np.arange(len(curve)) < end, np.sqrt(2 * positive / (1 + positive)), 0.0)


def mtf_values(n: int, pixel_size: float, mtf: np.ndarray, mtf_pixel_size: float) -> np.ndarray:
    """MTF at every component of a map's transform, float32 (N, N, N//2+1); a detector pixel size not positive: that of the map."""
    frequency = radii(n) / np.float32(n * pixel_size)
    detector = mtf_pixel_size if mtf_pixel_size > 0 else pixel_size
    return np.asarray(mtf_at(frequency, np.zeros_like(frequency), mtf, detector))


def lowpass_weights(n: int, shell: float, width: float) -> np.ndarray:
    """Raised cosine of `width` shells around the shell nearest to `shell`, float32 (N, N, N//2+1)."""
    distance = (radii(n) - np.float32(round_half_away(shell))) / np.float32(max(width, 1e-3)) + np.float32(0.5)
    return 0.5 + 0.5 * np.cos(np.float32(np.pi) * np.clip(distance, 0, 1))


def _density_cut(halves: HalfMaps, mask: np.ndarray) -> list[str]:
    """Say so if the halves agree outside the mask: there is density that it cuts.

    Only the low-frequency agreement of neighbouring voxels counts; noise of independent halves does not correlate.
    """
    outside = mask < 0.01
    if outside.sum() < 1000:
        return ["the mask leaves almost nothing of the box outside: it cannot improve the FSC; make a tighter mask"]
    a, b = halves.first[outside], halves.second[outside]
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt(np.sum(a * a, dtype=np.float64) * np.sum(b * b, dtype=np.float64)))
    correlation = float(np.sum(a * b, dtype=np.float64)) / norm if norm > 0 else 0.0
    inside = float(np.mean(halves.average()[outside] ** 2) / np.mean(halves.average() ** 2))
    if correlation < _CUT_CORRELATION or inside < 0.01:
        return []
    return [
        f"outside the mask the half maps correlate to {correlation:.2f}: the mask may cut density; lower its threshold or extend it further"
    ]
