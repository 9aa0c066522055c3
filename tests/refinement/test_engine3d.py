"""Whole runs in 3D on particles with known poses: classification, auto-refinement, and what the loop decides between iterations."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from relion4plugin.files.mrc import read_mrc, write_volume
from relion4plugin.files.particles import read_particles
from relion4plugin.geometry.euler import angular_distance, euler_to_matrix
from relion4plugin.imaging.filters import fsc, resolution_at
from relion4plugin.progress import Silent
from relion4plugin.refinement.centring import centre_of_mass
from relion4plugin.refinement.engine import Refinement, refine
from relion4plugin.refinement.settings import Algorithm, RefinementSettings
from tests.refinement.projections import BOX, DIAMETER, ball_volume, molecule, project
from tests.refinement.simulated import PIXEL

EM = RefinementSettings(
    dimension=3, algorithm=Algorithm.EM, n_classes=1, n_iterations=4, particle_diameter=DIAMETER, padding=1, healpix_order=2,
    initial_lowpass=20.0, offset_range=3.0, offset_step=2.0, tau2_fudge=1.0, max_significants=200, threads=2, seed=3,
)  # fmt: skip


def records(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "run_iterations.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    return project(tmp_path_factory.mktemp("engine3d"), 200, structures=[molecule(5)], noise=0.3, signal=2.0)


@pytest.fixture(scope="module")
def start_map(truth, tmp_path_factory):
    path = tmp_path_factory.mktemp("start") / "start.mrc"
    write_volume(path, 2 * truth.volume, PIXEL)
    return str(path)


@pytest.fixture(scope="module")
def gold(truth, start_map, tmp_path_factory):
    """An auto-refinement that is run to its end."""
    folder = tmp_path_factory.mktemp("gold")
    settings = replace(
        EM, auto_refine=True, n_iterations=30, reference=start_map, low_resol_join=25.0, auto_ignore_angles=True, firstiter_cc=True,
        auto_local_healpix_order=3, padding=2,
    )  # fmt: skip
    return refine(settings, truth.particles, folder), folder


def errors(truth, table) -> np.ndarray:
    found = euler_to_matrix(*(table.column(f"rlnAngle{name}") for name in ("Rot", "Tilt", "Psi")))
    return angular_distance(found, truth.matrices)


@pytest.mark.slow
def test_auto_refinement_converges_to_the_molecule(truth, gold):
    result, folder = gold
    assert result.finished
    assert result.maps == (folder / "run_class001.mrc",)
    volume, _ = read_mrc(result.maps[0])
    assert resolution_at(fsc(volume, truth.volume), 0.5, PIXEL, BOX) < 9.0
    slope = float((volume * truth.volume).sum() / (truth.volume**2).sum())
    assert slope == pytest.approx(2.0, rel=0.15)  # on the grey scale of the particles
    table = read_particles(result.data_star)
    turned = errors(truth, table)
    assert np.median(turned) < 4.0
    origin = np.stack([table.column(f"rlnOrigin{axis}Angst") for axis in "XY"], axis=1) / PIXEL
    assert np.median(np.linalg.norm(origin - truth.origin, axis=1)) < 0.5


@pytest.mark.slow
def test_an_auto_refinement_refines_its_grid_and_ends_with_all_particles(gold):
    _, folder = gold
    lines = records(folder)
    orders = [line["healpix_order"] for line in lines]
    assert orders[0] == 2 and orders[-1] > 2 and orders == sorted(orders)
    assert [line["converged"] for line in lines] == [False] * (len(lines) - 1) + [True]
    assert any(line["local"] for line in lines)
    assert lines[-1]["current_size"] == BOX
    assert all(line["subset_size"] == 200 for line in lines)
    halves = [read_mrc(path)[0] for path in (folder / "run_half1_class001_unfil.mrc", folder / "run_half2_class001_unfil.mrc")]
    # in real space the corners of the box count more, with their noise
    last = [resolution_at(np.asarray(curve), 0.143, PIXEL, BOX) for curve in (fsc(*halves), lines[-1]["fsc"])]
    assert last[1] == lines[-1]["resolution"]
    assert 0.85 < last[1] / last[0] <= 1.0


@pytest.mark.slow
def test_reported_resolution_is_no_better_than_the_true_one(truth, gold):
    """Halves that share nothing but low resolution cannot agree on what is not there."""
    result, folder = gold
    reported = records(folder)[-1]["resolution"]
    volume, _ = read_mrc(result.maps[0])
    # FSC 0.143 of the halves stands for 0.5 of the map against the truth
    assert reported > 0.8 * resolution_at(fsc(volume, truth.volume), 0.5, PIXEL, BOX)


def test_classification_keeps_the_map_where_its_reference_is(truth, tmp_path):
    """Only maps made from nothing are centred."""
    away = molecule(5) + np.array([3.0, 0.0, 0.0])
    write_volume(tmp_path / "away.mrc", 2 * ball_volume(away), PIXEL)
    settings = replace(EM, reference=str(tmp_path / "away.mrc"), n_iterations=2, healpix_order=1, offset_range=5.0)
    result = refine(settings, truth.particles, tmp_path / "run")
    assert centre_of_mass(read_mrc(result.maps[0])[0])[0] > 1.5


def test_de_novo_maps_are_centred_flattened_and_not_negative(truth, tmp_path):
    settings = RefinementSettings(
        dimension=3, n_classes=1, n_iterations=10, particle_diameter=60.0, padding=1, healpix_order=0, ini_subset=60, fin_subset=80,
        offset_range=3.0, offset_step=2.0, threads=2, seed=3, non_negative=True,
    )  # fmt: skip
    run = Refinement(settings, truth.particles, tmp_path, Silent())
    state = run.begin(3)
    state.model.references[:] = np.roll(state.model.references, (3, 3, 3), axis=(1, 2, 3))
    run.step(state, 3)
    volume = state.model.references[0]
    assert volume.min() == 0.0
    assert np.linalg.norm(centre_of_mass(volume)) < 1.5
    axis = (np.arange(BOX) - BOX // 2) ** 2
    outside = axis[:, None, None] + axis[:, None] + axis > 16**2
    assert not volume[outside].any()
    run.close()
    signed = Refinement(replace(settings, non_negative=False), truth.particles, tmp_path, Silent())
    state = signed.begin(3)
    signed.step(state, 3)
    assert state.model.references.min() < 0
    signed.close()


def test_a_step_writes_nothing_and_a_run_writes_its_schedule(truth, tmp_path):
    settings = RefinementSettings(
        dimension=3, n_classes=1, n_iterations=5, particle_diameter=DIAMETER, padding=1, healpix_order=0, ini_subset=40, fin_subset=50,
        write_every=2, threads=2, seed=3, offset_range=3.0,
    )  # fmt: skip
    run = Refinement(settings, truth.particles, tmp_path / "out", Silent())
    run.step(run.begin(3), 3)
    run.close()
    assert not (tmp_path / "out").exists()
    refine(settings, truth.particles, tmp_path / "out")
    written = sorted(path.name for path in (tmp_path / "out").glob("run_it*_data.star"))
    assert written == [f"run_it{i:03d}_data.star" for i in (0, 2, 4, 5)]
    assert [line["subset_size"] for line in records(tmp_path / "out")][-1] == 200
