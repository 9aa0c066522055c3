"""The project directory: which file lies where."""

import os
from dataclasses import dataclass
from pathlib import Path

from relion4plugin.errors import UserError

SCHEMES = "Schemes"
SCHEME_FILE = "scheme.star"


@dataclass(frozen=True)
class Project:
    """A RELION project directory; all paths in its files are relative to `root`."""

    root: Path

    @property
    def pipeline_path(self) -> Path:
        """The graph of jobs and files."""
        return self.root / "default_pipeline.star"

    @property
    def marker(self) -> Path:
        """Empty file by which RELION's window knows a project."""
        return self.root / ".gui_projectdir"

    def scheme_directory(self, name: str) -> Path:
        """Return the directory of a scheme, given as ``prep`` or ``Schemes/prep/``."""
        return self.root / scheme_path(name)

    def scheme_file(self, name: str) -> Path:
        """Return the file of a scheme."""
        return self.scheme_directory(name) / SCHEME_FILE

    def template(self, scheme: str, job: str) -> Path:
        """Return the job.star of a job of a scheme."""
        return self.scheme_directory(scheme) / job / "job.star"

    def scheme_names(self) -> list[str]:
        """Return the names of all schemes, sorted."""
        return sorted(path.parent.name for path in (self.root / SCHEMES).glob(f"*/{SCHEME_FILE}"))

    def scheme_lock(self, name: str) -> Path:
        """Return the directory whose existence says that a scheme is running or being edited."""
        return self.root / f".relion_lock_scheme_{scheme_path(name).rstrip('/').rsplit('/', 1)[-1]}"

    @property
    def pipeline_lock(self) -> Path:
        """The directory whose existence says that the pipeline is being changed."""
        return self.root / ".relion_lock"


def scheme_path(name: str) -> str:
    """Return the directory of a scheme as it stands in files: ``Schemes/prep/``.

    Raises
    ------
    UserError
        If the name is empty or leads out of the folder of schemes.
    """
    short = name.strip("/")
    short = short[len(SCHEMES) + 1 :] if short.startswith(f"{SCHEMES}/") else short
    if not short or short == SCHEMES or short.startswith(".") or "/" in short or any(c.isspace() for c in short):
        raise UserError(f"'{name}' is no name of a scheme; expected a folder in {SCHEMES}/ without blanks, such as prep")
    return f"{SCHEMES}/{short}/"


def open_project(root: Path, create: bool = False) -> Project:
    """Open a project directory; `create` makes it one that RELION's window accepts too.

    Raises
    ------
    UserError
        If it is no directory, or cannot be written where it has to be.
    """
    if not root.is_dir():
        raise UserError(f"{root} is no directory; expected a project directory, give one with --project")
    project = Project(root)
    if create and not project.marker.exists():
        try:
            project.marker.touch()
        except OSError as error:
            raise UserError(f"cannot write in {root}: {(error.strerror or str(error)).lower()}; choose another directory") from error
    return project


def in_project(project: Project, path: str) -> Path:
    """Return a path of a file in the project; ``~`` and absolute paths are taken as they are."""
    return project.root / os.path.expanduser(path)
