"""Many projections of one density: the padded transform is made once and sliced by a compiled kernel."""

from functools import cache
from typing import Any

import numpy as np
import scipy.fft

from relion4plugin.imaging.fourier import half_frequencies

LARGE_BOX = 192  # px; above it memory asks for padding by 1.5 instead of 2


class Projector:
    """Central slices of a density, in the half-transform layout of `imaging.fourier`.

    The same geometry as `imaging.projection.project_volume`: a density at map point p is seen at the first two components of
    ``A p``, and pixel values are sums along the line of sight.

    Parameters
    ----------
    volume : numpy.ndarray
        float32 (N, N, N): z, y, x, origin at voxel N/2, N even.
    padded_size : int
        Even box of the transform, at least N; 0: 2 N, or 1.5 N for large boxes. Interpolation is better the larger it is.
    """

    def __init__(self, volume: np.ndarray, padded_size: int = 0) -> None:
        n = volume.shape[0]
        size = padded_size or (2 * n if n <= LARGE_BOX else 2 * -(-3 * n // 4))
        # trilinear interpolation of the transform multiplies the map by sinc^2 along each axis
        inverse = (1.0 / np.sinc((np.arange(n) - n // 2) / size) ** 2).astype(np.float32)
        before = (size - n) // 2
        padded = np.zeros((size, size, size), np.float32)
        padded[before : before + n, before : before + n, before : before + n] = volume * inverse[:, None, None] * inverse[:, None] * inverse
        transform = scipy.fft.rfftn(padded)
        del padded
        sign = (1 - 2 * (np.arange(size) % 2)).astype(np.float32)
        transform *= sign[:, None, None] * sign[:, None]
        transform *= sign[: size // 2 + 1] / np.float32(n * n)
        self.box_size = n
        self._transform = transform
        ky, kx = half_frequencies(n)
        self._inside = np.flatnonzero(kx * kx + ky * ky <= (n // 2) ** 2)
        scale = size / n
        self._plane = np.stack([kx.ravel()[self._inside], ky.ravel()[self._inside]], axis=-1).astype(np.float32) * np.float32(scale)

    def __call__(self, matrices: np.ndarray) -> np.ndarray:
        """Project along rotation matrices A.

        Parameters
        ----------
        matrices : numpy.ndarray
            float (m, 3, 3).

        Returns
        -------
        numpy.ndarray
            complex64 (m, N, N//2+1), zero beyond N/2.
        """
        n = self.box_size
        slices = np.zeros((len(matrices), n * (n // 2 + 1)), np.complex64)
        _kernel()(self._transform, np.ascontiguousarray(matrices, dtype=np.float32), self._plane, self._inside, slices)
        return slices.reshape(len(matrices), n, n // 2 + 1)


@cache
def _kernel() -> Any:
    """Compile the slicing; numba is imported only when something is simulated."""
    import numba

    @numba.njit(cache=False, nogil=True, fastmath=True)
    def take_slices(transform, matrices, plane, inside, slices):  # type: ignore[no-untyped-def]
        size = transform.shape[0]
        last = transform.shape[2] - 2
        for i in range(matrices.shape[0]):
            a = matrices[i]
            for p in range(plane.shape[0]):
                u, v = plane[p, 0], plane[p, 1]
                x = a[0, 0] * u + a[1, 0] * v
                y = a[0, 1] * u + a[1, 1] * v
                z = a[0, 2] * u + a[1, 2] * v
                mirrored = x < 0
                if mirrored:
                    x, y, z = -x, -y, -z
                x0 = min(int(x), last)
                y0, z0 = int(np.floor(y)), int(np.floor(z))
                fx, fy, fz = x - x0, y - y0, z - z0
                y0, z0 = (y0 + size) % size, (z0 + size) % size
                y1, z1 = (y0 + 1) % size, (z0 + 1) % size
                c00 = transform[z0, y0, x0] * (1 - fx) + transform[z0, y0, x0 + 1] * fx
                c01 = transform[z0, y1, x0] * (1 - fx) + transform[z0, y1, x0 + 1] * fx
                c10 = transform[z1, y0, x0] * (1 - fx) + transform[z1, y0, x0 + 1] * fx
                c11 = transform[z1, y1, x0] * (1 - fx) + transform[z1, y1, x0 + 1] * fx
                value = (c00 * (1 - fy) + c01 * fy) * (1 - fz) + (c10 * (1 - fy) + c11 * fy) * fz
                slices[i, inside[p]] = np.conj(value) if mirrored else value

    return take_slices
