"""New references from accumulated grids, of one model and of two halves."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from relion4plugin.files.mrc import write_volume
from relion4plugin.geometry.symmetry import point_group
from relion4plugin.progress import Silent
from relion4plugin.refinement import em, maximise
from relion4plugin.refinement.engine import Refinement
from relion4plugin.refinement.plans import fit_direction_prior
from relion4plugin.refinement.references import PaddedGrid, forward
from relion4plugin.refinement.search import Expectation, ParticleSums
from relion4plugin.refinement.settings import Algorithm, RefinementSettings
from tests.refinement.projections import BOX, DIAMETER, molecule, project
from tests.refinement.simulated import PIXEL

JOIN = 5  # shell
SIZE = 24  # px, current
PLAN = SimpleNamespace(current_size=SIZE, gradient=False, correlate=False)


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    folder = tmp_path_factory.mktemp("maximise")
    truth = project(folder, 40, structures=[molecule(5)], noise=0.5)
    write_volume(folder / "map.mrc", truth.volume, PIXEL)
    return truth, str(folder / "map.mrc")


@pytest.fixture
def run(start, tmp_path):
    """Inputs and state of an auto-refinement that knows its map to shell 8."""
    truth, path = start
    settings = RefinementSettings(
        dimension=3, algorithm=Algorithm.EM, auto_refine=True, n_classes=1, particle_diameter=DIAMETER, padding=1, reference=path,
        low_resol_join=BOX * PIXEL / JOIN, threads=1,
    )  # fmt: skip
    engine = Refinement(settings, truth.particles, tmp_path, Silent())
    state = engine.begin(1)
    state.iteration = 2
    for model in state.models:
        model.resolution_shell, model.current_size = 8, SIZE
    yield engine.inputs, state
    engine.close()


def expectation(data, weight):
    """An expectation with given grids (K, ...) of one set."""
    return Expectation(ParticleSums.empty(0), np.ones(len(data)), np.zeros((1, BOX // 2 + 1)), data[None], weight[None])


def halves_of(volume, noise, seed=1):
    """Sums of two halves: the map's transform with noise in each, times a weight that halves share; as they accumulate."""
    rng = np.random.default_rng(seed)
    grid = PaddedGrid(BOX, 1, 3)
    clean = forward(volume[None], grid, corrected=False)[0]
    weight = np.full((1, *grid.shape), 20.0, np.float32)
    made = []
    for _ in range(2):
        scale = noise * np.abs(clean).mean()
        values = clean + scale * forward(rng.normal(size=volume.shape).astype(np.float32)[None], grid, corrected=False)[0] * BOX
        made.append(((values * weight[0]).astype(np.complex64)[None], weight.copy()))
    return made


def shell_of():
    return PaddedGrid(BOX, 1, 3).shells()


def once(run, halves, monkeypatch=None, fsc=None):
    """Maximise copies of the halves; the FSC is measured, or given."""
    inputs, state = run
    if fsc is not None:
        monkeypatch.setattr(maximise, "half_map_fsc", lambda *a: fsc.copy())
    results = [expectation(data.copy(), weight.copy()) for data, weight in halves]
    maximise.maximise_halves(inputs, state, results, PLAN, 1.0, None)
    return [model.references[0].copy() for model in state.models], state.models[0].fsc.copy()


def changed(halves, number, inside):
    """Copies of the halves, one of them with other data in some voxels, Friedel mates alike."""
    grid = PaddedGrid(BOX, 1, 3)
    extra = forward(np.random.default_rng(9).normal(size=(1, BOX, BOX, BOX)).astype(np.float32), grid, corrected=False)[0]
    copies = [(data.copy(), weight.copy()) for data, weight in halves]
    copies[number][0][0][inside] += (50 * extra)[inside].astype(np.complex64)
    return copies


