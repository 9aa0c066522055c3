"""Central slices of a true map, at any orientation and any set of image frequencies."""

from dataclasses import dataclass

import numpy as np
from scipy import fft
from scipy.ndimage import map_coordinates

PADDING = 2


@dataclass(frozen=True)
class MapTransform:
    """Centred, padded Fourier transform of a map.

    Build it with `transform_map`. Values are arbitrary in scale, as correlations do not need one.
    """

    real: np.ndarray  # float32 (P, P, P), zero frequency at P/2
    imaginary: np.ndarray
    pixel_size: float  # A

    def slices(self, matrices: np.ndarray, ky: np.ndarray, kx: np.ndarray, frequency_unit: float) -> np.ndarray:
        """Transforms of projections at given image frequencies.

        Parameters
        ----------
        matrices : float (m, 3, 3)
            Rotation matrices A; the slice at image frequency k is the map at ``A^T k``.
        ky, kx : float (p,)
            Image frequencies in units of `frequency_unit`.
        frequency_unit : float
            1/A per unit, i.e. 1 / (box size x pixel size).

        Returns
        -------
        complex64 (m, p)
            Trilinear interpolation; 0 beyond the map's Nyquist frequency.
        """
        size = self.real.shape[0]
        scale = frequency_unit * size * self.pixel_size
        rows = np.asarray(matrices, dtype=np.float64)
        points = scale * (rows[:, 0, :, None] * kx[None, None, :] + rows[:, 1, :, None] * ky[None, None, :])  # (m, xyz, p)
        zyx = points[:, ::-1].transpose(1, 0, 2).reshape(3, -1) + size // 2
        values = map_coordinates(self.real, zyx, order=1) + 1j * map_coordinates(self.imaginary, zyx, order=1)
        return values.astype(np.complex64).reshape(len(rows), -1)


def transform_map(volume: np.ndarray, pixel_size: float) -> MapTransform:
    """Prepare a map for slicing.

    The map is divided by the real-space profile of the trilinear kernel (sinc squared along each axis), padded and transformed;
    its origin is voxel n/2.

    Parameters
    ----------
    volume : float (n, n, n)
        Map, axes z, y, x.
    pixel_size : float
        A per voxel.

    Returns
    -------
    MapTransform
    """
    n = volume.shape[0]
    size = PADDING * n + (PADDING * n) % 2
    profile = np.sinc((np.arange(n) - n // 2) / size) ** 2
    flat = volume / (profile[:, None, None] * profile[None, :, None] * profile[None, None, :])
    padded = np.zeros((size,) * 3, dtype=np.float32)
    start = size // 2 - n // 2
    padded[start : start + n, start : start + n, start : start + n] = flat
    transform = fft.fftshift(fft.fftn(fft.ifftshift(padded)))
    return MapTransform(np.ascontiguousarray(transform.real), np.ascontiguousarray(transform.imag), pixel_size)
