"""Optics groups of movies in a set that grows: numbers that were given out stay, whatever is learnt about the positions later."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from relion4plugin.acquisition.optics_groups import group_name
from relion4plugin.acquisition.session import Session
from relion4plugin.files.star_text import loop, tables_text

_SAME = 0.9  # least share of a group's movies that lie in one cluster: then the group stands for it
_CLEAR = 3  # movies of a position, on average, from which positions of the beam are told apart
_NONE = ""  # cluster of movies whose position is not known


def clusters_of(session: Session) -> tuple[dict[str, str], bool]:
    """Return the cluster of each movie of a session by its path, and whether clusters are clear.

    As long as they are not, all movies are in one: with few movies at each position, noise would decide.
    """
    model, rows = session.groups, [row for row in session.movies.rows() if row["movie"]]
    by_name = bool(model.labels)
    clear = by_name or model.frozen or (len(model.centres) > 1 and len(session.movies) >= _CLEAR * len(model.centres))
    return {row["movie"]: (row["optics_group"] or _NONE) if clear else _NONE for row in rows}, clear


def group_numbers(clusters: Mapping[str, str], known: Mapping[str, int], new: Iterable[str]) -> dict[str, int]:
    """Return the optics groups of new movies.

    A group stands for the cluster in which nearly all of its movies lie. One whose movies turn out to lie in several clusters gets no more,
    and the clusters get new groups. Clusters may be found anew at any time.

    Parameters
    ----------
    clusters : mapping
        Movie to the name of its cluster, also of movies that have a group.
    known : mapping
        Movie to its group, from 1; never changed.
    new : iterable of str
        Movies without a group, in order.
    """
    shared = Counter((number, clusters[movie]) for movie, number in known.items() if movie in clusters)
    sizes = Counter(number for movie, number in known.items() if movie in clusters)
    group: dict[str, int] = {}
    for (number, cluster), count in sorted(shared.items(), key=lambda item: (item[1], -item[0][0])):  # the largest last: it counts
        if count >= _SAME * sizes[number]:
            group[cluster] = number
    highest = max(known.values(), default=0)
    numbers = {}
    for movie in new:
        cluster = clusters.get(movie, _NONE)
        if cluster not in group:
            highest += 1
            group[cluster] = highest
        numbers[movie] = group[cluster]
    return numbers


def optics_text(count: int, values: Mapping[str, Any]) -> str:
    """Return the STAR text of groups 1 to `count` with the same optics.

    Parameters
    ----------
    count : int
        Number of groups.
    values : mapping
        RELION's labels and values, the same for all groups.
    """
    rows = [(group_name(number), str(number + 1), *map(str, values.values())) for number in range(count)]
    return tables_text([loop("optics", ("rlnOpticsGroupName", "rlnOpticsGroup", *values), rows)])
