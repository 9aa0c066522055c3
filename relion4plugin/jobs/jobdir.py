"""The RELION job directory: its files, its exit markers and the request to abort."""

import os
import shutil
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import pandas as pd

from relion4plugin.errors import UserError
from relion4plugin.files.atomic import remove_temporaries
from relion4plugin.files.disk_errors import disk_errors_told
from relion4plugin.files.star import write_star
from relion4plugin.jobs.job_star import JobStar, write_job_star
from relion4plugin.jobs.markers import ABORT_NOW, ABORTED, FAILURE, SUCCESS
from relion4plugin.progress import Progress

_RESULT_PATTERNS = (
    "run_it[0-9]*",
    "run_[a-z]*.star",
    "run_class*.mrc",
    "run_half*",
    "run_unmasked_classes.mrcs",
    "run_iterations.jsonl",
    "initial_model.*",
    "initial_model_start*",
    "halves",
    "report.html",
)


class AbortRequested(KeyboardInterrupt):
    """Someone put RELION_JOB_ABORT_NOW into the job directory: ends the run like Ctrl-C."""


def prepare_output(out_dir: Path, needed_bytes: int, overwrite: bool, continuing: bool) -> None:
    """Check the output directory and make it; results of an earlier run are removed only when `overwrite` says so.

    Raises
    ------
    UserError
        If it cannot be written, lacks space, or holds results that would be mixed with new ones.
    """
    if out_dir.exists() and not out_dir.is_dir():
        raise UserError(f"output {out_dir} is a file: give a directory with --o")
    parent = next(p for p in (out_dir.absolute(), *out_dir.absolute().parents) if p.exists())
    if not os.access(parent, os.W_OK | os.X_OK):
        raise UserError(f"cannot write to {parent}: no permission (or a read-only disk); give another directory with --o")
    free = shutil.disk_usage(parent).free
    if free < needed_bytes:
        raise UserError(
            f"{parent} has {_size(free)} free but the run may write {_size(needed_bytes)}: make room or give another --o"
        )
    present = list(dict.fromkeys(path for pattern in _RESULT_PATTERNS for path in sorted(out_dir.glob(pattern))))
    if present and not continuing and not overwrite:
        raise UserError(
            f"{out_dir} holds results of an earlier run ({present[0].name}): give another --o, --continue that run, or --overwrite it"
        )
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the output directory {out_dir}: {error.strerror}") from error
    if overwrite and not continuing:
        for path in present:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 2**30:.2f} GiB" if n_bytes >= 1 << 30 else f"{n_bytes / 2**20:.1f} MiB"


