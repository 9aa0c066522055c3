import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.mrc import write_stack
from relion4plugin.files.star import read_star, write_star
from relion4plugin.jobs import autopick_ref
from relion4plugin.jobs.autopick_parameters import RefPickParameters
from relion4plugin.jobs.execution import run_job
from relion4plugin.jobs.job_star import JobStar
from relion4plugin.preprocessing.picking.agreement import agreement, matches
from relion4plugin.preprocessing.picking.picks import read_picks
from relion4plugin.progress import Silent
from tests.preprocessing.picking.shapes import PIXEL, one_ctf, shape_image, shapes_field

OUT = Path("AutoPick/job007")
NAMES = tuple(f"MotionCorr/job002/Movies/m{number}.mrc" for number in (1, 2))
DEFOCUS = 20000.0


@pytest.fixture
def truth(tmp_path, monkeypatch):
    """Two micrographs with CTF, and references: centres and angles of each."""
    monkeypatch.chdir(tmp_path)
    Path(NAMES[0]).parent.mkdir(parents=True)
    found = {}
    for seed, name in enumerate(NAMES):
        image, centres, psi = shapes_field(seed, count=20, contrast=3.0, ctf=one_ctf(DEFOCUS))
        write_stack(name, image[None], PIXEL)
        found[name] = centres, psi
    blank = np.zeros_like(shape_image())
    write_stack("refs.mrcs", np.stack([blank, shape_image()]), PIXEL)
    optics = {"rlnOpticsGroupName": "o1", "rlnOpticsGroup": 1, "rlnMicrographPixelSize": PIXEL, "rlnMicrographOriginalPixelSize": PIXEL}
    optics |= {"rlnVoltage": 300.0, "rlnSphericalAberration": 2.7, "rlnAmplitudeContrast": 0.1}
    rows = {"rlnMicrographName": NAMES, "rlnOpticsGroup": 1, "rlnDefocusU": DEFOCUS, "rlnDefocusV": DEFOCUS - 500, "rlnDefocusAngle": 30.0}
    write_star("mics.star", {"optics": pd.DataFrame([optics]), "micrographs": pd.DataFrame(rows)})
    return found


def parameters(**changes):
    given = {"fn_input_autopick": "mics.star", "fn_refs_autopick": "refs.mrcs", "lowpass": 12.0, "mindist_autopick": 110.0}
    return RefPickParameters(**{**given, "maxstddevnoise_autopick": -1.0, "psi_sampling_autopick": 10.0, **changes})


def picks_of(name: str, place: Path = OUT):
    return read_picks(place / f"Movies/{Path(name).stem}_autopick.star")


def test_picks_have_class_and_angle(truth):
    outputs = autopick_ref.run(parameters(threshold_autopick=0.3), OUT, Silent())
    assert (outputs.n_micrographs, outputs.n_new, outputs.n_set_aside, outputs.remarks) == (2, 2, 0, ())
    for name, (centres, psi) in truth.items():
        found = picks_of(name)
        counted = agreement(found.centres, centres, 3.0)
        assert counted.recall == 1.0 and counted.precision == 1.0
        table = read_star(OUT / f"Movies/{Path(name).stem}_autopick.star")[""]
        pairs = matches(table[["rlnCoordinateX", "rlnCoordinateY"]].to_numpy(), centres, 3.0)
        error = np.mod(table["rlnAnglePsi"] - psi[pairs] + 180, 360) - 180
        assert np.abs(error).max() < 12 and set(table["rlnClassNumber"]) == {1}  # the empty reference does not count


def test_what_is_finished_is_kept_and_bad_ones_are_set_aside(truth):
    autopick_ref.run(parameters(), OUT, Silent())
    assert autopick_ref.run(parameters(), OUT, Silent(), is_continue=True).n_new == 0
    Path(NAMES[0]).write_bytes(b"no image")
    outputs = autopick_ref.run(parameters(nr_mpi=2), OUT, Silent(), overwrite=True)
    assert (outputs.n_micrographs, outputs.n_set_aside) == (1, 1)


