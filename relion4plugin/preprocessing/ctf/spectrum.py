"""The power spectrum of a micrograph: averaged over windowed tiles, or summed before by a motion correction."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import fft

from relion4plugin.errors import UserError
from relion4plugin.files.mrc import read_mrc

FINEST_PIXEL = 1.4  # A; nothing finer than 2.8 A is needed to see the rings
_OUTLIER = 6.0  # standard deviations beyond which a pixel is hot or dead
_TILES_AT_ONCE = 4
_FLAT = 1e-3  # part of the usual variance below which a tile shows no specimen: a padded border


@dataclass(frozen=True)
class PowerSpectrum:
    """Half of a centred power spectrum.

    `power[n//2 + ky, kx]` with ky from -n/2 to n/2 - 1 and kx from 0 to n/2 - 1; frequencies are multiples of 1/(n `pixel_size`).
    `extent` is the length in A of the area that one transform saw: rings finer than its inverse are washed out.
    """

    power: np.ndarray  # float32 (n, n//2)
    pixel_size: float  # A
    extent: float  # A

    @property
    def box(self) -> int:
        """Side of the whole spectrum in px."""
        return int(self.power.shape[0])

    def frequencies(self) -> tuple[np.ndarray, np.ndarray]:
        """Return fx (n//2,) and fy (n,) in 1/A."""
        step = 1.0 / (self.box * self.pixel_size)
        return np.arange(self.box // 2) * step, (np.arange(self.box) - self.box // 2) * step


def micrograph_spectrum(image: np.ndarray, pixel_size: float, box: int, finest_pixel: float = FINEST_PIXEL) -> PowerSpectrum:
    """Average the power spectra of tiles that overlap by half and are faded by a Hann window (Welch 1967).

    Where the pixel is finer than `finest_pixel`, tiles are larger than the box, and the outer part of their transform is left
    away: rings are then sampled more finely. Hot pixels are clipped, and every tile counts as much as any other, so that carbon
    or a contaminant in a few of them does not decide; tiles without contrast are left out.

    Parameters
    ----------
    image
        (ny, nx).
    pixel_size
        A.
    box
        Side of the spectrum in px, even.
    finest_pixel
        A.

    Raises
    ------
    UserError
        If the image is smaller than the box, holds values that are not numbers, or has no contrast.
    """
    if min(image.shape) < box:
        raise UserError(f"{image.shape[1]} x {image.shape[0]} px is smaller than the FFT box of {box} px: give a smaller --box")
    pixels = _clipped(image)
    wanted = fft.next_fast_len(int(np.ceil(box * max(1.0, finest_pixel / pixel_size))), real=True)
    side = min(wanted, min(image.shape))
    side += side % 2 if side < min(image.shape) else -(side % 2)
    starts = [_starts(length, side) for length in image.shape]
    corners = [(y, x) for y in starts[0] for x in starts[1]]
    window = _hann(side)
    total = np.zeros((box, box // 2), dtype=np.float64)
    deviations = np.array([pixels[y : y + side, x : x + side].std() for y, x in corners])
    usual = float(np.median(deviations))
    if usual <= 0:
        raise UserError("the image has no contrast: most of it has one value")
    kept = [(corner, deviation) for corner, deviation in zip(corners, deviations, strict=True) if deviation**2 > _FLAT * usual**2]
    for first in range(0, len(kept), _TILES_AT_ONCE):
        part = kept[first : first + _TILES_AT_ONCE]
        tiles = np.stack([pixels[y : y + side, x : x + side] for (y, x), _ in part])
        tiles -= tiles.mean(axis=(1, 2), keepdims=True)
        tiles *= window / np.array([deviation for _, deviation in part], dtype=np.float32)[:, None, None]
        total += _cropped_power(fft.rfft2(tiles, axes=(1, 2)), box).sum(axis=0, dtype=np.float64)
    power = (total / len(kept)).astype(np.float32)
    return PowerSpectrum(power, pixel_size * side / box, pixel_size * side)


def given_spectrum(path: Path) -> PowerSpectrum:
    """Read a spectrum that a motion correction summed: amplitudes, square, zero frequency at pixel n/2, pixel size in the header.

    Raises
    ------
    UserError
        If the file cannot be read or is no such spectrum.
    """
    stack, pixel_size = read_mrc(path)
    amplitudes = stack[0]
    n = amplitudes.shape[0]
    if len(stack) != 1 or amplitudes.shape != (n, n) or n % 2:
        raise UserError(f"{path}: expected one square spectrum with an even side, found {stack.shape[2]} x {n} px: set use_given_ps to No")
    if pixel_size <= 0:
        raise UserError(f"{path}: the header has no pixel size, so frequencies are unknown: set use_given_ps to No")
    if not np.isfinite(amplitudes).all() or not amplitudes.any():
        raise UserError(f"{path}: the power spectrum holds values that are not numbers, or zeros only: set use_given_ps to No")
    half = amplitudes[:, n // 2 :]
    return PowerSpectrum(half * half, pixel_size, n * pixel_size)


def _clipped(image: np.ndarray) -> np.ndarray:
    """Return the image with outliers brought to the edge of the usual range, float32."""
    pixels = np.array(image, dtype=np.float32)
    n_bad = pixels.size - int(np.count_nonzero(np.isfinite(pixels)))
    if n_bad:
        raise UserError(f"{n_bad} of {pixels.size} px are not numbers (NaN or infinite): repeat the motion correction of this one")
    sample = pixels[::7, ::7]
    low, middle, high = np.percentile(sample, (15.87, 50.0, 84.13))
    spread = _OUTLIER * 0.5 * float(high - low)
    if spread > 0:
        np.clip(pixels, middle - spread, middle + spread, out=pixels)
    return pixels


def _starts(length: int, side: int) -> list[int]:
    """Return first pixels of tiles along an axis: the whole length is covered and neighbours overlap by half or a little more."""
    n = 1 + int(np.ceil(2 * (length - side) / side))
    return [int(start) for start in np.linspace(0, length - side, n).round()]


def _hann(side: int) -> np.ndarray:
    line = np.sin(np.pi * (np.arange(side) + 0.5) / side) ** 2
    return np.outer(line, line).astype(np.float32)


def _cropped_power(transform: np.ndarray, box: int) -> np.ndarray:
    """Return |X|^2 of half transforms (m, side, side//2+1) in the layout of `PowerSpectrum`, without the outer frequencies."""
    half = box // 2
    rows = np.concatenate([transform[:, -half:, :half], transform[:, :half, :half]], axis=1)
    power: np.ndarray = rows.real**2 + rows.imag**2
    return power


def hann_overlap(shift: np.ndarray, extent: float) -> np.ndarray:
    """Contrast that is left of rings whose period is the inverse of `shift` (A) in the spectrum of a Hann-windowed area.

    This is the autocorrelation of the window, (1 - x)(2/3 + cos(2 pi x)/3) + sin(2 pi x)/(2 pi) with x = shift/extent.
    """
    x = np.clip(np.abs(shift) / extent, 0.0, 1.0).astype(np.float32)
    turn = np.float32(2 * np.pi) * x
    out: np.ndarray = (1 - x) * (2 + np.cos(turn)) / np.float32(3) + np.sin(turn) / np.float32(2 * np.pi)
    return out
