"""One map brought onto another: rotation, shift and, if asked, hand."""

from dataclasses import dataclass

import numpy as np
import scipy.optimize

from relion4plugin.errors import UserError
from relion4plugin.geometry.euler import angular_distance
from relion4plugin.geometry.symmetry import point_group
from relion4plugin.imaging.filters import fsc, resolution_at
from relion4plugin.imaging.masks import soft_sphere
from relion4plugin.imaging.volumes import mirror_volume, resample_volume, rotate_volume
from relion4plugin.postprocessing.fourier_samples import (
    SPHERE,
    FourierMap,
    agreed_shells,
    half_sphere,
    kernels,
    masked,
    shell_power,
    working_map,
)
from relion4plugin.postprocessing.orientations import orientation_grid, turn
from relion4plugin.postprocessing.shift_search import COARSE_SHELL, best_shifts

_COARSE_ORDER = 2  # HEALPix order: orientations 15 degrees apart
_KEPT = 24  # orientations of the coarse search that are refined
_FINALISTS = 4


@dataclass(frozen=True, eq=False)
class MapAlignment:
    """How a map fits onto a reference.

    Attributes
    ----------
    rotation : float64 (3, 3)
        A: the (mirrored) density at q lies at ``A q + shift``.
    shift : float64 (3,)
        x, y, z in voxels of the moving map.
    mirrored : bool
        Whether the other hand of the moving map was taken (`imaging.volumes.mirror_volume`, before turning).
    volume : float32 (N, N, N)
        The moving map on the reference's grid.
    correlation : float
        Real-space correlation with the reference within the mask, -1 to 1.
    """

    rotation: np.ndarray
    shift: np.ndarray
    mirrored: bool
    volume: np.ndarray
    correlation: float


@dataclass(frozen=True, eq=False)
class Agreement:
    """Fourier shell correlation of two maps after alignment.

    Attributes
    ----------
    fsc : float64 (N//2+1,)
        Per shell of the reference's box.
    resolution : float
        A, last shell before the curve falls below 0.5 (999 if it never is above).
    alignment : MapAlignment
        How the first map was brought onto the second.
    """

    fsc: np.ndarray
    resolution: float
    alignment: MapAlignment


@dataclass(frozen=True, eq=False)
class _Pose:
    score: float
    rotation: np.ndarray
    shift: np.ndarray  # boxes
    hand: int


class _Target:
    """The reference's samples and the weights of the frequencies, for one pair of maps."""

    def __init__(self, reference: FourierMap, moving: FourierMap, last_shell: int) -> None:
        self.reference = reference
        self.frequencies = half_sphere(last_shell)
        self.samples = reference.turned(self.frequencies.points, np.eye(3))
        self.power = shell_power(self.samples, self.frequencies)
        other = shell_power(moving.turned(self.frequencies.points, np.eye(3)), self.frequencies)
        self.whitening = 1 / np.sqrt(np.maximum(self.power * other, 1e-30))  # per shell

    def weights(self, shells: np.ndarray, share: np.ndarray) -> np.ndarray:
        """Weights of frequencies: the share of each shell, with the amplitudes of both maps made flat."""
        return (self.whitening * share)[shells].astype(np.float32)