def test_references_of_a_star_file(truth):
    Path("Select").mkdir()
    names = ["000002@refs.mrcs"]
    write_star("Select/class_averages.star", {"": pd.DataFrame({"rlnReferenceImage": names})})
    autopick_ref.run(parameters(), OUT, Silent())
    stack = picks_of(NAMES[0])
    autopick_ref.run(parameters(fn_refs_autopick="Select/class_averages.star"), Path("Other"), Silent())
    np.testing.assert_allclose(picks_of(NAMES[0], Path("Other")).score, stack.score)


def test_another_pixel_size_in_the_header_is_told(truth):
    write_stack("refs.mrcs", shape_image()[None], 2 * PIXEL)
    [remark] = autopick_ref.run(parameters(), OUT, Silent()).remarks
    assert remark == "refs.mrcs says 8 A per pixel, but references are taken as 4 A like the micrographs: give --angpix_ref"
    assert not autopick_ref.run(parameters(angpix_ref=4.0), Path("Other"), Silent()).remarks


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fn_refs_autopick": ""}, "no references: give a file with --ref"),
        ({"fn_refs_autopick": "none.mrcs"}, r"references none\.mrcs: no such file"),
        ({"threshold_autopick": -1.0}, "threshold_autopick is -1"),
        ({"mindist_autopick": 0.0}, "picks need a distance"),
        ({"shrink": 2.0}, "shrink is 2 but must be at most 1"),
        ({"highpass": 10.0}, "--highpass must be the longer one"),
    ],
)
def test_mistakes_are_told_before_anything_is_read(truth, changes, message):
    with pytest.raises(UserError, match=message):
        autopick_ref.validate(parameters(**changes))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 32, 32)), "all references are empty"),
        (np.ones((1, 31, 31)), "references of 31 x 31 px; expected squares of an even number"),
        (np.full((1, 32, 32), np.nan), "pixels that are not numbers"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_bad_references_are_refused(truth, images, message):
    write_stack("bad.mrcs", images, PIXEL)
    with pytest.raises(UserError, match=message):
        autopick_ref.run(parameters(fn_refs_autopick="bad.mrcs"), OUT, Silent())


def test_a_missing_ctf_is_told(truth):
    blocks = read_star("mics.star")
    write_star("bare.star", {**blocks, "micrographs": blocks["micrographs"].drop(columns="rlnDefocusV")})
    with pytest.raises(UserError, match=r"bare\.star: no column rlnDefocusV, but the CTF is wanted"):
        autopick_ref.run(parameters(fn_input_autopick="bare.star"), OUT, Silent())
    assert autopick_ref.run(parameters(fn_input_autopick="bare.star", do_ctf_autopick=False), OUT, Silent()).n_new == 2


def test_it_runs_from_job_star(truth):
    OUT.mkdir(parents=True)
    options = {"fn_input_autopick": "mics.star", "do_refs": "Yes", "fn_refs_autopick": "refs.mrcs", "mindist_autopick": "110"}
    run_job(OUT, JobStar("relion.autopick", options=options), False, Silent())
    assert len(read_star(OUT / "autopick.star")["coordinate_files"]) == 2


@pytest.mark.relion
def test_places_and_angles_are_those_of_relion(truth):
    words = ["relion_autopick", "--i", "mics.star", "--odir", "R/", "--pickname", "autopick", "--ref", "refs.mrcs", "--invert", "--ctf"]
    words += ["--ang", "10", "--shrink", "1", "--lowpass", "12", "--threshold", "0.3", "--min_distance", "110", "--angpix", f"{PIXEL:g}"]
    subprocess.run(words, check=True, capture_output=True)
    autopick_ref.run(parameters(threshold_autopick=0.1), OUT, Silent())
    for name in NAMES:
        ours, theirs = (read_star(next(place.rglob(f"{Path(name).stem}_autopick.star")))[""] for place in (OUT, Path("R")))
        pairs = matches(*(table[["rlnCoordinateX", "rlnCoordinateY"]].to_numpy() for table in (ours, theirs)), 4.0)
        assert np.count_nonzero(pairs >= 0) >= 15
        both = theirs["rlnAnglePsi"].to_numpy()[pairs[pairs >= 0]]
        error = np.mod(ours["rlnAnglePsi"].to_numpy()[pairs >= 0] - both + 180, 360) - 180
        assert np.median(np.abs(error)) <= 10
