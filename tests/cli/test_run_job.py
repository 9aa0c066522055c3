import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from relion4plugin.cli.main import main
from relion4plugin.files.star import read_star
from relion4plugin.jobs.job_star import JobStar, read_job_star, write_job_star
from relion4plugin.jobs.jobdir import ABORT_NOW, ABORTED, FAILURE, SUCCESS
from relion4plugin.jobs.registry import Execution, job_type
from tests.jobs.small_project import make_project

MARKERS = {SUCCESS, FAILURE, ABORTED, ABORT_NOW}


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_project(tmp_path)


def job(place: str, label: str, **options: str) -> Path:
    directory = Path(place)
    directory.mkdir(parents=True, exist_ok=True)
    write_job_star(directory / "job.star", JobStar(label, options=options))
    return directory


def markers(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()} & MARKERS


def test_a_selection_runs_in_its_directory_and_keeps_its_job_star(capsys):
    place = job("Select/job002", "relion.select.split", fn_data="particles.star", do_split="Yes", split_size="4", unknown_option="kept")
    before = (place / "job.star").read_bytes()
    assert main(["run-job", "Select/job002/"]) == 0
    assert markers(place) == {SUCCESS}
    assert (place / "job.star").read_bytes() == before
    assert not (place / "job_pipeline.star").exists() and not (place / "note.txt").exists()
    assert len(read_star(place / "particles_split1.star")["particles"]) == 4
    assert "6 of 6 rows in 2 files" in (place / "run.out").read_text()
    assert capsys.readouterr().err == ""


def test_a_mask_is_made_again_when_continued():
    with mrcfile.new("blob.mrc", data=_ball(24)) as mrc:
        mrc.voxel_size = 3.0
    options = {"fn_in": "blob.mrc", "inimask_threshold": "0.5", "lowpass_filter": "15", "angpix": "3"}
    place = job("MaskCreate/job005", "relion.maskcreate", **options)
    assert main(["run-job", str(place)]) == 0
    first = (place / "mask.mrc").read_bytes()
    assert main(["run-job", str(place)]) == 2  # results are not replaced unasked
    assert markers(place) == {FAILURE}
    assert "holds results of an earlier run (mask.mrc)" in (place / "run.err").read_text()
    write_job_star(place / "job.star", JobStar("relion.maskcreate", options={**options, "extend_inimask": "6"}))
    assert main(["run-job", str(place), "--continue"]) == 0
    assert markers(place) == {SUCCESS} and (place / "mask.mrc").read_bytes() != first


def _ball(box: int) -> np.ndarray:
    grid = np.indices((box, box, box)) - box / 2
    return (np.sqrt((grid**2).sum(axis=0)) < box / 4).astype(np.float32)


CLASS2D = {
    "fn_img": "particles.star", "do_em": "Yes", "do_grad": "No", "nr_iter_em": "2", "particle_diameter": "30",
    "offset_range": "2", "psi_sampling": "30", "do_ctf_correction": "Yes",
}  # fmt: skip


def test_a_2d_classification_runs_goes_on_and_knows_when_it_is_finished(capsys):
    place = job("Class2D/job007", "relion.class2d", **CLASS2D)
    assert main(["run-job", str(place), "--j", "1"]) == 0, capsys.readouterr().err
    assert markers(place) == {SUCCESS} and (place / "run_it002_optimiser.star").is_file()
    assert read_job_star(place / "job.star").options == CLASS2D
    assert len(read_star(place / "run_it002_model.star")["model_classes"]) == 1  # RELION's default, as job.star does not say
    finished = (place / "run_it002_model.star").read_bytes()
    assert main(["run-job", str(place), "--continue"]) == 0
    assert "run_it002_optimiser.star is the last iteration: nothing is left to do" in (place / "run.out").read_text()
    for path in place.glob("run_it002_*"):
        path.unlink()
    assert main(["run-job", str(place), "--continue"]) == 0
    assert (place / "run_it002_model.star").read_bytes() == finished


def test_continuing_a_directory_without_results_starts_anew():
    place = job("Class2D/job008", "relion.class2d", **CLASS2D)
    assert main(["run-job", str(place), "--continue"]) == 0
    assert (place / "run_it002_optimiser.star").is_file()


