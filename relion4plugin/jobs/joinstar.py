"""Joining STAR files of particles, micrographs or movies as a job."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from relion4plugin.errors import UserError
from relion4plugin.files.star import write_star
from relion4plugin.jobs.joinstar_parameters import JoinStarParameters, chosen_join, join_inputs
from relion4plugin.jobs.map_jobs import prepare_map_output
from relion4plugin.jobs.parameters import check, from_job_options
from relion4plugin.jobs.star_rows import RowFile, read_rows
from relion4plugin.progress import Progress

__all__ = ["JoinStarParameters", "Joined", "from_options", "join", "run", "validate"]


@dataclass(frozen=True)
class Joined:
    """The file written, its number of rows, and what may surprise."""

    path: Path
    n_rows: int
    remarks: tuple[str, ...]


def from_options(options: Mapping[str, str], where: str = "job.star") -> JoinStarParameters:
    """Build the parameters from job.star options.

    Raises
    ------
    UserError
        If a value has the wrong type.
    """
    return from_job_options(JoinStarParameters, options, where)


def validate(parameters: JoinStarParameters) -> tuple[str, ...]:
    """Check what can be known without reading the files.

    Raises
    ------
    UserError
        For the first mistake found.
    """
    check(parameters)
    join_inputs(chosen_join(vars(parameters)), vars(parameters).__getitem__)
    return ()


def run(parameters: JoinStarParameters, out_dir: Path, progress: Progress, overwrite: bool = False) -> Joined:
    """Join the files (see `selectvalues.run` for the arguments).

    Raises
    ------
    UserError
        If anything is wrong with the options, the files or the disk.
    """
    validate(parameters)
    kind = chosen_join(vars(parameters))
    paths = join_inputs(kind, vars(parameters).__getitem__)
    progress.start("Join", len(paths))
    files = [read_rows(path, kind.what, f"{kind.stem}{i}") for i, path in enumerate(paths, 1)]
    optics, rows, remarks = join(files)
    repeated = int(rows[kind.image].duplicated().sum()) if kind.image in rows.columns else 0
    if repeated:
        remarks = (*remarks, f"{repeated} values of {kind.image} occur more than once; all rows are kept")
    prepare_map_output(out_dir, [kind.name], sum(2 * file.path.stat().st_size for file in files), overwrite)
    write_star(out_dir / kind.name, {**({"optics": optics} if optics is not None else {}), files[0].table: rows})
    progress.advance(len(paths), f"{len(rows)} rows")
    progress.finish()
    return Joined(out_dir / kind.name, len(rows), remarks)


def join(files: Sequence[RowFile]) -> tuple[pd.DataFrame | None, pd.DataFrame, tuple[str, ...]]:
    """Join tables below each other; optics groups of one name become one, others get new numbers.

    Returns
    -------
    optics, rows, remarks
        The optics table (None where the files have none), the rows, with the columns that all files have, and remarks.

    Raises
    ------
    UserError
        If files hold different tables, only some have optics groups, or groups of one name differ.
    """
    first = files[0]
    for file in files[1:]:
        if file.table != first.table:
            raise UserError(f"{file.path} has a table data_{file.table}, {first.path} a table data_{first.table}: join files of one kind")
    common = [label for label in first.rows.columns if all(label in file.rows.columns for file in files)]
    dropped = sorted({label for file in files for label in file.rows.columns} - set(common))
    remarks = (f"columns that not all files have are left out: {', '.join(dropped)}",) if dropped else ()
    optics, numbers = _joined_optics(files)
    tables = [file.rows[common] for file in files]
    if optics is not None:
        tables = [
            table.assign(rlnOpticsGroup=table["rlnOpticsGroup"].map(number)) for table, number in zip(tables, numbers, strict=True)
        ]
    return optics, pd.concat(tables, ignore_index=True), remarks


def _joined_optics(files: Sequence[RowFile]) -> tuple[pd.DataFrame | None, list[dict[int, int]]]:
    """Return the joined optics table, and for each file old number -> new number."""
    tables = [file.others.get("optics") for file in files]
    found = [table for table in tables if isinstance(table, pd.DataFrame)]
    if not found:
        return None, []
    if len(found) < len(files):
        missing = next(file.path for file, table in zip(files, tables, strict=True) if not isinstance(table, pd.DataFrame))
        raise UserError(f"{missing} has no optics table, but another file has: bring all to one version of RELION first")
    common = [label for label in found[0].columns if all(label in table.columns for table in found)]
    groups: dict[str, dict[str, object]] = {}
    numbers: list[dict[int, int]] = []
    for file, table in zip(files, found, strict=True):
        numbers.append({})
        for row in table[common].to_dict("records"):
            name = str(row["rlnOpticsGroupName"])
            numbers[-1][int(row["rlnOpticsGroup"])] = _group_number(groups, name, {str(k): v for k, v in row.items()}, file.path)
    return pd.DataFrame(list(groups.values()), columns=common), numbers


def _group_number(groups: dict[str, dict[str, object]], name: str, row: dict[str, object], path: Path) -> int:
    known = groups.setdefault(name, {**row, "rlnOpticsGroup": len(groups) + 1})
    for label, value in row.items():
        if label != "rlnOpticsGroup" and known[label] != value:
            raise UserError(
                f"{path}: optics group {name} has {label} {value}, but {known[label]} in a file before it: rename the group in one of them"
            )
    return int(str(known["rlnOpticsGroup"]))
