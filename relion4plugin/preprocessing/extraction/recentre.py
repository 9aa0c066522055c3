"""New positions of particles from the offsets, and a point of the map, that a refinement has found."""

import numpy as np

from relion4plugin.geometry.euler import euler_to_matrix
from relion4plugin.imaging.fourier import round_half_away


def projected_point(point: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Return where a point of the map lies in the images of particles.

    Parameters
    ----------
    point : float (3,)
        x, y, z from the centre of the map, A.
    angles : float (n, 3)
        rot, tilt and psi of each particle, degrees.

    Returns
    -------
    float64 (n, 2)
        x, y from the centre of the image, A.
    """
    return (euler_to_matrix(*angles.T) @ np.asarray(point, dtype=np.float64))[:, :2]


def recentred(coordinates: np.ndarray, offsets: np.ndarray, pixel_size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Move coordinates by the whole pixels of the offsets and keep the rest as offset.

    Parameters
    ----------
    coordinates : float (n, 2)
        x, y in the micrograph, px.
    offsets : float (n, 2)
        Offsets that bring the particle to the centre of its image, A.
    pixel_size : float (n,)
        Of the micrographs, A.

    Returns
    -------
    coordinates : float64 (n, 2)
        px.
    offsets : float64 (n, 2)
        What is left, at most half a pixel, A.
    """
    scale = np.asarray(pixel_size, dtype=np.float64)[:, None]
    shift = offsets / scale
    whole = round_half_away(shift).astype(np.float64)
    return coordinates - whole, (shift - whole) * scale
