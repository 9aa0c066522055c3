"""Which point group a map has."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from relion4plugin.geometry.symmetry import point_group, symmetry_axes
from relion4plugin.postprocessing.align_symmetry import check_map
from relion4plugin.postprocessing.self_comparison import SelfComparison, search_axes
from relion4plugin.postprocessing.symmetry_evidence import Evidence, symmetry_evidence

CANDIDATES = (*(f"C{n}" for n in range(2, 9)), *(f"D{n}" for n in range(2, 9)), "T", "O", "I")
CLEAR_SCORE = 0.5  # random and pseudo-symmetric maps stay below
POSSIBLE_SCORE = 0.25
_AS_GOOD = 0.7  # of the best score: a larger group must not be much worse than the ones it contains


@dataclass(frozen=True)
class RankedGroup:
    """One point group and what speaks for it."""

    symmetry: str
    order: int
    evidence: Evidence


@dataclass(frozen=True)
class FoundSymmetry:
    """The point group of a map.

    Attributes
    ----------
    symmetry : str
        The largest group that is clearly there; C1 if none is.
    possible : str or None
        For C1: the best group that may be there, hidden by noise, or only nearly there.
    ranking : tuple of RankedGroup
        All groups that were tried, by score.
    """

    symmetry: str
    possible: str | None
    ranking: tuple[RankedGroup, ...]


def find_symmetry(
    volume: np.ndarray,
    pixel_size: float,
    candidates: Sequence[str] = CANDIDATES,
    *,
    keep_centre: bool = False,
    resolution: float = 0.0,
) -> FoundSymmetry:
    """Find the point group of a map.

    Every candidate is put where it fits best and judged by its weakest operator, beyond what a body of revolution about the
    same axis would give. So large groups have no advantage over small ones, nor long particles over round ones, and a group
    with one wrong axis does not pass. Of those that pass, the largest is taken.

    Parameters
    ----------
    volume : numpy.ndarray
        float (N, N, N).
    pixel_size : float
        A per voxel.
    candidates : sequence of str
        Point groups; C1 is the answer when none of them passes.
    keep_centre : bool
        The axes pass through the map's origin.
    resolution : float
        A, if it is known: detail beyond it is noise, which looks like lack of symmetry. 0 compares all.

    Returns
    -------
    FoundSymmetry

    Raises
    ------
    UserError
        If the map cannot be searched or there is no such point group.
    """
    check_map(volume, "symmetry")
    groups = {name: point_group(name) for name in candidates if name.strip().upper() != "C1"}
    comparison = SelfComparison(volume, pixel_size, keep_centre=keep_centre, resolution=resolution)
    table = comparison.table({fold for operators in groups.values() for fold, _ in symmetry_axes(operators)})
    ranking = []
    for name, operators in groups.items():
        pose = search_axes(comparison, operators, table)
        ranking.append(RankedGroup(name, len(operators), symmetry_evidence(comparison, operators, pose)))
    ranking.sort(key=lambda group: (-group.evidence.score, -group.order))
    best = ranking[0].evidence.score if ranking else 0.0
    passed = [group for group in ranking if group.evidence.score >= max(CLEAR_SCORE, _AS_GOOD * best)]
    found = max(passed, key=lambda group: (group.order, group.evidence.score)).symmetry if passed else "C1"
    possible = ranking[0].symmetry if ranking and found == "C1" and best >= POSSIBLE_SCORE else None
    return FoundSymmetry(found, possible, tuple(ranking))
