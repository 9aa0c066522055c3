"""Running the job that a directory describes, in that directory."""

from pathlib import Path

from relion4plugin.errors import UserError
from relion4plugin.files.atomic import remove_temporaries
from relion4plugin.files.disk_errors import disk_errors_told
from relion4plugin.jobs.job_star import JobStar, read_job_star
from relion4plugin.jobs.jobdir import ABORT_NOW, ABORTED, FAILURE, SUCCESS, JobDirectory
from relion4plugin.jobs.output_nodes import OUTPUT_NODES
from relion4plugin.jobs.registry import Execution, job_type
from relion4plugin.progress import Progress


class PreparedDirectory(JobDirectory):
    """A job directory whose job.star, job_pipeline.star and note.txt somebody else keeps: only markers and logs are written."""

    def __enter__(self) -> "PreparedDirectory":
        """Remove what an earlier execution left to tell how it ended."""
        markers = [self.out_dir / name for name in (SUCCESS, FAILURE, ABORTED)]
        # A request to abort that stands beside a marker has been answered; one without is meant for this execution.
        answered = [self.out_dir / ABORT_NOW] if any(marker.exists() for marker in markers) else []
        for path in (*answered, *markers, self.out_dir / OUTPUT_NODES):
            path.unlink(missing_ok=True)
        remove_temporaries(self.out_dir)
        with disk_errors_told(self.out_dir):
            for name in ("run.out", "run.err"):
                (self.out_dir / name).touch()
        return self

    def log(self, line: str) -> None:
        """Add a line to run.out."""
        with open(self.out_dir / "run.out", "a", encoding="utf-8") as stream:
            stream.write(f"{line}\n")


def load_job(directory: Path) -> JobStar:
    """Read the job.star of a job directory.

    Raises
    ------
    UserError
        If there is none, it is damaged, or its type is unknown.
    """
    path = directory / "job.star"
    if not path.is_file():
        raise UserError(f"{path}: no such file; give a job directory with a job.star")
    job = read_job_star(path)
    job_type(job.type_label)
    return job


def run_job(directory: Path, job: JobStar, is_continue: bool, progress: Progress) -> None:
    """Run a job by this program, leaving RELION's exit marker, run.out and run.err; every error is also written to run.err.

    Parameters
    ----------
    directory
        Job directory. It and the paths in the options are relative to the current directory, the project.
    job
        Type and options.
    is_continue
        Whether the job was run before: it goes on or starts over, as its type does.
    progress
        Told how far the job is.

    Raises
    ------
    UserError
        If only RELION's program can run this job, or the job refuses its options or files.
    relion4plugin.jobs.jobdir.AbortRequested
        If somebody asked to abort it.
    """
    kind = job_type(job.type_label)
    with PreparedDirectory(directory, job, command="", inputs={}, outputs={}, progress=progress) as place:
        runner = kind.runner(job.options)
        if runner is None:
            raise UserError(f"{directory} ({kind.full_label(job.options)}) cannot run here: {kind.missing}")
        options = kind.text(job.options).values  # what job.star leaves out has RELION's default, whoever runs the job
        for remark in runner(Execution(options, directory, is_continue, place.progress)):
            place.log(f"note: {remark}")
