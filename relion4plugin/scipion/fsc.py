"""Fourier shell correlations between Scipion's FSC objects, RELION's tables and arrays."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relion4plugin.errors import UserError

NO_RESOLUTION = 999.0  # A
Curve = tuple[NDArray[np.float64], NDArray[np.float64]]  # spatial frequency (1/A) and correlation per shell
# Columns of the table data_fsc of a post-processing, with the names of the curves.
POSTPROCESS_CURVES = {
    "rlnFourierShellCorrelationCorrected": "corrected",
    "rlnFourierShellCorrelationUnmaskedMaps": "unmasked",
    "rlnFourierShellCorrelationMaskedMaps": "masked",
    "rlnCorrectedFourierShellCorrelationPhaseRandomizedMaskedMaps": "masked, random phases",
}


def make_fsc(curve: Curve, label: str) -> Any:
    """Describe a curve as an FSC object."""
    from pwem.objects import FSC

    fsc = FSC(objLabel=label)
    fsc.setData([float(f) for f in curve[0]], [float(c) for c in curve[1]])
    return fsc


def curve_of(fsc: Any) -> Curve:
    """Frequencies (1/A) and correlations of an FSC object."""
    x, y = fsc.getData()
    return np.asarray(list(x), dtype=np.float64), np.asarray(list(y), dtype=np.float64)


def resolution_of(fsc: Any, threshold: float = 0.143) -> float:
    """Resolution (A) of the last shell before an FSC object falls below a threshold; 999 where it is below from the start."""
    frequencies, values = curve_of(fsc)
    below = np.flatnonzero(~(values[1:] >= threshold))
    last = int(below[0]) if below.size else len(values) - 1
    return float(1.0 / frequencies[last]) if last > 0 else NO_RESOLUTION


def read_postprocess_curves(star: Path) -> dict[str, Curve]:
    """Curves of a post-processing by name, the corrected one first; those that it did not compute are left out.

    Raises
    ------
    UserError
        If the file has no table data_fsc.
    """
    from relion4plugin.files.run_files import rows
    from relion4plugin.files.star import read_star

    table = rows(read_star(star), "fsc", ("rlnResolution",), star, "the result of a post-processing")
    frequencies = table["rlnResolution"].to_numpy(dtype=np.float64)
    found = {name: (frequencies, table[label].to_numpy(dtype=np.float64)) for label, name in POSTPROCESS_CURVES.items() if label in table}
    if not found:
        raise UserError(f"{star}: data_fsc has no FSC curve; repeat the post-processing")
    return found


def fill_fscs(fscs: Any, curves: dict[str, Curve]) -> None:
    """Append curves to a SetOfFSCs."""
    for name, curve in curves.items():
        fscs.append(make_fsc(curve, name))
