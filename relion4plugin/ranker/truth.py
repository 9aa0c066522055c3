"""What the classes of a run show, measured against the true poses and maps of its particles."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import scipy.ndimage

from relion4plugin.errors import UserError
from relion4plugin.geometry.euler import euler_to_matrix
from relion4plugin.imaging.filters import frc, lowpass_half
from relion4plugin.imaging.fourier import half_multiplicity, half_to_image, image_to_half
from relion4plugin.imaging.masks import soft_disc
from relion4plugin.ranker.target import DEFAULT_RULES, LabelRules, best_resolution, categories, job_score, quality, targets, to_select
from relion4plugin.simulation.contaminants import place_phases
from relion4plugin.simulation.projector import Projector

if TYPE_CHECKING:
    import pandas as pd

    from relion4plugin.ranker.class_run import ClassRun

MEMBERS = 64  # true members of a class that are projected
FINALISTS = 6  # of them whose angle is refined
TURNS = np.arange(-10.0, 10.1, 2.0)  # deg
FINE_TURNS = np.arange(-1.5, 1.6, 0.5)
REACH = 4  # px, of the search for the shift
COMPARED_TO = 12.0  # A, to which members are compared with the class
FRC_LIMIT = 0.5  # against a noise-free reference, as 0.143 between half maps
SMOOTHING = np.array([1.0, 2.0, 3.0, 2.0, 1.0]) / 9.0  # over shells of the FRC
COARSEST = 40.0  # A; ice and the CTF decide what a class shows at lower frequency
SILHOUETTE = 0.05  # of the maximum of the low-passed projection
SILHOUETTE_LOWPASS = 20.0  # A
SILHOUETTE_MARGIN = 8.0  # A
UNSEEN = 999.0  # A, resolution of a class that shows nothing known
PARTIAL = {"broken": 0.3, "denatured": 0.3}  # how much a member of such a kind counts


@dataclass(frozen=True)
class ParticleTruth:
    """What is known about n particles, in the order of the particles of a run."""

    matrices: np.ndarray  # float64 (n, 3, 3)
    origins: np.ndarray  # float64 (n, 2): rlnOriginX/YAngst that would centre the particle, A
    map_number: np.ndarray  # int64 (n,): from 1; 0 where nothing known is shown
    kinds: np.ndarray  # str (n,)
    genuine: np.ndarray  # bool (n,): a particle that one wants to keep
    known_share: float = 1.0  # of the genuine particles that are known as such; below 1 for real data

    @property
    def credit(self) -> np.ndarray:
        """Weight of each particle in the purity of a class, float64 (n,)."""
        partial = np.zeros(len(self.kinds))
        for kind, value in PARTIAL.items():
            partial[self.kinds == kind] = value
        return np.where(self.map_number > 0, np.where(self.genuine, 1.0, partial), 0.0)

    @property
    def true_fraction(self) -> float:
        """Share of genuine particles."""
        return float(self.genuine.mean())


@dataclass(frozen=True)
class ClassTruth:
    """What the K classes of a run show; all arrays have K entries."""

    members: np.ndarray  # int64: particles assigned to the class
    true_members: np.ndarray  # int64: those of the protein that the class shows
    map_number: np.ndarray  # int64: that protein, from 1; 0 for none
    purity: np.ndarray  # float64
    correlation: np.ndarray  # float64: of the best matching projection, low-passed
    d_true: np.ndarray  # float64, A
    offset: np.ndarray  # float64, mask diameters
    contamination: np.ndarray  # float64
    q: np.ndarray  # float64
    category: np.ndarray  # int64: 1, 5, 2, 3, 0
    selected: np.ndarray  # bool: should be selected
    fractions: dict[str, np.ndarray]  # share of each kind of particle among the members
    matches: np.ndarray  # float32 (K, N, N): the sharp truth of each class


def particle_truth(table: "pd.DataFrame", image_names: "pd.Series", known_share: float = 1.0) -> ParticleTruth:
    """Bring a table of truth into the order of a run.

    Parameters
    ----------
    table : pandas.DataFrame
        rlnImageName, rlnAngleRot/Tilt/Psi, rlnOriginX/YAngst, rlnSimulatedKind, rlnSimulatedIsParticle and, where more than one
        map was projected, rlnSimulatedMap.
    image_names : pandas.Series
        rlnImageName of the particles of the run; folders in the names may differ.
    known_share : float
        Share of the genuine particles that the truth knows as such; below 1 for real data.

    Raises
    ------
    UserError
        If a particle of the run is not in the truth, or twice.
    """
    known, asked = _short(table["rlnImageName"]), _short(image_names)
    if known.duplicated().any():
        raise UserError("the truth names an image twice once folders are left out; give each stack its own name")
    rows = asked.map(dict(zip(known, range(len(table)), strict=True)))
    if rows.isna().any():
        missing = image_names[rows.isna().to_numpy()].iloc[0]
        raise UserError(f"{int(rows.isna().sum())} particles of the run, such as {missing}, are not in the truth; give that of this run")
    chosen = table.iloc[rows.to_numpy(dtype=np.int64)]
    rot, tilt, psi = (chosen[f"rlnAngle{name}"].to_numpy(dtype=np.float64) for name in ("Rot", "Tilt", "Psi"))
    genuine = chosen["rlnSimulatedIsParticle"].to_numpy(dtype=np.int64) > 0
    numbers = chosen["rlnSimulatedMap"].to_numpy(dtype=np.int64) if "rlnSimulatedMap" in chosen else genuine.astype(np.int64)
    origins = chosen[["rlnOriginXAngst", "rlnOriginYAngst"]].to_numpy(dtype=np.float64)
    kinds = chosen["rlnSimulatedKind"].astype(str).to_numpy(dtype=str)
    return ParticleTruth(np.asarray(euler_to_matrix(rot, tilt, psi)), origins, numbers, kinds, genuine, known_share)


def _short(names: "pd.Series") -> "pd.Series":
    """Names of images without leading zeros and folders."""
    return names.str.replace(r"^0*(\d+)@(?:.*/)?", r"\1@", regex=True)


def class_truth(
    run: "ClassRun", truth: ParticleTruth, maps: Sequence[np.ndarray], rules: LabelRules = DEFAULT_RULES,
    proteins: Sequence[int] | None = None,
) -> ClassTruth:  # fmt: skip
    """Measure every class of a run.

    The true maps are projected at the true orientations of up to 64 members and turned and shifted as the run aligned these
    members. The projection that agrees best with the class average is what the class ought to show; resolution, offset and
    contamination are measured against it.

    Parameters
    ----------
    run : ClassRun
    truth : ParticleTruth
        In the order of the particles of the run.
    maps : sequence of numpy.ndarray
        float32 (N, N, N) each, in box and pixel size of the classes.
    rules : LabelRules
    proteins : sequence of int, optional
        Number of the protein of each map: particles of any conformation of a protein are true members of a class that shows it. By
        default every map is another protein.

    Returns
    -------
    ClassTruth

    Raises
    ------
    UserError
        If a map has another box than the classes, or `proteins` is not one number for each map.
    """
    n = run.classes.shape[-1]
    if any(volume.shape != (n, n, n) for volume in maps):
        raise UserError(f"the true maps are {[v.shape for v in maps]} voxels but the classes have {n} px; give the maps of this simulation")
    protein = np.asarray(range(len(maps)) if proteins is None else proteins, np.int64)
    if protein.shape != (len(maps),):
        raise UserError(f"{len(maps)} true maps are of {len(protein)} proteins; give one number for each map")
    n_classes = len(run.classes)
    members, true_members, number, purity = _count(run.class_number, truth, n_classes, protein)
    empty = np.zeros(n_classes)
    result = ClassTruth(
        members, true_members, number, purity, empty.copy(), np.full(n_classes, UNSEEN), empty.copy(), empty.copy() + 1.0, empty,
        np.zeros(n_classes, np.int64), np.zeros(n_classes, bool), _fractions(run.class_number, truth.kinds, members),
        np.zeros_like(run.classes),
    )  # fmt: skip
    matcher = _Matcher(run, truth, [Projector(volume) for volume in maps])
    for k in np.flatnonzero(true_members >= rules.members_at_least):
        rows = np.flatnonzero((run.class_number == k + 1) & (truth.map_number == number[k]) & truth.genuine)
        found = matcher.measure(run.classes[k], rows, int(number[k]) - 1)
        result.correlation[k], result.d_true[k], result.offset[k], result.contamination[k], result.matches[k] = found
    seen = (purity, result.d_true, result.offset, result.contamination, true_members)
    q = quality(*seen, rules)
    return replace(result, q=q, category=categories(q, rules), selected=to_select(*seen, rules))


def class_targets(run: "ClassRun", found: ClassTruth, true_fraction: float, rules: LabelRules = DEFAULT_RULES) -> tuple[np.ndarray, float]:
    """Target score (K,) of the classes of a run, and the score of the job.

    Parameters
    ----------
    run : ClassRun
    found : ClassTruth
    true_fraction : float
        Share of true particles in the job.
    rules : LabelRules
        Those that `found` was made with.
    """
    best = best_resolution(found.d_true, found.purity, found.true_members, rules)
    score = job_score(best, true_fraction, run.pixel_size, rules)
    return targets(found.q, run.resolution, score, rules), score


def _count(
    class_number: np.ndarray, truth: ParticleTruth, n_classes: int, protein: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Members, true members, the most frequent map and the purity of each class; `protein` (maps,) is that of each map."""
    assigned = (class_number >= 1) & (class_number <= n_classes)
    n_maps = max(len(protein), 1)
    cells = (class_number[assigned] - 1) * (n_maps + 1) + truth.map_number[assigned]
    size = n_classes * (n_maps + 1)
    credit, whole = (np.bincount(cells, weight[assigned], size).reshape(n_classes, -1)[:, 1:] for weight in (truth.credit, truth.genuine))
    members = np.bincount(class_number[assigned] - 1, minlength=n_classes)
    same = (protein[:, None] == protein) if len(protein) else np.ones((1, 1))
    of_protein = credit @ same
    number = np.where(np.isclose(of_protein, of_protein.max(axis=1, keepdims=True)), credit, -1.0).argmax(axis=1)
    every = np.arange(n_classes)
    purity = np.minimum(1.0, of_protein[every, number] / np.maximum(members, 1) / truth.known_share)
    return members, (whole @ same)[every, number].astype(np.int64), np.where(purity > 0, number + 1, 0), purity


