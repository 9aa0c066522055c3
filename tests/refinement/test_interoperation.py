"""Files of a run in the hands of other programs: RELION 3.1, the starfile library, a minimal reader."""

import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from relion4plugin.files.mrc import read_mrc
from relion4plugin.files.particles import read_particles
from relion4plugin.files.star import read_star, write_star
from relion4plugin.refinement.engine import refine
from relion4plugin.refinement.settings import Algorithm, RefinementSettings
from tests.refinement.simulated import purity, simulate


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    truth = simulate(folder, 150, n_classes=2, noise=0.3, seed=8)
    settings = RefinementSettings(
        algorithm=Algorithm.EM, n_classes=2, n_iterations=12, particle_diameter=72.0, threads=2, seed=3, norm_correction=False
    )
    return truth, refine(settings, truth.particles, folder / "run"), folder


def relion(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout + done.stderr


@pytest.mark.relion
def test_star_handler_selects_a_class_from_our_particles(run, tmp_path):
    _, result, folder = run
    relion(folder, "relion_star_handler", "--i", str(result.data_star), "--o", str(tmp_path / "one.star"), "--select", "rlnClassNumber",
           "--minval", "1", "--maxval", "1")  # fmt: skip
    numbers = read_particles(result.data_star).column("rlnClassNumber")
    assert len(read_star(tmp_path / "one.star")["particles"]) == (numbers == 1).sum()


@pytest.mark.relion
@pytest.mark.parametrize(
    ("block", "label"),
    [("model_classes", "rlnClassDistribution"), ("model_groups", "rlnGroupScaleCorrection"), ("model_class_2", "rlnSsnrMap")],
)
def test_table_printer_reads_our_model(run, block, label):
    _, result, folder = run
    printed = relion(folder, "relion_star_printtable", str(result.model_star), f"data_{block}", label)
    assert np.allclose(np.array(printed.split(), float), read_star(result.model_star)[block][label].astype(float), rtol=1e-4)


@pytest.mark.relion
def test_image_handler_reads_classes(run):
    _, result, folder = run
    images, _ = read_mrc(result.classes)
    text = relion(folder, "relion_image_handler", "--i", str(result.classes), "--stats")
    lines = [line for line in text.splitlines() if "avg" in line]
    assert len(lines) == 2
    assert float(lines[0].split("avg=")[1].split()[0]) == pytest.approx(images[0].mean(), abs=1e-4)


@pytest.mark.relion
def test_particles_turned_by_relion_with_our_poses_average_to_the_class(run, tmp_path):
    """RELION's own transformation of the images checks the signs of angle and shifts."""
    _, result, folder = run
    relion(folder, "relion_stack_create", "--i", str(result.data_star), "--o", str(tmp_path / "turned"), "--apply_transformation")
    turned, _ = read_mrc(next(tmp_path.glob("turned*.mrcs")))
    numbers = read_particles(result.data_star).column("rlnClassNumber").astype(int)
    classes, _ = read_mrc(result.classes)
    axis = np.arange(32) - 16
    disc = np.hypot(axis[:, None], axis[None]) < 12
    for k in (0, 1):
        average = turned[numbers == k + 1].mean(axis=0)
        assert np.corrcoef(average[disc], classes[k][disc])[0, 1] > 0.8
        wrong = classes[k][::-1]
        assert np.corrcoef(average[disc], wrong[disc])[0, 1] < 0.7


@pytest.mark.relion
@pytest.mark.slow
def test_relion_refines_our_particles_from_our_classes(run, tmp_path):
    truth, result, folder = run
    names = [f"{k:06d}@{result.classes}" for k in (1, 2)]
    write_star(tmp_path / "references.star", {"": pd.DataFrame({"rlnReferenceImage": names})})
    relion(
        folder, "relion_refine", "--i", str(result.data_star), "--ref", str(tmp_path / "references.star"), "--K", "2",
        "--o", str(tmp_path / "again"), "--iter", "1", "--ctf",
        "--ctf_corrected_ref", "--particle_diameter", "72", "--zero_mask", "--oversampling", "1", "--psi_step", "12",
        "--offset_range", "5", "--offset_step", "2", "--norm", "--scale", "--flatten_solvent", "--tau2_fudge", "2", "--dont_check_norm",
        "--random_seed", "1", "--pad", "2",
    )  # fmt: skip
    again = read_particles(tmp_path / "again_it001_data.star")
    assert purity(again.column("rlnClassNumber").astype(int), truth.classes) > 0.9
    ours = read_particles(result.data_star)
    turn = np.abs((again.column("rlnAnglePsi") - ours.column("rlnAnglePsi") + 180) % 360 - 180)
    assert np.median(turn) < 8.0
    for axis in "XY":
        assert np.median(np.abs(again.column(f"rlnOrigin{axis}Angst") - ours.column(f"rlnOrigin{axis}Angst"))) < 3.5


@pytest.mark.relion
@pytest.mark.slow
def test_relion_continues_our_run(run):
    """RELION 3.1 keeps noise spectra by scale group, 4.0 by optics group: they are copied under the old names for this test."""
    truth, result, folder = run
    blocks = read_star(result.model_star)
    for group in blocks["model_groups"]["rlnGroupNumber"]:
        blocks[f"model_group_{group}"] = blocks["model_optics_group_1"]
    model = folder / "old_model.star"
    write_star(model, blocks)
    optimiser = folder / "run_it012_optimiser.star"
    optimiser.write_text(result.optimiser_star.read_text().replace(str(result.model_star), str(model)))
    relion(folder, "relion_refine", "--continue", str(optimiser), "--iter", "13", "--o", str(folder / "continued"))
    again = read_particles(folder / "continued_it013_data.star")
    assert purity(again.column("rlnClassNumber").astype(int), truth.classes) > 0.9


def test_starfile_library_reads_all_tables(run):
    starfile = pytest.importorskip("starfile")
    _, result, folder = run
    data = starfile.read(result.data_star)
    assert set(data) == {"optics", "particles"}
    assert len(data["particles"]) == 150
    assert np.allclose(data["particles"]["rlnAnglePsi"], read_particles(result.data_star).column("rlnAnglePsi"), atol=1e-5)
    model = starfile.read(result.model_star)
    assert {"model_general", "model_classes", "model_class_1", "model_class_2", "model_groups", "model_optics_group_1"} <= set(model)
    assert float(np.sum(model["model_classes"]["rlnClassDistribution"])) == pytest.approx(1.0, abs=1e-5)
    assert starfile.read(folder / "run" / "run_it012_sampling.star")


def test_a_minimal_reader_finds_every_label_it_needs(run):
    """Line by line, as cryoDRGN's parser does."""
    _, result, _ = run
    tables, name = {}, ""
    for line in Path(result.data_star).read_text().splitlines():
        words = line.split()
        if line.startswith("data_"):
            name = line.strip()
            tables[name] = ([], [])
        elif line.startswith("_rln"):
            tables[name][0].append(words[0])
        elif words and not line.startswith(("#", "loop_")):
            tables[name][1].append(words)
    for name, rows, labels in (
        ("data_optics", 1, "OpticsGroup Voltage SphericalAberration AmplitudeContrast ImagePixelSize ImageSize"),
        (
            "data_particles",
            150,
            "ImageName OpticsGroup AngleRot AngleTilt AnglePsi OriginXAngst OriginYAngst DefocusU DefocusV DefocusAngle",
        ),
    ):
        found, lines = tables[name]
        assert {f"_rln{label}" for label in labels.split()} <= set(found)
        assert len(lines) == rows
        assert {len(line) for line in lines} == {len(found)}


def test_optimiser_names_existing_files(run):
    _, result, _ = run
    table = read_star(result.optimiser_star)["optimiser_general"]
    for label in ("rlnModelStarFile", "rlnExperimentalDataStarFile", "rlnOrientSamplingStarFile"):
        assert Path(table[label]).is_file(), label
    assert int(table["rlnCurrentIteration"]) == 12
