"""Electrons counted pixel by pixel: Poisson numbers, fast where they are few."""

from functools import cache
from typing import Any

import numpy as np

FEW = 40.0  # expected electrons up to which the distribution is summed term by term


def shots(expected: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw Poisson numbers.

    Parameters
    ----------
    expected : numpy.ndarray
        float32 (H, W), at least 0.
    rng : numpy.random.Generator
        Source.

    Returns
    -------
    numpy.ndarray
        int32 (H, W).
    """
    if expected.max(initial=0.0) > FEW:
        return rng.poisson(expected).astype(np.int32)
    uniform = rng.random(expected.shape)
    counts = np.empty(expected.shape, np.int32)
    _kernel()(np.ravel(expected).astype(np.float32, copy=False), uniform.ravel(), counts.ravel())
    return counts


@cache
def _kernel() -> Any:
    """Compile the inverse of the distribution; numba is imported only when something is simulated."""
    import numba

    @numba.njit(cache=False, nogil=True)
    def invert(expected, uniform, counts):  # type: ignore[no-untyped-def]
        for i in range(expected.size):
            mean = np.float64(expected[i])
            share = np.exp(-mean)
            below, k, u = share, 0, uniform[i]
            while u >= below and share > 1e-18:
                k += 1
                share *= mean / k
                below += share
            counts[i] = k

    return invert
