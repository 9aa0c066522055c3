"""Dry run: commands are written down, nothing is executed, and the project stays as it is."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from relion4plugin.jobs.markers import ABORT_NOW, ABORTED, FAILURE, SUCCESS
from relion4plugin.schemes.executors.base import Handle, JobEnd, JobRun
from relion4plugin.schemes.executors.plan import Plan
from relion4plugin.schemes.executors.queue import SCRIPT, shell_text
from relion4plugin.schemes.labels import JOB_FOLDERS
from relion4plugin.schemes.pipeline import Status
from relion4plugin.schemes.project import SCHEMES, Project

# What the start of a job writes into its directory; a link would lead the writing into the real project.
_WRITTEN = frozenset("job.star job_pipeline.star default_pipeline.star note.txt run.out run.err".split())
_WRITTEN |= {SCRIPT, SUCCESS, FAILURE, ABORTED, ABORT_NOW}


class DryExecutor:
    """Takes every job for done and collects what would have run, in `lines`."""

    name = "dry"
    simulates = True

    def __init__(self, planner: Callable[[JobRun], Plan]) -> None:
        self.planner = planner
        self.lines: list[str] = []

    def commands(self, run: JobRun) -> tuple[tuple[str, ...], ...]:
        """Return what would be executed."""
        return self.planner(run).commands

    def start(self, run: JobRun) -> Handle:
        """Note the commands of a job.

        Raises
        ------
        UserError
            If the job could not run.
        """
        self.lines += [shell_text(command) for command in self.commands(run)]
        return _Done()

    def attach(self, run: JobRun) -> Handle | None:
        """Find nothing: what was started before is not touched."""
        return None


class _Done:
    """A job that has ended."""

    def poll(self) -> JobEnd | None:
        """Return success."""
        return JobEnd(Status.SUCCEEDED)

    def cancel(self) -> None:
        """Do nothing."""


@contextmanager
def shadow(project: Project) -> Iterator[Project]:
    """Give a temporary project that reads the files of `project` and keeps all changes to itself.

    Schemes and pipeline are copied; job folders are folders of links; everything else is linked.
    """
    with TemporaryDirectory(prefix="relion4plugin_dry_") as name:
        root = Path(name)
        for path in project.root.iterdir():
            target = root / path.name
            if path.name == SCHEMES:
                shutil.copytree(path, target, ignore=shutil.ignore_patterns("*.jsonl", "run.out", "run.err"))
            elif path == project.pipeline_path:
                shutil.copyfile(path, target)
            elif path.name in JOB_FOLDERS.values() and path.is_dir():
                for job in path.iterdir():
                    _link_results(job, target / job.name)
            elif not path.name.startswith("."):
                os.symlink(path.resolve(), target)
        yield Project(root)


def _link_results(job: Path, target: Path) -> None:
    target.mkdir(parents=True)
    if job.is_dir():
        for path in job.iterdir():
            if path.name not in _WRITTEN and not path.name.startswith("."):
                os.symlink(path.resolve(), target / path.name)
