"""Optics groups of movies taken with image shift: one group per position of the beam.

The residual beam tilt depends on where the beam was shifted to, so that movies of one position share their aberrations. Positions are
found by single linkage without any scale: merge heights fall into those within a position and those between positions, and the tree is
cut where successive heights grow most. Groups that were given out are never renumbered: movies that come later join the nearest
centre, or found a new group.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from relion4plugin.errors import UserError

PREFIX = "opticsGroup"
FREEZE_AFTER = 200  # movies, after which centres no longer change
_CLUSTERED = 2000  # movies that take part in the clustering; the rest joins the nearest group
_LOWEST_RATIO = 2.0  # of the heights between and within positions
_FLOOR = 1e-6  # of the span; smaller heights are rounding
_MOST_GROUPS = 0.8  # of the number of movies


def group_name(number: int) -> str:
    """Return the name of a group, counted from 0: letters and digits only, as RELION wants it."""
    return f"{PREFIX}{number + 1}"


@dataclass(frozen=True)
class GroupModel:
    """Centres of the groups.

    Attributes
    ----------
    method : str
        'auto', 'distance', 'count' or 'none' (see `fit_groups`), or 'name'.
    centres : tuple of pairs
        Position of each group in the units of the file; empty for groups by name.
    labels : tuple of str
        What each group stands for where groups go by name; empty otherwise.
    reach : float
        Largest distance from a centre at which a movie joins its group.
    frozen : bool
        Whether new movies may only be added.
    intra, inter, ratio : float
        Largest distance of a movie to its centre, smallest distance of two centres, ratio of the heights at the cut.
    """

    method: str
    centres: tuple[tuple[float, float], ...] = ()
    labels: tuple[str, ...] = ()
    reach: float = 0.0
    frozen: bool = False
    intra: float = 0.0
    inter: float = 0.0
    ratio: float = 1.0

    def to_json(self) -> str:
        """Return the model as JSON text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "GroupModel":
        """Return the model of a text that `to_json` made.

        Raises
        ------
        UserError
            If it is not such a text.
        """
        try:
            content = json.loads(text)
            content["centres"] = tuple((float(x), float(y)) for x, y in content["centres"])
            content["labels"] = tuple(content["labels"])
            return cls(**content)
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"this is not a model of optics groups: {error}; remove it and scan the session again") from error

    def __len__(self) -> int:
        return max(len(self.centres), len(self.labels), 1)

    def assign(self, points: np.ndarray) -> tuple[np.ndarray, "GroupModel"]:
        """Return the group (int, from 0) of each point (n, 2) in order, and the model with the groups that had to be added."""
        centres = [np.asarray(centre) for centre in self.centres]
        if not centres or self.reach <= 0:
            return np.zeros(len(points), dtype=np.int64), self
        groups, distances = _nearest(points, np.array(centres))
        for index in np.flatnonzero(distances > self.reach):
            far = np.hypot(*(np.array(centres) - points[index]).T)
            nearest = int(far.argmin())
            if far[nearest] > self.reach:
                centres.append(points[index])
                nearest = len(centres) - 1
            groups[index] = nearest
        return groups, replace(self, centres=_as_pairs(centres))

    def assign_labels(self, labels: Sequence[str]) -> tuple[np.ndarray, "GroupModel"]:
        """Return the group of each label, and the model with new labels appended."""
        known = list(dict.fromkeys((*self.labels, *labels)))
        number = {label: index for index, label in enumerate(known)}
        return np.array([number[label] for label in labels], dtype=np.int64), replace(self, labels=tuple(known))


def _as_pairs(points: Sequence[np.ndarray]) -> tuple[tuple[float, float], ...]:
    return tuple((float(x), float(y)) for x, y in points)


