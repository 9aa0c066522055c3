"""How well a map agrees with itself turned about every axis, wherever the axis passes."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import scipy.spatial

from relion4plugin.geometry.healpix import directions
from relion4plugin.geometry.symmetry import rotation_about, symmetry_axes
from relion4plugin.postprocessing.fourier_samples import FourierMap
from relion4plugin.postprocessing.shift_search import best_shifts

_ORDER = 3  # HEALPix order: axes 7.3 degrees apart


@dataclass(frozen=True, eq=False)
class AxisTable:
    """Self-agreement for turns by 360/fold about a half sphere of axes, each with its best shift.

    A map with an axis through the point c agrees with its turned copy after a shift of ``(1 - R) c``, so axes are found
    before their common point is known.

    Attributes
    ----------
    axes : float64 (n, 3)
        Unit directions in the frame of the map.
    scores : dict of int to float64 (n,)
        Per fold.
    shifts : dict of int to float64 (n, 3)
        Per fold, in boxes.
    """

    axes: np.ndarray
    scores: dict[int, np.ndarray]
    shifts: dict[int, np.ndarray]

    def judge(self, operators: np.ndarray, matrices: np.ndarray) -> np.ndarray:
        """Mean self-agreement over the axes of a point group, for orientations that bring the map to the group's axes.

        Parameters
        ----------
        operators : float (m, 3, 3)
            The point group, which has at least one axis.
        matrices : float (n, 3, 3)
            Orientations.

        Returns
        -------
        float64 (n,)
        """
        tree = scipy.spatial.cKDTree(np.concatenate([self.axes, -self.axes]))
        total, weight = np.zeros(len(matrices)), 0
        for fold, axis in symmetry_axes(operators):
            nearest = tree.query(axis @ matrices)[1] % len(self.axes)
            total += (fold - 1) * self.scores[fold][nearest]
            weight += fold - 1
        return total / weight

    def centre(self, operators: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        """Point (boxes) nearest to all axes of the group for one orientation, in the frame of the map."""
        left, right = [1e-3 * np.eye(3)], [np.zeros(3)]  # what the axes leave open stays at the origin
        for fold, axis in symmetry_axes(operators):
            nearest = int(np.argmax(np.abs(self.axes @ (matrix.T @ axis))))
            left.append(np.eye(3) - rotation_about(self.axes[nearest], 360 / fold))
            right.append(self.shifts[fold][nearest])
        return np.asarray(np.linalg.lstsq(np.concatenate(left), np.concatenate(right), rcond=None)[0])


def axis_table(fourier: FourierMap, folds: Iterable[int], share: np.ndarray) -> AxisTable:
    """Try turns about axes 7.3 degrees apart and all shifts.

    Parameters
    ----------
    fourier : FourierMap
        The map less its spherical average.
    folds : iterable of int
        Turns by 360/fold.
    share : float (S,)
        Weight of each shell.

    Returns
    -------
    AxisTable
    """
    rot, tilt = np.deg2rad(directions(_ORDER))
    axes = np.stack([np.sin(tilt) * np.cos(rot), np.sin(tilt) * np.sin(rot), np.cos(tilt)], axis=1)
    axes = axes[(axes[:, 2] > 1e-9) | ((np.abs(axes[:, 2]) <= 1e-9) & (rot < np.pi))]
    scores, shifts = {}, {}
    for fold in sorted(set(folds)):
        turns = np.array([rotation_about(axis, 360 / fold) for axis in axes])
        scores[fold], shifts[fold] = best_shifts(fourier, fourier, turns, share)
    return AxisTable(axes, scores, shifts)
