"""How long the jobs of a project have worked: all executions of each together."""

from collections.abc import Mapping
from dataclasses import dataclass

from relion4plugin.schemes.events import FILE_NAME, read_events
from relion4plugin.schemes.project import Project
from relion4plugin.schemes.status import JobStatus


@dataclass(frozen=True)
class Work:
    """Number of executions of a job that have ended, and their seconds together."""

    executions: int = 0
    seconds: float = 0.0

    def __add__(self, other: "Work") -> "Work":
        """Return both together."""
        return Work(self.executions + other.executions, self.seconds + other.seconds)


def job_work(project: Project, jobs: Mapping[str, JobStatus]) -> dict[str, Work]:
    """Return what each job has worked, by its directory.

    Parameters
    ----------
    project
        Its schemes' event logs tell of every execution.
    jobs
        Directory -> job; of those that no scheme started the files tell of the last execution.

    Returns
    -------
    dict
        Directory -> work, without jobs that have not ended yet.
    """
    found: dict[str, Work] = {}
    for name in project.scheme_names():
        for _, event in read_events(project.scheme_directory(name) / FILE_NAME):
            job, seconds = event.get("job"), event.get("seconds")
            if event["event"] == "ended" and isinstance(job, str) and isinstance(seconds, int | float):
                found[job] = found.get(job, Work()) + Work(1, float(seconds))
    for job, known in jobs.items():
        if job not in found and known.started is not None and known.ended is not None:
            found[job] = Work(1, max(0.0, known.ended - known.started))
    return found