@pytest.mark.parametrize(
    ("label", "options", "expected"),
    [
        ("relion.motioncorr.motioncor2", {"do_own_motioncor": "No"}, "cannot run here: UCSF MotionCor2"),
        ("relion.class2d", {"fn_img": "particles.star", "do_helix": "Yes"}, "helical segments"),
        ("relion.select", {"fn_data": "particles.star", "do_select_values": "Yes"}, "no column rlnCtfMaxResolution"),
        ("relion.class2d", {**CLASS2D, "fn_img": "nowhere.star"}, "nowhere.star: no such file"),
        ("relion.class2d", {**CLASS2D, "nr_classes": "many"}, "nr_classes is 'many' in Class2D/job001/job.star"),
    ],
)
def test_a_job_that_cannot_run_fails_with_one_line(label, options, expected, capsys):
    place = job("Class2D/job001", label, **options)
    assert main(["run-job", str(place)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and expected in said
    assert markers(place) == {FAILURE} and expected in (place / "run.err").read_text()


@pytest.mark.parametrize(
    ("label", "expected"),
    [(None, "job.star: no such file"), ("relion.teleport", "there is no job type 'relion.teleport'")],
)
def test_what_is_no_job(label, expected, capsys):
    place = job("Some/job001", label) if label else Path("Some/job001")
    assert main(["run-job", str(place)]) == 2
    assert expected in capsys.readouterr().err


def test_an_unexpected_error_leaves_its_trace(monkeypatch):
    place = job("Select/job002", "relion.select", fn_data="particles.star", do_split="Yes")

    def broken(*arguments, **options):
        raise RuntimeError("a bug")

    monkeypatch.setattr("relion4plugin.jobs.selectvalues.run", broken)
    with pytest.raises(RuntimeError):
        main(["run-job", str(place)])
    assert markers(place) == {FAILURE} and "RuntimeError: a bug" in (place / "run.err").read_text()


def tool(body: str) -> str:
    Path("tool.py").write_text(f"#!{sys.executable}\nimport sys, time\nplace = sys.argv[2]\n{body}\n")
    Path("tool.py").chmod(0o755)
    return "./tool.py"


def test_threads_and_cards_replace_those_of_job_star():
    place = job("External/job004", "relion.external", fn_exe=tool("print(sys.argv)"), nr_threads="8")
    assert main(["run-job", str(place), "--j", "3"]) == 0
    assert "'--j', '3'" in (place / "run.out").read_text()
    seen: dict[str, str] = {}

    def remember(execution: Execution) -> tuple[str, ...]:
        seen.update(execution.options)
        return ()

    kind = replace(job_type("relion.class2d"), native=lambda options: remember)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("relion4plugin.jobs.execution.job_type", lambda label: kind)
        assert main(["run-job", str(job("Class2D/job001", "relion.class2d")), "--gpu", "1"]) == 0
    assert (seen["use_gpu"], seen["gpu_ids"], seen["nr_iter_em"]) == ("Yes", "1", "25")


def start(place: Path) -> subprocess.Popen[bytes]:
    """Run a job as a runner of schemes does: a process whose error stream is the job's run.err."""
    with open(place / "run.out", "ab") as out, open(place / "run.err", "ab") as err:
        words = [sys.executable, "-m", "relion4plugin.cli.main", "run-job", str(place)]
        return subprocess.Popen(words, stdout=out, stderr=err, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])})


def wait_for(path: Path) -> None:
    for _ in range(300):
        if path.exists():
            return
        time.sleep(0.1)
    raise TimeoutError(path)


@pytest.mark.parametrize("how", ["file", "signal"])
def test_an_abort_request_ends_the_job(how):
    place = job("External/job004", "relion.external", fn_exe=tool("open(place + 'up', 'w'); time.sleep(60)"))
    process = start(place)
    wait_for(place / "up")
    if how == "file":
        (place / ABORT_NOW).touch()
    else:
        process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 130
    assert markers(place) - {ABORT_NOW} == {ABORTED}
    assert (place / "run.err").read_text() == "aborted\n"
    if how == "file":  # the request has been answered, so the next execution does not end at once
        tool("pass")
        assert main(["run-job", str(place), "--continue"]) == 0
        assert markers(place) == {SUCCESS}


def test_a_request_that_comes_before_the_job_is_up_is_obeyed():
    place = job("External/job004", "relion.external", fn_exe=tool("time.sleep(60)"))
    (place / ABORT_NOW).touch()
    assert main(["run-job", str(place)]) == 130
    assert markers(place) == {ABORTED, ABORT_NOW}


def test_an_error_is_not_said_twice_in_the_same_file():
    place = job("External/job004", "relion.external", fn_exe=tool("sys.exit(4)"))
    assert start(place).wait(60) == 2
    assert (place / "run.err").read_text().count("exit code 4") == 1
    assert markers(place) == {FAILURE}


def test_what_may_surprise_is_in_the_log():
    place = job("JoinStar/job003", "relion.joinstar", do_part="Yes", fn_part1="particles.star", fn_part2="particles.star")
    assert main(["run-job", str(place)]) == 0
    assert "note: 6 values of rlnImageName occur more than once; all rows are kept" in (place / "run.out").read_text()
    assert len(read_star(place / "join_particles.star")["particles"]) == 12