def _fractions(class_number: np.ndarray, kinds: np.ndarray, members: np.ndarray) -> dict[str, np.ndarray]:
    shares = {}
    for kind in np.unique(kinds):
        numbers = class_number[kinds == kind]
        shares[str(kind)] = np.bincount(numbers[numbers >= 1] - 1, minlength=len(members)) / np.maximum(members, 1)
    return shares


class _Matcher:
    """Compares class averages with projections in the frame of the class."""

    def __init__(self, run: "ClassRun", truth: ParticleTruth, projectors: list[Projector]) -> None:
        n, pixel = run.classes.shape[-1], run.pixel_size
        self._box, self._pixel, self._projectors = n, pixel, projectors
        self._diameter = run.particle_diameter
        self._mask = soft_disc(n, self._diameter / pixel / 2)
        self._disc = soft_disc(n, self._diameter / pixel / 2, 0) > 0
        self._weights = half_multiplicity(n)
        back = np.swapaxes(_in_plane(run.psi), -1, -2)
        self._matrices = back @ truth.matrices
        # a member's true centre, seen in its class: what is left of the shift, turned back by the angle it was aligned with
        self._places = (back[:, :2, :2] @ (run.origins - truth.origins)[:, :, None])[..., 0] / pixel

    def measure(self, image: np.ndarray, rows: np.ndarray, number: int) -> tuple[float, float, float, float, np.ndarray]:
        """Correlation, resolution (A), offset (diameters), contamination and best match of a class, given its true members."""
        rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), MEMBERS)).astype(np.int64)]
        average = (image * self._mask).astype(np.float32)
        if not average.any():
            return 0.0, UNSEEN, 0.0, 1.0, np.zeros_like(average)
        sought = self._compared(image_to_half(average))
        matrices, expected = self._matrices[rows], self._places[rows]
        values, places = self._correlate(sought, matrices, expected, number)
        offset = float(np.hypot(*np.median(places, axis=0))) * self._pixel / self._diameter
        first = np.argsort(-values)[:FINALISTS]
        matrices, expected = matrices[first], places[first]
        for turns in (TURNS, FINE_TURNS):
            turned = (_in_plane(turns)[None] @ matrices[:, None]).reshape(-1, 3, 3)
            values, places = self._correlate(sought, turned, np.repeat(expected, len(turns), axis=0), number)
            best = int(values.argmax())
            matrices, expected = turned[best : best + 1], places[best : best + 1]
        shown = half_to_image(self._projectors[number](matrices) * place_phases(expected, self._box), self._box)[0]
        match = shown * self._mask
        return float(values[best]), self._resolution(average, match), offset, self._contamination(image, shown), match

    def _compared(self, half: np.ndarray) -> np.ndarray:
        """Low-passed, without mean, and of unit norm."""
        half = lowpass_half(half, self._box * self._pixel / COMPARED_TO)
        half[..., 0, 0] = 0.0
        norm = np.sqrt(((half.real**2 + half.imag**2) * self._weights).sum(axis=(-2, -1), keepdims=True))
        return np.asarray(half / np.maximum(norm, 1e-20))

    def _correlate(self, sought: np.ndarray, matrices: np.ndarray, expected: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Best correlation (m,) of each projection within 4 px of its expected place, and that place (m, 2) in px."""
        n = self._box
        slices = self._compared(self._projectors[number](matrices))
        surface = half_to_image(sought * slices.conj(), n)
        centre = np.clip(np.rint(expected).astype(np.int64), -(n // 2), n // 2) + n // 2
        reach = np.arange(-REACH - 1, REACH + 2)
        y, x = ((centre[:, axis, None] + reach) % n for axis in (1, 0))
        window = surface[np.arange(len(slices))[:, None, None], y[:, :, None], x[:, None, :]]
        inner = window[:, 1:-1, 1:-1].reshape(len(slices), -1)
        top = inner.argmax(axis=1)
        iy, ix = top // (2 * REACH + 1) + 1, top % (2 * REACH + 1) + 1
        every = np.arange(len(slices))
        dy = _vertex(*(window[every, iy + d, ix] for d in (-1, 0, 1)))
        dx = _vertex(*(window[every, iy, ix + d] for d in (-1, 0, 1)))
        places = centre - n // 2 + np.stack([ix - REACH - 1 + dx, iy - REACH - 1 + dy], axis=-1)
        return inner[every, top], places

    def _resolution(self, average: np.ndarray, match: np.ndarray) -> float:
        """Resolution in A where the smoothed FRC first falls below a half."""
        n, pixel = self._box, self._pixel
        curve = np.asarray(frc(average, match))
        curve = np.convolve(np.pad(curve, 2, mode="edge"), SMOOTHING, mode="valid")
        start = max(2, int(n * pixel / COARSEST))
        below = np.flatnonzero(curve[start:] < FRC_LIMIT)
        if len(below) == 0:
            return 2.0 * pixel
        shell = start + int(below[0])
        if below[0] == 0:
            return UNSEEN
        above = curve[shell - 1]
        return float(n * pixel / (shell - 1 + (above - FRC_LIMIT) / (above - curve[shell])))

    def _contamination(self, image: np.ndarray, shown: np.ndarray) -> float:
        """Energy of the class that is neither the particle nor a level background, beyond the particle's silhouette."""
        low = half_to_image(lowpass_half(image_to_half(shown), self._box * self._pixel / SILHOUETTE_LOWPASS), self._box)
        silhouette = low > SILHOUETTE * low.max()
        silhouette = scipy.ndimage.binary_dilation(silhouette, iterations=max(1, round(SILHOUETTE_MARGIN / self._pixel)))
        outside = self._disc & ~silhouette
        if outside.sum() < 0.02 * self._disc.sum():
            return 0.0
        level = float(np.median(image[outside]))
        energy = (image[self._disc] - level) ** 2
        return float(((image[outside] - level) ** 2).sum() / max(float(energy.sum()), 1e-20))


def _in_plane(psi: np.ndarray) -> np.ndarray:
    """Rotations (m, 3, 3) in the image plane by angles in degrees."""
    zero = np.zeros_like(psi)
    return np.asarray(euler_to_matrix(zero, zero, psi))


def _vertex(before: np.ndarray, at: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Place of the top of a parabola through three values, at most half a step from the middle one."""
    curvature = before - 2.0 * at + after
    safe = np.where(curvature < 0.0, curvature, -1.0)
    return np.clip(np.where(curvature < 0.0, 0.5 * (before - after) / safe, 0.0), -0.5, 0.5)
