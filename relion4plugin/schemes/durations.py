"""How long the jobs of a project have worked: all executions of each together."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from relion4plugin.schemes.events import FILE_NAME, read_events
from relion4plugin.schemes.project import Project
from relion4plugin.schemes.status import JobStatus


@dataclass(frozen=True)
class Work:
    """Number of executions that have ended, their seconds together, start of the first and end of the last (seconds since 1970)."""

    executions: int = 0
    seconds: float = 0.0
    begin: float = math.inf
    end: float = -math.inf

    def __add__(self, other: "Work") -> "Work":
        """Return both together."""
        both = self.executions + other.executions, self.seconds + other.seconds
        return Work(*both, min(self.begin, other.begin), max(self.end, other.end))


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
            if event["event"] == "ended":
                job, seconds, time = event["job"], float(event["seconds"]), float(event["time"])
                found[job] = found.get(job, Work()) + Work(1, seconds, time - seconds, time)
    for job, known in jobs.items():
        if job not in found and known.started is not None and known.ended is not None:
            found[job] = Work(1, max(0.0, known.ended - known.started), known.started, known.ended)
    return found
