"""Names of files inside and outside of job directories: ``MotionCorr/job002/Movies/x.mrc`` is ``Movies/x.mrc`` of a job."""

import re
from pathlib import Path, PurePosixPath

_JOB_PART = re.compile(r"^.*?/job\d{3,}/")


def without_job(name: str) -> str:
    """Return a file name without the job directory that it lies in."""
    return _JOB_PART.sub("", name, count=1)


def output_root(out_dir: Path, name: str) -> Path:
    """Return where the output of one input file goes: its name in `out_dir`, without job directory and last suffix.

    Directories in front are kept, as RELION does; absolute names and ``..`` never lead out of `out_dir`.
    """
    parts = PurePosixPath(without_job(name)).with_suffix("").parts
    return out_dir.joinpath(*(part for part in parts if part not in ("/", "..", ".")))
