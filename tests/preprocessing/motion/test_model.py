import numpy as np
import pytest

from relion4plugin.preprocessing.motion.model import LocalMotion, fit_local_motion
from tests.preprocessing.motion.synthetic import distance, local_motion


def grid(columns, rows):
    x, y = np.meshgrid((np.arange(columns) + 0.5) / columns - 0.5, (np.arange(rows) + 0.5) / rows - 0.5)
    return x.ravel(), y.ravel()


def shifts_of(model, u, v, t):
    return model.shifts(u[:, None], v[:, None], t[None])


def test_the_polynomial_is_the_one_of_the_formula():
    values = np.arange(36) / 10.0
    u, v, t = 0.3, -0.2, 4.0
    terms = np.outer([1, u, u * u, v, v * v, u * v], [t, t**2, t**3]).ravel()
    model = LocalMotion.from_list(values)
    assert model.shifts(np.array(u), np.array(v), np.array(t)) == pytest.approx([terms @ values[:18], terms @ values[18:]])
    assert model.at_frame(t) @ [1, u, u * u, v, v * v, u * v] == pytest.approx([terms @ values[:18], terms @ values[18:]])
    assert np.array_equal(model.to_list(), values)


def test_a_fit_gives_back_the_model_whatever_the_constants_of_patches():
    truth, t = local_motion(20, 4.0), np.arange(20.0)
    u, v = grid(5, 4)
    measured = shifts_of(truth, u, v, t) + np.random.default_rng(2).normal(size=(20, 1, 2))
    model, residuals = fit_local_motion(u, v, t, measured)
    assert model.coefficients == pytest.approx(truth.coefficients, abs=1e-9)
    assert np.abs(residuals).max() < 1e-9


def test_wrong_peaks_do_not_pull_the_fit():
    rng = np.random.default_rng(3)
    truth, t = local_motion(24, 4.0), np.arange(24.0)
    u, v = grid(5, 5)
    measured = shifts_of(truth, u, v, t) + rng.normal(size=(25, 24, 2), scale=0.3)
    wrong = rng.random((25, 24)) < 0.05
    measured[wrong] += rng.normal(size=(int(wrong.sum()), 2), scale=20)
    model, _ = fit_local_motion(u, v, t, measured)
    assert distance(shifts_of(model, u, v, t), shifts_of(truth, u, v, t)) < 0.2


@pytest.mark.parametrize(("columns", "rows", "n_times", "n_used"), [(2, 1, 3, 4), (3, 2, 20, 15), (5, 5, 2, 6), (3, 3, 20, 18)])
def test_terms_that_cannot_be_told_apart_are_zero(columns, rows, n_times, n_used):
    u, v = grid(columns, rows)
    t = np.arange(n_times, dtype=float)
    model, _ = fit_local_motion(u, v, t, np.random.default_rng(4).normal(size=(len(u), n_times, 2)))
    assert np.count_nonzero(model.coefficients) == 2 * n_used


@pytest.mark.parametrize("number", ["00021", "00022", "00024", "00026"])
def test_relions_coefficients_say_here_what_they_say_there(shared_data, number):
    from relion4plugin.files.motion_star import read_motion

    record = read_motion(shared_data / f"star/relion31_tutorial_bgal/MotionCorr/job002/Movies/20170629_{number}_frameImage.star")
    patches, t = record.patches, np.arange(24.0)
    u, v = (patches.centres[::24] / record.shape[::-1] - 0.5).T
    measured = patches.shifts.reshape(25, 24, 2)

    def left(model, u=u, v=v):
        rest = measured - shifts_of(model, u, v, t)
        return np.sqrt(np.mean(np.sum((rest - rest.mean(axis=1, keepdims=True)) ** 2, axis=-1)))

    theirs = LocalMotion.from_list(record.coefficients)
    assert left(theirs) < min(left(theirs, v, u), left(LocalMotion(theirs.coefficients[::-1])), left(LocalMotion(np.zeros((2, 6, 3)))))
    assert left(fit_local_motion(u, v, t, measured)[0]) < left(theirs)
