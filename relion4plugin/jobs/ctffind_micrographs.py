"""Micrographs of a CTF estimation: what is fitted for each row, with which optics, and the table of results."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from relion4plugin.errors import UserError
from relion4plugin.files.optics import split_optics
from relion4plugin.jobs.ctffind_parameters import CtfFindParameters
from relion4plugin.jobs.star_rows import RowFile, read_rows
from relion4plugin.preprocessing.ctf.estimate import CtfEstimate
from relion4plugin.preprocessing.ctf.rings import Microscope

_SPECTRUM, _UNWEIGHTED = "rlnCtfPowerSpectrum", "rlnMicrographNameNoDW"
_PIXEL_LABELS = ("rlnMicrographPixelSize", "rlnMicrographOriginalPixelSize")


@dataclass(frozen=True)
class Source:
    """One row: the micrograph, the image that is fitted (itself, its unweighted sum or its power spectrum) and its optics."""

    micrograph: str
    unweighted: str  # empty: none
    image: str
    is_spectrum: bool
    group: int
    pixel_size: float  # A
    microscope: Microscope


def read_sources(parameters: CtfFindParameters) -> tuple[RowFile, list[Source], tuple[str, ...]]:
    """Read the STAR file of micrographs.

    Returns
    -------
    rows : RowFile
        The file, with an optics table made for files of RELION 3.0.
    sources : list of Source
    remarks : tuple of str
        What was asked for and is not there.

    Raises
    ------
    UserError
        If there are no micrographs, or optics are missing or make no sense.
    """
    p = parameters
    rows = _with_optics(read_rows(p.input_star_mics, "micrographs", "--i"))
    if rows.table != "micrographs":
        raise UserError(f"{rows.path} holds {rows.table}, expected micrographs: give the STAR file of a motion correction or an import")
    names = [str(name) for name in rows.column("rlnMicrographName")]
    if not names:
        raise UserError(f"{rows.path} has no micrographs: give a STAR file with at least one row")
    optics = _optics(rows)
    groups = [int(group) for group in rows.numbers("rlnOpticsGroup")]
    unknown = next((group for group in groups if group not in optics), None)
    if unknown is not None:
        raise UserError(f"{rows.path}: optics group {unknown} is not in data_optics; add it")
    images, is_spectrum, remarks = _images(p, rows, names)
    unweighted = [str(name) for name in rows.rows[_UNWEIGHTED]] if _UNWEIGHTED in rows.rows.columns else [""] * len(names)
    sources = [
        Source(name, other if p.use_noDW else "", image, is_spectrum, group, *optics[group])
        for name, other, image, group in zip(names, unweighted, images, groups, strict=True)
    ]
    return rows, sources, remarks


def _with_optics(rows: RowFile) -> RowFile:
    """Return a file of RELION 3.0 as one of 3.1; others as they are."""
    if "optics" in rows.others:
        return rows if rows.table else replace(rows, table="micrographs")
    table, optics = split_optics(rows.rows, rows.path)
    return RowFile(rows.path, "micrographs", table, {"optics": optics.rename(columns={"rlnImagePixelSize": _PIXEL_LABELS[0]})})


def _optics(rows: RowFile) -> dict[int, tuple[float, Microscope]]:
    """Return pixel size and microscope of each optics group."""
    table = rows.others["optics"]
    if not isinstance(table, pd.DataFrame):
        raise UserError(f"{rows.path}: data_optics is not a table; expected one row for each optics group")
    label = next((name for name in _PIXEL_LABELS if name in table.columns), None)
    if label is None:
        raise UserError(f"{rows.path}: data_optics has no pixel size; add a column {_PIXEL_LABELS[0]} (A)")
    needed = ("rlnOpticsGroup", "rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast", label)
    missing = next((name for name in needed if name not in table.columns), None)
    if missing is not None:
        raise UserError(f"{rows.path}: data_optics has no column {missing}; add it")
    values = table[list(needed)].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64)
    out = {}
    for number, voltage, aberration, contrast, pixel_size in values:
        if not (np.isfinite([number, aberration]).all() and voltage > 0 and pixel_size > 0 and 0 <= contrast < 1):
            raise UserError(
                f"{rows.path}: optics group {number:g} has voltage {voltage:g} kV, Cs {aberration:g} mm, amplitude contrast {contrast:g} "
                f"and {label} {pixel_size:g} A; correct data_optics"
            )
        out[int(number)] = (float(pixel_size), Microscope(float(voltage), float(aberration), float(contrast)))
    return out


def _images(p: CtfFindParameters, rows: RowFile, names: list[str]) -> tuple[list[str], bool, tuple[str, ...]]:
    """Return what is fitted for each row, whether these are power spectra, and what was asked for in vain."""
    remarks: tuple[str, ...] = ()
    for wanted, label, option in ((p.use_given_ps, _SPECTRUM, "use_given_ps"), (p.use_noDW, _UNWEIGHTED, "use_noDW")):
        if wanted and label in rows.rows.columns:
            return [str(name) for name in rows.rows[label]], label == _SPECTRUM, remarks
        remarks += (f"{option} is Yes, but {rows.path} has no column {label}: the sums are fitted",) if wanted else ()
    return names, False, remarks


def results_table(sources: Sequence[Source], pictures: Sequence[str], found: Sequence[CtfEstimate], has_phase: bool) -> pd.DataFrame:
    """Return the table of results with RELION's columns in RELION's order.

    Parameters
    ----------
    sources, pictures, found
        One each per micrograph; pictures end in ``.ctf:mrc``.
    has_phase
        Whether phase shifts were estimated.
    """
    columns: dict[str, list[str] | list[int] | list[float]] = {}
    if any(source.unweighted for source in sources):
        columns[_UNWEIGHTED] = [source.unweighted for source in sources]
    columns["rlnMicrographName"] = [source.micrograph for source in sources]
    columns["rlnOpticsGroup"] = [source.group for source in sources]
    columns["rlnCtfImage"] = list(pictures)
    columns["rlnDefocusU"] = [e.defocus_u for e in found]
    columns["rlnDefocusV"] = [e.defocus_v for e in found]
    columns["rlnCtfAstigmatism"] = [e.astigmatism for e in found]
    columns["rlnDefocusAngle"] = [e.defocus_angle for e in found]
    columns["rlnCtfFigureOfMerit"] = [e.figure_of_merit for e in found]
    columns["rlnCtfMaxResolution"] = [e.max_resolution for e in found]
    if has_phase:
        columns["rlnPhaseShift"] = [e.phase_shift for e in found]
    if np.isfinite([e.ice_density for e in found]).all():
        columns["rlnCtfIceRingDensity"] = [e.ice_density for e in found]
    return pd.DataFrame(columns)
