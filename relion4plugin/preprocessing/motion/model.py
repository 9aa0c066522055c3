"""The model of local motion: quadratic over the field of view, cubic in time."""

from dataclasses import dataclass

import numpy as np

N_SPACE, N_TIME = 6, 3
_OUTLIER = 5.0  # in units of the median residual: wrong peaks, not patches that move in their own way
_ROUNDS = 3


@dataclass(frozen=True)
class LocalMotion:
    """Local shifts as a polynomial, in RELION's terms.

    A frame is brought onto the first one by moving it by its global shift plus this. With u = x / width - 1/2 and
    v = y / height - 1/2 on the field of view and t frames since the first one, the shift along an axis is the sum of
    ``coefficients[axis, s, k] * space[s] * t**(k + 1)`` over space = (1, u, u^2, v, v^2, uv).

    Parameters
    ----------
    coefficients : float64 (2, 6, 3)
        px of the movie; axis 0 is x, 1 is y.
    """

    coefficients: np.ndarray

    def at_frame(self, t: float) -> np.ndarray:
        """Return the coefficients of the terms in space at a time, shape (2, 6), px."""
        return self.coefficients @ np.power(float(t), np.arange(1, N_TIME + 1))

    def shifts(self, u: np.ndarray, v: np.ndarray, t: np.ndarray) -> np.ndarray:
        """Return shifts (px, x first) at places `u`, `v` and times `t`, shape (..., 2)."""
        return np.einsum("...s,...k,ask->...a", space_terms(u, v), _time_terms(t), self.coefficients)

    @classmethod
    def from_list(cls, values: np.ndarray) -> "LocalMotion":
        """Build the model from 36 numbers in the order of RELION's STAR file."""
        return cls(np.asarray(values, dtype=np.float64).reshape(2, N_SPACE, N_TIME))

    def to_list(self) -> np.ndarray:
        """Return 36 numbers in the order of RELION's STAR file: x before y, places before times."""
        return self.coefficients.reshape(-1)


def space_terms(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Return the terms (1, u, u^2, v, v^2, uv), shape (..., 6)."""
    u, v = np.broadcast_arrays(np.asarray(u, dtype=np.float64), np.asarray(v, dtype=np.float64))
    return np.stack([np.ones_like(u), u, u * u, v, v * v, u * v], axis=-1)


def _time_terms(t: np.ndarray) -> np.ndarray:
    t = np.asarray(t, dtype=np.float64)
    return np.stack([t, t * t, t * t * t], axis=-1)


def _used_terms(u: np.ndarray, v: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Return which of the 18 terms the measured places and times can tell apart."""
    columns, rows, times = (len(np.unique(np.round(values, 6))) for values in (u, v, t))
    both = columns > 1 and rows > 1
    space = np.array([True, columns > 1, columns > 2, rows > 1, rows > 2, both])
    return np.outer(space, np.arange(2, N_TIME + 2) <= times).reshape(-1)


def fit_local_motion(u: np.ndarray, v: np.ndarray, t: np.ndarray, shifts: np.ndarray) -> tuple[LocalMotion, np.ndarray]:
    """Fit the model to shifts of patches, which are known up to a constant for each patch.

    Measurements far off the fit are left out and the fit is repeated.

    Parameters
    ----------
    u, v : float (patches,)
        Centres, from -1/2 to 1/2.
    t : float (times,)
        Frames since the first one.
    shifts : float (patches, times, 2)
        px, x first.

    Returns
    -------
    model : LocalMotion
    residuals : float (patches, times, 2)
        px; of all measurements, constants removed.
    """
    n_patches, n_times = shifts.shape[:2]
    scale = max(float(np.max(np.abs(t))), 1.0)  # keeps the powers of t of one size
    used = _used_terms(u, v, t)
    space, time = space_terms(u, v), _time_terms(np.asarray(t) / scale)
    terms = (space[:, None, :, None] * time[None, :, None, :]).reshape(n_patches * n_times, -1)[:, used]
    constants = np.repeat(np.eye(n_patches), n_times, axis=0)
    design = np.concatenate([terms, constants], axis=1)
    wanted = shifts.reshape(-1, 2)
    good = np.ones(len(wanted), dtype=bool)
    for _ in range(_ROUNDS):
        solution = np.linalg.lstsq(design[good], wanted[good], rcond=None)[0]
        residuals = wanted - design @ solution
        size = np.hypot(residuals[:, 0], residuals[:, 1])
        typical = float(np.median(size[good]))
        good = size <= _OUTLIER * max(typical, 1e-6)
    coefficients = np.zeros((N_SPACE * N_TIME, 2))
    coefficients[used] = solution[: int(used.sum())]
    in_frames = coefficients.T.reshape(2, N_SPACE, N_TIME) / scale ** np.arange(1, N_TIME + 1)
    return LocalMotion(in_frames), residuals.reshape(shifts.shape)
