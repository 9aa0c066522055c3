"""Neighbours and piles: distances."""

import numpy as np
import pytest

from relion4plugin.simulation.packing import BESIDE, BETWEEN, PILE_STEP, crowd, piles


def test_neighbours_keep_their_distances() -> None:
    rng = np.random.default_rng(0)
    n, counts = 400, np.random.default_rng(1).integers(0, 7, 400)
    middle, others = np.full(n, 40.0), np.full((n, 6), 40.0)
    places, placed = crowd(counts, middle, others, rng)
    distance = np.linalg.norm(places, axis=-1)[placed]
    assert distance.min() >= BESIDE[0] * 40 and distance.max() <= BESIDE[1] * 40
    apart = np.linalg.norm(places[:, :, None] - places[:, None], axis=-1)
    pairs = placed[:, :, None] & placed[:, None] & ~np.eye(6, dtype=bool)
    assert apart[pairs].min() >= BETWEEN * 40
    found = placed.sum(axis=1)
    assert (found <= counts).all() and (found[counts <= 2] == counts[counts <= 2]).all()
    assert found[counts >= 4].mean() > 3.5


def test_places_of_the_crowd_go_all_around() -> None:
    places, _ = crowd(np.ones(2000, np.int64), np.ones(2000), np.ones((2000, 1)), np.random.default_rng(0))
    assert np.abs(places[:, 0].mean(axis=0)).max() < 0.08


def test_piles_hang_together() -> None:
    places = piles(300, 6, np.full(300, 10.0), np.random.default_rng(0))
    assert not places[:, 0].any()
    for j in range(1, 6):
        nearest = np.linalg.norm(places[:, j, None] - places[:, :j], axis=-1).min(axis=1)
        assert nearest.max() <= PILE_STEP[1] * 10 + 1e-9
    assert np.linalg.norm(places[:, 1], axis=1).mean() == pytest.approx(10 * sum(PILE_STEP) / 2, rel=0.05)
