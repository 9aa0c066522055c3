"""A map as a function on Fourier space, sampled at turned frequencies: what all searches over rotations work on."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import scipy.fft

from relion4plugin.imaging.fourier import round_half_away
from relion4plugin.imaging.masks import soft_sphere
from relion4plugin.imaging.volumes import check_cube, resample_volume

WORKING_BOX = 64  # voxels; finer detail does not change where a map fits best
_PADDING = 2
_NOISE_FSC = 0.143
SPHERE = 0.44, 0.06  # radius and edge of the sphere that is looked at, in boxes


def working_map(volume: np.ndarray, pixel_size: float, box: int = WORKING_BOX) -> tuple[np.ndarray, float]:
    """Fourier-crop a map to an even box of at most `box` voxels that spans the same length; float32 and its A per voxel."""
    n = check_cube(volume)
    new = min(box, n - n % 2)
    size = pixel_size * n / new
    return resample_volume(volume, pixel_size, new, size), size


def masked(volume: np.ndarray) -> np.ndarray:
    """Return the map less its mean background within a soft sphere about the origin, zero outside."""
    n = volume.shape[0]
    sphere = soft_sphere(n, SPHERE[0] * n, SPHERE[1] * n)
    background = np.float32(volume[sphere == 0].mean(dtype=np.float64))
    return (volume - background) * sphere


@dataclass(frozen=True)
class Frequencies:
    """One half of Fourier space without the origin, sorted by shell.

    Attributes
    ----------
    points : float32 (P, 3)
        Frequencies x, y, z in units of 1/box.
    shells : int32 (P,)
        Rounded radius.
    """

    points: np.ndarray
    shells: np.ndarray

    def up_to(self, shell: int) -> "Frequencies":
        """Return those of the first shells."""
        end = int(np.searchsorted(self.shells, shell, side="right"))
        return Frequencies(self.points[:end], self.shells[:end])

    @property
    def counts(self) -> np.ndarray:
        """Number of frequencies per shell, float64 (last shell + 1,)."""
        return np.bincount(self.shells).astype(np.float64)


def half_sphere(last_shell: int) -> Frequencies:
    """Return the half of the frequencies up to a shell of which the others are the mirror images."""
    k = np.arange(-last_shell, last_shell + 1)
    z, y, x = (axis.ravel() for axis in np.meshgrid(k, k, k, indexing="ij"))
    shells = round_half_away(np.sqrt((x * x + y * y + z * z).astype(np.float64)))
    half = (z > 0) | ((z == 0) & ((y > 0) | ((y == 0) & (x > 0))))
    kept = np.flatnonzero(half & (shells <= last_shell))
    kept = kept[np.argsort(shells[kept], kind="stable")]
    points = np.stack([x[kept], y[kept], z[kept]], axis=1).astype(np.float32)
    return Frequencies(points, shells[kept])


class FourierMap:
    """The transform of a map about its origin, interpolated trilinearly on a grid padded by 2.

    Parameters
    ----------
    volume : numpy.ndarray
        float32 (N, N, N), N even; masked, so that nothing touches the border.
    last_shell : int
        Highest shell that will be asked for.
    """

    def __init__(self, volume: np.ndarray, last_shell: int) -> None:
        n = check_cube(volume)
        size = _PADDING * n
        # trilinear interpolation of the transform multiplies the map by sinc^2 along each axis
        inverse = (1 / np.sinc((np.arange(n) - n // 2) / size) ** 2).astype(np.float32)
        padded = np.zeros((size,) * 3, np.float32)
        start = size // 2 - n // 2
        inside = slice(start, start + n)
        padded[inside, inside, inside] = volume * inverse[:, None, None] * inverse[:, None] * inverse
        transform = scipy.fft.rfftn(padded)
        radius = _PADDING * last_shell + 2
        k = np.arange(-radius, radius + 1)
        transform = transform[np.ix_(k % size, k % size, np.arange(radius + 1))]
        sign = (1 - 2 * (k % 2)).astype(np.float32)
        transform *= sign[:, None, None] * sign[:, None] * sign[radius:]
        self.box, self.last_shell = n, last_shell
        self.grid = np.ascontiguousarray(transform)  # complex64 (2R+1, 2R+1, R+1): z, y = -R..R, x = 0..R; R = grid points

    def turned(self, points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        """Sample the transform of the map turned by a rotation matrix A, that is at ``A^T k``.

        Parameters
        ----------
        points : numpy.ndarray
            Frequencies k, float32 (P, 3).
        matrix : numpy.ndarray
            float (3, 3).

        Returns
        -------
        numpy.ndarray
            complex64 (P,)
        """
        out = np.empty(len(points), np.complex64)
        kernels().sample(self.grid, points, np.ascontiguousarray(matrix, dtype=np.float32), out)
        return out

    def without_sphere(self) -> "FourierMap":
        """Return the map less its spherical average, which agrees with itself in every orientation."""
        radius = self.grid.shape[2] - 1
        k2 = np.arange(-radius, radius + 1) ** 2
        shells = round_half_away(np.sqrt((k2[:, None, None] + k2[:, None] + k2[radius:]).astype(np.float64))).ravel()
        count = np.bincount(shells)
        # the imaginary parts of mirror images cancel; the plane x = 0 is stored whole, which the mean hardly notices
        mean = np.bincount(shells, self.grid.real.ravel()) / count
        result = object.__new__(FourierMap)
        result.box, result.last_shell = self.box, self.last_shell
        result.grid = self.grid - mean[shells].reshape(self.grid.shape).astype(np.float32)
        return result


def shell_power(samples: np.ndarray, frequencies: Frequencies) -> np.ndarray:
    """Mean squared modulus of samples (P,) per shell, float64; 0 for shell 0."""
    power = np.bincount(frequencies.shells, samples.real**2 + samples.imag**2)
    return np.asarray(power / np.maximum(frequencies.counts, 1))


def agreed_shells(curve: np.ndarray) -> np.ndarray:
    """Weight of each shell for a search, from a correlation curve: none beyond the shells that agree.

    Parameters
    ----------
    curve : numpy.ndarray
        Correlation per shell, float (S,); it is smoothed over three shells.

    Returns
    -------
    numpy.ndarray
        float64 (S,): c / (1 - c^2), 0 for shell 0.
    """
    smooth = np.convolve(np.pad(curve[1:], 1, mode="edge"), np.ones(3) / 3, mode="valid")
    # the first shells may disagree: what is left of a round particle there, without its spherical average, is noise
    peak = int(np.argmax(smooth))
    below = np.flatnonzero(smooth[peak:] < _NOISE_FSC)
    share = np.clip(smooth, 0.0, 0.95)
    if below.size:
        share[peak + below[0] :] = 0.0
    share[peak] = max(share[peak], _NOISE_FSC)
    return np.concatenate([[0.0], share / (1 - share**2)])


@cache
def kernels() -> Any:
    """Compiled loops; numba is imported only when a search begins."""
    from relion4plugin.postprocessing import fourier_kernels

    return fourier_kernels
