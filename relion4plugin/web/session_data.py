"""A project as the report of a session sees it: its newest job of each stage, and their tables."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from relion4plugin.errors import UserError
from relion4plugin.files.star import Block, read_star
from relion4plugin.jobs.job_star import read_job_star
from relion4plugin.jobs.one_by_one import SET_ASIDE
from relion4plugin.schemes.project import Project
from relion4plugin.schemes.status import JobStatus, ProjectStatus, project_status

_SUMMARY = "summary.star"
_SUMMARY_COLUMNS = {"rlnMicrographName": "name", "rlnAutopickFigureOfMerit": "merit", "rlnGroupNrParticles": "count"}
_PIXEL_LABELS = ("rlnMicrographPixelSize", "rlnMicrographOriginalPixelSize")


@dataclass(frozen=True)
class StageFile:
    """A job and the main file that it has written."""

    job: JobStatus
    path: Path

    @property
    def name(self) -> str:
        """Directory of the job, without a trailing slash."""
        return self.job.name.rstrip("/")

    @property
    def directory(self) -> Path:
        """Where the job's files are."""
        return self.path.parent

    def option(self, name: str, default: str = "") -> str:
        """Return an option of the job's job.star."""
        path = self.directory / "job.star"
        return read_job_star(path).options.get(name, default) if path.is_file() else default


@dataclass(frozen=True)
class SetAside:
    """Items that a job could not use: pairs (name, reason)."""

    job: str
    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Session:
    """One state of a project; names in its files are relative to `root`.

    `truth` is the folder with the truth of simulated movies where the user gave one.
    """

    root: Path
    status: ProjectStatus
    truth: Path | None = None

    def find(self, file: str, *types: str) -> StageFile | None:
        """Return the newest job of some types (beginnings of labels) that has written a file; None where there is none."""
        for job in reversed(self.status.jobs):
            if job.type_label.startswith(types) and (self.root / job.name / file).is_file():
                return StageFile(job, self.root / job.name / file)
        return None

    def directory(self, is_run: Callable[[Path], bool], *types: str) -> StageFile | None:
        """Return the newest job of some types whose directory fulfils a condition; its `path` is one in that directory."""
        for job in reversed(self.status.jobs):
            folder = self.root / job.name
            if job.type_label.startswith(types) and folder.is_dir() and is_run(folder):
                return StageFile(job, folder / "job.star")
        return None

    @cached_property
    def movies(self) -> StageFile | None:
        """The newest import of movies."""
        return self.find("movies.star", "relion.import")

    @cached_property
    def motion(self) -> StageFile | None:
        """The newest motion correction."""
        return self.find("corrected_micrographs.star", "relion.motioncorr")

    @cached_property
    def ctf(self) -> StageFile | None:
        """The newest CTF estimation."""
        return self.find("micrographs_ctf.star", "relion.ctffind")

    @cached_property
    def micrographs(self) -> StageFile | None:
        """The newest selection of micrographs."""
        return self.find("micrographs.star", "relion.select")

    @cached_property
    def picks(self) -> StageFile | None:
        """The newest picking."""
        return self.find("autopick.star", "relion.autopick", "relion.external")

    @cached_property
    def extracted(self) -> StageFile | None:
        """The newest extraction."""
        return self.find("particles.star", "relion.extract")

    @cached_property
    def selected(self) -> StageFile | None:
        """The newest selection of particles."""
        return self.find("particles.star", "relion.select")

    @cached_property
    def extracted_tables(self) -> dict[str, Block]:
        """Tables of the extracted particles; none before there are any."""
        return table_of(self.extracted.path, "particles")[1] if self.extracted is not None else {}

    @property
    def particles(self) -> pd.DataFrame:
        """Rows of the extracted particles; empty before there are any."""
        table = self.extracted_tables.get("particles")
        return table if isinstance(table, pd.DataFrame) else pd.DataFrame()

    @cached_property
    def pick_summary(self) -> pd.DataFrame:
        """Micrograph (`name`), number of picks (`count`) and mean figure of merit (`merit`) of the picking; may have no rows."""
        table = None
        if self.picks is not None and (self.picks.directory / _SUMMARY).is_file():
            table = first_table(self.picks.directory / _SUMMARY)
        if table is None or not set(_SUMMARY_COLUMNS) <= set(table):
            return pd.DataFrame({"name": [], "merit": [], "count": []})
        return table[list(_SUMMARY_COLUMNS)].rename(columns=_SUMMARY_COLUMNS).astype({"merit": float, "count": int})

    @cached_property
    def set_aside(self) -> tuple[SetAside, ...]:
        """What jobs could not use, in the order of the jobs; a list that is damaged is left out."""
        found = []
        for job in self.status.jobs:
            path = self.root / job.name / SET_ASIDE
            if path.is_file():
                table = first_table(path)
                if table is not None and table.shape[1] > 1:
                    rows = table.iloc[:, :2].astype(str).itertuples(index=False)
                    found.append(SetAside(job.name.rstrip("/"), tuple((name, reason) for name, reason in rows)))
        return tuple(found)

    def path(self, name: str) -> Path:
        """Return where a file that a STAR file names is."""
        return self.root / name


def read_session(root: Path, truth: Path | None = None) -> Session:
    """Read the state of a project.

    Raises
    ------
    UserError
        If it has no pipeline, or one that cannot be read.
    """
    if not (root / "default_pipeline.star").is_file():
        raise UserError(f"{root} is no project: expected a folder with default_pipeline.star")
    status = project_status(Project(root))
    if status.error:
        raise UserError(status.error)
    return Session(root, status, truth)


def first_table(path: Path) -> pd.DataFrame | None:
    """Return the first table of a file; None where it has none."""
    blocks = read_star(path).values()
    return next((block for block in blocks if isinstance(block, pd.DataFrame)), None)


def table_of(path: Path, name: str) -> tuple[pd.DataFrame, dict[str, Block]]:
    """Return a table of a STAR file, and all blocks.

    Raises
    ------
    UserError
        If the file is missing, damaged, or has no such table.
    """
    blocks = read_star(path)
    table = blocks.get(name)
    if not isinstance(table, pd.DataFrame):
        raise UserError(f"{path}: no table data_{name}; run the job that writes it again")
    return table, blocks


def numbers(table: pd.DataFrame, label: str) -> np.ndarray | None:
    """Return a column as float64, NaN for what is no number; None where there is no such column."""
    return pd.to_numeric(table[label], errors="coerce").to_numpy(dtype=np.float64) if label in table else None


def pixel_size(blocks: dict[str, Block]) -> float:
    """Return the pixel size of micrographs in A, of the first optics group; 1 where the file does not tell."""
    optics = blocks.get("optics")
    if isinstance(optics, pd.DataFrame) and len(optics):
        for label in _PIXEL_LABELS:
            if label in optics:
                return float(optics[label].iloc[0])
    return 1.0
