"""Optics groups of a particle STAR file, and their making for RELION 3.0 files, which have none."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from relion4plugin.errors import UserError

_REQUIRED = ("rlnOpticsGroup", "rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast", "rlnImagePixelSize")
# Constants of the microscope that RELION 3.0 kept in every particle row; rows that differ in one of them get groups of their own.
_MOVED = ("rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast", "rlnBeamTiltX", "rlnBeamTiltY", "rlnImageSize")
_PIXEL_LABELS = ("rlnDetectorPixelSize", "rlnMagnification", "rlnPixelSize", "rlnImagePixelSize")


@dataclass(frozen=True)
class OpticsGroup:
    """Imaging constants shared by a group of particles.

    Units: voltage kV, spherical aberration mm, pixel size A, image size px, beam tilt mrad.
    """

    number: int
    name: str
    voltage: float
    spherical_aberration: float
    amplitude_contrast: float
    pixel_size: float
    image_size: int
    ctf_premultiplied: bool = False
    beam_tilt_x: float = 0.0
    beam_tilt_y: float = 0.0
    odd_zernike: tuple[float, ...] = ()
    even_zernike: tuple[float, ...] = ()
    mag_matrix: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 1.0)
    mtf_file: str = ""
    original_pixel_size: float = 0.0  # of the micrograph before down-scaling; 0: not given


def _number(row: dict[str, Any], label: str, source: Path, default: float | None = None) -> float:
    if label not in row and default is not None:
        return default
    value = pd.to_numeric(row[label], errors="coerce")
    if not np.isfinite(value):
        raise UserError(
            f"{source}: optics group {row['rlnOpticsGroup']} has {label} '{row[label]}', expected a number; correct the data_optics table"
        )
    return float(value)


def _coefficients(text: Any, label: str, source: Path) -> tuple[float, ...]:
    words = str(text).strip().strip("[]").replace(",", " ").split()
    try:
        return tuple(float(word) for word in words)
    except ValueError:
        raise UserError(f"{source}: {label} '{text}' in data_optics, expected a list such as [0.1,0,0.2]; correct it") from None


def _optics_group(row: dict[str, Any], source: Path) -> OpticsGroup:
    number = int(_number(row, "rlnOpticsGroup", source))
    pixel_size = _number(row, "rlnImagePixelSize", source)
    voltage = _number(row, "rlnVoltage", source)
    for label, value in (("rlnImagePixelSize", pixel_size), ("rlnVoltage", voltage)):
        if value <= 0:
            raise UserError(f"{source}: optics group {number} has {label} {value:g}, expected a positive number; correct data_optics")
    matrix = [_number(row, f"rlnMagMat{i}", source, default) for i, default in (("00", 1.0), ("01", 0.0), ("10", 0.0), ("11", 1.0))]
    return OpticsGroup(
        number=number,
        name=str(row.get("rlnOpticsGroupName", f"opticsGroup{number}")),
        voltage=voltage,
        spherical_aberration=_number(row, "rlnSphericalAberration", source),
        amplitude_contrast=_number(row, "rlnAmplitudeContrast", source),
        original_pixel_size=_number(row, "rlnMicrographOriginalPixelSize", source, 0.0),
        pixel_size=pixel_size,
        image_size=int(_number(row, "rlnImageSize", source)),
        ctf_premultiplied=bool(_number(row, "rlnCtfDataAreCtfPremultiplied", source, 0.0)),
        beam_tilt_x=_number(row, "rlnBeamTiltX", source, 0.0),
        beam_tilt_y=_number(row, "rlnBeamTiltY", source, 0.0),
        odd_zernike=_coefficients(row.get("rlnOddZernike", ""), "rlnOddZernike", source),
        even_zernike=_coefficients(row.get("rlnEvenZernike", ""), "rlnEvenZernike", source),
        mag_matrix=(matrix[0], matrix[1], matrix[2], matrix[3]),
        mtf_file=str(row.get("rlnMtfFileName", "")),
    )


def check_optics_columns(table: pd.DataFrame, source: Path) -> None:
    """Check that an optics table has rows and the columns that every group needs.

    Raises
    ------
    UserError
        Naming the first missing column.
    """
    if len(table) == 0:
        raise UserError(f"{source}: the data_optics table is empty; expected one row for each optics group")
    for label in _REQUIRED:
        if label not in table:
            raise UserError(f"{source}: data_optics has no column {label}; add it (RELION 3.1 or later writes it)")


def optics_groups(table: pd.DataFrame, source: Path) -> tuple[OpticsGroup, ...]:
    """Make the groups of a complete optics table (with rlnImageSize), in the order of its rows.

    Raises
    ------
    UserError
        If a value is not a number, a pixel size or voltage is not positive, or a group number occurs twice.
    """
    rows = table.to_dict("records")
    groups = tuple(_optics_group({str(key): value for key, value in row.items()}, source) for row in rows)
    numbers = [group.number for group in groups]
    if len(set(numbers)) < len(numbers):
        raise UserError(f"{source}: data_optics has a group number twice ({numbers}); give each group its own number")
    return groups


def _pixel_sizes(table: pd.DataFrame, source: Path) -> pd.Series:
    """Return the pixel size of each particle in A."""
    if "rlnDetectorPixelSize" in table and "rlnMagnification" in table:
        detector, magnification = (pd.to_numeric(table[label], errors="coerce") for label in _PIXEL_LABELS[:2])
        sizes = detector * 1e4 / magnification  # um on the detector to A on the specimen
    else:
        label = next((label for label in ("rlnImagePixelSize", "rlnPixelSize") if label in table), None)
        if label is None:
            raise UserError(
                f"{source}: no data_optics table, and no rlnDetectorPixelSize and rlnMagnification to make one (RELION 3.0); "
                "add a data_optics table"
            )
        sizes = pd.to_numeric(table[label], errors="coerce")
    if not (np.isfinite(sizes) & (sizes > 0)).all():
        raise UserError(f"{source}: a particle row has no valid pixel size; correct rlnDetectorPixelSize and rlnMagnification")
    return sizes.round(6)


def split_optics(table: pd.DataFrame, source: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Make the optics table of a RELION 3.0 particle table.

    Returns
    -------
    particles, optics : DataFrame
        The particle table with rlnOpticsGroup and without the moved columns, and the new optics table.

    Raises
    ------
    UserError
        If the pixel size or a constant of the microscope is missing.
    """
    for label in _MOVED[:3]:
        if label not in table:
            raise UserError(f"{source}: no data_optics table and no column {label} to make one; add the column or a data_optics table")
    constants = table[[label for label in _MOVED if label in table]].assign(rlnImagePixelSize=_pixel_sizes(table, source))
    optics = constants.drop_duplicates().reset_index(drop=True)
    keys = list(constants.columns)
    index = constants.merge(optics.assign(rlnOpticsGroup=np.arange(1, len(optics) + 1)), on=keys, how="left")["rlnOpticsGroup"]
    optics.insert(0, "rlnOpticsGroup", np.arange(1, len(optics) + 1))
    optics.insert(1, "rlnOpticsGroupName", [f"opticsGroup{number}" for number in optics["rlnOpticsGroup"]])
    kept = table.drop(columns=[label for label in (*_MOVED, *_PIXEL_LABELS) if label in table])
    return kept.assign(rlnOpticsGroup=index.to_numpy()), optics
