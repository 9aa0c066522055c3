"""What an extraction needs of CTFs and coordinates of Scipion sets, and its particles as items."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pwem.objects import Coordinate, CTFModel, Float, Particle, SetOfParticles

from relion4plugin.jobs.extract_parameters import ExtractParameters
from relion4plugin.scipion.picks import SCORE, Positions
from relion4plugin.scipion.sets import read_columns

_MICROGRAPH = "_micObj._micName"
_GROUP = "_rlnOpticsGroup"


def ctf_ids(path: str) -> dict[str, int]:
    """Return the id of each CTF of a set by the name of its micrograph.

    Raises
    ------
    UserError
        If the set cannot be read.
    """
    columns = read_columns(path, (_MICROGRAPH,))
    return {str(name): item for name, item in zip(columns.get(_MICROGRAPH), columns.ids, strict=True) if name}


def particle_ctf(ctf: CTFModel) -> CTFModel:
    """Return a copy of a CTF for particles, which know their micrograph themselves."""
    copy = CTFModel()
    copy.copyAttributes(ctf, "_defocusU", "_defocusV", "_defocusAngle", "_defocusRatio", "_psdFile", "_resolution", "_fitQuality")
    if ctf.getPhaseShift() is not None:
        copy.setPhaseShift(ctf.getPhaseShift())
    return copy


def ctf_columns(ctfs: Sequence[CTFModel]) -> dict[str, list[float]]:
    """Return the columns of a STAR file of micrographs with these CTFs; what one of them lacks is left out."""
    values = {
        "rlnDefocusU": [ctf.getDefocusU() for ctf in ctfs],
        "rlnDefocusV": [ctf.getDefocusV() for ctf in ctfs],
        "rlnDefocusAngle": [ctf.getDefocusAngle() for ctf in ctfs],
        "rlnPhaseShift": [ctf.getPhaseShift() for ctf in ctfs],
        "rlnCtfMaxResolution": [ctf.getResolution() for ctf in ctfs],
        "rlnCtfFigureOfMerit": [ctf.getFitQuality() for ctf in ctfs],
    }
    return {label: column for label, column in values.items() if all(value is not None for value in column)}


def with_particles(positions: Positions, micrographs: Mapping[str, int], parameters: ExtractParameters) -> dict[str, int]:
    """Return the micrographs (name -> id) from which particles will come, and those that cannot be read."""
    from relion4plugin.errors import UserError
    from relion4plugin.files.mrc import read_header
    from relion4plugin.preprocessing.extraction.boxes import touching, whole_pixels

    p, kept = parameters, {}
    for name, number in micrographs.items():
        rows = positions.of(number)
        if p.do_fom_threshold and positions.scores is not None:
            rows = rows[positions.scores[rows] >= p.minimum_pick_fom]
        try:
            header = read_header(Path(name))
        except UserError:  # the extraction sets it aside, with its reason
            kept[name] = number
            continue
        x, y = whole_pixels(positions.x[rows]), whole_pixels(positions.y[rows])
        if touching(x, y, p.extract_size, (header.ny, header.nx)).any():
            kept[name] = number
    return kept


def append_extracted(
    particles: SetOfParticles,
    rows: Sequence[Mapping[str, Any]],
    micrographs: Mapping[str, Any],
    positions: Positions,
    ctfs: Mapping[str, CTFModel],
    known: set[int],
) -> None:
    """Append the particles of an extraction; their ids are those of the coordinates.

    Parameters
    ----------
    particles : SetOfParticles
        With acquisition and pixel size; empty, or opened for appending.
    rows : sequence of mapping
        Of particles.star, with rlnImageId, the id of the coordinate.
    micrographs : mapping
        Name in the file -> micrograph; particles of others are left out.
    positions : Positions
        Of these micrographs.
    ctfs : mapping
        Name of the micrograph -> CTF; empty where there are none.
    known : set of int
        Ids that the set has.
    """
    row_of = {int(number): row for row, number in enumerate(positions.ids)}
    for row in rows:
        micrograph, number = micrographs.get(row["rlnMicrographName"]), int(row["rlnImageId"])
        if micrograph is None or number in known or number not in row_of:
            continue
        index, _, stack = row["rlnImageName"].partition("@")
        item = Particle(location=(int(index), stack), objId=number)
        item.setSamplingRate(particles.getSamplingRate())
        item.setAcquisition(micrograph.getAcquisition())
        item.setCoordinate(_coordinate(positions, row_of[number], micrograph))
        item.setMicId(micrograph.getObjId())
        if ctfs:
            item.setCTF(ctfs[micrograph.getMicName()])
        if hasattr(micrograph, _GROUP):
            setattr(item, _GROUP, getattr(micrograph, _GROUP).clone())
        particles.append(item)


def _coordinate(positions: Positions, row: int, micrograph: Any) -> Coordinate:
    coordinate = Coordinate(x=int(np.trunc(positions.x[row])), y=int(np.trunc(positions.y[row])))
    coordinate.setObjId(int(positions.ids[row]))
    coordinate.setMicId(micrograph.getObjId())
    coordinate.setMicName(micrograph.getMicName())
    if positions.scores is not None:
        setattr(coordinate, f"_{SCORE}", Float(float(positions.scores[row])))
    return coordinate
