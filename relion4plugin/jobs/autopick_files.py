"""Micrographs that are picked from, and the files of a picking job."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from relion4plugin.errors import UserError
from relion4plugin.files.job_names import output_root
from relion4plugin.files.mrc import read_mrc
from relion4plugin.files.star import read_star, write_star
from relion4plugin.jobs.autopick_parameters import PickSourceParameters
from relion4plugin.jobs.star_rows import RowFile, read_rows
from relion4plugin.preprocessing.picking.picks import Picks, read_picks

LIST, SUMMARY = "autopick.star", "summary.star"
NAME, COORDINATES = "rlnMicrographName", "rlnMicrographCoordinates"
_PIXEL_LABELS = ("rlnMicrographPixelSize", "rlnMicrographOriginalPixelSize", "rlnPixelSize")
_SCORE, _COUNT = "rlnAutopickFigureOfMerit", "rlnGroupNrParticles"


@dataclass(frozen=True)
class Micrograph:
    """A micrograph and its pixel size in A, 0 where it is not known."""

    name: str
    pixel_size: float

    def image(self) -> np.ndarray:
        """Read it, float32 (ny, nx).

        Raises
        ------
        UserError
            If it cannot be read or is a stack.
        """
        images, _ = read_mrc(self.name)
        if len(images) != 1:
            raise UserError(f"{self.name}: expected one image, found {len(images)}: this is a movie or a stack, correct its motion first")
        return images[0]


def coordinates_file(out_dir: Path, name: str) -> Path:
    """Return the STAR file of the picks of a micrograph: its directories are kept."""
    root = output_root(out_dir, name)
    return root.with_name(f"{root.name}_autopick.star")


def read_micrographs(parameters: PickSourceParameters) -> list[Micrograph]:
    """Read the STAR file of micrographs.

    Raises
    ------
    UserError
        If it has no micrographs, or two that would share one file of picks.
    """
    rows = read_rows(parameters.fn_input_autopick, "micrographs", "--i")
    names = [str(name) for name in rows.column(NAME)]
    if not names:
        raise UserError(f"{rows.path} has no micrographs: give a STAR file with at least one row")
    sizes = np.full(len(names), parameters.angpix) if parameters.angpix > 0 else _pixel_sizes(rows)
    micrographs = [Micrograph(name, float(size)) for name, size in zip(names, sizes, strict=True)]
    places: dict[Path, str] = {}
    for name in names:
        first = places.setdefault(coordinates_file(Path(), name), name)
        if first != name:
            raise UserError(f"{rows.path}: picks of {first} and {name} would have the same file; rename one of them")
    return list(dict.fromkeys(micrographs))


def _pixel_sizes(rows: RowFile) -> np.ndarray:
    """Return the pixel size of each row in A, 0 where the file does not tell."""
    optics = rows.others.get("optics")
    if isinstance(optics, pd.DataFrame):
        label = next((name for name in _PIXEL_LABELS if name in optics.columns), None)
        if label is None:
            return np.zeros(len(rows.rows))
        sizes = {int(group): float(size) for group, size in zip(optics["rlnOpticsGroup"], optics[label], strict=True)}
        return np.array([sizes.get(int(group), 0.0) for group in rows.numbers("rlnOpticsGroup")])
    for label in _PIXEL_LABELS:
        if label in rows.rows.columns:
            return rows.numbers(label)
    if {"rlnDetectorPixelSize", "rlnMagnification"} <= set(rows.rows.columns):  # um and times, as in RELION 3.0
        return 1e4 * rows.numbers("rlnDetectorPixelSize") / rows.numbers("rlnMagnification")
    return np.zeros(len(rows.rows))


def write_list(out_dir: Path, names: Sequence[str]) -> None:
    """Write autopick.star: each finished micrograph and its file of picks."""
    files = [coordinates_file(out_dir, name).as_posix() for name in names]
    write_star(out_dir / LIST, {"coordinate_files": pd.DataFrame({NAME: list(names), COORDINATES: files})})


def write_summary(out_dir: Path, figures: Mapping[str, tuple[float, int]]) -> None:
    """Write summary.star: micrograph -> mean figure of merit and number of picks."""
    table = pd.DataFrame(
        {NAME: list(figures), _SCORE: [score for score, _ in figures.values()], _COUNT: [count for _, count in figures.values()]}
    )
    write_star(out_dir / SUMMARY, {"": table})


def read_summary(out_dir: Path) -> dict[str, tuple[float, int]]:
    """Return what summary.star says of earlier executions, nothing where it is not there."""
    path = out_dir / SUMMARY
    if not path.is_file():
        return {}
    table = next((block for block in read_star(path).values() if isinstance(block, pd.DataFrame)), None)
    if table is None or not {NAME, _SCORE, _COUNT} <= set(table.columns):
        return {}
    return {str(name): (float(score), int(count)) for name, score, count in table[[NAME, _SCORE, _COUNT]].itertuples(index=False)}


def figures_of(picks: Picks) -> tuple[float, int]:
    """Return mean score and number of picks; no picks have a mean of 0."""
    return (float(picks.score.mean()) if len(picks) else 0.0, len(picks))


def read_truth(path: str) -> dict[str, Path]:
    """Return micrograph -> file of picks that are known to be right; files are looked for from here and beside the list.

    Raises
    ------
    UserError
        If the list cannot be read or names a file that is not there.
    """
    if not Path(path).is_file():
        raise UserError(f"known particles {path}: no such file; give a STAR file of coordinate files with --truth")
    table = read_star(path).get("coordinate_files")
    if not isinstance(table, pd.DataFrame) or not {NAME, COORDINATES} <= set(table.columns):
        raise UserError(f"{path}: expected a table data_coordinate_files with the columns {NAME} and {COORDINATES}")
    found = {}
    for name, file in zip(table[NAME], table[COORDINATES], strict=True):
        places = [place for place in (Path(str(file)), Path(path).parent / str(file)) if place.is_file()]
        if not places:
            raise UserError(f"{path}: {file} is not there; give existing files of picks")
        found[Path(str(name)).name] = places[0]
    return found


def known_picks(truth: Mapping[str, Path], name: str) -> Picks | None:
    """Return the known particles of a micrograph, found by its file name; None where nothing is known of it."""
    path = truth.get(Path(name).name)
    return None if path is None else read_picks(path)
