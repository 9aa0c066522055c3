"""A 3D run goes on with exactly what it had, and refuses files of other runs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from relion4plugin.errors import UserError
from relion4plugin.refinement import output, restart
from relion4plugin.refinement.references import PaddedGrid
from relion4plugin.refinement.run_state import RunState
from relion4plugin.refinement.settings import Algorithm
from tests.refinement.halfway import BOX, CHANGES, DIRECTIONS, Halfway, gold_standard, halfway, initial


def write(run: Halfway, folder: Path, iteration: int = 20) -> Path:
    output.write_iteration(folder, iteration, *run.arguments(), directions=DIRECTIONS, half=run.half)
    return folder / f"run_it{iteration:03d}_optimiser.star"


def load(run: Halfway, optimiser: Path, **changes) -> RunState:
    return restart.load_run(optimiser, replace(run.settings, **changes), run.particles, run.grid)


def identical(found: object, expected: object) -> None:
    """Compare all attributes: types, dtypes, shapes and every bit."""
    assert vars(found).keys() == vars(expected).keys()
    for name, value in vars(expected).items():
        other = vars(found)[name]
        if isinstance(value, np.ndarray):
            assert (other.dtype, other.shape, other.tobytes()) == (value.dtype, value.shape, value.tobytes()), name
            assert other.flags.c_contiguous, name
            assert other.flags.writeable, name
        else:
            assert other == value and isinstance(other, type(value)), name


@pytest.mark.parametrize(
    "settings",
    [initial(), initial(n_classes=1, padding=2), initial(algorithm=Algorithm.EM, reference="map.mrc"), gold_standard()],
    ids=["initial", "one class", "classes", "gold"],
)
def test_everything_comes_back_bit_for_bit(tmp_path, settings):
    run = halfway(tmp_path, settings)
    state = load(run, write(run, tmp_path))
    assert state.iteration == 20
    assert len(state.models) == len(run.models)
    for found, expected in zip(state.models, run.models, strict=True):
        identical(found, expected)
    identical(state.poses, run.poses)
    identical(state.sampling, run.sampling)
    identical(state.changes, CHANGES)
    if run.half is None:
        assert state.half is None
    else:
        assert (state.half.dtype, state.half.tobytes()) == (run.half.dtype, run.half.tobytes())


def test_written_twice_is_the_same_file(tmp_path):
    """What is loaded writes the same bytes again: nothing is rounded on the way."""
    for name, settings in (("initial", initial()), ("gold", gold_standard())):
        (tmp_path / name).mkdir()
        run = halfway(tmp_path / name, settings)
        optimiser = write(run, tmp_path / name)
        before = {path.name: path.read_bytes() for path in (tmp_path / name).glob("run_it020*") if path.suffix in (".star", ".mrc")}
        state = load(run, optimiser)
        run.models, run.poses, run.sampling, run.half = state.models, state.poses, state.sampling, state.half
        write(run, tmp_path / name)
        for file, content in before.items():
            assert (tmp_path / name / file).read_bytes() == content, file


def test_moments_that_were_removed_are_named(tmp_path):
    run = halfway(tmp_path, initial())
    first, *_ = [write(run, tmp_path, iteration) for iteration in (10, 20, 30)]
    with pytest.raises(UserError, match=r"it010_optimiser\.star: run_it010_moments\.npz is gone.* from run_it030_optimiser\.star"):
        load(run, first)
    for path in tmp_path.glob("*moments*"):
        path.unlink()
    with pytest.raises(UserError, match="start the run again"):
        load(run, first)


def test_start_of_a_gradient_run_needs_no_moments(tmp_path):
    run = halfway(tmp_path, initial())
    run.models[0].moment1 = run.models[0].moment2 = None
    state = load(run, write(run, tmp_path, 0))
    assert (state.iteration, state.models[0].moment1) == (0, None)
    assert state.sampling == run.sampling


def test_other_input_is_refused(tmp_path):
    run = halfway(tmp_path, initial())
    optimiser = write(run, tmp_path)
    with pytest.raises(UserError, match="2 classes of 32 px, this run has 60 particles, 3 classes"):
        load(run, optimiser, n_classes=3)
    with pytest.raises(UserError, match="2 classes and 64 px"):
        restart.load_run(optimiser, run.settings, run.particles, PaddedGrid(64, 1))
    fewer = replace(run.particles, table=run.particles.table.select(np.arange(50)))
    with pytest.raises(UserError, match="this run has 50 particles"):
        restart.load_run(optimiser, run.settings, fewer, run.grid)


def test_another_kind_of_run_is_refused(tmp_path):
    run = halfway(tmp_path, initial())
    optimiser = write(run, tmp_path)
    with pytest.raises(UserError, match="of a 3D classification or initial model, expected that of an auto-refinement"):
        load(run, optimiser, auto_refine=True, n_classes=1)
    with pytest.raises(UserError, match="of a 3D classification or initial model, expected that of a 2D"):
        load(run, optimiser, dimension=2)
    (tmp_path / "gold").mkdir()
    gold = halfway(tmp_path / "gold", gold_standard())
    with pytest.raises(UserError, match="of an auto-refinement, expected that of a 3D"):
        load(gold, write(gold, tmp_path / "gold"), auto_refine=False)


def test_a_converged_run_is_not_continued(tmp_path):
    run = halfway(tmp_path, gold_standard())
    arguments = (run.particles, run.models[0], np.zeros((2, BOX, BOX, BOX), np.float32), run.poses, run.images, run.sampling, CHANGES)
    output.write_final(tmp_path, 8, run.settings, *arguments, directions=DIRECTIONS, half=run.half)
    with pytest.raises(UserError, match="has converged"):
        load(run, tmp_path / "run_optimiser.star")


def test_missing_state_is_named(tmp_path):
    run = halfway(tmp_path, initial())
    optimiser = write(run, tmp_path)
    (tmp_path / "run_it020_state.npz").unlink()
    with pytest.raises(UserError, match=r"run_it020_state\.npz: not there, expected beside run_it020_optimiser\.star"):
        load(run, optimiser)