FSC = np.clip(1.1 - np.arange(BOX // 2 + 1) / 12, 0.0, 1.0)


def test_what_is_beyond_the_join_stays_in_its_half(run, start, monkeypatch):
    halves = halves_of(start[0].volume, 0.3)
    beyond = shell_of() > JOIN + 1
    before, _ = once(run, halves, monkeypatch, FSC)
    after, _ = once(run, changed(halves, 1, beyond), monkeypatch, FSC)
    assert np.array_equal(after[0], before[0])
    assert not np.allclose(after[1], before[1], rtol=0.05)


def test_what_is_below_the_join_is_shared(run, start, monkeypatch):
    halves = halves_of(start[0].volume, 0.0)
    below = shell_of() < JOIN
    maps, _ = once(run, changed(halves, 1, below), monkeypatch, FSC)
    assert np.array_equal(*maps)  # halves that differ only there end alike
    untouched, _ = once(run, halves, monkeypatch, FSC)
    assert not np.allclose(maps[0], untouched[0], rtol=0.05)


def test_only_the_filter_of_a_half_depends_on_the_other(run, start):
    """With the FSC measured, beyond the join a half is its own data times one number per shell, for voxels of one weight."""
    halves = halves_of(start[0].volume, 0.3)
    inputs, state = run
    changed_halves = changed(halves, 1, shell_of() > JOIN + 1)
    spectra = []
    for given in (halves, changed_halves):
        results = [expectation(data.copy(), weight.copy()) for data, weight in given]
        maximise.maximise_halves(inputs, state, results, PLAN, 1.0, None)
        model = state.models[0]
        result = results[0]
        spectra.append((model.fsc.copy(), em._average(result.data[0, 0], result.weight[0, 0], model.tau2[0], inputs.grid, SIZE, 1.0)))
    assert not np.allclose(spectra[0][0][JOIN + 2 : 10], spectra[1][0][JOIN + 2 : 10], atol=0.02)
    first, second = spectra[0][1], spectra[1][1]
    shells = shell_of()
    for shell in range(JOIN + 2, SIZE // 2):
        for plane in (slice(0, 1), slice(1, None)):  # where kx = 0 a voxel and its Friedel mate add up
            inside = (shells[..., plane] == shell) & (np.abs(first[..., plane]) > 0)
            ratio = second[..., plane][inside] / first[..., plane][inside]
            assert np.abs(ratio - ratio.mean()).max() < 1e-4, shell
            assert abs(ratio.mean().imag) < 1e-5


def test_agreement_is_measured_before_halves_are_joined(run, start):
    noise = halves_of(np.zeros_like(start[0].volume), 0.0)
    rng = np.random.default_rng(3)
    grid = PaddedGrid(BOX, 1, 3)
    for data, _ in noise:
        data[0] = 20 * forward(rng.normal(size=(1, BOX, BOX, BOX)).astype(np.float32), grid, corrected=False)[0]
    _, fsc = once(run, noise)
    assert np.abs(fsc[3 : SIZE // 2]).max() < 0.5
    assert np.abs(fsc[JOIN - 1 : SIZE // 2]).mean() < 0.15
    assert not fsc[SIZE // 2 + 1 :].any()


def test_no_more_is_joined_than_is_resolved(run, start, monkeypatch):
    inputs, state = run
    for model in state.models:
        model.resolution_shell = 3
    halves = halves_of(start[0].volume, 0.0)
    maps, _ = once((inputs, state), changed(halves, 1, shell_of() == JOIN - 1), monkeypatch, FSC)
    assert not np.array_equal(*maps)
    maps, _ = once((inputs, state), changed(halves, 1, shell_of() < 3), monkeypatch, FSC)
    assert np.array_equal(*maps)


def test_the_last_map_is_that_of_all_particles(run, start, monkeypatch):
    inputs, state = run
    state.joined = True
    for model in state.models:
        model.current_size = BOX
    halves = halves_of(start[0].volume, 0.3)
    monkeypatch.setattr(maximise, "half_map_fsc", lambda *a: FSC.copy())
    results = [expectation(data.copy(), weight.copy()) for data, weight in halves]
    unfiltered = maximise.join_halves(inputs, state, results, 1.0, None)
    for half, result in zip(unfiltered, [expectation(d.copy(), w.copy()) for d, w in halves], strict=True):
        maximise.complete(result, inputs.grid, inputs.settings, BOX)
        assert np.allclose(half, em.reconstruct(result.data[0, 0], result.weight[0, 0], inputs.grid, BOX), atol=1e-6)
    final = state.model.references[0]
    joined = (halves[0][0] + halves[1][0], halves[0][1] + halves[1][1])
    result = expectation(*joined)
    maximise.complete(result, inputs.grid, inputs.settings, BOX)
    expected = em.reconstruct(result.data[0, 0], result.weight[0, 0], inputs.grid, BOX, state.model.tau2[0], 1.0)
    assert np.allclose(final, expected, atol=1e-6 * np.abs(expected).max())
    assert all(np.array_equal(model.fsc, FSC) for model in state.models)
    # the signal-to-noise ratio is that of the average, sqrt(2 FSC / (1 + FSC)) in place of the FSC
    better = np.clip(np.sqrt(2 * FSC / (1 + FSC)), 0.001, 0.999)
    assert np.allclose(state.model.data_vs_prior[0], better / (1 - better))


@pytest.mark.parametrize("symmetry", ["C1", "C2", "D2"])
def test_grids_get_the_symmetry_of_the_point_group(start, symmetry):
    grid = PaddedGrid(BOX, 1, 3)
    settings = RefinementSettings(dimension=3, symmetry=symmetry, padding=1)
    data, weight = halves_of(start[0].volume, 0.0)[0]
    result = expectation(data.copy(), weight.copy())
    maximise.complete(result, grid, settings, SIZE)
    copies = len(point_group(symmetry))
    inside = grid.inside(SIZE - 4)
    assert np.allclose(result.weight.reshape(-1)[inside].max() / weight.max(), 2 * copies, rtol=0.02)  # on kx = 0 a voxel and its mate
    volume = em.reconstruct(result.data[0, 0], result.weight[0, 0], grid, SIZE)
    for matrix in point_group(symmetry)[1:]:  # turns by 180 degrees: flips of axes
        axes = tuple(2 - i for i in range(3) if matrix[i, i] < 0)
        turned = np.roll(np.flip(volume, axes), 1, axes)
        assert np.corrcoef(turned.ravel(), volume.ravel())[0, 1] > 0.999
    if symmetry == "C1":
        turned = np.roll(np.flip(volume, (1, 2)), 1, (1, 2))
        assert np.corrcoef(turned.ravel(), volume.ravel())[0, 1] < 0.9


@pytest.fixture
def classes(start, tmp_path):
    """Inputs and state of a classification into two."""
    truth, path = start
    settings = RefinementSettings(
        dimension=3, algorithm=Algorithm.EM, n_classes=2, particle_diameter=DIAMETER, padding=1, reference=path, threads=1
    )
    engine = Refinement(settings, truth.particles, tmp_path, Silent())
    state = engine.begin(1)
    state.model.current_size = SIZE
    fit_direction_prior(state.model, 4)
    yield engine.inputs, state
    engine.close()


def test_a_class_without_particles_becomes_zero(classes, start):
    inputs, state = classes
    data, weight = (np.concatenate([array, 0 * array]) for array in halves_of(start[0].volume, 0.0)[0])
    result = expectation(data, weight)
    result.class_weight = np.array([40.0, 0.0])
    assert maximise.maximise_one(inputs, state, result, PLAN, 3, 4.0) is None
    assert not state.model.references[1].any() and not state.model.data_vs_prior[1].any()
    assert np.corrcoef(state.model.references[0].ravel(), start[0].volume.ravel())[0, 1] > 0.7
    assert state.model.data_vs_prior[0, 1:4].min() > 0


def test_after_correlation_there_is_no_prior(classes, start):
    """The start map's grey scale is unknown, so its power says nothing on the signal."""
    inputs, state = classes
    state.model.tau2[:] = 1e-12
    data, weight = (np.concatenate([array, array]) for array in halves_of(start[0].volume, 0.0)[0])
    plain, correlated = [], SimpleNamespace(current_size=SIZE, gradient=False, correlate=True)
    for plan in (PLAN, correlated):
        maximise.maximise_one(inputs, state, expectation(data.copy(), weight.copy()), plan, 1, 4.0)
        plain.append(np.abs(state.model.references[0]).max())
    assert plain[1] > 2 * plain[0]
    assert np.corrcoef(state.model.references[0].ravel(), start[0].volume.ravel())[0, 1] > 0.9


def test_a_gradient_step_changes_every_class_that_has_particles(start, tmp_path):
    truth, _ = start
    settings = RefinementSettings(dimension=3, n_classes=2, particle_diameter=DIAMETER, padding=1, threads=1, n_iterations=20)
    engine = Refinement(replace(settings, inactivity_threshold=0.5), truth.particles, tmp_path, Silent())
    state = engine.begin(1)
    state.model.current_size = SIZE
    state.model.pdf_class = np.array([0.9, 0.1])
    before = state.model.references.copy()
    grids = halves_of(truth.volume, 0.1)
    data = np.stack([np.concatenate([grid, 0 * grid]) for grid, _ in grids])
    weight = np.stack([np.concatenate([w, 0 * w]) for _, w in grids])
    result = Expectation(ParticleSums.empty(0), np.array([40.0, 0.0]), np.zeros((1, BOX // 2 + 1)), data, weight)
    plan = SimpleNamespace(current_size=SIZE, gradient=True)
    change = maximise.maximise_one(engine.inputs, state, result, plan, 10, 4.0)
    engine.close()
    assert change is None  # in 3D no class restarts from another
    assert not np.allclose(state.model.references[0], before[0])
    assert np.array_equal(state.model.references[1], before[1])
