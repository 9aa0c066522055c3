"""Features of a training set beside real ones."""

import pytest

from relion4plugin.ranker.domain import compare_domain, domain_table


def test_a_set_like_the_real_one_is_close(rng):
    features = rng.standard_normal((4000, 24))
    found = compare_domain(features)
    assert len(found) == 15
    assert all(slot.close for slot in found)
    assert found[0].mean == pytest.approx(4.352, abs=0.3)
    assert found[0].sd == pytest.approx(4.759, rel=0.05)


def test_what_is_far_off_is_named(rng):
    features = rng.standard_normal((4000, 24))
    features[:, 4] += 0.8
    features[:, 6] *= 3.0
    far = [slot for slot in compare_domain(features) if not slot.close]
    assert [slot.name for slot in far] == ["ring_mean", "protein_stddev"]
    assert far[0].difference == pytest.approx(0.8, abs=0.1)
    assert far[1].ratio == pytest.approx(3.0, rel=0.05)
    assert domain_table(features).count("| no |") == 2
