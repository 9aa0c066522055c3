"""Particles that jobs of a scheme made, as a Scipion set that grows, and what later jobs found about them.

RELION's files name images relative to the scheme's project; particles are known by image, in whatever file they come again.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pwem.objects import Coordinate, CTFModel, Particle, SetOfParticles

from relion4plugin.scipion.micrographs import acquisition_of
from relion4plugin.scipion.particle_results import ParticleResults, results_of_rows
from relion4plugin.scipion.rank_inputs import object_ids
from relion4plugin.scipion.sets import read_columns

if TYPE_CHECKING:
    from relion4plugin.files.particles import ParticleSet

_DEFOCUS = ("rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle")
_POSITION = ("rlnCoordinateX", "rlnCoordinateY", "rlnMicrographName")


def read_scheme_particles(star: Path, root: Path) -> "ParticleSet":
    """Read particles with the names of images and micrographs as Scipion has them.

    Parameters
    ----------
    star : Path
        A file of particles.
    root : Path
        Project folder that paths in the file are relative to, itself as Scipion names it.

    Raises
    ------
    UserError
        If the file is damaged.
    """
    from relion4plugin.files.particles import make_particles
    from relion4plugin.files.run_files import rows
    from relion4plugin.files.star import read_star

    blocks, what = read_star(star), "a STAR file of particles of RELION 3.1 or later"
    table = rows(blocks, "particles", ("rlnImageName",), star, what)
    parts = [str(name).rpartition("@") for name in table["rlnImageName"]]
    columns = {"rlnImageName": [f"{int(index or 1):06d}@{root / stack}" for index, _, stack in parts]}
    if "rlnMicrographName" in table:
        columns["rlnMicrographName"] = [str(root / str(name)) for name in table["rlnMicrographName"]]
    # Ids of another Scipion project mean nothing here.
    table = table.drop(columns="rlnImageId", errors="ignore").assign(**columns)
    return make_particles(table, rows(blocks, "optics", (), star, what), star)


def known_images(particles: SetOfParticles) -> set[tuple[int, str]]:
    """Return slice, from 1, and stack of each particle of a set."""
    columns = read_columns(particles.getFileName(), ("_index", "_filename"))
    return set(zip(columns.get("_index", 1), columns.get("_filename"), strict=True))


def append_particles(particles: SetOfParticles, data: "ParticleSet", micrographs: Mapping[str, int], known: set[tuple[int, str]]) -> int:
    """Append the particles that a set does not have yet, with CTF and coordinates where the file has them.

    Parameters
    ----------
    particles : SetOfParticles
        Empty, or opened for appending.
    data : ParticleSet
        From `read_scheme_particles`.
    micrographs : mapping
        Ids of micrographs by their files.
    known : set
        Images that the set has.

    Returns
    -------
    int
        Number of new ones.
    """
    has_ctf, has_position = (all(label in data.table for label in labels) for labels in (_DEFOCUS, _POSITION))
    acquisitions = [acquisition_of(group) for group in data.optics_table.to_dict("records")]
    particles.setAcquisition(acquisitions[0])
    particles.setSamplingRate(data.pixel_size)
    particles.setHasCTF(has_ctf)
    added = 0
    for row, group in zip(data.table.to_dict("records"), data.optics_index.tolist(), strict=True):
        index, _, stack = row["rlnImageName"].partition("@")
        if (int(index), stack) in known:
            continue
        item = Particle(location=(int(index), stack))
        item.setSamplingRate(data.pixel_size)
        item.setAcquisition(acquisitions[group])
        if has_ctf:
            item.setCTF(_ctf(row))
        if has_position:
            item.setCoordinate(_coordinate(row, micrographs))
            item.setMicId(item.getCoordinate().getMicId())
        particles.append(item)
        added += 1
    return added


def _ctf(row: Mapping[Any, Any]) -> CTFModel:
    ctf = CTFModel()
    ctf.setStandardDefocus(*(float(row[label]) for label in _DEFOCUS))
    if "rlnPhaseShift" in row:
        ctf.setPhaseShift(float(row["rlnPhaseShift"]))
    return ctf


def _coordinate(row: Mapping[Any, Any], micrographs: Mapping[str, int]) -> Coordinate:
    coordinate = Coordinate(x=round(float(row["rlnCoordinateX"])), y=round(float(row["rlnCoordinateY"])))
    coordinate.setMicName(Path(row["rlnMicrographName"]).name)
    coordinate.setMicId(micrographs.get(row["rlnMicrographName"]))
    return coordinate


def results_of(data: "ParticleSet", particles: SetOfParticles, projection: bool) -> ParticleResults:
    """Return what a file says about the particles of a set.

    Parameters
    ----------
    data : ParticleSet
        From `read_scheme_particles`; with poses.
    particles : SetOfParticles
        That has all of them.
    projection : bool
        Whether the poses are projection directions or in-plane alignments.

    Raises
    ------
    UserError
        If a particle is not in the set, or a column is missing.
    """
    return results_of_rows(data, object_ids(data, particles), projection)
