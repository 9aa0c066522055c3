"""Micrographs and CTFs of jobs as items that keep the id, name and acquisition of what they were made from."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pwem.objects import CTFModel, Float, Micrograph, String

from relion4plugin.scipion.micrographs import ctf_of

_MOTIONS = ("rlnAccumMotionTotal", "rlnAccumMotionEarly", "rlnAccumMotionLate")
_GROUP = "_rlnOpticsGroup"


def read_job_table(star: Path, table: str) -> list[dict[str, Any]]:
    """Return the rows of a table of a job, none where the job wrote no file.

    Raises
    ------
    UserError
        If the file is damaged.
    """
    from relion4plugin.files.run_files import rows
    from relion4plugin.files.star import read_star

    if not star.is_file():
        return []
    found = rows(read_star(star), table, (), star, "what a job has written").to_dict("records")
    return [{str(label): value for label, value in row.items()} for row in found]


def corrected_micrograph(movie: Any, row: Mapping[str, Any], file: str, pixel_size: float, carried: Sequence[str] = ()) -> Micrograph:
    """Return the micrograph that motion correction made of a movie.

    Parameters
    ----------
    movie : Movie
        Gives id, name, acquisition and optics group.
    row : mapping
        Of corrected_micrographs.star.
    file : str
        The image.
    pixel_size : float
        Of the image, A.
    carried : sequence of str
        Labels whose values, names of files, the micrograph keeps.
    """
    micrograph = Micrograph(location=file, objId=movie.getObjId())
    micrograph.setMicName(movie.getMicName())
    micrograph.setSamplingRate(pixel_size)
    micrograph.setAcquisition(movie.getAcquisition())
    for label in _MOTIONS:
        setattr(micrograph, f"_{label}", Float(float(row[label])))
    for label in carried:
        setattr(micrograph, f"_{label}", String(str(row[label])))
    if hasattr(movie, _GROUP):
        setattr(micrograph, _GROUP, getattr(movie, _GROUP).clone())
    return micrograph


def estimated_ctf(micrograph: Any, row: Mapping[str, Any]) -> CTFModel:
    """Return the CTF of a micrograph from a row of micrographs_ctf.star; both have the same id."""
    ctf = ctf_of(row, Path())
    ctf.setObjId(micrograph.getObjId())
    ctf.setMicrograph(micrograph)
    return ctf