class JobDirectory:
    """Context of a running job: writes its files on entry and the exit marker on exit.

    Parameters
    ----------
    out_dir
        Existing job directory.
    job
        Written as job.star.
    command
        Recorded in note.txt.
    inputs, outputs
        File -> RELION node type, for job_pipeline.star.
    progress
        The caller's progress; ``job.progress`` passes on to it, logs to run.out and watches for an abort request.
    enabled
        False keeps everything but the abort request and the log away (a face that records the job itself).
    """

    def __init__(
        self,
        out_dir: Path,
        job: JobStar,
        *,
        command: str,
        inputs: Mapping[str, str],
        outputs: Mapping[Path, str],
        progress: Progress,
        enabled: bool = True,
    ) -> None:
        self.out_dir, self.job, self.command = out_dir, job, command
        self.inputs, self.outputs, self.enabled = inputs, outputs, enabled
        self.progress: Progress = _JobProgress(progress, out_dir) if enabled else progress

    def __enter__(self) -> "JobDirectory":
        """Write job.star, job_pipeline.star and note.txt; remove markers of an earlier execution."""
        if self.enabled:
            with disk_errors_told(self.out_dir):
                self._begin()
        return self

    def _begin(self) -> None:
        for marker in (ABORT_NOW, SUCCESS, FAILURE, ABORTED):
            (self.out_dir / marker).unlink(missing_ok=True)
        remove_temporaries(self.out_dir)
        write_job_star(self.out_dir / "job.star", self.job)
        write_star(self.out_dir / "job_pipeline.star", self._pipeline())
        with open(self.out_dir / "note.txt", "a", encoding="utf-8") as note:
            note.write(f"\n ++++ Executing new job on {time.ctime()}\n ++++ with the following command(s): \n{self.command}\n ++++ \n")
        (self.out_dir / "run.out").touch()
        (self.out_dir / "run.err").touch()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Leave the exit marker, and the reason of a failure in run.err."""
        if not self.enabled:
            return
        if kind is None:
            with disk_errors_told(self.out_dir / SUCCESS):
                (self.out_dir / SUCCESS).touch()
            return
        aborted = issubclass(kind, KeyboardInterrupt)
        text = "aborted\n" if aborted else f"error: {error}\n" if kind is UserError else "".join(traceback.format_exception(error))
        try:
            with open(self.out_dir / "run.err", "a", encoding="utf-8") as stream:
                stream.write(text)
            (self.out_dir / (ABORTED if aborted else FAILURE)).touch()
        except OSError as unwritable:  # a full disk must not hide the first error
            if error is not None and hasattr(error, "add_note"):
                error.add_note(f"the failure could not be recorded in {self.out_dir}: {unwritable.strerror}")

    def _pipeline(self) -> dict[str, pd.DataFrame | dict[str, object]]:
        process = f"{self.out_dir.as_posix()}/"
        outputs = {path.as_posix(): kind for path, kind in self.outputs.items()}
        nodes = {**self.inputs, **outputs}
        return {
            "pipeline_general": {"rlnPipeLineJobCounter": 2},
            "pipeline_processes": pd.DataFrame(
                {
                    "rlnPipeLineProcessName": [process],
                    "rlnPipeLineProcessAlias": ["None"],
                    "rlnPipeLineProcessTypeLabel": [self.job.type_label],
                    "rlnPipeLineProcessStatusLabel": ["Running"],
                }
            ),
            "pipeline_nodes": pd.DataFrame({"rlnPipeLineNodeName": list(nodes), "rlnPipeLineNodeTypeLabel": list(nodes.values())}),
            "pipeline_input_edges": pd.DataFrame(
                {"rlnPipeLineEdgeFromNode": list(self.inputs), "rlnPipeLineEdgeProcess": [process] * len(self.inputs)}
            ),
            "pipeline_output_edges": pd.DataFrame(
                {"rlnPipeLineEdgeProcess": [process] * len(outputs), "rlnPipeLineEdgeToNode": list(outputs)}
            ),
        }


class _JobProgress:
    """Passes progress on, appends tenths and notes to run.out and turns an abort request into an exception."""

    def __init__(self, inner: Progress, out_dir: Path) -> None:
        self._inner, self._out_dir = inner, out_dir
        self._label, self._done, self._total, self._tenths = "", 0, 0, 0

    def start(self, label: str, total: int) -> None:
        self._label, self._done, self._total, self._tenths = label, 0, total, 0
        self._log(f"{label}: {total} steps")
        self._inner.start(label, total)

    def advance(self, n: int = 1, note: str = "") -> None:
        if (self._out_dir / ABORT_NOW).exists():
            raise AbortRequested(f"{ABORT_NOW} found in {self._out_dir}")
        self._done += n
        tenths = 10 * self._done // max(self._total, 1)
        if tenths > self._tenths or note:
            self._tenths = tenths
            self._log(f"{self._label} {self._done}/{self._total} {note}".rstrip())
        self._inner.advance(n, note)

    def finish(self) -> None:
        self._log(f"{self._label}: done")
        self._inner.finish()

    def _log(self, line: str) -> None:
        path = self._out_dir / "run.out"
        with disk_errors_told(path), open(path, "a", encoding="utf-8") as stream:
            stream.write(f"{time.strftime('%H:%M:%S')} {line}\n")
