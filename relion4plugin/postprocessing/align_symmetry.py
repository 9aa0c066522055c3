"""A map brought to the axes of its point group, and averaged over it."""

from dataclasses import dataclass

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.geometry.symmetry import point_group, symmetry_axes
from relion4plugin.imaging.filters import fsc
from relion4plugin.imaging.volumes import check_cube, resample_volume, rotate_volume, symmetrise_volume
from relion4plugin.postprocessing.self_comparison import AxisPose, SelfComparison, search_axes, sharpen_axes
from relion4plugin.postprocessing.symmetry_evidence import Evidence, symmetry_evidence

SMALLEST_BOX = 16  # voxels
CONVINCING = 0.3  # score from which the first search is believed


@dataclass(frozen=True, eq=False)
class SymmetryAlignment:
    """A map with the axes of a point group in their standard places.

    Attributes
    ----------
    symmetry : str
        The point group.
    volume : float32 (N, N, N)
        The aligned map.
    symmetrised : float32 (N, N, N)
        Its average over the group.
    rotation : float64 (3, 3)
        A: density at q of the input lies at ``A q + shift``.
    shift : float64 (3,)
        x, y, z in voxels.
    cost : float
        Squared difference between the two maps as a part of the aligned map's power: smaller is better, 0 is perfect.
    evidence : Evidence
        Whether the symmetry is there.
    fsc : float64 (N//2+1,)
        Fourier shell correlation of the two maps. The average contains the map itself, so that even without any symmetry it is
        about the square root of 1 / order.
    """

    symmetry: str
    volume: np.ndarray
    symmetrised: np.ndarray
    rotation: np.ndarray
    shift: np.ndarray
    cost: float
    evidence: Evidence
    fsc: np.ndarray


def check_map(volume: np.ndarray, what: str) -> None:
    """Check that a map can be searched for symmetry.

    Raises
    ------
    UserError
        If it is no cube, too small, constant, or has values that are not numbers.
    """
    shape = " x ".join(str(edge) for edge in volume.shape[::-1])
    if volume.ndim != 3 or len(set(volume.shape)) != 1:
        raise UserError(f"{what}: {shape} voxels, expected a cube; give a map with equal edges")
    if volume.shape[0] < SMALLEST_BOX:
        raise UserError(f"{what}: {shape} voxels, expected an edge of at least {SMALLEST_BOX}; give a larger map")
    if not np.isfinite(volume).all():
        raise UserError(f"{what}: it has values that are not numbers; give another map")
    if float(np.ptp(volume)) == 0:
        raise UserError(f"{what}: all voxels are {float(volume.flat[0]):g}, expected a map; give another one")


def align_symmetry(
    volume: np.ndarray, pixel_size: float, symmetry: str, *, keep_centre: bool = False, resolution: float = 0.0
) -> SymmetryAlignment:
    """Turn and move a map so that its symmetry axes lie where the point group has them.

    No target is needed: the map is compared with its own turned copies. Self-agreement about all axes 7 degrees apart, with
    all shifts, gives the first orientations; the best are refined, rotation and centre, on more and more shells. Which hand the
    map has and which end of a polar axis is up stay undetermined; along a single axis the centre of mass comes to the origin.

    Parameters
    ----------
    volume : numpy.ndarray
        float (N, N, N).
    pixel_size : float
        A per voxel.
    symmetry : str
        Point group (`geometry.symmetry.point_group` says where its axes are). C1 leaves the map as it is.
    keep_centre : bool
        The axes pass through the map's origin already.
    resolution : float
        A; finer detail is not compared. 0 compares all.

    Returns
    -------
    SymmetryAlignment

    Raises
    ------
    UserError
        If the map cannot be searched or there is no such point group.
    """
    operators = point_group(symmetry)
    symmetry = symmetry.strip().upper()
    check_map(volume, "symmetry")
    n = check_cube(volume)
    if len(operators) == 1:
        same = np.array(volume, dtype=np.float32)
        return SymmetryAlignment(symmetry, same, same, np.eye(3), np.zeros(3), 0.0, Evidence(1.0, 1.0, 1.0), np.ones(n // 2 + 1))
    comparison = SelfComparison(volume, pixel_size, keep_centre=keep_centre, resolution=resolution)
    pose, evidence = _best_axes(comparison, operators)
    shift = -n * (pose.rotation @ (comparison.origin + pose.centre))
    aligned = rotate_volume(volume, pose.rotation, shift)
    average = symmetrise_volume(aligned, operators)
    power = float(np.sum(aligned * aligned, dtype=np.float64))
    cost = float(np.sum((aligned - average) ** 2, dtype=np.float64)) / max(power, 1e-30)
    even = n - n % 2
    curve = np.asarray(fsc(*(resample_volume(map_, pixel_size, even, pixel_size) for map_ in (aligned, average))))
    return SymmetryAlignment(symmetry, aligned, average, pose.rotation, shift, cost, evidence, curve)


def _best_axes(comparison: SelfComparison, operators: np.ndarray) -> tuple[AxisPose, Evidence]:
    """Search with the first shells in front; where that finds little, with all shells alike, and keep what has more support."""
    folds = {fold for fold, _ in symmetry_axes(operators)}
    found: list[tuple[AxisPose, Evidence]] = []
    for judge in (comparison, comparison.evenly()):
        pose = sharpen_axes(judge, operators, search_axes(judge, operators, judge.table(folds)))
        found.append((pose, symmetry_evidence(judge, operators, pose)))
        if found[-1][1].score >= CONVINCING:
            break
    return max(found, key=lambda pair: (pair[1].score, pair[1].agreement))
