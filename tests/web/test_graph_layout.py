"""Layout of cyclic graphs: what must hold for every graph, and the shape of a known one."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relion4plugin.web.graph_layers import layers_of
from relion4plugin.web.graph_layout import NODE_GAP, GraphEdge, lay_out

names = st.lists(st.text("abc#<&\"' é1", min_size=1, max_size=4), min_size=1, max_size=14, unique=True)


@st.composite
def graphs(draw):
    nodes = draw(names)
    pair = st.tuples(st.sampled_from(nodes), st.sampled_from(nodes))
    return nodes, [GraphEdge(a, b) for a, b in draw(st.lists(pair, max_size=30))]


def drawn(nodes, edges):
    return lay_out({name: (60.0 + 7 * i % 50, 40.0) for i, name in enumerate(nodes)}, edges)


@given(graphs())
def test_any_graph(graph):
    nodes, edges = graph
    layout = drawn(nodes, edges)
    assert list(layout.boxes) == nodes and [route.edge for route in layout.routes] == edges
    for a, b in combinations(layout.boxes.values(), 2):
        assert abs(a.y - b.y) > 40 or abs(a.x - b.x) >= (a.width + b.width) / 2 + NODE_GAP - 1e-6
    for route in layout.routes:
        source, target = layout.boxes[route.edge.source], layout.boxes[route.edge.target]
        assert all(0 <= x <= layout.width and 0 <= y <= layout.height for x, y in route.points)
        assert route.back or source.bottom < target.top
        for box, (x, y) in ((source, route.points[0]), (target, route.points[-1])):
            assert box.left - 1e-6 <= x <= box.right + 1e-6 and box.top - 1e-6 <= y <= box.bottom + 1e-6
        if route.back:  # right angles only
            assert all(abs(a[0] - b[0]) < 1e-6 or abs(a[1] - b[1]) < 1e-6 for a, b in zip(route.points, route.points[1:], strict=False))
    assert drawn(nodes, edges) == layout


@given(graphs())
def test_edges_without_the_back_ones_have_no_cycle(graph):
    nodes, edges = graph
    pairs = [(edge.source, edge.target) for edge in edges]
    layers = layers_of(nodes, pairs)
    rank = {item[0]: i for i, row in enumerate(layers.rows) for item in row if item[1] == 0}
    assert sorted([*layers.chains, *layers.back]) == list(range(len(pairs)))
    assert all(rank[pairs[i][0]] < rank[pairs[i][1]] for i in layers.chains)


def test_back_edges_stay_clear_of_boxes():
    edges = [GraphEdge(a, b) for a, b in ("ab", "bc", "cd", "be", "ed", "ca", "ea", "da", "db")]
    layout = drawn("abcde", edges)
    for route in layout.routes:
        for (ax, ay), (bx, by) in zip(route.points, route.points[1:], strict=False) if route.back else ():
            for name, box in layout.boxes.items():
                inside = min(ax, bx) < box.right - 1 and max(ax, bx) > box.left + 1 and min(ay, by) < box.bottom and max(ay, by) > box.top
                assert not inside or name in (route.edge.source, route.edge.target)


def test_a_loop_runs_down_and_returns_at_the_side():
    layout = drawn("abc", [GraphEdge("a", "b"), GraphEdge("b", "c"), GraphEdge("c", "a", "true")])
    boxes = layout.boxes
    assert boxes["a"].y < boxes["b"].y < boxes["c"].y and boxes["a"].x == boxes["b"].x == boxes["c"].x
    assert [route.back for route in layout.routes] == [False, False, True]
    outside = [x for x, _ in layout.routes[2].points]
    assert min(outside) < min(box.left for box in boxes.values()) or max(outside) > max(box.right for box in boxes.values())


def test_returns_to_one_node_share_a_lane_and_others_do_not():
    edges = [GraphEdge(a, b) for a, b in ("ab", "bc", "cd", "ca", "da", "db")]
    layout = drawn("abcd", edges)
    lanes = [route.points[1][0] for route in layout.routes if route.back]
    assert lanes[0] == lanes[1] != lanes[2]


def test_an_edge_without_its_node():
    with pytest.raises(KeyError, match="names a node without a size"):
        drawn("a", [GraphEdge("a", "b")])


def test_large_graphs_are_quick():
    nodes = [f"n{i}" for i in range(300)]
    edges = [GraphEdge(nodes[i], nodes[(i * 7 + 3) % 300]) for i in range(300)] + [GraphEdge(nodes[i], nodes[i + 1]) for i in range(299)]
    assert len(drawn(nodes, edges).boxes) == 300
