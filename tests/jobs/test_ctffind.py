"""The job: RELION's files, what is kept, what is set aside, and who runs it."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.mrc import read_mrc, write_stack
from relion4plugin.files.star import read_star, write_star
from relion4plugin.jobs import ctffind
from relion4plugin.jobs.ctffind_parameters import CtfFindParameters
from relion4plugin.jobs.registry import Execution, job_type
from relion4plugin.preprocessing.ctf.text_log import read_log
from relion4plugin.progress import Silent
from tests.preprocessing.ctf.synthetic import ctf, micrograph

OUT = Path("CtfFind/job003")
P = CtfFindParameters(input_star_mics="mics.star", box=256)
OPTICS = {
    "rlnOpticsGroupName": ["opticsGroup1"],
    "rlnOpticsGroup": [1],
    "rlnMicrographOriginalPixelSize": [0.7],
    "rlnVoltage": [300.0],
    "rlnSphericalAberration": [2.7],
    "rlnAmplitudeContrast": [0.1],
    "rlnMicrographPixelSize": [1.4],
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Three micrographs of a motion correction; the third one is damaged."""
    monkeypatch.chdir(tmp_path)
    folder = Path("MotionCorr/job002/Movies")
    folder.mkdir(parents=True)
    for i, defocus in enumerate((10000, 16000, 20000)):
        image = micrograph(ctf(defocus + 150, defocus - 150, 30, bfactor=40), n=512, seed=i)
        write_stack(folder / f"m{i}.mrc", image[None], 1.4)
    with (folder / "m2.mrc").open("r+b") as stream:
        stream.truncate(5000)
    write_micrographs("mics.star", range(3))
    return tmp_path


def write_micrographs(path, numbers, optics=None, **columns):
    names = [f"MotionCorr/job002/Movies/m{i}.mrc" for i in numbers]
    rows = pd.DataFrame({**columns, "rlnMicrographName": names, "rlnOpticsGroup": 1})
    write_star(path, {"optics": pd.DataFrame(OPTICS if optics is None else optics), "micrographs": rows})


def run(parameters=P, **options):
    return ctffind.run(parameters, OUT, Silent(), **options)


def test_files_are_relions(project):
    outputs = run()
    assert (outputs.n_micrographs, outputs.n_new, outputs.n_set_aside) == (2, 2, 1)
    blocks = read_star(OUT / "micrographs_ctf.star")
    table = blocks["micrographs"]
    assert list(table.columns) == [
        "rlnMicrographName", "rlnOpticsGroup", "rlnCtfImage", "rlnDefocusU", "rlnDefocusV", "rlnCtfAstigmatism", "rlnDefocusAngle",
        "rlnCtfFigureOfMerit", "rlnCtfMaxResolution", "rlnCtfIceRingDensity",
    ]  # fmt: skip
    assert list(table["rlnCtfImage"]) == [f"CtfFind/job003/Movies/m{i}.ctf:mrc" for i in (0, 1)]
    assert list(blocks["optics"].columns) == list(OPTICS)
    np.testing.assert_allclose(0.5 * (table["rlnDefocusU"] + table["rlnDefocusV"]), [10000, 16000], atol=150)
    np.testing.assert_allclose(table["rlnDefocusU"] - table["rlnDefocusV"], table["rlnCtfAstigmatism"], atol=0.01)
    picture, pixel = read_mrc(OUT / "Movies/m0.ctf")
    assert picture.shape == (1, 256, 256)
    assert pixel == pytest.approx(1.4)
    assert read_log(OUT / "Movies/m0_ctffind4.log").defocus_u == pytest.approx(table["rlnDefocusU"][0], abs=0.01)


def test_a_damaged_micrograph_is_set_aside_in_one_line(project):
    remarks = run().remarks
    assert any("1 micrographs set aside" in remark for remark in remarks)
    aside = read_star(OUT / "set_aside.star")["set_aside"]
    assert list(aside["rlnMicrographName"]) == ["MotionCorr/job002/Movies/m2.mrc"]
    assert "truncated" in aside["r4pReason"][0]


