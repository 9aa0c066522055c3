"""Executions and times of jobs, from event logs and from files."""

import json

import pytest

from relion4plugin.schemes.durations import Work, job_work
from relion4plugin.schemes.project import Project
from relion4plugin.schemes.status import JobStatus


def test_all_executions_count_and_jobs_of_no_scheme_too(tmp_path):
    folder = tmp_path / "Schemes/prep"
    folder.mkdir(parents=True)
    (folder / "scheme.star").touch()
    events = [
        {"time": 110.0, "event": "started", "job": "A/job001/"},
        {"time": 120.0, "event": "ended", "job": "A/job001/", "seconds": 10.0},
        {"time": 230.0, "event": "ended", "job": "A/job001/", "seconds": 30.0},
        {"time": 240.0, "event": "started", "job": "B/job002/"},
    ]
    (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    jobs = {
        "A/job001/": JobStatus("A/job001/", "a", "Succeeded", started=200.0, ended=230.0),
        "B/job002/": JobStatus("B/job002/", "b", "Running", started=240.0),
        "C/job003/": JobStatus("C/job003/", "c", "Succeeded", started=300.0, ended=307.0),
    }
    found = job_work(Project(tmp_path), jobs)
    assert found == {"A/job001/": Work(2, 40.0, 110.0, 230.0), "C/job003/": Work(1, 7.0, 300.0, 307.0)}
    total = sum(found.values(), Work())
    assert (total.executions, total.seconds, total.end - total.begin) == (3, pytest.approx(47.0), pytest.approx(197.0))
