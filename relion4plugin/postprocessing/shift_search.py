"""The best shift for each of many rotations, by correlation maps at low resolution."""

import numpy as np
import scipy.fft

from relion4plugin.postprocessing.fourier_samples import FourierMap, half_sphere, kernels, shell_power

COARSE_SHELL = 9  # last shell that is looked at
_BOX = 20  # voxels of the correlation maps
_BATCH = 256  # rotations whose correlation maps are made together


def best_shifts(moving: FourierMap, reference: FourierMap, matrices: np.ndarray, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Try all shifts of every rotation of a map against a reference.

    Parameters
    ----------
    moving, reference : FourierMap
        Maps of one box.
    matrices : numpy.ndarray
        Rotations of the moving map, float (n, 3, 3).
    share : numpy.ndarray
        Weight of each shell, once the amplitudes of both maps are made flat; float, shells beyond `COARSE_SHELL` are not used.

    Returns
    -------
    scores : float64 (n,)
        Weighted correlation at the best shift, -1 to 1.
    shifts : float64 (n, 3)
        x, y, z in boxes: what moves the turned map onto the reference, in steps of 1/20.
    """
    last = min(COARSE_SHELL, len(share) - 1)
    frequencies = half_sphere(last)
    samples = reference.turned(frequencies.points, np.eye(3))
    power = shell_power(samples, frequencies) * shell_power(moving.turned(frequencies.points, np.eye(3)), frequencies)
    weights = share[: last + 1] / np.sqrt(np.maximum(power, 1e-30))
    samples *= (weights / (2 * float(share[: last + 1] @ frequencies.counts)))[frequencies.shells].astype(np.float32)
    points = np.concatenate([frequencies.points, -frequencies.points])
    samples = np.concatenate([samples, np.conj(samples)])
    stored = np.flatnonzero(points[:, 0] >= 0)
    points, samples = np.ascontiguousarray(points[stored]), samples[stored]
    k = points.astype(np.int64)
    width = _BOX // 2 + 1
    places = ((k[:, 2] % _BOX) * _BOX + k[:, 1] % _BOX) * width + k[:, 0]
    scores, peaks = np.empty(len(matrices)), np.empty(len(matrices), np.int64)
    for start in range(0, len(matrices), _BATCH):
        block = np.ascontiguousarray(matrices[start : start + _BATCH], dtype=np.float32)
        half = np.zeros((len(block), _BOX * _BOX * width), np.complex64)
        kernels().products(moving.grid, points, block, samples, places, half)
        half = half.reshape(-1, _BOX, _BOX, width)
        maps = scipy.fft.irfftn(half, s=(_BOX,) * 3, axes=(1, 2, 3), norm="forward", overwrite_x=True).reshape(len(block), -1)
        best = maps.argmax(axis=1)
        peaks[start : start + len(block)] = best
        scores[start : start + len(block)] = maps[np.arange(len(block)), best]
    zyx = np.stack(np.unravel_index(peaks, (_BOX,) * 3), axis=1)
    return scores, ((zyx[:, ::-1] + _BOX // 2) % _BOX - _BOX // 2) / _BOX