def test_continuing_keeps_what_is_finished(project):
    write_micrographs("mics.star", [0])
    run()
    before = (OUT / "Movies/m0.ctf").stat().st_mtime_ns
    values = read_star(OUT / "micrographs_ctf.star")["micrographs"]
    write_micrographs("mics.star", [1, 0])
    outputs = run(is_continue=True)
    assert (outputs.n_micrographs, outputs.n_new) == (2, 1)
    assert (OUT / "Movies/m0.ctf").stat().st_mtime_ns == before
    table = read_star(OUT / "micrographs_ctf.star")["micrographs"]
    assert [Path(name).stem for name in table["rlnMicrographName"]] == ["m1", "m0"]
    assert table["rlnDefocusU"][1] == values["rlnDefocusU"][0]


def test_a_log_that_is_not_complete_is_not_finished(project):
    write_micrographs("mics.star", [0])
    run()
    (OUT / "Movies/m0_ctffind4.log").write_text("Estimated defocus values : 1 , 2\n")
    assert run(is_continue=True).n_new == 1


def test_results_are_not_overwritten_unasked(project):
    write_micrographs("mics.star", [0])
    run()
    with pytest.raises(UserError, match="results of an earlier run"):
        run()
    assert run(overwrite=True).n_new == 1


def test_results_do_not_depend_on_threads(project):
    run()
    one = (OUT / "micrographs_ctf.star").read_bytes()
    run(replace(P, nr_mpi=3), overwrite=True)
    assert (OUT / "micrographs_ctf.star").read_bytes() == one


def test_power_spectra_are_used_and_name_the_files(project, shared_data):
    source = shared_data / "micrographs/bgal_empiar10204_power_spectra/20170629_00024_frameImage_PS.mrc"
    name = "MotionCorr/job002/Movies/m0_PS.mrc"
    os.symlink(source, name)
    optics = {**OPTICS, "rlnVoltage": [200.0], "rlnSphericalAberration": [1.4]}
    write_micrographs("mics.star", [0], optics, rlnCtfPowerSpectrum=[name])
    assert run().remarks == ()
    row = read_star(OUT / "micrographs_ctf.star")["micrographs"].iloc[0]
    assert row["rlnCtfImage"] == "CtfFind/job003/Movies/m0_PS.ctf:mrc"
    assert row["rlnDefocusU"] == pytest.approx(11693, abs=60)


def test_unweighted_sums_are_used_and_named(project):
    os.rename("MotionCorr/job002/Movies/m0.mrc", "MotionCorr/job002/Movies/m0_noDW.mrc")
    write_micrographs("mics.star", [0], rlnMicrographNameNoDW=["MotionCorr/job002/Movies/m0_noDW.mrc"])
    run(replace(P, use_noDW=True, use_given_ps=False))
    row = read_star(OUT / "micrographs_ctf.star")["micrographs"].iloc[0]
    assert row["rlnMicrographNameNoDW"].endswith("m0_noDW.mrc")
    assert row["rlnCtfImage"].endswith("m0_noDW.ctf:mrc")


def test_what_is_asked_for_in_vain_is_said(project):
    write_micrographs("mics.star", [0])
    remarks = run(replace(P, use_noDW=True)).remarks
    assert [remark.split()[0] for remark in remarks] == ["use_given_ps", "use_noDW"]


def test_phase_shifts_have_a_column(project):
    write_micrographs("mics.star", [0])
    run(replace(P, do_phaseshift=True, phase_max=90.0, phase_step=30.0))
    assert "rlnPhaseShift" in read_star(OUT / "micrographs_ctf.star")["micrographs"].columns


def test_a_central_window(project):
    write_micrographs("mics.star", [0])
    run(replace(P, ctf_win=400))
    with pytest.raises(UserError, match="smaller than the FFT box"):
        run(replace(P, box=1024), overwrite=True)


