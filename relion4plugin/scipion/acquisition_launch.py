"""The workflow that goes on with the movies of a session: written into the run's folder, and scheduled in its project if wanted."""

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from relion4plugin.errors import UserError
from relion4plugin.scipion.acquisition_form import SessionForm
from relion4plugin.scipion.acquisition_values import Planned
from relion4plugin.scipion.acquisition_workflow import write_workflow
from relion4plugin.scipion.start_command import DOUBT, SAID

_PROGRAM = "relion4plugin.scipion.start_workflow"
_TIME = 300.0  # s that loading and scheduling may take
_LOG = "workflow.log"


class WorkflowLaunch:
    """Fills and schedules the workflow of a run, once; a mistake in it does not stop the import.

    Attributes
    ----------
    lines : list of str
        What was done, for the summary.
    """

    def __init__(self, protocol: Any, form: SessionForm) -> None:
        self._protocol, self._form = protocol, form
        self.lines: list[str] = []

    def start(self, planned: Planned) -> None:
        """Fill the workflow with what is known about a session, and schedule it if that is wanted."""
        if self._form.workflow is None:
            return
        try:
            self.lines = self._started(self._form.workflow, planned)
        except UserError as error:
            self._protocol.error(f"workflow: {error}")
            self.lines = [f"*Error* The workflow {self._form.workflow.name} was not started: {error}"]

    def _started(self, template: Path, planned: Planned) -> list[str]:
        folder, run = self._protocol.runFolder(), self._protocol.getObjId()
        path = write_workflow(template, planned, folder.absolute(), run, self._form.settle)
        words = (str(Path.cwd()), str(path), f"[movies of run {run}]")
        command = shlex.join(("python", "-m", "scipion", "python", "-m", _PROGRAM, *words))
        if not self._form.start:
            return [f"Workflow: {path.relative_to(Path.cwd())}. It is loaded and scheduled by: {command}"]
        try:
            runs, doubts = self._schedule(words, folder / _LOG)
            return [f"Workflow: {path.relative_to(Path.cwd())}, scheduled as runs {runs}", *doubts]
        except UserError as error:
            raise UserError(f"{error}. It is written; once that is mended, it is scheduled by: {command}") from error

    def _schedule(self, words: tuple[str, ...], log: Path) -> tuple[str, list[str]]:
        """Schedule the workflow in another process; returns the ids of its runs, and what keeps some of them from beginning."""
        try:
            with open(log, "wb") as output:  # no pipe: the schedulers, which go on, would keep it open
                done = subprocess.run(
                    (sys.executable, "-m", _PROGRAM, *words),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    timeout=_TIME,
                    check=False,
                )
        except subprocess.TimeoutExpired as error:
            raise UserError(f"scheduling did not end within {_TIME:g} s; see {log}") from error
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        runs = next((line.removeprefix(SAID).strip() for line in lines if line.startswith(SAID)), "")
        if done.returncode or not runs:
            raise UserError(f"scheduling failed: {lines[-1].removeprefix('error: ') if lines else 'no message'}; see {log}")
        return runs, [f"*Warning* {line.removeprefix(DOUBT).strip()}" for line in lines if line.startswith(DOUBT)]
