import os
import time

import pytest

from relion4plugin.errors import UserError
from relion4plugin.jobs.markers import ABORT_NOW, FAILURE
from relion4plugin.schemes.context import Context
from relion4plugin.schemes.executors.base import JobEnd, JobRun
from relion4plugin.schemes.job_wait import JobLimits, JobWait, last_sign
from relion4plugin.schemes.pipeline import Status
from relion4plugin.schemes.runner import Outcome
from tests.schemes.shipped_schemes import PREP_TEMPLATES, prep
from tests.schemes.stubs import make_project, run_stubs

pytestmark = pytest.mark.usefixtures("no_fsync")


class Job:
    """A job that works for some seconds, and ends when it is asked to unless it is deaf."""

    def __init__(self, path, seconds, deaf=False):
        self.path, self.until, self.deaf, self.cancelled = path, time.monotonic() + seconds, deaf, 0

    def poll(self):
        if self.cancelled or ((self.path / ABORT_NOW).exists() and not self.deaf):
            return JobEnd(Status.ABORTED)
        return JobEnd(Status.SUCCEEDED) if time.monotonic() > self.until else None

    def cancel(self):
        self.cancelled += 1


@pytest.fixture
def waiting(tmp_path):
    """Return a function that waits for a job of some seconds under limits: end, job, reported lines, events."""
    directory = tmp_path / "MotionCorr" / "job002"
    directory.mkdir(parents=True)

    def wait(seconds, deaf=False, **limits):
        lines, events = [], []
        context = Context(None, report=lambda line, level=1: lines.append(line))
        job = Job(directory, seconds, deaf)
        run = JobRun(tmp_path, "MotionCorr/job002/", "1", None, {})
        end = JobWait(context, lambda event, **fields: events.append((event, fields)), JobLimits(**limits)).until_end(job, run)
        return end, job, lines, events

    return wait


def test_without_limits_a_job_may_take_its_time(waiting):
    end, job, lines, events = waiting(0.2)
    assert end == JobEnd(Status.SUCCEEDED) and not job.cancelled and not lines and not events


def test_a_job_that_runs_too_long_is_ended_as_failed(waiting):
    end, job, lines, _ = waiting(20, run_time=0.1)
    assert end == JobEnd(Status.FAILED, "it ran longer than 0.1 s, the limit for a job")
    assert not job.cancelled and "MotionCorr/job002/ is ended" in lines[0]


def test_one_that_does_not_listen_is_ended_by_force(waiting):
    end, job, _, _ = waiting(20, deaf=True, run_time=0.1, grace=0.1)
    assert end.status is Status.FAILED and job.cancelled == 1


def test_a_silent_job_is_reported_once_and_goes_on(waiting):
    end, _, lines, events = waiting(1.0, silence=0.2)
    assert end.status is Status.SUCCEEDED
    assert lines == [" + WARNING: MotionCorr/job002/ wrote nothing for 0.2 s; it may hang"]
    assert [event for event, _ in events] == ["stalled"]


def test_a_silent_job_is_ended_where_that_is_wanted(waiting):
    end, _, _, events = waiting(20, silence=0.2, end_stalled=True)
    assert end == JobEnd(Status.FAILED, "it wrote nothing for 0.2 s")
    assert [event for event, _ in events] == ["stalled"]


def test_time_before_this_runner_counts(waiting, tmp_path):
    plan = tmp_path / "MotionCorr/job002/.launch/1.plan"
    plan.parent.mkdir()
    plan.touch()
    os.utime(plan, (time.time() - 7200, time.time() - 7200))
    end, *_ = waiting(20, run_time=3600.0)
    assert end.message == "it ran longer than 1 h, the limit for a job"


def test_last_sign_sees_new_files_in_folders_below(tmp_path):
    deep = tmp_path / "Movies" / "a"
    deep.mkdir(parents=True)
    for path in (deep, deep.parent, tmp_path):
        os.utime(path, (1000, 1000))
    assert last_sign(tmp_path) == 1000
    (deep / "x.mrc").touch()
    assert last_sign(tmp_path) > time.time() - 60
    os.utime(deep, (1000, 1000))
    (tmp_path / "run.out").touch()
    os.utime(tmp_path / "run.out", (5000, 5000))
    os.utime(tmp_path, (1000, 1000))
    assert last_sign(tmp_path) == 5000


@pytest.mark.parametrize("name", ["run_time", "silence"])
def test_limits_are_positive(name):
    with pytest.raises(UserError, match=name):
        JobLimits(**{name: 0.0})


def test_a_job_beyond_its_limit_fails_the_scheme(tmp_path):
    project = make_project(tmp_path, [(prep(wait_sec=0.01, maxtime_hr=0.0), PREP_TEMPLATES)])
    (project.root / "stubs/deaf_MotionCorr").touch()
    end = run_stubs(project, "prep", limits=JobLimits(grace=0.2, run_time=0.5))
    assert end.outcome is Outcome.FAILED and "ran longer than 0.5 s" in end.reason
    assert (project.scheme_directory("prep") / FAILURE).exists()
