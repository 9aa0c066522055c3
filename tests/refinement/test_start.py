"""The state before the first iteration, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.mrc import write_stack, write_volume
from relion4plugin.progress import Silent
from relion4plugin.refinement.engine import Refinement
from relion4plugin.refinement.settings import Algorithm, RefinementSettings
from relion4plugin.refinement.start import check
from tests.refinement.projections import BOX, DIAMETER, molecule, project
from tests.refinement.simulated import PIXEL

DE_NOVO = RefinementSettings(dimension=3, n_classes=2, particle_diameter=DIAMETER, padding=1, threads=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("start")


@pytest.fixture(scope="module")
def truth(folder):
    truth = project(folder, 60, structures=[molecule(5)], noise=0.5)
    write_volume(folder / "map.mrc", truth.volume, PIXEL)
    return truth


@pytest.fixture
def gold(truth, folder):
    return replace(DE_NOVO, n_classes=1, algorithm=Algorithm.EM, auto_refine=True, reference=str(folder / "map.mrc"))


def begin(settings, particles, folder, seed=None):
    run = Refinement(settings, particles, folder, Silent())
    state = run.begin(settings.seed if seed is None else seed)
    run.close()
    return state


def test_blobs_differ_by_class_and_seed_and_lie_within_the_mask(truth, tmp_path):
    state = begin(DE_NOVO, truth.particles, tmp_path)
    maps = state.model.references
    assert maps.shape == (2, BOX, BOX, BOX) and maps.dtype == np.float32
    assert not np.allclose(maps[0], maps[1])
    assert np.array_equal(begin(DE_NOVO, truth.particles, tmp_path).model.references, maps)
    assert not np.allclose(begin(DE_NOVO, truth.particles, tmp_path, seed=9).model.references, maps)
    assert all(np.ptp(volume[0, 0]) < 1e-6 for volume in maps)  # flat outside the mask
    assert (state.iteration, state.half, state.joined, len(state.models)) == (0, None, False, 1)


def test_spectra_and_size_of_the_start(truth, tmp_path):
    state = begin(DE_NOVO, truth.particles, tmp_path)
    model = state.model
    assert np.allclose(model.pdf_class, 0.5)
    assert model.tau2.shape == model.data_vs_prior.shape == (2, BOX // 2 + 1)
    assert (model.tau2[:, 1:3] > 0).all() and (model.sigma2_noise > 0).all()
    assert model.resolution_shell == 2  # 0.07 of 32 px
    assert model.current_size == 2 * (2 + 4)
    assert begin(replace(DE_NOVO, initial_lowpass=24.0), truth.particles, tmp_path).model.resolution_shell == 4


def test_start_poses_are_those_of_the_table(truth, tmp_path):
    angles = {"rlnAngleRot": np.linspace(-90, 90, 60), "rlnAngleTilt": np.linspace(0, 170, 60), "rlnAnglePsi": np.linspace(0, 90, 60)}
    particles = truth.particles.with_columns(angles)
    poses = begin(DE_NOVO, particles, tmp_path).poses
    assert np.allclose(poses.angles, np.stack(list(angles.values()), axis=1))
    flat = begin(replace(DE_NOVO, dimension=2), particles, tmp_path)
    assert not flat.poses.angles[:, :2].any() and flat.sampling is None


def test_halves_are_equal_in_size_and_depend_on_the_seed(gold, truth, tmp_path):
    state = begin(gold, truth.particles, tmp_path)
    assert len(state.models) == 2
    assert np.bincount(state.half).tolist() == [30, 30]
    assert np.array_equal(begin(gold, truth.particles, tmp_path).half, state.half)
    assert not np.array_equal(begin(gold, truth.particles, tmp_path, seed=5).half, state.half)
    rows = np.arange(10, 40)
    parts = [state.rows_of(number, rows) for number in (0, 1)]
    assert sorted(np.concatenate(parts)) == rows.tolist()
    assert all((state.half[part] == number).all() for number, part in enumerate(parts))


def test_models_of_halves_share_no_memory(gold, truth, tmp_path):
    one, two = begin(gold, truth.particles, tmp_path).models
    assert np.array_equal(one.references, two.references)
    one.references[:] = 0
    one.sigma2_noise[:] = 0
    assert two.references.any() and two.sigma2_noise.all()


def test_halves_of_the_table_are_kept(gold, truth, tmp_path):
    subset = np.where(np.arange(60) < 20, 1, 2)
    state = begin(gold, truth.particles.with_columns({"rlnRandomSubset": subset}), tmp_path)
    assert np.array_equal(state.half, subset - 1)


@pytest.mark.parametrize("values", [np.ones(60), np.arange(60) % 3])
def test_halves_that_are_none_are_refused(gold, truth, tmp_path, values):
    with pytest.raises(UserError, match="rlnRandomSubset holds") as caught:
        begin(gold, truth.particles.with_columns({"rlnRandomSubset": values}), tmp_path)
    assert "\n" not in str(caught.value)


def test_a_stack_of_another_size_is_no_reference(truth, tmp_path):
    write_stack(tmp_path / "references.mrcs", np.ones((3, BOX, BOX), np.float32), PIXEL)
    settings = RefinementSettings(n_classes=2, particle_diameter=DIAMETER, reference=str(tmp_path / "references.mrcs"))
    with pytest.raises(UserError, match="expected a stack of"):
        begin(settings, truth.particles, tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_classes": 61}, "60 particles cannot fill 61 classes"),
        ({"n_iterations": 0}, "0 iterations"),
        ({"particle_diameter": 97.0}, "diameter of 97 A does not fit the box of 96 A"),
        ({"particle_diameter": 0.0}, "diameter of 0 A"),
        ({"symmetry": "X7"}, "X7"),
        ({"auto_refine": True}, "auto-refinement starts from a map"),
    ],
)
def test_mistakes_are_named(truth, changes, message):
    with pytest.raises(UserError) as caught:
        check(replace(DE_NOVO, **changes), truth.particles)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_too_few_particles(gold, truth):
    few = truth.particles.select(np.arange(19))
    with pytest.raises(UserError, match="19 particles, expected at least 20"):
        check(gold, few)
    check(gold, truth.particles.select(np.arange(20)))
    with pytest.raises(UserError, match="no particles"):
        check(DE_NOVO, truth.particles.select(np.arange(0)))
