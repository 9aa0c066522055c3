"""Shells of the transform of a volume in the order of scipy's rfftn: radii, means and filters by shell."""

import numpy as np

from relion4plugin.imaging.fourier import round_half_away


def radii(n: int) -> np.ndarray:
    """Radius of every component in units of 1/(N pixels).

    Returns
    -------
    float32 (N, N, N//2+1)
    """
    k2 = (((np.arange(n) + n // 2) % n - n // 2) ** 2).astype(np.float32)
    return np.sqrt(k2[:, None, None] + k2[None, :, None] + k2[None, None, : n // 2 + 1])


def shell_index(n: int) -> np.ndarray:
    """Shell of every component: the rounded radius, int32 (N, N, N//2+1); beyond N/2 in the corners."""
    return round_half_away(radii(n))


def shell_means(values: np.ndarray, shells: np.ndarray, count: int) -> np.ndarray:
    """Mean of a real array over each of the first `count` shells, float64 (count,); every stored component counts once."""
    flat = shells.ravel()
    inside = flat < count
    total = np.bincount(flat[inside], weights=values.ravel()[inside], minlength=count)
    return total / np.maximum(np.bincount(flat[inside], minlength=count), 1)


def by_shell(curve: np.ndarray, shells: np.ndarray) -> np.ndarray:
    """Spread a curve over the components: float32 of the shape of `shells`, zero beyond the end of the curve."""
    extended = np.append(np.asarray(curve, dtype=np.float32), np.float32(0))
    return extended[np.minimum(shells, len(curve))]
