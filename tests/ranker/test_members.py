"""Figures of the members of each class, by hand."""

from dataclasses import replace

import numpy as np
import pytest

from relion4plugin.files.particles import make_particles
from relion4plugin.ranker.class_run import ClassRun
from relion4plugin.ranker.members import MEMBER_FIGURES, member_figures
from relion4plugin.ranker.standing import JobClasses, standing
from tests.ranker.known_classes import EACH, VIEWS, known_run


def run_with(columns: dict[str, np.ndarray], class_number: np.ndarray) -> ClassRun:
    run = known_run().run
    table = run.data.table.assign(**columns)
    data = make_particles(table, run.data.optics_table, run.data.source)
    return replace(run, data=data, class_number=class_number, origins=np.tile([3.0, 4.0], (len(table), 1)))


def job_of(members: dict[str, np.ndarray]) -> JobClasses:
    particles, n = np.array([10.0, 60.0, 20.0, 10.0]), 4
    return JobClasses(np.zeros(n), np.zeros((n, 24)), np.zeros((n, 64, 64)), particles, np.full(n, 20.0), members)


def test_means_over_the_members_of_each_class():
    number = np.repeat(np.arange(VIEWS), EACH)  # the first thirty belong to no class, and class 4 has no members
    columns = {
        "rlnMaxValueProbDistribution": np.choose(number, [0.5, 0.0, 0.1, 1.0]),
        "rlnNrOfSignificantSamples": np.choose(number, [7, 0, 10, 1]),
        "rlnNormCorrection": np.choose(number, [9.0, 0.5, 1.0, 2.0]),
        "rlnLogLikeliContribution": np.choose(number, [-200.0, -100.0, 0.0, 100.0]),
    }
    found = member_figures(run_with(columns, number))
    assert tuple(found) == MEMBER_FIGURES
    nan = np.nan
    np.testing.assert_allclose(found["sureness"], [np.log(1e-6), np.log(0.1), 0, nan])
    np.testing.assert_allclose(found["samples"], [0, np.log(10), 0, nan])
    np.testing.assert_allclose(found["norm"], [np.log(0.5), 0, np.log(2), nan])
    # median -50, quartiles -125 and 25
    np.testing.assert_allclose(found["likelihood"], [-50 / 150, 50 / 150, 1, nan])
    np.testing.assert_allclose(found["shift"], [5 / 130] * 3 + [nan])


def test_missing_columns_are_no_figures():
    run = known_run().run
    found = member_figures(run)
    present = {"shift"} | ({"norm"} if "rlnNormCorrection" in run.data.table else set())
    for name, values in found.items():
        assert np.isfinite(values).all() == (name in present)


@pytest.mark.parametrize("offset", [0.0, 17.0])
def test_only_differences_within_the_job_count(offset):
    values = offset + np.array([1.0, 3.0, np.nan, 4.0])
    found = standing(job_of({"samples": values}))
    # over the particles whose class has a value the median is that of the second class
    np.testing.assert_allclose(found["job_samples"], [-2.0, 0.0, 0.0, 1.0])
    np.testing.assert_array_equal(found["job_sureness"], 0.0)


def test_figures_that_are_all_unknown_are_zero():
    np.testing.assert_array_equal(standing(job_of({"samples": np.full(4, np.nan)}))["job_samples"], 0.0)
