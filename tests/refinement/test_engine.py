"""Whole runs on particles with known classes and poses."""

import json
from pathlib import Path

import numpy as np
import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.mrc import read_mrc, write_stack
from relion4plugin.files.particles import read_particles
from relion4plugin.files.star import read_star
from relion4plugin.refinement.centring import centre_of_mass
from relion4plugin.refinement.engine import refine
from relion4plugin.refinement.settings import Algorithm, RefinementSettings
from tests.refinement.simulated import HEIGHTS, PIXEL, blob_image, purity, rotation, simulate


def finite(folder: Path) -> None:
    """No number in the written tables or images may be missing."""
    for path in folder.glob("*.star"):
        for name, block in read_star(path).items():
            table = block if isinstance(block, dict) else {c: block[c].to_numpy() for c in block.columns}
            for label, values in table.items():
                if np.asarray(values).dtype.kind in "fi":
                    assert np.isfinite(values).all(), f"{path.name} {name} {label}"
                else:
                    assert "nan" not in [str(v).lower() for v in np.atleast_1d(values)], f"{path.name} {name} {label}"
    for path in folder.glob("*.mrcs"):
        assert np.isfinite(read_mrc(path)[0]).all(), path.name


def records(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "run_iterations.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    return simulate(tmp_path_factory.mktemp("three"), 300, n_classes=3, noise=0.15, seed=11)


@pytest.fixture(scope="module")
def vdam_run(three, tmp_path_factory):
    folder = tmp_path_factory.mktemp("vdam")
    settings = RefinementSettings(
        n_classes=3, n_iterations=30, particle_diameter=72.0, ini_subset=100, fin_subset=200, threads=2, seed=5, norm_correction=False,
    )  # fmt: skip
    return refine(settings, three.particles, folder), folder


def test_vdam_finds_the_classes_in_30_iterations(three, vdam_run):
    result, _ = vdam_run
    found = read_particles(result.data_star).column("rlnClassNumber").astype(int)
    assert purity(found, three.classes) > 0.95
    assert len(np.unique(found)) == 3


def test_norm_correction_does_not_spoil_vdam(three, tmp_path, small):
    settings = small(n_classes=3, n_iterations=30, seed=5)
    found = read_particles(refine(settings, three.particles, tmp_path).data_star).column("rlnClassNumber").astype(int)
    assert purity(found, three.classes) > 0.95


@pytest.mark.parametrize("n_classes", [2, 3])
def test_vdam_with_noise_and_all_corrections(tmp_path, small, n_classes):
    truth = simulate(tmp_path, 300, n_classes=n_classes, noise=0.5, seed=11)
    settings = small(n_classes=n_classes, n_iterations=60, seed=3)
    found = read_particles(refine(settings, truth.particles, tmp_path / "run").data_star).column("rlnClassNumber").astype(int)
    assert purity(found, truth.classes) > 0.95


def test_em_finds_the_classes(three, tmp_path, small):
    settings = small(algorithm=Algorithm.EM, n_classes=3, n_iterations=20, seed=1)
    result = refine(settings, three.particles, tmp_path)
    found = read_particles(result.data_star).column("rlnClassNumber").astype(int)
    assert purity(found, three.classes) > 0.95
    finite(tmp_path)


def test_counts_and_distribution_agree_after_the_full_pass(three, vdam_run):
    result, folder = vdam_run
    numbers = read_particles(result.data_star).column("rlnClassNumber").astype(int)
    counts = np.bincount(numbers, minlength=4)
    assert counts[0] == 0
    assert counts.sum() == 300
    share = read_star(result.model_star)["model_classes"]["rlnClassDistribution"].to_numpy(float)
    assert share.sum() == pytest.approx(1.0, abs=1e-5)
    assert np.allclose(share, counts[1:] / 300, atol=0.03)
    finite(folder)


def test_records_follow_the_run(vdam_run):
    _, folder = vdam_run
    lines = records(folder)
    assert [line["iteration"] for line in lines] == list(range(1, 31))
    assert lines[0]["subset_size"] == 100
    assert lines[-1]["subset_size"] == 300
    assert lines[0]["stepsize"] > 0.8
    assert lines[-1]["stepsize"] == pytest.approx(0.3, abs=1e-3)
    for line in lines:
        assert sum(line["class_distribution"]) == pytest.approx(1.0)
        assert line["current_size"] <= 32
        assert line["cpu_seconds"] >= 0
    assert np.mean([line["log_likelihood"] / line["subset_size"] for line in lines[-5:]]) > lines[0]["log_likelihood"] / 100


def agreement(truth, result, mask):
    """Angle and shift errors of the particles of one class after its one global rotation and shift."""
    found = read_particles(result.data_star)
    psi = found.column("rlnAnglePsi")[mask]
    offset = np.stack([found.column(f"rlnOrigin{axis}Angst") for axis in "XY"], axis=1)[mask] / PIXEL
    turn = np.deg2rad(psi - truth.psi[mask])
    common = np.angle(np.exp(1j * turn).mean())
    angle_error = np.rad2deg(np.abs(np.angle(np.exp(1j * (turn - common)))))
    # a reference that sits off centre by d moves every particle by its own rotation of d
    residual = offset - truth.origin[mask]
    rows = np.concatenate([rotation(p) for p in psi])
    centre, *_ = np.linalg.lstsq(rows, residual.ravel(), rcond=None)
    shift_error = np.hypot(*(residual - (rows @ centre).reshape(-1, 2)).T)
    return angle_error, shift_error


def test_known_angles_and_shifts_are_recovered_within_the_fine_grid(tmp_path, small):
    truth = simulate(tmp_path, 120, n_classes=1, noise=0.4, shift=3.0, seed=4)
    settings = small(algorithm=Algorithm.EM, n_classes=1, n_iterations=12, center_classes=False)
    result = refine(settings, truth.particles, tmp_path / "run")
    angle_error, shift_error = agreement(truth, result, np.ones(120, bool))
    assert np.median(angle_error) < 3.5  # the fine grid has 6 degrees and 1 px
    assert np.median(shift_error) < 0.7
    assert np.quantile(angle_error, 0.95) < 12.0
    assert np.quantile(shift_error, 0.95) < 1.5


def test_a_particle_drawn_right_and_down_gets_a_negative_origin(tmp_path, small):
    truth = simulate(tmp_path, 60, n_classes=1, noise=0.05, shift=0.0, seed=4)
    images, _ = read_mrc(tmp_path / "particles.mrcs")
    reference = blob_image(32, truth.blobs[0], HEIGHTS).astype(np.float32)
    write_stack(tmp_path / "reference.mrcs", reference[None], PIXEL)
    moved = np.roll(images, (2, 4), axis=(1, 2))
    write_stack(tmp_path / "particles.mrcs", moved, PIXEL)
    settings = small(algorithm=Algorithm.EM, n_classes=1, n_iterations=1, reference=str(tmp_path / "reference.mrcs"), perturbation=0.0)
    result = refine(settings, read_particles(truth.star), tmp_path / "run")
    found = read_particles(result.data_star)
    assert np.median(found.column("rlnOriginXAngst")) / PIXEL == pytest.approx(-4.0, abs=0.6)
    assert np.median(found.column("rlnOriginYAngst")) / PIXEL == pytest.approx(-2.0, abs=0.6)
    turn = np.abs((found.column("rlnAnglePsi") - truth.psi + 180) % 360 - 180)
    assert np.median(turn) < 4.0


@pytest.mark.parametrize("algorithm", list(Algorithm), ids=lambda a: a.value)
def test_resumed_run_equals_an_uninterrupted_one(tmp_path, monkeypatch, small, algorithm):
    truth = simulate(tmp_path, 80, n_classes=2, noise=0.3, seed=8)
    settings = small(algorithm=algorithm, n_iterations=12, ini_subset=40, fin_subset=60, zero_mask=False)
    written = {}
    for name in ("whole", "parts"):
        monkeypatch.chdir(tmp_path)
        Path(name).mkdir()
        monkeypatch.chdir(name)
        if name == "whole":
            result = refine(settings, truth.particles, "out")
        else:
            first = refine(settings, truth.particles, "out", stop_after=6)
            assert (first.iteration, first.finished) == (6, False)
            result = refine(settings, truth.particles, "out", resume=first.optimiser_star)
        assert (result.iteration, result.finished) == (12, True)
        written[name] = {path.name: path.read_bytes() for path in Path("out").iterdir() if "it012" in path.name}
        written[name + " records"] = [{k: v for k, v in r.items() if "seconds" not in k} for r in records(Path("out"))]
    assert set(written["whole"]) == set(written["parts"])
    assert "run_it012_data.star" in written["whole"]
    for name, content in written["whole"].items():
        if name.endswith(".npz"):
            continue
        assert content == written["parts"][name], name
    assert written["whole records"] == written["parts records"]


def test_same_seed_same_result_other_seed_other_result(tmp_path, small):
    truth = simulate(tmp_path, 60, n_classes=2, noise=0.3, seed=8)
    classes = []
    for name, settings in (("a", small(n_iterations=4)), ("b", small(n_iterations=4, threads=1)), ("c", small(n_iterations=4, seed=4))):
        result = refine(settings, truth.particles, tmp_path / name)
        classes.append(read_mrc(result.classes)[0])
    assert np.array_equal(classes[0], classes[1])
    assert not np.allclose(classes[0], classes[2])


@pytest.mark.parametrize(
    "changes",
    [
        {"n_classes": 1},
        {"strict_highres": 20.0},
        {"zero_mask": False},
        {"center_classes": False, "flatten_solvent": False},
        {"ctf_correction": False},
        {"intact_first_peak": True},
        {"norm_correction": False, "scale_correction": False},
        {"oversampling": 0},
        {"padding": 1},
        {"em_iterations": 2},
        {"algorithm": Algorithm.EM, "fast_subsets": True},
        {"n_iterations": 1},
        {"init_blobs": False, "initial_lowpass": 20.0},
    ],
    ids=lambda c: ",".join(c),
)
def test_options_run_and_write_finite_files(tmp_path, small, changes):
    truth = simulate(tmp_path, 40, n_classes=2, noise=0.3, seed=8)
    settings = small(**({"n_iterations": 4, "ini_subset": 20, "fin_subset": 30} | changes))
    result = refine(settings, truth.particles, tmp_path / "run")
    assert result.finished
    assert read_mrc(result.classes)[0].reshape(-1, 32, 32).shape[0] == settings.n_classes
    finite(tmp_path / "run")


def test_one_class_from_a_reference_of_one_image(tmp_path, small):
    truth = simulate(tmp_path, 30, n_classes=1, seed=8)
    settings = small(n_classes=1, n_iterations=2)
    first = refine(settings, truth.particles, tmp_path / "run")
    again = small(n_classes=1, n_iterations=2, reference=str(first.classes))
    assert refine(again, truth.particles, tmp_path / "again").finished


def test_more_classes_than_kinds_of_particles_write_finite_files(tmp_path, small):
    truth = simulate(tmp_path, 40, n_classes=1, noise=0.05, seed=8)
    for algorithm in Algorithm:
        settings = small(algorithm=algorithm, n_classes=12, n_iterations=12, ini_subset=20, fin_subset=30)
        refine(settings, truth.particles, tmp_path / algorithm.value)
        finite(tmp_path / algorithm.value)
    shares = np.array([r["class_distribution"] for r in records(tmp_path / "em")])
    assert shares[-1].min() < 1e-3  # else the test did not reach an empty class


def test_centred_classes_have_their_mass_in_the_middle(tmp_path, small):
    truth = simulate(tmp_path, 80, n_classes=1, noise=0.1, seed=8)
    reference = blob_image(32, truth.blobs[0] + 3.0, HEIGHTS).astype(np.float32)
    write_stack(tmp_path / "reference.mrcs", reference[None], PIXEL)
    length = {}
    for centred in (True, False):
        settings = small(
            algorithm=Algorithm.EM, n_classes=1, n_iterations=4, center_classes=centred, reference=str(tmp_path / "reference.mrcs"),
            particle_diameter=84.0, offset_range=6.0,
        )  # fmt: skip
        result = refine(settings, truth.particles, tmp_path / str(centred))
        length[centred] = np.hypot(*centre_of_mass(read_mrc(result.classes)[0].reshape(32, 32)))
    assert length[True] < 0.6
    assert length[False] > 1.5


@pytest.mark.parametrize("algorithm", list(Algorithm), ids=lambda a: a.value)
def test_scales_of_micrographs_follow_their_contrast(tmp_path, small, algorithm):
    contrast = np.array([0.7, 1.0, 1.0, 1.4])
    truth = simulate(tmp_path, 200, n_classes=1, noise=0.3, n_micrographs=4, contrast=contrast, seed=8)
    settings = small(algorithm=algorithm, n_classes=1, n_iterations=12, ini_subset=100, fin_subset=200, norm_correction=False)
    result = refine(settings, truth.particles, tmp_path / "run")
    scale = read_star(result.model_star)["model_groups"]["rlnGroupScaleCorrection"].to_numpy(float)
    assert np.allclose(scale / scale.mean(), contrast / contrast.mean(), rtol=0.1)


def test_norms_follow_the_intensity_of_single_images(tmp_path, small):
    truth = simulate(tmp_path, 100, n_classes=1, noise=0.5, seed=8)
    images, _ = read_mrc(tmp_path / "particles.mrcs")
    factor = np.random.default_rng(1).uniform(0.7, 1.4, 100)
    write_stack(tmp_path / "particles.mrcs", (images * factor[:, None, None]).astype(np.float32), PIXEL)
    settings = small(algorithm=Algorithm.EM, n_classes=1, n_iterations=6, scale_correction=False)
    result = refine(settings, read_particles(truth.star), tmp_path / "run")
    norm = read_particles(result.data_star).column("rlnNormCorrection")
    assert np.allclose(norm / norm.mean(), factor / factor.mean(), rtol=0.12)
    assert np.corrcoef(norm, factor)[0, 1] > 0.97


def test_em_with_known_poses_is_the_wiener_average(tmp_path, small):
    """A nearly noiseless class comes back on its own grey scale: the fixed point neither grows nor shrinks."""
    truth = simulate(tmp_path, 150, n_classes=1, noise=0.02, shift=1.0, seed=8)
    reference = blob_image(32, truth.blobs[0], HEIGHTS).astype(np.float32)
    write_stack(tmp_path / "reference.mrcs", reference[None], PIXEL)
    settings = small(
        algorithm=Algorithm.EM, n_classes=1, n_iterations=6, reference=str(tmp_path / "reference.mrcs"), center_classes=False,
        norm_correction=False, scale_correction=False, psi_step=6.0, offset_step=1.0, offset_range=3.0, particle_diameter=84.0,
    )  # fmt: skip
    result = refine(settings, truth.particles, tmp_path / "run")
    average = read_mrc(result.classes)[0].reshape(32, 32)
    slope = float((average * reference).sum() / (reference**2).sum())
    assert np.corrcoef(average.ravel(), reference.ravel())[0, 1] > 0.97
    assert slope == pytest.approx(1.0, abs=0.06)


def test_mistakes_are_named(three, tmp_path, small):
    with pytest.raises(UserError, match="300 particles cannot fill 500 classes"):
        refine(small(n_classes=500), three.particles, tmp_path)
    with pytest.raises(UserError, match="diameter of 200 A"):
        refine(small(particle_diameter=200.0), three.particles, tmp_path)
    with pytest.raises(UserError, match="0 classes"):
        refine(small(n_classes=0), three.particles, tmp_path)
    with pytest.raises(UserError, match="state"):
        (tmp_path / "run_it010_optimiser.star").write_text("data_optimiser_general\n\n_rlnCurrentIteration 10\n\n")
        refine(small(), three.particles, tmp_path, resume=tmp_path / "run_it010_optimiser.star")


def test_resuming_with_other_particles_is_refused(three, tmp_path, small):
    first = refine(small(n_iterations=2), three.particles, tmp_path, stop_after=1)
    with pytest.raises(UserError, match="300 particles"):
        refine(small(n_iterations=2), three.particles.select(np.arange(100)), tmp_path, resume=first.optimiser_star)
