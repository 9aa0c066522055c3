"""The STAR file of imported movies or micrographs: optics groups and rows, new ones after old ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from relion4plugin.errors import UserError
from relion4plugin.files.star import read_star, write_star
from relion4plugin.jobs.import_parameters import ImportParameters

_GROUP_NAME, _GROUP, _MTF = "rlnOpticsGroupName", "rlnOpticsGroup", "rlnMtfFileName"
_TILTS = ("rlnBeamTiltX", "rlnBeamTiltY")
_ORDER = (
    _GROUP_NAME, _GROUP, _MTF, "rlnMicrographPixelSize", "rlnMicrographOriginalPixelSize", "rlnVoltage", "rlnSphericalAberration",
    "rlnAmplitudeContrast", *_TILTS,
)  # fmt: skip
# Values that must not change within a group -> the option that gives them.
_FIXED = {
    "rlnMicrographOriginalPixelSize": "angpix",
    "rlnVoltage": "kV",
    "rlnSphericalAberration": "Cs",
    "rlnAmplitudeContrast": "Q0",
    "rlnBeamTiltX": "beamtilt_x",
    "rlnBeamTiltY": "beamtilt_y",
}
_TOLERANCE = 1e-5  # STAR files keep six digits


@dataclass(frozen=True)
class ImportedImages:
    """Images that are imported: the optics table, and name and number of the optics group of each image, in order."""

    optics: pd.DataFrame
    names: tuple[str, ...]
    groups: tuple[int, ...]


def table_name(is_multiframe: bool) -> str:
    """Return the name of the table of images."""
    return "movies" if is_multiframe else "micrographs"


def image_label(is_multiframe: bool) -> str:
    """Return the column of file names."""
    return "rlnMicrographMovieName" if is_multiframe else "rlnMicrographName"


def read_imported(path: Path, is_multiframe: bool) -> ImportedImages:
    """Read the STAR file of an earlier execution; nothing is imported where there is none.

    Raises
    ------
    UserError
        If it is damaged.
    """
    if not path.is_file():
        return ImportedImages(pd.DataFrame(), (), ())
    blocks = read_star(path)
    optics, rows = blocks.get("optics"), blocks.get(table_name(is_multiframe))
    if not isinstance(optics, pd.DataFrame) or not {_GROUP_NAME, _GROUP} <= set(optics.columns):
        raise UserError(f"{path} has no optics table with {_GROUP_NAME} and {_GROUP}; start the import again without continuing")
    if rows is None:  # nothing was imported
        return ImportedImages(optics, (), ())
    label = image_label(is_multiframe)
    if not isinstance(rows, pd.DataFrame) or not {label, _GROUP} <= set(rows.columns):
        raise UserError(f"{path}: table {table_name(is_multiframe)} lacks {label} or {_GROUP}; start the import again without continuing")
    return ImportedImages(optics, tuple(map(str, rows[label])), tuple(map(int, rows[_GROUP])))


def with_group(optics: pd.DataFrame, parameters: ImportParameters, path: Path) -> tuple[pd.DataFrame, int]:
    """Return the optics table with the group that the parameters describe, and the number of that group.

    Parameters
    ----------
    optics
        Groups so far; may be empty.
    parameters
        Name and values of the group.
    path
        File of the table, for messages.

    Raises
    ------
    UserError
        If there is a group of that name with other values.
    """
    row = _row(parameters)
    known = optics[optics[_GROUP_NAME].astype(str) == parameters.optics_group_name] if len(optics) else optics
    if len(known):
        _check_same(known.iloc[0], row, parameters, path)
        return optics, int(known.iloc[0][_GROUP])
    number = int(optics[_GROUP].max()) + 1 if len(optics) else 1
    new = pd.DataFrame([{**row, _GROUP: number}])
    table = pd.concat([optics, new], ignore_index=True) if len(optics) else new
    defaults: dict[str, object] = {_MTF: "", **dict.fromkeys(_TILTS, 0.0)}
    table = table.fillna({label: value for label, value in defaults.items() if label in table.columns})
    return table[[*(label for label in _ORDER if label in table.columns), *(c for c in table.columns if c not in _ORDER)]], number


def _row(p: ImportParameters) -> dict[str, object]:
    row: dict[str, object] = {_GROUP_NAME: p.optics_group_name}
    if p.fn_mtf:
        row[_MTF] = p.fn_mtf
    if not p.is_multiframe:
        row["rlnMicrographPixelSize"] = p.angpix
    row |= {label: getattr(p, option) for label, option in _FIXED.items() if label not in _TILTS}
    if p.beamtilt_x or p.beamtilt_y:
        row |= {_TILTS[0]: p.beamtilt_x, _TILTS[1]: p.beamtilt_y}
    return row


def _check_same(known: pd.Series, row: dict[str, object], parameters: ImportParameters, path: Path) -> None:
    for label, option in _FIXED.items():
        old, new = float(known.get(label, 0.0)), float(str(row.get(label, 0.0)))
        if abs(old - new) > _TOLERANCE * max(1.0, abs(old)):
            raise UserError(
                f"{path}: optics group {parameters.optics_group_name} has {label} {old:g}, but {option} is {new:g}: "
                "give another optics_group_name, or the value that it has"
            )


def check_groups(imported: ImportedImages, names: Sequence[str], number: int) -> None:
    """Check that images that are imported again stay in their optics group.

    Parameters
    ----------
    imported
        What is known.
    names
        Images of this execution, old and new.
    number
        Their optics group.

    Raises
    ------
    UserError
        Naming the first image that would change its group.
    """
    known = dict(zip(imported.names, imported.groups, strict=True))
    moved = next((name for name in names if known.get(name, number) != number), None)
    if moved is not None:
        groups = {int(row[_GROUP]): str(row[_GROUP_NAME]) for row in imported.optics.to_dict("records")}
        raise UserError(
            f"{moved} was imported in optics group {groups.get(known[moved], known[moved])} before: "
            "give that optics_group_name, or a pattern without this file"
        )


def write_imported(path: Path, imported: ImportedImages, is_multiframe: bool) -> None:
    """Write the STAR file; without images it has the optics table only, as RELION does it."""
    rows = pd.DataFrame({image_label(is_multiframe): list(imported.names), _GROUP: list(imported.groups)})
    write_star(path, {"optics": imported.optics, table_name(is_multiframe): rows})
