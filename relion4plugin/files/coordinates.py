"""Coordinates of picked particles: one file per micrograph, and the lists that name these files."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from relion4plugin.errors import UserError
from relion4plugin.files.job_names import output_root, without_job
from relion4plugin.files.star import read_star

X, Y = "rlnCoordinateX", "rlnCoordinateY"
MICROGRAPH, COORDINATES = "rlnMicrographName", "rlnMicrographCoordinates"
_POINTER = "coords_suffix"  # in the names of RELION 3.1's lists


@dataclass(frozen=True)
class CoordinateList:
    """Where the coordinates of each micrograph are.

    Attributes
    ----------
    source : Path
        The list.
    files : mapping of str to Path
        Micrograph, with and without its job directory -> coordinate file. Empty for a list of RELION 3.1.
    suffix : str
        End of the names of coordinate files of RELION 3.1, which lie beside the list.
    """

    source: Path
    files: Mapping[str, Path]
    suffix: str = ""

    def file_of(self, micrograph: str) -> Path | None:
        """Return the coordinate file of a micrograph; None where it has none."""
        if not self.suffix:
            return self.files.get(micrograph) or self.files.get(without_job(micrograph))
        root = output_root(self.source.parent, micrograph)
        path = root.with_name(root.name + self.suffix)
        return path if path.is_file() else None

    def not_among(self, micrographs: Iterable[str]) -> tuple[str, ...]:
        """Return the listed micrographs that are not among those given, by their names without job directories."""
        known = {without_job(name) for name in micrographs}
        listed = dict.fromkeys(without_job(name) for name in self.files)
        return tuple(name for name in listed if name not in known)


def read_coordinate_list(path: str | os.PathLike[str]) -> CoordinateList:
    """Read the list of coordinate files of a picking job.

    RELION 4 writes a STAR file of two columns (``autopick.star``, ``manualpick.star``); files that are not found from the current
    folder are looked for beside the list. RELION 3.1 leaves a file such as ``coords_suffix_autopick.star``, whose name says how the
    coordinate files beside it end.

    Raises
    ------
    UserError
        If the file cannot be read or is no such list.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"coordinates {path}: no such file; give the STAR file of a picking job")
    if _POINTER in path.name:
        return CoordinateList(path, {}, path.name.partition(_POINTER)[2])
    for block in read_star(path).values():
        if isinstance(block, pd.DataFrame) and {MICROGRAPH, COORDINATES} <= set(block.columns):
            return CoordinateList(path, _files(block, path))
    raise UserError(
        f"{path} lists no coordinates: expected the columns {MICROGRAPH} and {COORDINATES}, as in autopick.star of a picking job"
    )


def _files(table: pd.DataFrame, source: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for micrograph, name in zip(map(str, table[MICROGRAPH]), map(str, table[COORDINATES]), strict=True):
        here, beside = Path(name), source.parent / name
        found[micrograph] = found[without_job(micrograph)] = beside if not here.exists() and beside.exists() else here
    return found


def write_coordinate_list(path: str | os.PathLike[str], micrographs: Iterable[str], files: Iterable[str]) -> None:
    """Write the list of coordinate files as RELION 4 does.

    Raises
    ------
    UserError
        If the file cannot be written.
    """
    from relion4plugin.files.star import write_star

    write_star(path, {"coordinate_files": pd.DataFrame({MICROGRAPH: list(micrographs), COORDINATES: list(files)}, dtype=object)})


def read_coordinates(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read the picks of one micrograph.

    Parameters
    ----------
    path : path-like
        A STAR file; a ``.box`` file of EMAN (corner and size of each box); any other suffix is text with x and y in a row.

    Returns
    -------
    DataFrame
        rlnCoordinateX and rlnCoordinateY as float64, px from the first pixel, and all other columns of a STAR file; no rows where
        the file has none.

    Raises
    ------
    UserError
        If the file cannot be read, has no coordinates, or they are no finite numbers.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"coordinates {path}: no such file; pick this micrograph again, or leave it out")
    return _checked(_star_picks(path) if path.suffix == ".star" else _text_picks(path), path)


def _star_picks(path: Path) -> pd.DataFrame:
    blocks = [pd.DataFrame([block]) if isinstance(block, dict) else block for block in read_star(path).values()]
    for table in blocks:
        if {X, Y} <= set(table.columns):
            return table
    if any(len(table) for table in blocks):
        raise UserError(f"{path} has no columns {X} and {Y}: expected the picks of one micrograph")
    return pd.DataFrame({X: [], Y: []}, dtype=np.float64)


def _text_picks(path: Path) -> pd.DataFrame:
    is_box = path.suffix == ".box"
    needed = 4 if is_box else 2
    try:
        rows = [line.split()[:needed] for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        numbers = np.array(rows, dtype=np.float64).reshape(-1, needed)
    except (ValueError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: expected {needed} numbers in each row{' (corner and size of a box)' if is_box else ''}") from error
    corners = numbers[:, 2:] / 2 if is_box else 0.0
    centres = numbers[:, :2] + corners
    return pd.DataFrame({X: centres[:, 0], Y: centres[:, 1]})


def _checked(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    columns = {}
    for label in (X, Y):
        values = pd.to_numeric(table[label], errors="coerce").to_numpy(dtype=np.float64)
        wrong = np.flatnonzero(~np.isfinite(values))
        if len(wrong):
            raise UserError(f"{path}: pick {wrong[0] + 1} has {label} '{table[label].iloc[wrong[0]]}', expected a number; correct it")
        columns[label] = values
    return table.assign(**columns)