def test_files_of_relion_3_0_are_upgraded(project):
    old = {
        "rlnMicrographName": ["MotionCorr/job002/Movies/m0.mrc"], "rlnVoltage": [300.0], "rlnSphericalAberration": [2.7],
        "rlnAmplitudeContrast": [0.1], "rlnMagnification": [10000.0], "rlnDetectorPixelSize": [1.4],
    }  # fmt: skip
    write_star("mics.star", {"": pd.DataFrame(old)})
    run()
    assert read_star(OUT / "micrographs_ctf.star")["optics"]["rlnMicrographPixelSize"][0] == 1.4


def test_nothing_usable_is_an_error(project):
    write_micrographs("mics.star", [2])
    with pytest.raises(UserError, match="none of 1 micrographs"):
        run()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"rlnMicrographPixelSize": None, "rlnMicrographOriginalPixelSize": None}, "no pixel size"),
        ({"rlnVoltage": None}, "no column rlnVoltage"),
        ({"rlnVoltage": [0.0]}, "voltage 0 kV"),
        ({"rlnOpticsGroup": [2]}, "optics group 1 is not in data_optics"),
    ],
)
def test_optics_without_sense_are_refused(project, changes, reason):
    optics = {name: value for name, value in {**OPTICS, **changes}.items() if value is not None}
    write_micrographs("mics.star", [0], optics)
    with pytest.raises(UserError, match=reason):
        run()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"dfmin": 50000.0}, "--dfmin must be"),
        ({"dfmin": -10.0}, "--dfmin must be"),
        ({"dfstep": 0.0}, "dfstep is 0"),
        ({"resmin": 4.0}, "--resmin must be"),
        ({"do_phaseshift": True, "phase_max": 0.0}, "--phase_min must be"),
        ({"do_phaseshift": True, "phase_step": 0.0}, "--phase_step above 0"),
        ({"box": 257}, "give --box 258"),
        ({"ctf_win": 100}, "ctf_win"),
        ({"box": 16}, "box"),
    ],
)
def test_options_without_sense_are_refused(changes, reason):
    with pytest.raises(UserError, match=reason):
        ctffind.validate(replace(P, **changes))


def test_it_runs_from_a_job_star(project):
    kind = job_type("relion.ctffind")
    options = {"input_star_mics": "mics.star", "box": "256", "use_ctffind4": "Yes", "fn_ctffind_exe": "/nowhere/ctffind"}
    OUT.mkdir(parents=True)
    remarks = kind.runner(options)(Execution(kind.text(options).values, OUT, False, Silent()))
    assert "/nowhere/ctffind is not installed" in remarks[0]
    assert (OUT / "micrographs_ctf.star").is_file()


def test_other_programs_are_left_to_relion(tmp_path, monkeypatch):
    kind = job_type("relion.ctffind")
    assert kind.runner({}) is not None
    assert kind.runner({"use_gctf": "Yes"}) is None
    for name in ("ctffind", "relion_run_ctffind"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    asked = {"use_ctffind4": "Yes", "fn_ctffind_exe": "ctffind"}
    assert kind.runner(asked) is None
    assert kind.runner({**asked, "use_ctffind4": "No"}) is not None
    (tmp_path / "relion_run_ctffind").unlink()
    assert kind.runner(asked) is not None


@pytest.mark.relion
@pytest.mark.parametrize("has_phase", [False, True])
def test_relions_program_goes_on_in_our_directory(project, has_phase):
    write_micrographs("mics.star", [0, 1])
    run(replace(P, do_phaseshift=has_phase, phase_max=90.0, phase_step=30.0))
    ours = read_star(OUT / "micrographs_ctf.star")["micrographs"].drop(columns="rlnCtfIceRingDensity")
    words = ["relion_run_ctffind", "--i", "mics.star", "--o", f"{OUT}/", "--ctffind_exe", "/bin/false", "--is_ctffind4"]
    subprocess.run([*words, "--only_do_unfinished", *(["--do_phaseshift"] if has_phase else [])], check=True, capture_output=True)
    theirs = read_star(OUT / "micrographs_ctf.star")["micrographs"]
    assert list(theirs.columns) == list(ours.columns)
    for name in ours.columns:
        if ours[name].dtype.kind == "f":
            np.testing.assert_allclose(theirs[name], ours[name], rtol=1e-4, atol=2e-3)
        else:
            assert list(theirs[name]) == list(ours[name])