def _nearest(points: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from scipy.spatial import cKDTree

    distances, groups = cKDTree(centres).query(points)
    return np.asarray(groups, dtype=np.int64), np.asarray(distances)


def fit_groups(points: np.ndarray, method: str = "auto", distance: float = 0.0, count: int = 0) -> tuple[np.ndarray, GroupModel]:
    """Return the group of each point (int, numbered in the order in which groups first appear), and the model.

    Parameters
    ----------
    points : ndarray
        Beam or image shifts (n, 2) in the order of acquisition, any unit.
    method : str
        'auto', 'distance' (single linkage cut at `distance`), 'count' (single linkage cut to `count` groups) or 'none'.
    distance, count : float, int
        For these methods.

    Raises
    ------
    UserError
        If the method is not known or lacks its number.
    """
    points = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    if method not in ("auto", "distance", "count", "none"):
        raise UserError(f"unknown method {method!r} of optics groups; expected auto, distance, count or none")
    if (method == "distance" and not distance > 0) or (method == "count" and count < 1):
        raise UserError(f"method {method!r} of optics groups needs a positive {method}")
    chosen = points[_evenly(len(points))]
    if method == "none" or len(chosen) < 2:
        return np.zeros(len(points), dtype=np.int64), GroupModel(method, frozen=len(points) >= FREEZE_AFTER)
    labels, ratio, height = _cut(chosen, method, distance, count)
    return _model(points, chosen, labels, method, ratio, height)


def _evenly(n: int) -> np.ndarray:
    """Return at most `_CLUSTERED` numbers below `n`, evenly spread."""
    return np.unique(np.linspace(0, max(n - 1, 0), min(n, _CLUSTERED)).astype(np.int64))


def _cut(points: np.ndarray, method: str, distance: float, count: int) -> tuple[np.ndarray, float, float]:
    """Return labels, ratio of the heights on both sides of the cut, and the height below which points belong together."""
    from scipy.cluster.hierarchy import fcluster, linkage

    tree = linkage(points, "single")
    heights = tree[:, 2]
    n = len(points)
    if method == "distance":
        return fcluster(tree, distance, "distance"), 1.0, distance
    if method == "count":
        below = max(n - count, 0)
        height = float(heights[min(below, n - 2)]) if count > 1 else float(heights[-1]) * 2
        return fcluster(tree, min(count, n), "maxclust"), 1.0, height
    span = float(np.hypot(*np.ptp(points, axis=0)))
    floored = np.maximum(heights, _FLOOR * span)
    first = max(int(np.ceil(n - 1 - _MOST_GROUPS * n)), 0)
    ratios = floored[first + 1 :] / floored[first:-1] if span > 0 else np.empty(0)
    if len(ratios) == 0 or ratios.max() < _LOWEST_RATIO:
        return np.ones(n, dtype=np.int64), float(ratios.max()) if len(ratios) else 1.0, 0.0
    at = first + int(ratios.argmax())
    height = float(np.sqrt(floored[at] * floored[at + 1]))
    return fcluster(tree, height, "distance"), float(ratios.max()), height


def _model(
    points: np.ndarray, chosen: np.ndarray, labels: np.ndarray, method: str, ratio: float, height: float
) -> tuple[np.ndarray, GroupModel]:
    """Number groups in the order of acquisition and put all points into them."""
    found = [chosen[labels == label].mean(axis=0) for label in dict.fromkeys(labels.tolist())]
    centres = np.array(found)
    groups, distances = _nearest(points, centres)
    between = _smallest_distance(centres)
    reach = between / 2 if len(centres) > 1 else height
    frozen = len(points) >= FREEZE_AFTER
    model = GroupModel(method, _as_pairs(found), (), reach, frozen, float(distances.max()), between, ratio)
    return groups, model


def _smallest_distance(centres: np.ndarray) -> float:
    if len(centres) < 2:
        return 0.0
    from scipy.spatial import cKDTree

    return float(cKDTree(centres).query(centres, k=2)[0][:, 1].min())


def group_sizes(groups: np.ndarray) -> tuple[int, ...]:
    """Return the number of movies of each group."""
    return tuple(int(number) for number in np.bincount(groups)) if len(groups) else ()


def describe(model: GroupModel, groups: np.ndarray) -> dict[str, Any]:
    """Return what a person wants to know about groups: their number and sizes, spread and how clear the cut is."""
    sizes = group_sizes(groups)
    small = sum(size < 3 for size in sizes)
    return {
        "method": model.method,
        "groups": len(sizes),
        "smallest": min(sizes, default=0),
        "largest": max(sizes, default=0),
        "fewer_than_3": small,
        "intra": model.intra,
        "inter": model.inter,
        "ratio": model.ratio,
    }
