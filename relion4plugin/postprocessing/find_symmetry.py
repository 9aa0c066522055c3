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
_HOPELESS = 0.1  # a group is not tried if one of its cyclic subgroups scores less
_AS_GOOD = 0.7  # of the best score: a larger group must not be much worse than the ones it contains
_HALF_AS_GOOD = 0.5


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
        The best larger group that may be there, hidden by noise, or only nearly there.
    ranking : tuple of RankedGroup
        All groups that were tried, by score; those with a subgroup that is certainly not there are left out.
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
    groups = {name.strip().upper(): point_group(name) for name in candidates}
    groups.pop("C1", None)
    comparison = SelfComparison(volume, pixel_size, keep_centre=keep_centre, resolution=resolution)
    table = comparison.table({fold for operators in groups.values() for fold, _ in symmetry_axes(operators)})
    ranking: list[RankedGroup] = []
    cyclic: dict[int, float] = {}  # fold -> score
    for name, operators in sorted(groups.items(), key=lambda item: len(item[1])):
        folds = {fold for fold, _ in symmetry_axes(operators)}
        if any(cyclic[known] < _HOPELESS for known in cyclic for fold in folds if fold % known == 0):
            continue
        evidence = symmetry_evidence(comparison, operators, search_axes(comparison, operators, table))
        ranking.append(RankedGroup(name, len(operators), evidence))
        if folds == {len(operators)}:
            cyclic[len(operators)] = evidence.score
    ranking.sort(key=lambda group: (-group.evidence.score, -group.order))
    best = ranking[0].evidence.score if ranking else 0.0
    passed = [group for group in ranking if group.evidence.score >= max(CLEAR_SCORE, _AS_GOOD * best)]
    found = max(passed, key=lambda group: (group.order, group.evidence.score)).symmetry if passed else "C1"
    order = len(point_group(found))
    larger = [group for group in ranking if group.order > order and group.evidence.score >= max(POSSIBLE_SCORE, _HALF_AS_GOOD * best)]
    possible = larger[0].symmetry if larger else None
    return FoundSymmetry(found, possible, tuple(ranking))
