"""The main table of a STAR file of movies, micrographs or particles, and other tables around it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from relion4plugin.errors import UserError
from relion4plugin.files.star import Block, read_star, write_star

TABLES = ("particles", "micrographs", "movies")


@dataclass(frozen=True)
class RowFile:
    """A STAR file: `rows` is the table called `table`, `others` are the blocks beside it, such as optics."""

    path: Path
    table: str
    rows: pd.DataFrame
    others: Mapping[str, Block]

    def numbers(self, label: str) -> np.ndarray:
        """Return a column of numbers, shape (rows,).

        Raises
        ------
        UserError
            If there is no such column, or it does not hold numbers.
        """
        values = self.column(label)
        try:
            return np.asarray(values, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise UserError(f"{self.path}: column {label} does not hold numbers: choose another one") from error

    def column(self, label: str) -> "pd.Series":
        """Return a column.

        Raises
        ------
        UserError
            If there is none.
        """
        if label not in self.rows.columns:
            raise UserError(f"{self.path}: there is no column {label}; choose one of {', '.join(self.rows.columns)}")
        return self.rows[label]

    def write(self, path: Path, rows: pd.DataFrame) -> None:
        """Write some of the rows with everything that is around them."""
        write_star(path, {**self.others, self.table: rows})


def read_rows(path: str, what: str, option: str) -> RowFile:
    """Read a STAR file of movies, micrographs or particles; files of RELION 3.0 have one table without a name.

    Raises
    ------
    UserError
        If it cannot be read or has no such table.
    """
    if not path:
        raise UserError(f"no {what}: give a STAR file with {option}")
    if not Path(path).is_file():
        raise UserError(f"{what} {path}: no such file; give an existing one with {option}")
    blocks = read_star(path)
    for name in (*TABLES, "", "images"):
        block = blocks.get(name)
        if isinstance(block, pd.DataFrame):
            return RowFile(Path(path), name, block.reset_index(drop=True), {key: value for key, value in blocks.items() if key != name})
    raise UserError(f"{path} has no rows: expected a table {', '.join(f'data_{name}' for name in TABLES)}")
