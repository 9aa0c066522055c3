"""Micrographs and their CTFs from RELION's STAR files as Scipion sets that grow."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pwem.objects import Acquisition, CTFModel, Micrograph, SetOfCTF, SetOfMicrographs

from relion4plugin.scipion.sets import read_columns

if TYPE_CHECKING:
    from pandas import DataFrame

_WHAT = "a STAR file of micrographs of RELION 3.1 or later"
_PIXEL_SIZES = ("rlnMicrographPixelSize", "rlnMicrographOriginalPixelSize")


@dataclass(frozen=True, eq=False)
class MicrographTable:
    """A STAR file of n micrographs; `names` are their files as Scipion names them, `rows` the columns of RELION."""

    names: tuple[str, ...]
    rows: "DataFrame"
    optics: "DataFrame"
    root: Path

    @property
    def pixel_size(self) -> float:
        """Of the first optics group, A."""
        return float(next(self.optics[label][0] for label in _PIXEL_SIZES if label in self.optics))


def read_micrographs(star: Path, root: Path) -> MicrographTable:
    """Read a STAR file of micrographs.

    Parameters
    ----------
    star : Path
        The file.
    root : Path
        Project folder that paths in the file are relative to, itself as Scipion names it.

    Raises
    ------
    UserError
        If the file is damaged or has no pixel size.
    """
    from relion4plugin.errors import UserError
    from relion4plugin.files.run_files import rows
    from relion4plugin.files.star import read_star

    blocks = read_star(star)
    table = rows(blocks, "micrographs", ("rlnMicrographName",), star, _WHAT)
    optics = rows(blocks, "optics", ("rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast"), star, _WHAT)
    if not any(label in optics for label in _PIXEL_SIZES):
        raise UserError(f"{star}: data_optics has no column {_PIXEL_SIZES[0]}; expected {_WHAT}")
    return MicrographTable(tuple(str(root / str(name)) for name in table["rlnMicrographName"]), table, optics, root)


def acquisition_of(optics: Mapping[Any, Any]) -> Acquisition:
    """Return the acquisition of a row of data_optics."""
    return Acquisition(
        voltage=float(optics["rlnVoltage"]),
        sphericalAberration=float(optics["rlnSphericalAberration"]),
        amplitudeContrast=float(optics["rlnAmplitudeContrast"]),
    )


def ids_of(micrographs: SetOfMicrographs) -> dict[str, int]:
    """Return the id of each micrograph by its file."""
    columns = read_columns(micrographs.getFileName(), ("_filename",))
    return dict(zip(columns.get("_filename"), columns.ids, strict=True))


def append_micrographs(micrographs: SetOfMicrographs, table: MicrographTable, known: Mapping[str, int]) -> int:
    """Append the micrographs that a set does not have yet.

    Parameters
    ----------
    micrographs : SetOfMicrographs
        Empty, or opened for appending.
    table : MicrographTable
    known : mapping
        Ids of those in it by their files.

    Returns
    -------
    int
        Number of new ones.
    """
    acquisition = acquisition_of(table.optics.iloc[0].to_dict())
    micrographs.setAcquisition(acquisition)
    micrographs.setSamplingRate(table.pixel_size)
    new = [name for name in dict.fromkeys(table.names) if name not in known]
    for number, name in enumerate(new, start=max(known.values(), default=0) + 1):
        micrographs.append(_micrograph(number, name, table.pixel_size, acquisition))
    return len(new)


def append_ctfs(ctfs: SetOfCTF, table: MicrographTable, micrographs: Mapping[str, int], known: Collection[int]) -> int:
    """Append the CTFs of micrographs that a set has none for yet; ids are those of the micrographs.

    Parameters
    ----------
    ctfs : SetOfCTF
        Empty, or opened for appending.
    table : MicrographTable
        With defocus.
    micrographs : mapping
        Ids of micrographs by their files; CTFs of others are left out.
    known : collection
        Ids of the micrographs that have a CTF in the set.

    Returns
    -------
    int
        Number of new ones.
    """
    acquisition, added = acquisition_of(table.optics.iloc[0].to_dict()), 0
    for name, row in zip(table.names, table.rows.to_dict("records"), strict=True):
        number = micrographs.get(name)
        if number is None or number in known:
            continue
        ctf = ctf_of(row, table.root)
        ctf.setMicrograph(_micrograph(number, name, table.pixel_size, acquisition))
        ctfs.append(ctf)
        added += 1
    return added


def _micrograph(number: int, name: str, pixel_size: float, acquisition: Acquisition) -> Micrograph:
    micrograph = Micrograph(location=name, objId=number)
    micrograph.setMicName(Path(name).name)
    micrograph.setSamplingRate(pixel_size)
    micrograph.setAcquisition(acquisition)
    return micrograph


def ctf_of(row: Mapping[Any, Any], root: Path) -> CTFModel:
    """Return the CTF of a row of micrographs; its picture lies in `root`."""
    ctf = CTFModel()
    ctf.setStandardDefocus(float(row["rlnDefocusU"]), float(row["rlnDefocusV"]), float(row["rlnDefocusAngle"]))
    if "rlnPhaseShift" in row:
        ctf.setPhaseShift(float(row["rlnPhaseShift"]))
    if "rlnCtfMaxResolution" in row:
        ctf.setResolution(float(row["rlnCtfMaxResolution"]))
    if "rlnCtfFigureOfMerit" in row:
        ctf.setFitQuality(float(row["rlnCtfFigureOfMerit"]))
    if "rlnCtfImage" in row:
        ctf.setPsdFile(str(root / str(row["rlnCtfImage"])))
    return ctf
