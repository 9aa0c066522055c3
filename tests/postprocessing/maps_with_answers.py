"""Maps made of Gaussian blobs, symmetric or not, in known poses."""

import numpy as np
import scipy.fft

from relion4plugin.geometry.symmetry import point_group, symmetry_axes

PIXEL = 4.0


def blob_map(centres, n=48, sigma=1.6):
    """Gaussians at points x, y, z (voxels from the origin)."""
    axis = np.arange(n) - n // 2
    parts = [np.exp(-((axis[None] - centres[:, i, None]) ** 2) / (2 * sigma**2)) for i in range(3)]
    return np.einsum("cz,cy,cx->zyx", parts[2], parts[1], parts[0], optimize=True).astype(np.float32)


def molecule(rng, count=60, radius=13.0):
    """Points scattered over a lumpy ball off the origin."""
    points = rng.normal(size=(count, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True) * radius * rng.uniform(0.15, 1, (count, 1)) + rng.normal(0, 2, 3)


def symmetric_molecule(name, rng, count=24):
    """Points and all their images under a point group."""
    points = molecule(rng, count)
    return np.concatenate([points @ a.T for a in point_group(name)])


def noise_like(volume, ratio, rng):
    """Noise with the spectrum of the map, `ratio` times its power at half the Nyquist frequency, growing with the fourth power."""
    n = volume.shape[0]
    clean, noise = scipy.fft.rfftn(volume), scipy.fft.rfftn(rng.normal(size=volume.shape))
    k2 = (scipy.fft.fftfreq(n) * n) ** 2
    shells = np.rint(np.sqrt(k2[:, None, None] + k2[:, None] + k2[: n // 2 + 1])).astype(int)
    power, white = (np.bincount(shells.ravel(), np.abs(f.ravel()) ** 2) for f in (clean, noise))
    factor = np.minimum(ratio * (np.arange(len(power)) / (n / 4)) ** 4, 30)
    return scipy.fft.irfftn(noise * np.sqrt(power * factor / white)[shells], s=volume.shape).astype(np.float32)


def axis_error(name, matrix):
    """Largest angle (degrees) by which a rotation takes an axis of the group off the nearest one of the same fold."""
    axes = symmetry_axes(point_group(name))
    return max(
        min(np.rad2deg(np.arcsin(np.linalg.norm(np.cross(matrix @ axis, other)).clip(0, 1))) for f, other in axes if f == fold)
        for fold, axis in axes
    )
