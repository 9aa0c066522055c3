"""Where the axes of a point group lie in a map, found by comparing the map with its own turned copies."""

import copy
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import scipy.optimize

from relion4plugin.geometry.euler import angular_distance
from relion4plugin.geometry.symmetry import symmetry_axes
from relion4plugin.imaging.volumes import centre_of_mass, rotate_volume
from relion4plugin.postprocessing.axis_table import AxisTable, axis_table
from relion4plugin.postprocessing.fourier_samples import (
    FourierMap,
    Frequencies,
    agreed_shells,
    half_sphere,
    kernels,
    masked,
    shell_power,
    working_map,
)
from relion4plugin.postprocessing.orientations import orientation_grid, turn
from relion4plugin.postprocessing.shift_search import COARSE_SHELL

_ORDER = 3  # HEALPix order: orientations 7.3 degrees apart
_KEPT = 12  # orientations of the coarse search that are refined
_FINALISTS = 3
_FEWEST_SHELLS = 6  # that a poor resolution leaves


@dataclass(frozen=True, eq=False)
class AxisPose:
    """Where the axes of a point group lie in a map.

    Attributes
    ----------
    score : float
        Weighted agreement of the map with its turned copies.
    rotation : float64 (3, 3)
        A, which turns the map to the group's axes.
    centre : float64 (3,)
        Common point of the axes, x, y, z in boxes from the comparison's `origin`.
    """

    score: float
    rotation: np.ndarray
    centre: np.ndarray


class SelfComparison:
    """A map's transform less its spherical average, for comparisons with its own turned copies.

    Parameters
    ----------
    volume : numpy.ndarray
        float (N, N, N).
    pixel_size : float
        A per voxel.
    keep_centre : bool
        The axes pass through the map's origin; otherwise their common point is looked for about the centre of mass.
    resolution : float
        A; finer detail is not compared. 0 compares all.
    """

    def __init__(self, volume: np.ndarray, pixel_size: float, *, keep_centre: bool = False, resolution: float = 0.0) -> None:
        small, size = working_map(volume, pixel_size)
        n = small.shape[0]
        inside = masked(small)
        self.keep_centre = keep_centre
        self.origin = np.zeros(3)  # boxes
        if not keep_centre:
            centre = centre_of_mass(inside - inside.std())
            self.origin = centre / n
            inside = masked(rotate_volume(small, np.eye(3), -centre))
        last = n // 2 - 1
        self.last_shell = min(last, max(_FEWEST_SHELLS, int(n * size / resolution))) if resolution > 0 else last
        whole = FourierMap(inside, last)
        self.fourier = whole.without_sphere()
        self.frequencies = half_sphere(self.last_shell)
        points = self.frequencies.points
        left, power = (shell_power(fourier.turned(points, np.eye(3)), self.frequencies) for fourier in (self.fourier, whole))
        # where nearly all is in the sphere, as in the first shells of round particles, the rest is noise
        self.broad = np.exp(-((np.arange(self.last_shell + 1) / 6.0) ** 2)) * np.minimum(left / np.maximum(power, 1e-30), 1)

    def evenly(self) -> "SelfComparison":
        """Return a comparison in which all shells count alike: right where density far from the particle spoils the first ones."""
        other = copy.copy(self)
        other.broad = np.where(np.arange(self.last_shell + 1) > 0, 1.0, 0.0)
        return other

    def table(self, folds: Iterable[int]) -> AxisTable:
        """Agreement with copies turned about all axes."""
        return axis_table(self.fourier, folds, self.broad)

    def curve(self, operators: np.ndarray, pose: AxisPose, frequencies: Frequencies) -> np.ndarray:
        """Mean correlation per shell between the map and its copies turned by every operator but the first."""
        together, apart = np.zeros((2, len(frequencies.counts)))
        kernels().symmetry_sums(
            self.fourier.grid,
            frequencies.points,
            frequencies.shells,
            np.ascontiguousarray(operators, dtype=np.float32),
            pose.rotation.astype(np.float32),
            pose.centre.astype(np.float32),
            together,
            apart,
        )
        return (together / np.maximum(apart, 1e-30) - 1) / (len(operators) - 1)

    def refine(self, operators: np.ndarray, pose: AxisPose, last_shell: int, share: np.ndarray, step: float) -> AxisPose:
        """Climb to the nearest maximum of the weighted curve; `step` in degrees."""
        frequencies = _asymmetric_unit(self.frequencies.up_to(last_shell), operators)
        weights = share[: last_shell + 1] * frequencies.counts
        weights = weights / weights.sum()
        angle, move = np.deg2rad(step), np.deg2rad(step) / 4
        # about and along a single axis nothing changes
        free = np.array([0, 1, 3, 4]) if len(symmetry_axes(operators)) == 1 else np.arange(6)
        free = free[free < 3] if self.keep_centre else free

        def place(x: np.ndarray) -> AxisPose:
            full = np.zeros(6)
            full[free] = x
            rotation = turn(angle * full[:3]) @ pose.rotation
            return AxisPose(0.0, rotation, pose.centre + move * (full[3:] @ rotation))

        def loss(x: np.ndarray) -> float:
            return -float(weights @ self.curve(operators, place(x), frequencies))

        start = np.vstack([np.zeros(len(free)), np.eye(len(free))])
        options = {"initial_simplex": start, "xatol": 0.02, "fatol": 1e-6, "maxfev": 300}
        found = scipy.optimize.minimize(loss, start[0], method="Nelder-Mead", options=options)
        return replace(place(found.x), score=-float(found.fun))


