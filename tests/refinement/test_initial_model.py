"""Initial models of simulated particles: the map, the poses, the files and the verdict."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from relion4plugin.files.initial_model import read_verdict
from relion4plugin.files.mrc import read_mrc
from relion4plugin.files.particles import read_particles
from relion4plugin.geometry.euler import angular_distance, euler_to_matrix
from relion4plugin.postprocessing.align_maps import agreement
from relion4plugin.refinement.initial_model import choose_class, make_initial_model
from relion4plugin.refinement.initial_verdict import judge
from relion4plugin.refinement.settings import RefinementSettings
from tests.refinement.projections import DIAMETER, molecule, project
from tests.refinement.simulated import PIXEL

SETTINGS = RefinementSettings(
    dimension=3, n_classes=1, n_iterations=60, particle_diameter=DIAMETER, padding=1, auto_sampling=True, auto_ignore_angles=True,
    norm_correction=False, scale_correction=False, non_negative=True, inactivity_threshold=0.0, tau2_fudge=4.0, max_healpix_order=2,
    offset_range=3.0, offset_step=2.0, adaptive_fraction=0.9, ini_subset=100, fin_subset=200, threads=2, seed=1,
)  # fmt: skip


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    return project(tmp_path_factory.mktemp("molecule"), 300, structures=[molecule(5)], noise=0.2, signal=2.0, seed=2)


@pytest.fixture(scope="module")
def run(truth, tmp_path_factory):
    folder = tmp_path_factory.mktemp("initial")
    return make_initial_model(SETTINGS, truth.particles, folder, restarts=2), folder


@pytest.mark.slow
def test_the_map_is_the_molecule_in_either_hand(truth, run):
    model, _ = run
    for path, limit in ((model.map, 10.0), (model.maps[0], 9.0)):  # 3.3 and 3 px
        volume, pixel_size = read_mrc(path)
        assert pixel_size == pytest.approx(PIXEL)
        assert agreement(volume, truth.volume, PIXEL, mirror=True).resolution < limit, path.name


@pytest.mark.slow
def test_every_particle_has_the_pose_it_was_made_with(truth, run):
    model, _ = run
    table = read_particles(model.data_star)
    assert len(table) == 300
    assert (table.column("rlnNrOfSignificantSamples") >= 1).all()
    assert (table.column("rlnClassNumber") == 1).all()
    seen = agreement(read_mrc(model.maps[0])[0], truth.volume, PIXEL, mirror=True).alignment
    found = euler_to_matrix(*(table.column(f"rlnAngle{name}") for name in ("Rot", "Tilt", "Psi")))
    if seen.mirrored:  # z turned around: the same projections are seen from the other side
        flip = np.diag([1.0, 1.0, -1.0])
        found = flip @ found @ flip
    errors = angular_distance(found @ seen.rotation.T, truth.matrices)
    assert np.median(errors) < 7.5  # the fine grid's step
    assert np.quantile(errors, 0.9) < 15.0


@pytest.mark.slow
def test_findings_are_in_the_files(run):
    model, folder = run
    verdict = read_verdict(folder)
    assert model.reliable and verdict.reliable
    assert verdict.text == model.verdict
    assert verdict.text.startswith("A structure was found: independent halves agree to")
    assert (verdict.symmetry, verdict.selected_class, model.class_number, model.symmetry) == ("C1", 1, 1, "C1")
    assert len(verdict.restarts) == 2 and verdict.restarts[0].agreement_resolution is None
    assert verdict.restarts[0].log_likelihood > verdict.restarts[1].log_likelihood
    assert model.agreement == {str(verdict.restarts[1].seed): verdict.restarts[1].agreement_resolution}
    assert len(verdict.agreement_fsc) == 17
    starts = json.loads((folder / "initial_model_starts.json").read_text())
    assert [(folder / start["map"]).is_file() for start in starts] == [True, True]
    records = [json.loads(line) for line in (folder / "run_iterations.jsonl").read_text().splitlines()]
    assert [record["iteration"] for record in records] == list(range(1, 61))
    assert records[-1]["subset_size"] == 300


@pytest.mark.slow
def test_a_continued_run_gives_the_same_map(truth, run, tmp_path):
    model, folder = run
    start = copy_of(folder, tmp_path) / "run_it050_optimiser.star"
    again = make_initial_model(SETTINGS, truth.particles, tmp_path, resume=start)
    assert again.map.parent == tmp_path
    assert np.array_equal(read_mrc(again.maps[0])[0], read_mrc(model.maps[0])[0])
    assert np.array_equal(read_mrc(again.map)[0], read_mrc(model.map)[0])
    assert (again.verdict, again.agreement) == (model.verdict, model.agreement)


def copy_of(folder: Path, target: Path) -> Path:
    """Copy the files that a run cut off after iteration 50 leaves."""
    for path in folder.iterdir():
        if path.is_file() and "it060" not in path.name and path.name not in ("initial_model.mrc", "initial_model.json"):
            (target / path.name).write_bytes(path.read_bytes())
    return target


@pytest.mark.slow
def test_noise_is_no_structure(tmp_path):
    noise = project(tmp_path, 200, structures=[molecule(5)], noise=1.0, signal=0.0)
    model = make_initial_model(replace(SETTINGS, n_iterations=40), noise.particles, tmp_path / "run", restarts=2, refine_iterations=3)
    assert not model.reliable
    assert model.verdict.startswith("No structure was found") and model.verdict.endswith("round 2 of starts, after none in 1 before")
    assert not read_verdict(tmp_path / "run").reliable


@pytest.mark.slow
def test_two_classes_of_which_one_is_refined(tmp_path):
    truth = project(tmp_path, 300, structures=[molecule(5), molecule(5)[:7] * 0.7], noise=0.2, signal=2.0)
    settings = replace(SETTINGS, n_classes=2, n_iterations=50)
    model = make_initial_model(settings, truth.particles, tmp_path / "run", restarts=2, refine_iterations=2)
    assert len(model.maps) == 2 and model.class_number in (1, 2)
    assert np.isfinite(read_mrc(model.map)[0]).all()
    numbers = read_particles(model.data_star).column("rlnClassNumber").astype(int)
    assert set(numbers) <= {1, 2}
    refined = read_particles(sorted((tmp_path / "run" / "halves").glob("run_it*_data.star"))[-1])
    mine = int((numbers == model.class_number).sum())
    assert len(refined) == (mine if mine >= 20 else 300)


def test_without_starts_and_halves_nothing_is_judged(tmp_path):
    truth = project(tmp_path, 60, structures=[molecule(5)], noise=0.2, signal=2.0)
    settings = replace(SETTINGS, n_iterations=4, ini_subset=30, fin_subset=40)
    model = make_initial_model(settings, truth.particles, tmp_path / "run", restarts=1, refine_iterations=0)
    assert not model.reliable and model.verdict.startswith("Not judged")
    assert model.agreement is None
    assert not (tmp_path / "run" / "halves").exists()
    assert np.array_equal(read_mrc(model.map)[0], read_mrc(model.maps[0])[0])


@pytest.mark.parametrize("iterations", [1, 2])
def test_the_shortest_runs_end_with_their_files(tmp_path, iterations):
    truth = project(tmp_path, 60, structures=[molecule(5)], noise=0.2, signal=2.0)
    settings = replace(SETTINGS, n_iterations=iterations, ini_subset=30, fin_subset=40, healpix_order=0)
    model = make_initial_model(settings, truth.particles, tmp_path / "run", restarts=2, refine_iterations=0)
    assert model.maps[0].name == f"run_it{iterations:03d}_class001.mrc" and model.maps[0].is_file()


def test_other_starts_are_tried_until_a_structure_is_found(tmp_path, monkeypatch):
    truth = project(tmp_path, 60, structures=[molecule(5)], noise=0.2, signal=2.0)
    settings = replace(SETTINGS, n_iterations=8, ini_subset=30, fin_subset=40, healpix_order=0, write_every=4)
    out, seeds = tmp_path / "run", {}
    left = out / "run_it099_optimiser.star"  # of the first round: a run that is killed in the second would go on from it

    def answer(evidence):
        seeds[evidence.round] = [start["seed"] for start in evidence.starts]
        if evidence.round == 1:
            left.touch()
        return replace(judge(evidence), reliable=evidence.round == 2)

    def make(**options):
        return make_initial_model(settings, truth.particles, out, restarts=2, rounds=5, refine_iterations=0, **options)

    monkeypatch.setattr("relion4plugin.refinement.initial_model.judge", answer)
    model = make()
    assert sorted(seeds) == [1, 2] and len({*seeds[1], *seeds[2]}) == 4
    assert [start.seed for start in read_verdict(out).restarts] == seeds[2]
    assert not left.exists()
    seeds.clear()
    again = make(resume=out / "run_it004_optimiser.star")
    assert sorted(seeds) == [2]
    assert np.array_equal(read_mrc(again.maps[0])[0], read_mrc(model.maps[0])[0])


@pytest.mark.parametrize("options", [{"restarts": 2, "rounds": 1}, {"restarts": 1, "rounds": 2}])
def test_one_round_or_one_start_is_all_there_is(tmp_path, monkeypatch, options):
    truth = project(tmp_path, 60, structures=[molecule(5)], noise=0.2, signal=2.0)
    settings = replace(SETTINGS, n_iterations=3, ini_subset=30, fin_subset=40, healpix_order=0)
    monkeypatch.setattr("relion4plugin.refinement.initial_model.judge", lambda evidence: replace(judge(evidence), reliable=False))
    model = make_initial_model(settings, truth.particles, tmp_path / "run", refine_iterations=0, **options)
    assert not model.reliable and "round" not in model.verdict


def test_too_few_particles_for_halves_still_give_a_map(tmp_path):
    truth = project(tmp_path, 15, structures=[molecule(5)], noise=0.2, signal=2.0)
    settings = replace(SETTINGS, n_iterations=2, healpix_order=0)
    model = make_initial_model(settings, truth.particles, tmp_path / "run", restarts=1, refine_iterations=2)
    assert model.map.is_file() and not model.reliable


def test_symmetry_is_applied_after_the_run(tmp_path):
    truth = project(tmp_path, 60, structures=[molecule(5)], noise=0.2, signal=2.0)
    settings = replace(SETTINGS, n_iterations=4, ini_subset=30, fin_subset=40, healpix_order=0)
    model = make_initial_model(settings, truth.particles, tmp_path / "run", restarts=1, refine_iterations=0, symmetry="C2")
    volume = read_mrc(model.map)[0]
    turned = volume[:, 1:, 1:][:, ::-1, ::-1]  # by 180 degrees about z
    assert np.corrcoef(turned.ravel(), volume[:, 1:, 1:].ravel())[0, 1] > 0.98
    verdict = read_verdict(tmp_path / "run")
    assert (model.symmetry, verdict.symmetry) == ("C2", "C2")
    assert verdict.symmetry_score is not None


def result_with(monkeypatch, shares, resolutions):
    classes = pd.DataFrame({"distribution": shares, "resolution": resolutions})
    monkeypatch.setattr("relion4plugin.files.model3d_star.read_3d_results", lambda path: SimpleNamespace(classes=classes))
    return SimpleNamespace(optimiser_star=Path("run_it010_optimiser.star"))


@pytest.mark.parametrize(
    ("shares", "resolutions", "select", "expected"),
    [
        ([0.5, 0.3, 0.2], [20.0, 12.0, 15.0], "quality", 2),
        ([0.5, 0.3, 0.2], [20.0, 12.0, 15.0], "largest", 1),
        ([0.6, 0.35, 0.05], [20.0, 15.0, 8.0], "quality", 2),  # too few particles to trust their quality
        ([0.3, 0.4, 0.3], [12.0, 12.0, 12.0], "quality", 2),  # equally good: the larger one
        ([0.6, 0.4], [np.inf, 40.0], "quality", 2),
        ([1.0], [30.0], "quality", 1),
    ],
)
def test_the_chosen_class(monkeypatch, shares, resolutions, select, expected):
    assert choose_class(result_with(monkeypatch, shares, resolutions), select) == expected
