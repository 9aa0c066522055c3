"""Particle sets: the rows, optics and image addresses of a particle STAR file."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from relion4plugin.errors import UserError
from relion4plugin.files.mrc import read_header
from relion4plugin.files.optics import OpticsGroup, check_optics_columns, optics_groups, split_optics
from relion4plugin.files.particle_images import ParticleImages
from relion4plugin.files.star import Block, read_star, write_star

__all__ = ["OpticsGroup", "ParticleImages", "ParticleSet", "make_particles", "read_particles", "write_particles"]

_ADDRESS_LABELS = frozenset({"rlnImageName", "rlnOpticsGroup"})
_MAX_SLICES = 1 << 31


@dataclass(frozen=True, eq=False)
class ParticleSet:
    """Particles of a STAR file with RELION 3.1 labels.

    Attributes
    ----------
    table : DataFrame
        data_particles with every input column; offsets in A.
    optics : tuple of OpticsGroup
        The groups in the order of `optics_table`.
    optics_table : DataFrame
        data_optics with every input column.
    optics_index : int32 (n,)
        Position of each particle's group in `optics`.
    stack_paths : tuple of Path
        The image stacks.
    stack_index, slice_index : int32 (n,)
        Position in `stack_paths` and 0-based slice of each particle.
    source : Path
        The file the set was read from.
    """

    table: pd.DataFrame
    optics: tuple[OpticsGroup, ...]
    optics_table: pd.DataFrame
    optics_index: np.ndarray
    stack_paths: tuple[Path, ...]
    stack_index: np.ndarray
    slice_index: np.ndarray
    source: Path

    def __len__(self) -> int:
        """Return the number of particles."""
        return len(self.table)

    @property
    def box_size(self) -> int:
        """Side of the images of the first optics group, px."""
        return self.optics[0].image_size

    @property
    def pixel_size(self) -> float:
        """Pixel size of the first optics group, A."""
        return self.optics[0].pixel_size

    def column(self, label: str, default: float | None = None) -> np.ndarray:
        """Return a column as float64 (n,); `default` everywhere if the column is missing.

        Raises
        ------
        UserError
            If the column is missing and there is no default, or a value is not a number.
        """
        if label not in self.table:
            if default is None:
                raise UserError(f"{self.source}: data_particles has no column {label}; add it")
            return np.full(len(self), default, dtype=np.float64)
        try:
            return self.table[label].to_numpy(dtype=np.float64)
        except (ValueError, TypeError):
            values = pd.to_numeric(self.table[label], errors="coerce")
            row = int(np.flatnonzero(values.isna())[0])
            raise UserError(
                f"{self.source}: particle {row + 1} has {label} '{self.table[label].iloc[row]}', expected a number; correct it"
            ) from None

    def select(self, rows: np.ndarray) -> "ParticleSet":
        """Return the particles of the given rows (indices in any order, or a boolean mask)."""
        rows = np.asarray(rows)
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows.astype(np.int64)
        return replace(
            self,
            table=self.table.iloc[rows].reset_index(drop=True),
            optics_index=self.optics_index[rows],
            stack_index=self.stack_index[rows],
            slice_index=self.slice_index[rows],
        )

    def with_columns(self, columns: Mapping[str, Any]) -> "ParticleSet":
        """Return the set with columns (arrays of length n or scalars) added or replaced."""
        table = self.table.assign(**{label: _plain(values) for label, values in columns.items()})
        if _ADDRESS_LABELS & set(columns):
            return make_particles(table, self.optics_table, self.source)
        return replace(self, table=table)


def _plain(values: Any) -> Any:
    return values.to_numpy() if isinstance(values, pd.Series) else values


def _addresses(table: pd.DataFrame, source: Path) -> tuple[tuple[Path, ...], np.ndarray, np.ndarray]:
    """Split image names ("000001@stack.mrcs", or a file of one image) into stacks and 0-based slices."""
    names = [str(name) for name in table["rlnImageName"]]
    numbers = [name[: name.index("@")] if "@" in name else "1" for name in names]
    try:
        slices = np.array(numbers, dtype=np.int64) - 1
        valid = (slices >= 0) & (slices < _MAX_SLICES)
    except (ValueError, OverflowError):
        valid = np.array([number.isdecimal() and 0 < int(number) <= _MAX_SLICES for number in numbers])
    if not valid.all():
        row = int(np.flatnonzero(~valid)[0])
        raise UserError(
            f"{source}: particle {row + 1} has rlnImageName '{names[row]}', expected '000001@stack.mrcs' counted from 1; correct it"
        )
    stacks, paths = pd.factorize(np.array([name[name.find("@") + 1 :] for name in names], dtype=object))
    return tuple(_resolve(str(path), source) for path in paths), stacks.astype(np.int32), slices.astype(np.int32)


def _resolve(name: str, source: Path) -> Path:
    """Find an image file from the current folder, else from the folder of the STAR file."""
    here = Path.cwd() / name
    beside = source.parent / name
    return beside if not here.exists() and beside.exists() else here


def _optics_indices(table: pd.DataFrame, optics_table: pd.DataFrame, source: Path) -> np.ndarray:
    if "rlnOpticsGroup" not in table:
        raise UserError(f"{source}: data_particles has no column rlnOpticsGroup; add the number of each particle's optics group")
    index = pd.Index(pd.to_numeric(optics_table["rlnOpticsGroup"], errors="coerce"))
    if index.has_duplicates:
        raise UserError(f"{source}: data_optics has a group number twice ({list(index)}); give each group its own number")
    positions = index.get_indexer(pd.Index(pd.to_numeric(table["rlnOpticsGroup"], errors="coerce")))
    if (positions < 0).any():
        row = int(np.flatnonzero(positions < 0)[0])
        raise UserError(
            f"{source}: particle {row + 1} is in optics group {table['rlnOpticsGroup'].iloc[row]}, "
            f"but data_optics has {list(index)}; add the group or correct the number"
        )
    return positions.astype(np.int32)


def _with_image_sizes(
    optics_table: pd.DataFrame, optics_index: np.ndarray, stacks: tuple[Path, ...], stack_index: np.ndarray
) -> pd.DataFrame:
    """Take missing image sizes from the stack of the first particle of each group."""
    if "rlnImageSize" in optics_table:
        return optics_table
    sizes = []
    for group in range(len(optics_table)):
        rows = np.flatnonzero(optics_index == group)
        first = stack_index[rows[0]] if len(rows) else stack_index[0]
        sizes.append(read_header(stacks[int(first)]).nx)
    return optics_table.assign(rlnImageSize=sizes)


def _offsets_in_angstrom(table: pd.DataFrame, pixel_sizes: np.ndarray, source: Path) -> pd.DataFrame:
    """Replace offsets in px (RELION 3.0) by offsets in A."""
    for axis in ("X", "Y", "Z"):
        old, new = f"rlnOrigin{axis}", f"rlnOrigin{axis}Angst"
        if old not in table:
            continue
        if new not in table:
            offsets = pd.to_numeric(table[old], errors="coerce")
            if offsets.isna().any():
                raise UserError(f"{source}: {old} has a value that is not a number; correct it")
            table = table.assign(**{new: offsets.to_numpy() * pixel_sizes})
        table = table.drop(columns=old)
    return table


def make_particles(table: pd.DataFrame, optics_table: pd.DataFrame, source: str | os.PathLike[str]) -> ParticleSet:
    """Make a particle set from tables with RELION 3.1 labels.

    Parameters
    ----------
    table, optics_table : DataFrame
        data_particles (with rlnImageName and rlnOpticsGroup) and data_optics. A missing rlnImageSize is taken from the
        stacks.
    source : path-like
        The STAR file, for messages and for image paths relative to its folder.

    Raises
    ------
    UserError
        If there are no particles, a required column is missing, an image name is malformed or an optics group is unknown.
    """
    source = Path(source)
    if len(table) == 0:
        raise UserError(f"{source}: no particles in this file; expected at least one row in data_particles")
    if "rlnImageName" not in table:
        raise UserError(f"{source}: data_particles has no column rlnImageName; give a STAR file of extracted particles")
    check_optics_columns(optics_table, source)
    stack_paths, stack_index, slice_index = _addresses(table, source)
    optics_index = _optics_indices(table, optics_table, source)
    optics_table = _with_image_sizes(optics_table.reset_index(drop=True), optics_index, stack_paths, stack_index)
    optics = optics_groups(optics_table, source)
    pixel_sizes = np.array([group.pixel_size for group in optics])[optics_index]
    table = _offsets_in_angstrom(table.reset_index(drop=True), pixel_sizes, source)
    return ParticleSet(table, optics, optics_table, optics_index, stack_paths, stack_index, slice_index, source)


def _table(block: Block) -> pd.DataFrame:
    return block if isinstance(block, pd.DataFrame) else pd.DataFrame([block] if block else [])


def read_particles(path: str | os.PathLike[str]) -> ParticleSet:
    """Read a particle STAR file of RELION 3.0 to 5.0.

    A RELION 3.0 file (one table, no optics) is upgraded: optics groups are made from the constants in its rows and offsets
    are converted from px to A. Image paths are taken relative to the current folder first, then to the folder of the file.

    Parameters
    ----------
    path : path-like
        The STAR file (plain or gzip).

    Returns
    -------
    ParticleSet
        The particles in the order of the file.

    Raises
    ------
    UserError
        If the file is unreadable, has no particles, or lacks a table, column or optics group.
    """
    path = Path(path)
    blocks = read_star(path)
    if "particles" in blocks:
        table = _table(blocks["particles"])
    elif "optics" not in blocks:
        table = next((table for table in map(_table, blocks.values()) if "rlnImageName" in table), pd.DataFrame())
    else:
        raise UserError(f"{path}: no data_particles table, found {', '.join(f'data_{name}' for name in blocks)}; give a particle STAR file")
    if "optics" in blocks:
        return make_particles(table, _table(blocks["optics"]), path)
    if len(table) == 0 or "rlnImageName" not in table:
        raise UserError(
            f"{path}: no particles in this file; expected a data_particles table with a column rlnImageName, give a particle STAR file"
        )
    return make_particles(*split_optics(table, path), path)


def write_particles(path: str | os.PathLike[str], particles: ParticleSet) -> None:
    """Write data_optics and data_particles in RELION 3.1/4.0 format; the file appears whole or not at all.

    Raises
    ------
    UserError
        If the folder cannot be written or the disk is full.
    """
    write_star(path, {"optics": particles.optics_table, "particles": particles.table})