def _refine(target: _Target, moving: FourierMap, pose: _Pose, last_shell: int, share: np.ndarray, step: float) -> _Pose:
    """Climb to the nearest maximum of the weighted correlation; `step` in degrees, the shift moves by as much at the last shell."""
    frequencies = target.frequencies.up_to(last_shell)
    weights = target.weights(frequencies.shells, share)
    samples = target.samples[: len(frequencies.points)]
    own = float(np.sum(weights * (samples.real**2 + samples.imag**2)))
    angle, move = np.deg2rad(step), np.deg2rad(step) / 4  # a particle fills about half the box: a turn moves its rim by this many boxes
    overlap = kernels().overlap

    def place(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return turn(angle * x[:3]) @ pose.rotation, pose.shift + move * x[3:]

    def loss(x: np.ndarray) -> float:
        rotation, shift = place(x)
        cross, power = overlap(moving.grid, frequencies.points, weights, samples, rotation.astype(np.float32), shift.astype(np.float32))
        return -cross / np.sqrt(max(power * own, 1e-30))

    start = np.vstack([np.zeros(6), np.eye(6)])
    options = {"initial_simplex": start, "xatol": 0.02, "fatol": 1e-6, "maxfev": 400}
    found = scipy.optimize.minimize(loss, np.zeros(6), method="Nelder-Mead", options=options)
    return _Pose(-float(found.fun), *place(found.x), pose.hand)


def _curve(target: _Target, moving: FourierMap, pose: _Pose) -> np.ndarray:
    """Fourier shell correlation at a pose."""
    points, shells = target.frequencies.points, target.frequencies.shells
    values = moving.turned(points, pose.rotation) * np.exp(np.float32(-2 * np.pi) * 1j * (points @ pose.shift.astype(np.float32)))
    cross = np.bincount(shells, (values * np.conj(target.samples)).real)
    power = np.bincount(shells, values.real**2 + values.imag**2) * target.power * target.frequencies.counts
    return cross / np.sqrt(np.maximum(power, 1e-30))


def _search(moving: np.ndarray, reference: np.ndarray, mirror: bool, symmetry: str) -> _Pose:
    """Global search on masked working maps; the pose's shift is in boxes."""
    last = reference.shape[0] // 2 - 1
    first = min(COARSE_SHELL, last)
    hands = [FourierMap(moving, last)]
    if mirror:
        hands.append(FourierMap(mirror_volume(moving), last))
    target = _Target(FourierMap(reference, last), hands[0], last)
    broad = np.exp(-((np.arange(last + 1) / 6.0) ** 2))
    grid = orientation_grid(_COARSE_ORDER, point_group(symmetry))
    poses = []
    for hand, fourier in enumerate(hands):
        scores, shifts = best_shifts(fourier, target.reference, grid, broad)
        poses += [_Pose(float(scores[i]), grid[i], shifts[i], hand) for i in np.argsort(-scores)[:_KEPT]]
    poses = [_refine(target, hands[pose.hand], pose, first, broad, 6.0) for pose in poses]
    finalists = _distinct(poses)
    share = agreed_shells(np.max([_curve(target, hands[pose.hand], pose) for pose in finalists], axis=0))
    best = max((_refine(target, hands[pose.hand], pose, min(16, last), share, 2.0) for pose in finalists), key=lambda pose: pose.score)
    share = agreed_shells(_curve(target, hands[best.hand], best))
    return _refine(target, hands[best.hand], best, int(np.flatnonzero(share)[-1]), share, 0.5)


def _distinct(poses: list[_Pose]) -> list[_Pose]:
    """Best few poses that differ."""
    kept: list[_Pose] = []
    for pose in sorted(poses, key=lambda p: -p.score):
        if all(p.hand != pose.hand or angular_distance(p.rotation, pose.rotation) > 5 for p in kept):
            kept.append(pose)
    return kept[:_FINALISTS]


def align_maps(
    moving: np.ndarray,
    reference: np.ndarray,
    pixel_size: float,
    *,
    mirror: bool = False,
    symmetry: str = "C1",
    mask: np.ndarray | None = None,
) -> MapAlignment:
    """Find the rotation, the shift and, if asked, the hand that bring a map onto a reference.

    All orientations 15 degrees apart and all shifts are tried on the first nine shells, by correlation maps of the whitened
    transforms; the best are refined on more and more shells, as far as the two maps agree.

    Parameters
    ----------
    moving, reference : numpy.ndarray
        float (N, N, N) maps of one pixel size; another box of the moving map is cropped or padded.
    pixel_size : float
        A per voxel.
    mirror : bool
        Also try the other hand.
    symmetry : str
        Point group of the reference, about its axes: saves trying equal orientations.
    mask : numpy.ndarray, optional
        float (N, N, N), 0 to 1: part of the reference to fit onto; a soft sphere if not given.

    Returns
    -------
    MapAlignment

    Raises
    ------
    UserError
        If a map is empty (constant) or has values that are not numbers, or there is no such point group.
    """
    n = reference.shape[0]
    moved = resample_volume(moving, pixel_size, n, pixel_size)
    for name, volume in (("moving map", moved), ("reference", reference)):
        if not np.isfinite(volume).all() or float(np.ptp(volume)) == 0:
            raise UserError(f"alignment of maps: the {name} is constant or has values that are not numbers; give another map")
    small_reference, _ = working_map(reference, pixel_size)
    small_reference = masked(small_reference)
    if mask is not None:
        small_reference = small_reference * working_map(mask, pixel_size)[0]
    pose = _search(masked(working_map(moved, pixel_size)[0]), small_reference, mirror, symmetry)
    source = mirror_volume(moved) if pose.hand else moved
    aligned = rotate_volume(source, pose.rotation, pose.shift * n)
    weights = soft_sphere(n, n * SPHERE[0], 0) if mask is None else mask
    return MapAlignment(pose.rotation, pose.shift * n, bool(pose.hand), aligned, _correlation(aligned, reference, weights))


def _correlation(a: np.ndarray, b: np.ndarray, weights: np.ndarray) -> float:
    inside = weights > 0.5
    return float(np.corrcoef(a[inside], b[inside])[0, 1])


def agreement(
    a: np.ndarray,
    b: np.ndarray,
    pixel_size: float,
    *,
    mirror: bool = False,
    symmetry: str = "C1",
    mask: np.ndarray | None = None,
    threshold: float = 0.5,
) -> Agreement:
    """Align one map onto another and tell to which resolution they agree.

    Parameters
    ----------
    a, b : numpy.ndarray
        Maps; `a` is brought onto `b`.
    pixel_size, mirror, symmetry, mask
        As for `align_maps`; the mask is also applied to both maps before they are compared.
    threshold : float
        Of the Fourier shell correlation.

    Returns
    -------
    Agreement

    Raises
    ------
    UserError
        As `align_maps`.
    """
    alignment = align_maps(a, b, pixel_size, mirror=mirror, symmetry=symmetry, mask=mask)
    n = b.shape[0]
    even = n - n % 2
    pair = [alignment.volume, np.asarray(b, dtype=np.float32)]
    if mask is not None:
        pair = [volume * mask for volume in pair]
    curve = np.asarray(fsc(*(resample_volume(volume, pixel_size, even, pixel_size) for volume in pair)))
    return Agreement(curve, float(resolution_at(curve, threshold, pixel_size, even)), alignment)
