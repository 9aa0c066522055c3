"""The parameters of an import: names and defaults of RELION's job.star, and our own."""

import re
from dataclasses import dataclass
from pathlib import PurePath

from relion4plugin.errors import UserError
from relion4plugin.jobs.parameters import parameter

_RAW, _OPTICS, _CHECKS, _OTHER = "Movies or micrographs", "Microscope", "Checks", "Other files"
COORDINATES = "Particle coordinates (*.box, *_pick.star)"
PARTICLES = "Particles STAR file (.star)"
REFERENCES = "Multiple (2D or 3D) references (.star or .mrcs)"
MICROGRAPHS = "Micrographs STAR file (.star)"
REFERENCE = "3D reference (.mrc)"
MASK = "3D mask (.mrc)"
HALF_MAP = "Unfiltered half-map (unfil.mrc)"
_GROUP_NAME = re.compile(r"[A-Za-z0-9-]+")
KINDS_OF_FILES = (COORDINATES, PARTICLES, REFERENCES, MICROGRAPHS, REFERENCE, MASK, HALF_MAP)


@dataclass(frozen=True)
class ImportParameters:
    """One import; `do_raw` is for images from the microscope, `do_other` for everything else."""

    do_raw: bool = parameter(
        True, label="Import raw movies/micrographs", section=_RAW, help="Yes for images from the microscope, No for other kinds of files."
    )
    fn_in_raw: str = parameter(
        "Micrographs/*.tif", label="Raw input files", section=_RAW, option="--i",
        help="Pattern of file names below the project directory; link data from elsewhere into it first.",
    )
    is_multiframe: bool = parameter(True, label="Multi-frame movies", section=_RAW, help="No for single images instead of movies.")
    optics_group_name: str = parameter(
        "opticsGroup1", label="Optics group name", section=_OPTICS, option="--optics_group_name",
        help="Name of all images taken under the same optical conditions: letters, digits and hyphens.",
    )
    fn_mtf: str = parameter(
        "", label="MTF of the detector", section=_OPTICS, option="--optics_group_mtf", pattern="*.star",
        help="Curve of the detector's response, for later sharpening.",
    )
    angpix: float = parameter(
        1.4, label="Pixel size", section=_OPTICS, unit="A", option="--angpix", minimum=0.0, help="Pixel size of the images as they are."
    )
    kV: float = parameter(300.0, label="Voltage", section=_OPTICS, unit="kV", option="--kV", help="Acceleration voltage.")
    Cs: float = parameter(2.7, label="Spherical aberration", section=_OPTICS, unit="mm", option="--Cs", help="Of the objective lens.")
    Q0: float = parameter(
        0.1, label="Amplitude contrast", section=_OPTICS, option="--Q0", minimum=0.0, maximum=1.0,
        help="Part of the contrast that is of amplitude; 0.1 for most samples in ice.",
    )
    beamtilt_x: float = parameter(
        0.0, label="Beam tilt in x", section=_OPTICS, unit="mrad", option="--beamtilt_x",
        help="Known tilt of the beam; 0 if it is not known.",
    )
    beamtilt_y: float = parameter(
        0.0, label="Beam tilt in y", section=_OPTICS, unit="mrad", option="--beamtilt_y",
        help="Known tilt of the beam; 0 if it is not known.",
    )
    optics_groups_file: str = parameter(
        "", label="Table of optics groups", section=_OPTICS, pattern="*.star", relion=False,
        help="STAR file with the optics group of each movie, as `mdcatch` writes it while movies arrive; others get the name above.",
    )
    settle_seconds: float = parameter(
        30.0, label="Age of files", section=_CHECKS, unit="s", minimum=0.0, relion=False,
        help="Files changed less than so long ago may still be written: they wait for the next execution. 0 takes every file at once.",
    )
    check_files: bool = parameter(
        True, label="Check files", section=_CHECKS, relion=False,
        help="Read the header of every new file; truncated and unreadable ones are set aside, not imported.",
    )
    fn_gain_ref: str = parameter(
        "", label="Gain reference to check", section=_CHECKS, pattern="*.{mrc,tif,tiff,gain}", relion=False,
        help="Check that this gain reference has the size of the movies; it is applied by motion correction, not here.",
    )
    nr_threads: int = parameter(
        4, label="Number of threads", section=_CHECKS, minimum=1, relion=False, help="Files whose headers are read at the same time."
    )
    do_other: bool = parameter(False, label="Import other files", section=_OTHER, help="Yes for everything but images from the microscope.")
    fn_in_other: str = parameter("ref.mrc", label="Input file", section=_OTHER, help="File to import; it keeps its name.")
    node_type: str = parameter(COORDINATES, label="Kind of file", section=_OTHER, choices=KINDS_OF_FILES, help="What the file holds.")
    optics_group_particles: str = parameter(
        "", label="Optics group of the particles", section=_OTHER,
        help="New name of the only optics group of imported particles; empty keeps the old one.",
    )


def raw_name(is_multiframe: bool) -> str:
    """Return the name of the STAR file of images from the microscope."""
    return "movies.star" if is_multiframe else "micrographs.star"


def check_one_kind(do_raw: bool, do_other: bool) -> None:
    """Check that it is clear what is imported.

    Raises
    ------
    UserError
        If it is not.
    """
    if do_raw == do_other:
        raise UserError("exactly one of do_raw and do_other must be Yes")


def checked_pattern(pattern: str, option: str) -> str:
    """Return a pattern of file names.

    Raises
    ------
    UserError
        If it leads out of the project directory.
    """
    if pattern.startswith("/") or "../" in pattern:
        raise UserError(f"{option} is '{pattern}' but must lie below the project directory: link the data into it")
    return pattern


def checked_group(name: str, option: str) -> str:
    """Return the name of an optics group.

    Raises
    ------
    UserError
        If RELION would not take it.
    """
    if not _GROUP_NAME.fullmatch(name):
        raise UserError(f"{option} is '{name}' but may have letters, digits and hyphens only")
    return name


def other_names(kind: str, path: str) -> tuple[str, ...]:
    """Return the names under which a file is imported: a half map brings the other one along.

    Parameters
    ----------
    kind
        One of `KINDS_OF_FILES`.
    path
        What is imported; a pattern for coordinates.
    """
    if kind == COORDINATES:
        return (f"coords_suffix{path.rpartition('*')[2]}",)
    name = PurePath(path).name
    return (name,) if kind != HALF_MAP else (name, other_half(name))


def other_half(name: str) -> str:
    """Return the name of the other half map; the same name where neither half1 nor half2 is part of it."""
    return name.replace("half1", "half2", 1) if "half1" in name else name.replace("half2", "half1", 1)
