"""The state of a project, against a project whose state is known."""

import json
import os
import socket

import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.file_cache import FileCache
from relion4plugin.files.star import write_star
from relion4plugin.schemes.events import EventLog
from relion4plugin.schemes.history import HistoryReader
from relion4plugin.schemes.owners import Owner
from relion4plugin.schemes.project import Project
from relion4plugin.schemes.status import FOREIGN, RUNNING, STALE, STOPPED, ProjectReader, project_status
from relion4plugin.schemes.status_text import status_json, status_text
from tests.web.example_project import START, make_project, optics


@pytest.fixture
def project(tmp_path):
    return make_project(tmp_path)


def test_figures_are_row_counts_and_resolutions(project):
    found = {one.key: (one.value, one.source) for one in project_status(project).quantities}
    assert found["movies"] == (250, "Import/job001/movies.star")
    assert found["micrographs"] == (225, "CtfFind/job003/micrographs_ctf.star")
    assert found["selected_micrographs"] == (210, "Select/job004/micrographs.star")
    assert found["particles"] == (31250, "Extract/job006/particles.star")
    assert found["selected_particles"] == (12000, "Select/job008/particles.star")
    assert found["classes"] == (9, "Select/job008/class_averages.star")
    assert found["class_resolution"] == (8.1, "Class2D/job011/")
    assert found["resolution"] == (None, "")


def test_a_file_that_grows_makes_a_course(project):
    reader = ProjectReader(project)
    reader.read()
    path = project.root / "CtfFind/job003/micrographs_ctf.star"
    write_star(path, optics("micrographs", 300))
    os.utime(path, (START + 9e8, START + 9e8))
    points = {one.key: one.points for one in reader.read().quantities}["micrographs"]
    assert [value for _, value in points] == [225, 300] and points[-1][0] == START + 9e8
    path.write_text("damaged\n")
    assert {one.key: one.value for one in reader.read().quantities}["micrographs"] == 300


def test_nodes_jobs_and_history(project):
    status = project_status(project)
    proc = status.scheme("proc")
    nodes = {node.name: node for node in proc.nodes}
    assert nodes["class2d"].state == "current" and nodes["refine3d"].state == "failed" and nodes["CHECK_do_3d"].state == "idle"
    assert (nodes["WAIT"].visits, nodes["autopick"].visits, nodes["WAIT"].came_from) == (6, 3, "HAS_mics_increased")
    assert status.job("Class2D/job011").node == "proc/class2d" and status.job("Class2D/job007").node == "proc/class2d"
    assert status.job("Class2D/job007").started == START + status_job_start(project)
    assert status.job_counts() == {"Running": 1, "Scheduled": 0, "Succeeded": 9, "Failed": 1, "Aborted": 0}
    assert [value for _, value in proc.history.series["current_nr_mics"]] == [35.0 * k for k in range(1, 7)]
    assert proc.history.recent[-1].text == "Class2D/job011/ started"
    with pytest.raises(UserError, match="no scheme prop"):
        status.scheme("prop")


def status_job_start(project):
    lines = [json.loads(line) for line in (project.root / "Schemes/proc/events.jsonl").read_text().splitlines()]
    return [one["time"] for one in lines if one["event"] == "started" and one.get("job") == "Class2D/job007/"][-1] - START


def test_a_job_that_has_ended_counts_so_before_the_pipeline_says_it(project):
    (project.root / "Class2D/job011/RELION_JOB_EXIT_SUCCESS").touch()
    assert project_status(project).job("Class2D/job011").status == "Succeeded"


@pytest.mark.parametrize(("text", "state"), [("relion\n", FOREIGN), (Owner.current("a test").text(), RUNNING)])
def test_who_runs_a_scheme(project, text, state):
    project.scheme_lock("prep").mkdir()
    (project.scheme_lock("prep") / "lock_scheme").write_text(text)
    prep = project_status(project).scheme("prep")
    assert prep.state == state and prep.is_locked
    assert {node.name: node.state for node in prep.nodes}["WAIT"] == "running"


