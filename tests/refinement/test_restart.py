"""A 3D run goes on with exactly what it had, and refuses files of other runs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.iterations import read_iterations
from relion4plugin.files.mrc import write_volume
from relion4plugin.refinement import output, restart
from relion4plugin.refinement.engine import refine
from relion4plugin.refinement.references import PaddedGrid
from relion4plugin.refinement.run_state import RunState
from relion4plugin.refinement.settings import Algorithm
from tests.refinement.halfway import BOX, CHANGES, DIRECTIONS, Halfway, N, gold_standard, halfway, initial
from tests.refinement.simulated import BLOBS, HEIGHTS, PIXEL, blob_image, simulate


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


def start_map(folder: Path) -> str:
    """A map with the blobs of the simulated class in its central plane."""
    axis = np.arange(BOX) - BOX // 2
    volume = blob_image(BOX, BLOBS[0], HEIGHTS)[None] * np.exp(-(axis[:, None, None] ** 2) / 8)
    write_volume(folder / "map.mrc", volume.astype(np.float32), PIXEL)
    return str(folder / "map.mrc")


RUNS = {
    "initial": initial(n_iterations=21, ini_subset=30, fin_subset=50, healpix_order=0, threads=2, seed=4, symmetry="C1", write_every=3),
    "classes": initial(
        algorithm=Algorithm.EM, n_iterations=3, healpix_order=0, auto_sampling=False, threads=2, seed=3, symmetry="C1", padding=2,
        reference="given",
    ),
    "gold": gold_standard(
        healpix_order=0, auto_local_healpix_order=3, threads=2, seed=3, reference="given", solvent_mask="", solvent_correct_fsc=False,
        auto_ignore_angles=True, firstiter_cc=True,
    ),
}  # fmt: skip


def compared(folder: Path, iteration: int) -> dict[str, object]:
    """Content of the last iteration's files and of those without a number; arrays of .npz files, which hold times."""
    files: dict[str, object] = {}
    for path in folder.glob("run_*"):
        if path.suffix == ".jsonl" or ("_it" in path.name and f"_it{iteration:03d}_" not in path.name):
            continue
        if path.suffix == ".npz":
            with np.load(path) as stored:
                files[path.name] = {key: stored[key].tobytes() for key in stored.files}
        else:
            files[path.name] = path.read_bytes()
    return files


@pytest.mark.slow
@pytest.mark.parametrize(("name", "stop"), [("initial", 18), ("classes", 2), ("gold", 4)])
def test_a_continued_3d_run_equals_an_uninterrupted_one(tmp_path, monkeypatch, name, stop):
    """The initial model stops before its grid is refined, the auto-refinement within and goes on to convergence."""
    particles = simulate(tmp_path, N, n_classes=1, box=BOX).particles
    settings = RUNS[name]
    if settings.reference:
        settings = replace(settings, reference=start_map(tmp_path))
    written, lines = {}, {}
    for way in ("whole", "parts"):
        (tmp_path / way).mkdir()
        monkeypatch.chdir(tmp_path / way)
        resume = None
        if way == "parts":
            resume = refine(settings, particles, "out", stop_after=stop).optimiser_star
        result = refine(settings, particles, "out", resume=resume, stop_after=25)
        assert result.finished
        assert all(path.is_file() for path in (*result.maps, *result.half_maps, result.data_star, result.model_star))
        written[way] = compared(Path("out"), result.iteration)
        lines[way] = [{k: v for k, v in r.items() if "seconds" not in k} for r in read_iterations("out/run_iterations.jsonl")]
    assert lines["whole"] == lines["parts"]
    assert written["whole"].keys() == written["parts"].keys()
    for file, content in written["whole"].items():
        assert content == written["parts"][file], file
    refined = lines["whole"][0]["healpix_order"] < lines["whole"][-1]["healpix_order"]
    assert refined == (name != "classes")  # else the test saw no change of the grid
    assert lines["whole"][-1]["converged"] == (name == "gold")
