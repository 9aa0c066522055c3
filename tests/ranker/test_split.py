import dataclasses

import numpy as np
import pytest

from relion4plugin.errors import UserError
from relion4plugin.ranker.split import sample_groups, split_samples
from tests.ranker.samples_for_tests import toy_samples


def test_no_job_and_no_structure_is_on_both_sides():
    samples = toy_samples(120, n_jobs=20)
    for seed in range(5):
        train, valid = split_samples(samples, 0.25, seed)
        assert (train ^ valid).all() and 0.2 <= valid.mean() <= 0.4
        for column in (samples.job, samples.structure):
            assert not set(column[train]) & set(column[valid])


def test_jobs_are_linked_through_structures():
    samples = toy_samples(4)
    linked = dataclasses.replace(samples, job=np.array(["a", "b", "c", "d"]), structure=np.array(["x", "x", "y", "y"]))
    groups = sample_groups(linked)
    assert groups[0] == groups[1] != groups[2] == groups[3]
    chained = dataclasses.replace(linked, job=np.array(["a", "b", "b", "d"]))
    assert len(set(sample_groups(chained))) == 1


def test_a_given_split_is_kept_and_checked():
    samples = toy_samples(12)
    names = np.where(samples.structure == "protein0", "valid", np.where(samples.structure == "protein1", "test", "train"))
    given = dataclasses.replace(samples, extra={"split": names})
    train, valid = split_samples(given, 0.5, 1)
    assert (train == (names == "train")).all() and (valid == (names == "valid")).all()
    train, valid = split_samples(given, 0.0, 1)
    assert (train == (names != "test")).all() and not valid.any()
    torn = dataclasses.replace(samples, extra={"split": np.array(["train", "valid"] * 6)})
    with pytest.raises(UserError, match="both training and validation"):
        split_samples(torn, 0.5, 1)


def test_one_group_cannot_be_split():
    samples = toy_samples(6, n_jobs=1)
    with pytest.raises(UserError, match="valid_fraction 0"):
        split_samples(samples, 0.2, 0)
    assert split_samples(samples, 0.0, 0)[0].all()
