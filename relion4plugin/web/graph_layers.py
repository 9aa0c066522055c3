"""A directed graph with cycles in layers: which edges lead back, in which layer each node lies, and in which order.

Source of the method: Sugiyama, Tagawa and Toda, IEEE Trans. SMC 11, 109 (1981); cycles are cut by a depth-first search.
"""

from bisect import bisect_right, insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

_SWEEPS = 12

Item = tuple[str, int]  # a node and 0, or an edge's number as text and the layer that it passes through
Link = tuple[Item, Item]


@dataclass(frozen=True)
class Layers:
    """`rows` are the items of each layer from left to right.

    `chains` maps the number of each edge that leads down to the items that it visits, both ends included; `back` are the
    numbers of the others.
    """

    rows: tuple[tuple[Item, ...], ...]
    chains: Mapping[int, tuple[Item, ...]]
    back: tuple[int, ...]


def layers_of(nodes: Sequence[str], edges: Sequence[tuple[str, str]]) -> Layers:
    """Put nodes into layers.

    Parameters
    ----------
    nodes : sequence of str
        All nodes; a search for cycles starts at the first.
    edges : sequence of (str, str)
        From node to node.

    Returns
    -------
    Layers
        The same for the same input.
    """
    back, order = _back_edges(nodes, edges)
    down = [i for i in range(len(edges)) if i not in back]
    depth = dict.fromkeys(nodes, 0)
    leaving: dict[str, list[str]] = {name: [] for name in nodes}
    for i in down:
        leaving[edges[i][0]].append(edges[i][1])
    for name in order:
        for target in leaving[name]:
            depth[target] = max(depth[target], depth[name] + 1)
    chains = {i: _chain(i, edges[i], depth) for i in down}
    rows: list[list[Item]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for name in order:
        rows[depth[name]].append((name, 0))
    for chain in chains.values():
        for item in chain[1:-1]:
            rows[item[1]].append(item)
    return Layers(_ordered(rows, chains.values()), chains, tuple(sorted(back)))


def _back_edges(nodes: Sequence[str], edges: Sequence[tuple[str, str]]) -> tuple[set[int], list[str]]:
    """Find the edges that close a cycle, and an order of the nodes in which all others lead forwards."""
    leaving: dict[str, list[int]] = {name: [] for name in nodes}
    for i, (source, _) in enumerate(edges):
        leaving[source].append(i)
    back: set[int] = set()
    done: list[str] = []
    state = dict.fromkeys(nodes, 0)  # 1 while on the path, 2 when finished
    for root in nodes:
        if state[root]:
            continue
        state[root] = 1
        path = [(root, iter(leaving[root]))]
        while path:
            name, rest = path[-1]
            step = next(rest, None)
            if step is None:
                state[name] = 2
                done.append(name)
                path.pop()
                continue
            target = edges[step][1]
            if state[target] == 1:
                back.add(step)
            elif state[target] == 0:
                state[target] = 1
                path.append((target, iter(leaving[target])))
    return back, done[::-1]


def _chain(number: int, edge: tuple[str, str], depth: Mapping[str, int]) -> tuple[Item, ...]:
    between = [(str(number), layer) for layer in range(depth[edge[0]] + 1, depth[edge[1]])]
    return ((edge[0], 0), *between, (edge[1], 0))


def _ordered(rows: list[list[Item]], chains: Iterable[tuple[Item, ...]]) -> tuple[tuple[Item, ...], ...]:
    """Order each layer by the mean place of the neighbours, down and up, and keep the order with the fewest crossings."""
    upper: dict[Item, list[Item]] = {}
    lower: dict[Item, list[Item]] = {}
    for chain in chains:
        for a, b in pairwise(chain):
            lower.setdefault(a, []).append(b)
            upper.setdefault(b, []).append(a)
    best, fewest = [list(row) for row in rows], _crossings(rows, lower)
    for sweep in range(_SWEEPS):
        if not fewest:
            break
        neighbours, turn = (upper, rows) if sweep % 2 == 0 else (lower, rows[::-1])
        for before, row in pairwise(turn):
            place = {item: i for i, item in enumerate(before)}
            means = {item: _mean([place[n] for n in neighbours.get(item, ())], i) for i, item in enumerate(row)}
            row.sort(key=means.__getitem__)
        count = _crossings(rows, lower)
        if count < fewest:
            best, fewest = [list(row) for row in rows], count
    return tuple(tuple(row) for row in best)


def _mean(values: Sequence[int], default: int) -> float:
    return sum(values) / len(values) if values else float(default)


def _crossings(rows: Sequence[Sequence[Item]], lower: Mapping[Item, Sequence[Item]]) -> int:
    total = 0
    for row, below in pairwise(rows):
        place = {item: i for i, item in enumerate(below)}
        seen: list[int] = []
        for item in row:
            ends = sorted(place[n] for n in lower.get(item, ()))
            total += sum(len(seen) - bisect_right(seen, end) for end in ends)
            for end in ends:
                insort(seen, end)
    return total
