import os
import shutil
from pathlib import Path

import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.star import read_star
from relion4plugin.jobs.job_star import JobStar, read_job_star
from relion4plugin.jobs.jobdir import ABORT_NOW, ABORTED, FAILURE, SUCCESS, AbortRequested, JobDirectory, prepare_output
from relion4plugin.progress import Silent


def job_directory(folder: Path, **options) -> JobDirectory:
    return JobDirectory(
        folder,
        JobStar("relion.class2d", options={"nr_classes": "3"}),
        command="relion4plugin class2d --o x",
        inputs={"Extract/job007/particles.star": "ParticlesData.star.relion"},
        outputs={folder / "run_it025_data.star": "ParticlesData.star.relion.class2d"},
        progress=Silent(),
        **options,
    )


def markers(folder: Path) -> set[str]:
    return {p.name for p in folder.glob("RELION_JOB_*")}


def test_a_finished_job_leaves_a_relion_job_directory(tmp_path):
    with job_directory(tmp_path) as job:
        job.progress.start("VDAM", 3)
        job.progress.advance(1, "10.5 A")
        job.progress.finish()
    assert markers(tmp_path) == {SUCCESS}
    assert read_job_star(tmp_path / "job.star").options == {"nr_classes": "3"}
    assert "relion4plugin class2d --o x" in (tmp_path / "note.txt").read_text()
    assert "VDAM 1/3 10.5 A" in (tmp_path / "run.out").read_text()
    assert (tmp_path / "run.err").read_text() == ""
    blocks = read_star(tmp_path / "job_pipeline.star")
    assert set(blocks) == {"pipeline_general", "pipeline_processes", "pipeline_nodes", "pipeline_input_edges", "pipeline_output_edges"}
    assert list(blocks["pipeline_nodes"]["rlnPipeLineNodeName"]) == [
        "Extract/job007/particles.star",
        f"{tmp_path.as_posix()}/run_it025_data.star",
    ]


def test_the_blocks_are_those_of_a_real_job_pipeline(tmp_path, shared_data):
    with job_directory(tmp_path):
        pass
    ours = read_star(tmp_path / "job_pipeline.star")
    theirs = read_star(shared_data / "class2d" / "bgal_empiar10204_relion5_em" / "job_pipeline.star")
    assert set(ours) == set(theirs)
    assert set(ours["pipeline_input_edges"]) == set(theirs["pipeline_input_edges"])


@pytest.mark.parametrize(
    ("error", "marker", "text"),
    [
        (UserError("no such file"), FAILURE, "error: no such file\n"),
        (ZeroDivisionError("boom"), FAILURE, "ZeroDivisionError: boom"),
        (KeyboardInterrupt(), ABORTED, "aborted"),
    ],
)
def test_a_failure_is_recorded_and_passed_on(tmp_path, error, marker, text):
    with pytest.raises(type(error)), job_directory(tmp_path):
        raise error
    assert markers(tmp_path) == {marker}
    assert text in (tmp_path / "run.err").read_text()


def test_an_abort_request_stops_the_job(tmp_path):
    with pytest.raises(AbortRequested), job_directory(tmp_path) as job:
        job.progress.advance()
        (tmp_path / ABORT_NOW).touch()
        job.progress.advance()
    assert ABORTED in markers(tmp_path) and SUCCESS not in markers(tmp_path)


def test_markers_of_an_earlier_execution_are_removed_and_logs_kept(tmp_path):
    with pytest.raises(UserError), job_directory(tmp_path):
        raise UserError("first")
    with job_directory(tmp_path):
        assert markers(tmp_path) == set()
    assert markers(tmp_path) == {SUCCESS}
    assert (tmp_path / "note.txt").read_text().count("++++ Executing") == 2
    assert "first" in (tmp_path / "run.err").read_text()


def test_a_disabled_job_directory_writes_nothing(tmp_path):
    with job_directory(tmp_path, enabled=False):
        pass
    assert list(tmp_path.iterdir()) == []


def test_results_are_not_overwritten(tmp_path):
    result = tmp_path / "run_it010_model.star"
    result.write_text("precious")
    other = tmp_path / "notes.md"
    other.write_text("mine")
    with pytest.raises(UserError, match="results of an earlier run"):
        prepare_output(tmp_path, 1, overwrite=False, continuing=False)
    prepare_output(tmp_path, 1, overwrite=True, continuing=True)
    assert result.read_text() == "precious"
    prepare_output(tmp_path, 1, overwrite=True, continuing=False)
    assert not result.exists() and other.read_text() == "mine"


def test_folders_of_results_go_and_what_a_link_points_to_stays(tmp_path):
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    (out / "halves" / "deeper").mkdir(parents=True)
    (out / "halves" / "deeper" / "map.mrc").write_text("old")
    prepare_output(out, 1, overwrite=True, continuing=False)
    assert not (out / "halves").exists()
    elsewhere.mkdir()
    (elsewhere / "map.mrc").write_text("precious")
    (out / "halves").symlink_to(elsewhere)
    prepare_output(out, 1, overwrite=True, continuing=False)
    assert not (out / "halves").is_symlink() and (elsewhere / "map.mrc").read_text() == "precious"


def test_a_full_disk_is_found_before_computing(tmp_path):
    needed = shutil.disk_usage(tmp_path).total * 2
    with pytest.raises(UserError, match=r"[MG]iB free but the run may write \d+\.\d+ [MG]iB"):
        prepare_output(tmp_path / "new", needed, overwrite=False, continuing=False)
    assert not (tmp_path / "new").exists()


def test_a_file_in_place_of_the_directory_is_refused(tmp_path):
    (tmp_path / "out").write_text("x")
    with pytest.raises(UserError, match="is a file"):
        prepare_output(tmp_path / "out", 1, overwrite=False, continuing=False)


def test_a_read_only_directory_is_refused(tmp_path, monkeypatch):
    # root may write anywhere, so the answer of the system is set here
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(UserError, match="no permission"):
        prepare_output(tmp_path / "out", 1, overwrite=False, continuing=False)


def test_the_log_gets_every_tenth_and_every_note(tmp_path):
    with job_directory(tmp_path) as job:
        job.progress.start("VDAM", 1000)
        for step in range(1000):
            job.progress.advance(1, "resolution 8 A" if step == 4 else "")
        job.progress.finish()
    lines = (tmp_path / "run.out").read_text().splitlines()
    assert len(lines) == 1 + 1 + 10 + 1
    assert "VDAM 5/1000 resolution 8 A" in lines[1]
