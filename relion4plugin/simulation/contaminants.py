"""What else is in a box: further molecules, ice and carbon edges, broken particles."""

import numpy as np

from relion4plugin.imaging.ctf import CtfParameters, evaluate_ctf
from relion4plugin.imaging.fourier import half_frequencies, half_to_image, image_to_half, shift_phases
from relion4plugin.simulation.plan import Extras
from relion4plugin.simulation.projector import Projector

EXTRAS_AT_ONCE = 64
EDGE_WIDTH = 0.03  # of the box


def place_phases(places: np.ndarray, n: int) -> np.ndarray:
    """Phase factors that move image content to `places`: an outer product, far cheaper than the full grid.

    Parameters
    ----------
    places : numpy.ndarray
        float (m, 2): x, y in px.
    n : int
        Edge of the images in px.

    Returns
    -------
    numpy.ndarray
        complex64 (m, n, n//2+1).
    """
    frequency = (np.arange(n) + n // 2) % n - n // 2
    zero = np.zeros_like(frequency)
    along_y = shift_phases(frequency, zero, places, n)
    along_x = shift_phases(zero[: n // 2 + 1], np.arange(n // 2 + 1), places, n)
    return along_y[:, :, None] * along_x[:, None, :]


def extra_images(projector: Projector, extras: Extras, ctf: CtfParameters, pixel_size: float) -> np.ndarray:
    """Images of further molecules, each with its CTF.

    They are made in a box of twice the size, so that one that sticks out is cut at the border and does not come back on the other
    side, and no ringing starts at the cut.

    Parameters
    ----------
    projector : Projector
        Of the molecule, box N.
    extras : Extras
        Where the m molecules are.
    ctf : CtfParameters
        Of each of them.
    pixel_size : float
        A per px.

    Returns
    -------
    numpy.ndarray
        float32 (m, N, N).
    """
    n = projector.box_size
    wide = 2 * n
    ky, kx = (k.ravel() / (wide * pixel_size) for k in half_frequencies(wide))
    images = np.empty((len(extras.owner), n, n), np.float32)
    for start in range(0, len(images), EXTRAS_AT_ONCE):
        part = slice(start, start + EXTRAS_AT_ONCE)
        small = half_to_image(projector(extras.matrices[part]), n)
        large = np.pad(small, [(0, 0), (n // 2, n // 2), (n // 2, n // 2)])
        half = image_to_half(large) * place_phases(extras.places[part], wide)
        half *= evaluate_ctf(kx, ky, ctf.select(part)).reshape(half.shape)
        images[part] = half_to_image(half, wide)[:, n // 2 : n // 2 + n, n // 2 : n // 2 + n]
    return images


def edge_images(edges: np.ndarray, n: int) -> np.ndarray:
    """Ice or carbon edges: a step with a slope beyond it and a fringe of the other sign before it.

    Parameters
    ----------
    edges : numpy.ndarray
        float (m, 3): direction (rad) towards the changed side, distance of the edge from the centre (px), height.
    n : int
        Edge of the images in px.

    Returns
    -------
    numpy.ndarray
        float32 (m, n, n).
    """
    direction, distance, height = (edges[:, i, None, None] for i in range(3))
    axis = np.arange(n) - n // 2
    beyond = (np.cos(direction) * axis + np.sin(direction) * axis[:, None] - distance) / (EDGE_WIDTH * n)
    step = 0.5 + 0.5 * np.tanh(beyond)
    slope = 1.0 + 0.02 * np.maximum(beyond, 0.0)
    fringe = 0.4 * np.exp(-0.5 * (beyond + 1.5) ** 2)
    return (height * (step * slope - fringe)).astype(np.float32)


def break_volume(volume: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Remove the density on one side of a random plane near the centre.

    Parameters
    ----------
    volume : numpy.ndarray
        float32 (N, N, N), origin at voxel N/2.
    rng : numpy.random.Generator
        Source of the plane.

    Returns
    -------
    numpy.ndarray
        float32 (N, N, N); the cut is a few voxels wide.
    """
    n = volume.shape[0]
    normal = rng.normal(size=3)
    normal /= np.linalg.norm(normal)
    return _cut(volume, _height(n, normal) - rng.uniform(-0.05, 0.05) * n)


def cut_volume(volume: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Remove a share of the positive density by a cut along a random plane.

    Parameters
    ----------
    volume : numpy.ndarray
        float32 (N, N, N), origin at voxel N/2.
    share : float
        Of the density, 0 to 1, that goes.
    rng : numpy.random.Generator
        Source of the direction.

    Returns
    -------
    numpy.ndarray
        float32 (N, N, N); the cut is a few voxels wide.
    """
    normal = rng.normal(size=3)
    height = _height(volume.shape[0], normal / np.linalg.norm(normal))
    order = np.argsort(height, axis=None)
    mass = np.cumsum(np.maximum(volume.ravel()[order], 0.0), dtype=np.float64)
    return _cut(volume, height - height.ravel()[order[np.searchsorted(mass, (1.0 - share) * mass[-1])]])


def _height(n: int, normal: np.ndarray) -> np.ndarray:
    """Distance in px of every voxel (z, y, x) of a box from the central plane with a unit normal (z, y, x)."""
    axis = np.arange(n, dtype=np.float32) - n // 2
    height: np.ndarray = normal[0] * axis[:, None, None] + normal[1] * axis[:, None] + normal[2] * axis
    return height


def _cut(volume: np.ndarray, height: np.ndarray) -> np.ndarray:
    """Fade density to nothing where `height` (px) is positive."""
    return (volume * (0.5 - 0.5 * np.tanh(height))).astype(np.float32)
