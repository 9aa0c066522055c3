"""Hot and dead pixels of the detector: where they are, and what replaces them."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt, uniform_filter

_SIGMA = 6.0
_BACKGROUND = 31  # px; side of the square whose mean is the local background
_REACH = 2  # px


def find_bad_pixels(total: np.ndarray, known: np.ndarray, search: bool = True) -> np.ndarray:
    """Return which pixels cannot be trusted, bool (ny, nx).

    Parameters
    ----------
    total : float32 (ny, nx)
        Sum of all frames, unaligned, corrected for the gain.
    known : bool (ny, nx)
        Pixels known to be bad.
    search : bool
        Also find pixels more than six standard deviations off their surroundings.
    """
    if not search:
        return known
    filled = np.where(known, np.float32(total[~known].mean() if not known.all() else 0.0), total)
    difference = filled - uniform_filter(filled, _BACKGROUND, mode="nearest")
    # Hot pixels widen the distribution in which they are looked for: the second round is without them.
    sigma = float(difference.std(dtype=np.float64))
    usual = np.abs(difference) <= _SIGMA * sigma
    sigma = float(difference[usual].std(dtype=np.float64))
    return known | (np.abs(difference) > _SIGMA * sigma)


@dataclass(frozen=True)
class Repair:
    """Flat positions of bad pixels (n,) and of good ones nearby (n, m), of which the first `counts` (n,) count."""

    bad: np.ndarray
    near: np.ndarray
    counts: np.ndarray

    def apply(self, frame: np.ndarray, number: int) -> None:
        """Replace each bad pixel of a frame (ny, nx) by a good one nearby, so that the noise stays as it was.

        Which one is drawn for each frame `number` anew: a fixed choice would leave a pattern that does not move.
        """
        if len(self.bad) == 0:
            return
        draw = np.random.default_rng(number).random(len(self.bad))
        chosen = self.near[np.arange(len(self.bad)), (draw * self.counts).astype(np.int64)]
        flat = frame.reshape(-1)
        flat[self.bad] = flat[chosen]


def plan_repair(bad: np.ndarray) -> Repair:
    """Choose what replaces each pixel marked in `bad`, bool (ny, nx): good pixels around the nearest good one."""
    flat = np.flatnonzero(bad)
    if len(flat) == 0 or bad.all():
        empty = np.zeros(0, dtype=np.int64)
        return Repair(empty, empty.reshape(0, 1), empty)
    ny, nx = bad.shape
    nearest = _nearest_good(bad, flat)
    steps = np.arange(-_REACH, _REACH + 1)
    y = nearest[0][:, None] + np.repeat(steps, len(steps))
    x = nearest[1][:, None] + np.tile(steps, len(steps))
    good = (y >= 0) & (y < ny) & (x >= 0) & (x < nx)
    good &= ~bad[np.clip(y, 0, ny - 1), np.clip(x, 0, nx - 1)]
    order = np.argsort(~good, axis=1, kind="stable")
    near = np.take_along_axis(np.clip(y, 0, ny - 1) * nx + np.clip(x, 0, nx - 1), order, axis=1)
    return Repair(flat, near, good.sum(axis=1))


def _nearest_good(bad: np.ndarray, flat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns of the nearest good pixel; a pixel beside a good one stands for itself."""
    y, x = np.divmod(flat, bad.shape[1])
    padded = np.pad(bad, 1, constant_values=True)
    beside = np.zeros(len(flat), dtype=bool)
    for dy, dx in ((0, 1), (2, 1), (1, 0), (1, 2)):
        beside |= ~padded[y + dy, x + dx]
    if beside.all():
        return y, x
    rows, columns = distance_transform_edt(bad, return_distances=False, return_indices=True)
    return np.where(beside, y, rows[y, x]), np.where(beside, x, columns[y, x])