def _asymmetric_unit(frequencies: Frequencies, operators: np.ndarray) -> Frequencies:
    """Frequencies of which all others are images under the group (and inversion): the rest of the sums is the same."""
    away = np.array([0.361, 0.487, 0.795])  # no axis of any group
    images = (frequencies.points.astype(np.float64) @ np.swapaxes(operators, 1, 2)) @ away  # (m, P)
    kept = np.flatnonzero(np.abs(images[0]) >= np.abs(images).max(axis=0) - 1e-6)
    return Frequencies(np.ascontiguousarray(frequencies.points[kept]), np.ascontiguousarray(frequencies.shells[kept]))


def search_axes(comparison: SelfComparison, operators: np.ndarray, table: AxisTable) -> AxisPose:
    """Find where the axes of a point group lie in a map.

    Parameters
    ----------
    comparison : SelfComparison
        The map.
    operators : float (m, 3, 3)
        The point group, which has at least one axis.
    table : AxisTable
        Of the map, with the folds of the group.

    Returns
    -------
    AxisPose
    """
    grid = orientation_grid(_ORDER, operators)
    scores = table.judge(operators, grid)
    poses: list[AxisPose] = []
    for i in np.argsort(-scores):
        if all(angular_distance(operators @ grid[i], pose.rotation).min() > 12 for pose in poses):
            centre = np.zeros(3) if comparison.keep_centre else table.centre(operators, grid[i])
            poses.append(AxisPose(float(scores[i]), grid[i], centre))
        if len(poses) == _KEPT:
            break
    last = comparison.last_shell
    first = min(COARSE_SHELL, last)
    poses = [comparison.refine(operators, pose, first, comparison.broad, 4.0) for pose in poses]
    poses = sorted(poses, key=lambda pose: -pose.score)[:_FINALISTS]
    poses = [comparison.refine(operators, pose, min(16, last), comparison.broad, 1.0) for pose in poses]
    return max(poses, key=lambda pose: pose.score)


def sharpen_axes(comparison: SelfComparison, operators: np.ndarray, pose: AxisPose) -> AxisPose:
    """Refine axes on all shells on which the map agrees with its turned copies."""
    for step in (0.5, 0.25):
        share = agreed_shells(comparison.curve(operators, pose, comparison.frequencies))
        pose = comparison.refine(operators, pose, int(np.flatnonzero(share)[-1]), share, step)
    return pose
