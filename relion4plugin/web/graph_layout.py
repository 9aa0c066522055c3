"""Places of nodes and courses of edges of a directed graph with cycles: layers from top to bottom, edges that lead back at the sides.

All edges that lead back to one node share a lane. The result depends on nothing but the input.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from relion4plugin.web.graph_layers import Item, Layers, layers_of

LAYER_GAP, NODE_GAP = 30.0, 28.0
_THIN = 10.0  # width of an edge that passes through a layer
_LANE_FIRST, _LANE_GAP = 30.0, 16.0
_CHANNEL = 9.0  # from a box to the horizontal line above or below it
_MARGIN = 12.0
_PORT = 72.0  # between the edges that leave a box at its bottom
_PASSES = 10

Point = tuple[float, float]


@dataclass(frozen=True)
class GraphEdge:
    """From node to node; the label stands at its start."""

    source: str
    target: str
    label: str = ""


@dataclass(frozen=True)
class Box:
    """Where a node is drawn; (x, y) is its centre."""

    x: float
    y: float
    width: float
    height: float

    @property
    def left(self) -> float:
        """Left end."""
        return self.x - self.width / 2

    @property
    def right(self) -> float:
        """Right end."""
        return self.x + self.width / 2

    @property
    def top(self) -> float:
        """Upper end."""
        return self.y - self.height / 2

    @property
    def bottom(self) -> float:
        """Lower end."""
        return self.y + self.height / 2


@dataclass(frozen=True)
class Route:
    """Course of an edge: corners of a line at right angles where it leads back, else points of a smooth curve."""

    edge: GraphEdge
    points: tuple[Point, ...]
    back: bool
    label_at: Point
    label_anchor: str  # start, end


@dataclass(frozen=True)
class Layout:
    """A finished drawing; all coordinates are positive and below `width` and `height`."""

    width: float
    height: float
    boxes: Mapping[str, Box]
    routes: tuple[Route, ...]


def lay_out(sizes: Mapping[str, tuple[float, float]], edges: Sequence[GraphEdge]) -> Layout:
    """Place nodes and edges.

    Parameters
    ----------
    sizes : mapping
        Width and height of each node; the graph starts at the first.
    edges : sequence of GraphEdge
        Between these nodes.

    Returns
    -------
    Layout
        Boxes do not overlap; `routes` are in the order of `edges`.

    Raises
    ------
    KeyError
        If an edge names a node without a size.
    """
    for edge in edges:
        if edge.source not in sizes or edge.target not in sizes:
            raise KeyError(f"edge {edge.source} -> {edge.target} names a node without a size")
    layers = layers_of(list(sizes), [(edge.source, edge.target) for edge in edges])
    places = _places(layers, sizes)
    drawing = _Drawing(layers, places, {name: places[name, 0] for name in sizes}, edges)
    routes = {**{i: drawing.downward(i) for i in layers.chains}, **drawing.backward()}
    return _shifted(drawing.boxes, [routes[i] for i in range(len(edges))])


def _places(layers: Layers, sizes: Mapping[str, tuple[float, float]]) -> dict[Item, Box]:
    """Place all items: centred by their neighbours, never closer than the gap."""
    extents = {item: sizes[item[0]] if item[1] == 0 else (_THIN, 0.0) for row in layers.rows for item in row}
    neighbours: dict[Item, list[Item]] = {item: [] for item in extents}
    for chain in layers.chains.values():
        for a, b in pairwise(chain):
            neighbours[a].append(b)
            neighbours[b].append(a)
    x: dict[Item, float] = {}
    for row in layers.rows:
        x.update(zip(row, _spread([0.0] * len(row), [extents[item][0] for item in row]), strict=True))
    for turn in range(_PASSES):
        for row in layers.rows if turn % 2 == 0 else layers.rows[::-1]:
            wanted = [sum(x[n] for n in neighbours[item]) / len(neighbours[item]) if neighbours[item] else x[item] for item in row]
            x.update(zip(row, _spread(wanted, [extents[item][0] for item in row]), strict=True))
    places, top = {}, 0.0
    for row in layers.rows:
        height = max(extents[item][1] for item in row)
        places.update({item: Box(x[item], top + height / 2, *extents[item]) for item in row})
        top += height + LAYER_GAP
    return places


def _spread(wanted: Sequence[float], widths: Sequence[float]) -> list[float]:
    """Return centres next to the wanted ones (least squares) that keep their order and the gap between neighbours."""
    offsets = [0.0]
    for a, b in pairwise(widths):
        offsets.append(offsets[-1] + (a + b) / 2 + NODE_GAP)
    blocks: list[tuple[float, int]] = []  # mean and number of items that touch (pool adjacent violators)
    for value, offset in zip(wanted, offsets, strict=True):
        mean, count = value - offset, 1
        while blocks and blocks[-1][0] > mean:
            before, n = blocks.pop()
            mean, count = (before * n + mean * count) / (n + count), n + count
        blocks.append((mean, count))
    means = [mean for mean, count in blocks for _ in range(count)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=True)]


@dataclass
class _Drawing:
    """Courses of edges between placed boxes."""

    layers: Layers
    places: Mapping[Item, Box]
    boxes: Mapping[str, Box]
    edges: Sequence[GraphEdge]
    lanes: dict[str, list[list[tuple[float, float]]]] = field(default_factory=lambda: {"left": [], "right": []})

    def __post_init__(self) -> None:
        every = self.places.values()
        self.left = min((box.left for box in every), default=0.0)
        self.right = max((box.right for box in every), default=0.0)
        self.ends = {item[0]: (item == row[0], item == row[-1]) for row in self.layers.rows for item in row if item[1] == 0}
        self.bands = {}
        for row in self.layers.rows:
            band = min(self.places[item].top for item in row), max(self.places[item].bottom for item in row)
            self.bands.update({item[0]: band for item in row if item[1] == 0})

    def downward(self, i: int) -> Route:
        """Draw an edge that leads down, through the layers between its ends."""
        edge, chain = self.edges[i], self.layers.chains[i]
        source, target = self.boxes[edge.source], self.boxes[edge.target]
        first = (source.x + self._port(i), source.bottom)
        between = [(self.places[item].x, self.places[item].y) for item in chain[1:-1]]
        points = (first, *between, (target.x, target.top))
        right = points[1][0] > source.x  # the label stands on the inner side of the bend
        return Route(edge, points, False, (first[0] + (-6 if right else 6), first[1] + 12), "end" if right else "start")

    def _port(self, i: int) -> float:
        """Where an edge leaves the bottom of its box: side by side in the order of where they go."""
        same = [k for k, chain in self.layers.chains.items() if chain[0] == self.layers.chains[i][0]]
        same.sort(key=lambda k: (self.places[self.layers.chains[k][1]].x, k))
        step = min(_PORT, 0.7 * self.boxes[self.edges[i].source].width / max(len(same) - 1, 1))
        return (same.index(i) - (len(same) - 1) / 2) * step

    def backward(self) -> dict[int, Route]:
        """Draw the edges that lead back: short lanes inside, long ones outside."""
        groups: dict[str, list[int]] = {}
        for i in self.layers.back:
            groups.setdefault(self.edges[i].target, []).append(i)
        length = {target: max(self.boxes[self.edges[i].source].y for i in group) - self.boxes[target].y for target, group in groups.items()}
        routes = {}
        for target, numbers in sorted(groups.items(), key=lambda group: length[group[0]]):
            side = self._side(target, numbers)
            lane = self._lane(side, target, numbers)
            routes.update({i: self._loop(self.edges[i], side, lane) for i in numbers})
        return routes

    def _side(self, target: str, numbers: Sequence[int]) -> str:
        names = [target, *(self.edges[i].source for i in numbers)]
        free = [sum(self.ends[name][k] for name in names) for k in (0, 1)]
        if free[0] == free[1]:
            return "left" if len(self.lanes["left"]) <= len(self.lanes["right"]) else "right"
        return "left" if free[0] > free[1] else "right"

    def _lane(self, side: str, target: str, numbers: Sequence[int]) -> float:
        """Take the innermost lane that is free all along."""
        top = self.bands[target][0] - LAYER_GAP
        bottom = max(self.bands[self.edges[i].source][1] for i in numbers) + LAYER_GAP
        lanes = self.lanes[side]
        free = next((k for k, taken in enumerate(lanes) if all(bottom <= a or top >= b for a, b in taken)), len(lanes))
        if free == len(lanes):
            lanes.append([])
        lanes[free].append((top, bottom))
        distance = _LANE_FIRST + free * _LANE_GAP
        return self.left - distance if side == "left" else self.right + distance

    def _loop(self, edge: GraphEdge, side: str, lane: float) -> Route:
        k, sign = (0, -1) if side == "left" else (1, 1)
        source, target = self.boxes[edge.source], self.boxes[edge.target]
        if self.ends[edge.source][k]:
            y = source.y + source.height / 6
            start = [(source.left if k == 0 else source.right, y), (lane, y)]
        else:  # something stands between: leave at the bottom
            y, x = self.bands[edge.source][1] + _CHANNEL, source.x + sign * source.width / 3
            start = [(x, source.bottom), (x, y), (lane, y)]
        if self.ends[edge.target][k]:
            y = target.y - target.height / 6
            end = [(lane, y), (target.left if k == 0 else target.right, y)]
        else:
            y, x = self.bands[edge.target][0] - _CHANNEL, target.x + sign * target.width / 3
            end = [(lane, y), (x, y), (x, target.top)]
        label_at = (start[0][0] + sign * 5, start[1][1] - 4) if self.ends[edge.source][k] else (start[0][0] + sign * 5, start[1][1] - 2)
        return Route(edge, (*start, *end), True, label_at, "end" if k == 0 else "start")


def _shifted(boxes: Mapping[str, Box], routes: Sequence[Route]) -> Layout:
    """Move a drawing so that it starts at the margin."""
    xs = [x for route in routes for x, _ in route.points] + [x for box in boxes.values() for x in (box.left, box.right)]
    ys = [y for route in routes for _, y in route.points] + [y for box in boxes.values() for y in (box.top, box.bottom)]
    if not xs:
        return Layout(2 * _MARGIN, 2 * _MARGIN, {}, ())
    dx, dy = _MARGIN - min(xs), _MARGIN - min(ys)
    moved = {name: Box(box.x + dx, box.y + dy, box.width, box.height) for name, box in boxes.items()}
    shifted = tuple(
        Route(
            one.edge,
            tuple((x + dx, y + dy) for x, y in one.points),
            one.back,
            (one.label_at[0] + dx, one.label_at[1] + dy),
            one.label_anchor,
        )
        for one in routes
    )
    return Layout(max(xs) + dx + _MARGIN, max(ys) + dy + _MARGIN, moved, shifted)
