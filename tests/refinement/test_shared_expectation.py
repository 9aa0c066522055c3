"""An expectation step cut into shares: the same sums, whatever the number of processes; and what happens when one of them fails."""

from dataclasses import fields, replace

import numpy as np
import pytest

from relion4plugin.errors import UserError
from relion4plugin.refinement.expectation import own_expectation
from relion4plugin.refinement.images import ImageSource
from relion4plugin.refinement.particles import make_batch
from relion4plugin.refinement.search import ParticleSums
from relion4plugin.refinement.settings import Algorithm
from relion4plugin.refinement.shared_expectation import SharedExpectation, share_out
from tests.refinement.test_expectation import Case
from tests.refinement.test_expectation_volume import Case as VolumeCase
from tests.refinement.threads_as_ranks import helped

ROUNDING = 1e-5  # relative: sums of float32 in another order


def both(case: Case | VolumeCase, size: int, settings=None):
    """Expect alone and in company; also what the progress was told."""
    settings = settings or case.settings
    rows = np.arange(len(case.images))
    batch = make_batch(rows, case.particles, case.model, case.poses, case.plan, settings)
    told = []
    source = ImageSource(case.particles.table, 1.0)
    alone = own_expectation(settings, source, case.model_images)
    expected = alone.run(batch, case.transforms, case.plan, case.model, lambda count: None)
    with helped(size) as leader:
        step = SharedExpectation(leader, alone, settings, source, case.model_images)
        found = step.run(batch, case.transforms, case.plan, case.model, told.append)
        step.close()
    return expected, found, sum(told)


def check(expected, found):
    for field in fields(ParticleSums):
        value, other = getattr(expected.particles, field.name), getattr(found.particles, field.name)
        # a matrix product rounds by its number of rows
        assert np.allclose(value, other, rtol=ROUNDING, atol=0), field.name
    for name in ("class_weight", "noise_power", "data", "weight", "direction_weight"):
        value, other = getattr(expected, name), getattr(found, name)
        assert (value.dtype, value.shape) == (other.dtype, other.shape)
        if value.size:
            assert np.abs(value - other).max() <= ROUNDING * np.abs(value).max(), name
    counts, other_counts = expected.noise_counts, found.noise_counts
    assert counts.shape == other_counts.shape and counts.sum() == other_counts.sum()
    if counts.size:  # a power at the border of a bin may fall to either side of it
        assert np.abs(counts.cumsum(axis=2) - other_counts.cumsum(axis=2)).max() <= 1


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("algorithm", [Algorithm.VDAM, Algorithm.EM])
def test_shares_add_up(tmp_path, algorithm, size):
    case = Case(tmp_path, algorithm=algorithm, n=11)
    expected, found, told = both(case, size)
    check(expected, found)
    assert told == 11


@pytest.mark.parametrize("gradient", [True, False])
def test_shares_add_up_in_3d(tmp_path, gradient):
    expected, found, _ = both(VolumeCase(tmp_path, n=5, gradient=gradient), 2)
    check(expected, found)
    assert expected.direction_weight.any()


def test_more_processes_than_particles(tmp_path):
    case = Case(tmp_path, n=3)
    expected, found, _ = both(case, 5)
    check(expected, found)


def test_kept_poses_and_priors_are_shared_too(tmp_path):
    case = Case(tmp_path, n=7)
    settings = replace(case.settings, skip_rotate=True)
    expected, found, _ = both(case, 2, settings)
    check(expected, found)
    (tmp_path / "prior").mkdir()
    check(*both(Case(tmp_path / "prior", n=7, psi_sigma=10.0), 2)[:2])


def test_shares_are_even_and_in_order(tmp_path):
    case = Case(tmp_path, n=11)
    batch = make_batch(np.arange(11), case.particles, case.model, case.poses, case.plan, case.settings)
    shares = share_out(batch, 4)
    assert [len(share.batch.rows) for share in shares] == [3, 3, 3, 2]
    assert np.concatenate([share.batch.rows for share in shares]).tolist() == list(range(11))
    assert [share.counts for share in share_out(batch.part(np.arange(2)), 3)] == [True, True, False]


def test_a_helper_that_cannot_read_its_images_is_heard(tmp_path):
    case = Case(tmp_path, n=6)
    batch = make_batch(np.arange(6), case.particles, case.model, case.poses, case.plan, case.settings)
    source = ImageSource(case.particles.table, 1.0)
    source.read(np.arange(6))  # the leader has them in memory
    (tmp_path / "particles.mrcs").unlink()
    alone = own_expectation(case.settings, source, case.model_images)
    with helped(2) as leader:
        step = SharedExpectation(leader, alone, case.settings, source, case.model_images)
        with pytest.raises(UserError, match=r"does not exist.*\(process 1 on ") as caught:
            step.run(batch, case.transforms, case.plan, case.model, lambda count: None)
        assert "\n" not in str(caught.value)


def test_a_broken_helper_is_heard(tmp_path):
    case = Case(tmp_path, n=6)
    batch = make_batch(np.arange(6), case.particles, case.model, case.poses, case.plan, case.settings)
    source = ImageSource(case.particles.table, 1.0)
    alone = own_expectation(case.settings, source, case.model_images)
    with helped(2) as leader:
        step = SharedExpectation(leader, alone, replace(case.settings, threads="many"), source, case.model_images)
        with pytest.raises(RuntimeError, match=r"process 1 on .* failed"):
            step.run(batch, case.transforms, case.plan, case.model, lambda count: None)
