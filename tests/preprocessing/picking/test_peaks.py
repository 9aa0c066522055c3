import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from relion4plugin.preprocessing.picking.peaks import local_maxima, refined, without_neighbours


def one_after_the_other(centres, scores, reach):
    """The rule as it is said, point by point."""
    kept: list[int] = []
    for i in np.argsort(-scores, kind="stable"):
        if all(np.hypot(*(centres[i] - centres[j])) >= reach[i] + reach[j] for j in kept):
            kept.append(i)
    return set(kept)


@given(st.integers(0, 60), st.integers(0, 2**31), st.booleans())
def test_neighbours_are_removed_as_by_a_slow_loop(n, seed, ties):
    rng = np.random.default_rng(seed)
    centres, reach = rng.uniform(0, 30, (n, 2)), rng.uniform(0.5, 4, n)
    scores = rng.integers(0, 4, n).astype(float) if ties else rng.normal(size=n)
    assert set(np.flatnonzero(without_neighbours(centres, scores, reach))) == one_after_the_other(centres, scores, reach)


def test_maxima_are_found_and_refined_between_pixels():
    y, x = np.indices((60, 70))
    scores = np.exp(-((y - 20.3) ** 2 + (x - 30.6) ** 2) / 50) + 0.5 * np.exp(-((y - 45.0) ** 2 + (x - 12.4) ** 2) / 50)
    rows, columns = local_maxima(scores, 9)
    assert sorted(zip(rows, columns, strict=True)) == [(20, 31), (45, 12)]
    found_y, found_x = refined(scores, rows, columns)
    np.testing.assert_allclose(np.sort(found_y), [20.3, 45.0], atol=0.02)
    np.testing.assert_allclose(np.sort(found_x), [12.4, 30.6], atol=0.02)


def test_a_maximum_at_the_edge_stays_there():
    scores = np.zeros((10, 10))
    scores[0, 9] = 1.0
    found_y, found_x = refined(scores, *local_maxima(scores, 3))
    assert (found_y.tolist(), found_x.tolist()) == ([0.0], [9.0])