def test_a_dead_owner_leaves_a_stale_lock(project):
    assert project_status(project).scheme("prep").state == STOPPED
    project.scheme_lock("prep").mkdir()
    owner = Owner(socket.gethostname(), 2**22 + 1, "another boot", "1", "", "")
    (project.scheme_lock("prep") / "lock_scheme").write_text(owner.text())
    assert project_status(project).scheme("prep").state == STALE


def test_damaged_files_are_told_not_raised(project):
    project.pipeline_path.write_text("nothing")
    project.scheme_file("prep").write_text("data_wrong\n\n_a b\n")
    status = project_status(project)
    assert "default_pipeline.star" in status.error and status.jobs == ()
    assert "scheme_general" in status.scheme("prep").error and not status.scheme("proc").error
    assert "scheme_general" in status_text(status)


def test_an_empty_project(tmp_path):
    status = project_status(Project(tmp_path))
    assert (status.schemes, status.jobs, status.error) == ((), (), "")
    assert "results: none yet" in status_text(status)


def test_text_and_json(project):
    status = project_status(project)
    text = status_text(status, n_jobs=2)
    assert "scheme proc: stopped, at class2d" in text and "particles 31250" in text and "9 succeeded" in text
    assert "  Refine3D/job010/" in text and "  Extract/job006/ " not in text
    values = json.loads(json.dumps(status_json(status)))
    assert values["quantities"]["movies"]["value"] == 250 and len(values["jobs"]) == 11
    assert values["schemes"][1]["variables"]["do_log"] == "True"


def test_history_goes_on_where_it_stopped(tmp_path):
    path = tmp_path / "events.jsonl"
    reader = HistoryReader(path)
    assert reader.read().visits == {}
    with EventLog(path) as log:
        log.write("run", pid=1, host="h", node="A")
        log.write("node", node="A", kind="operator")
        first = reader.read()
        log.write("node", node="B", kind="job")
        log.write("waiting", node="B", job="", file="x.star")
        with open(path, "a") as stream:
            stream.write('{"time": 3, "event": "node", "no')
        second = reader.read()
    assert first.visits == {"A": 1} and second.visits == {"A": 1, "B": 1} and second.waiting_for == "x.star"
    with open(path, "a") as stream:
        stream.write('de": "A"}\n{"time": 4, "event": "end", "outcome": "failed", "reason": "no disk", "node": "A"}\n')
    third = reader.read()
    assert third.visits == {"A": 2, "B": 1} and (third.outcome, third.reason, third.waiting_for) == ("failed", "no disk", "")
    assert reader.read() is third
    path.unlink()
    path.write_text('{"time": 5, "event": "node", "node": "Z"}\n')
    assert reader.read().visits == {"Z": 1}


def test_values_that_stay_are_thinned(tmp_path):
    path = tmp_path / "events.jsonl"
    with EventLog(path, clock=iter(range(100)).__next__) as log:
        for value in (1.0, 1.0, 1.0, 1.0, 2.0, True, "text", None):
            log.write("operator", node="N", type="float=set", output="n", value=value)
        log.write("operator", node="W", type="wait", output="w", value=7.0)
    assert HistoryReader(path).read().series == {"n": ((0.0, 1.0), (3.0, 1.0), (4.0, 2.0))}


def test_cache_reads_again_only_after_a_change(tmp_path):
    path, calls = tmp_path / "a", []

    def read(one):
        calls.append(one)
        if len(calls) == 2:
            raise UserError("damaged")
        return one.read_text()

    cache = FileCache(capacity=1)
    assert cache.get(path, read) is None
    path.write_text("x")
    assert [cache.get(path, read) for _ in range(2)] == ["x", "x"] and len(calls) == 1
    path.write_text("longer")
    for _ in range(2):
        with pytest.raises(UserError, match="damaged"):
            cache.get(path, read)
    assert len(calls) == 2
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert cache.get(pipe, read) is None
