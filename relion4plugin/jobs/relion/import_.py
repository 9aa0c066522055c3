"""Import of movies, micrographs and other files."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath

from relion4plugin.errors import UserError
from relion4plugin.jobs.job_type import Commands, ContinueKind, JobType
from relion4plugin.jobs.option_text import OptionText
from relion4plugin.jobs.parameters import parameter
from relion4plugin.jobs.relion import kinds
from relion4plugin.jobs.relion.running import QueueOptions

_RAW, _OPTICS, _OTHER = "Movies or micrographs", "Microscope", "Other files"
_COORDINATES = "Particle coordinates (*.box, *_pick.star)"
# Entry of the menu -> kind of the file.
_MENU = {
    _COORDINATES: kinds.COORDINATES,
    "Particles STAR file (.star)": kinds.PARTICLES,
    "Multiple (2D or 3D) references (.star or .mrcs)": kinds.IMAGES,
    "Micrographs STAR file (.star)": kinds.MICROGRAPHS,
    "3D reference (.mrc)": kinds.MAP,
    "3D mask (.mrc)": kinds.MASK,
    "Unfiltered half-map (unfil.mrc)": "DensityMap.mrc.halfmap",
}
_GROUP_NAME = re.compile(r"[A-Za-z0-9-]+")


@dataclass(frozen=True)
class ImportOptions(QueueOptions):
    """One import."""

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
    do_other: bool = parameter(False, label="Import other files", section=_OTHER, help="Yes for everything but images from the microscope.")
    fn_in_other: str = parameter("ref.mrc", label="Input file", section=_OTHER, help="File to import; it keeps its name.")
    node_type: str = parameter(_COORDINATES, label="Kind of file", section=_OTHER, choices=tuple(_MENU), help="What the file holds.")
    optics_group_particles: str = parameter(
        "", label="Optics group of the particles", section=_OTHER,
        help="New name of the only optics group of imported particles; empty keeps the old one.",
    )


def _raw_name(o: OptionText) -> str:
    return "movies.star" if o.yes("is_multiframe") else "micrographs.star"


def _other_names(o: OptionText) -> tuple[str, ...]:
    """Return the names of the imported files: a half map brings the other one along."""
    path = o.require("fn_in_other", "the file to import")
    if _menu_entry(o) == _COORDINATES:
        return (f"coords_suffix{path.rpartition('*')[2]}",)
    name = PurePath(path).name
    if not _MENU[_menu_entry(o)].endswith("halfmap"):
        return (name,)
    other = name.replace("half1", "half2", 1) if "half1" in name else name.replace("half2", "half1", 1)
    return (name, other)


def _menu_entry(o: OptionText) -> str:
    entry = o["node_type"].replace("__", " ")
    if entry not in _MENU:
        raise UserError(f"node_type is '{entry}' but must be one of: {'; '.join(_MENU)}")
    return entry


def _checked_group(name: str, option: str) -> str:
    if not _GROUP_NAME.fullmatch(name):
        raise UserError(f"{option} is '{name}' but may have letters, digits and hyphens only")
    return name


def _raw_words(o: OptionText) -> list[str]:
    pattern = o.require("fn_in_raw", "a pattern of file names")
    if pattern.startswith("/") or "../" in pattern:
        raise UserError(f"fn_in_raw is '{pattern}' but must lie below the project directory: link the data into it")
    words = ["--do_movies" if o.yes("is_multiframe") else "--do_micrographs"]
    words += ["--optics_group_name", _checked_group(o["optics_group_name"], "optics_group_name"), *o.given("--optics_group_mtf", "fn_mtf")]
    for name in ("angpix", "kV", "Cs", "Q0", "beamtilt_x", "beamtilt_y"):
        words += o.option(f"--{name}", name)
    return [*words, "--i", pattern]


def _other_words(o: OptionText) -> list[str]:
    kind = _MENU[_menu_entry(o)]
    words = ["--do_other"]
    if kind == kinds.COORDINATES:
        words = ["--do_coordinates"]
    elif kind.endswith("halfmap"):
        words = ["--do_halfmaps"]
    elif kind == kinds.PARTICLES:
        group = o["optics_group_particles"]
        words = ["--do_particles", *(["--particles_optics_group_name", _checked_group(group, "optics_group_particles")] if group else [])]
    return [*words, *o.option("--i", "fn_in_other")]


def _commands(o: OptionText, place: str, is_continue: bool) -> Commands:
    if o.yes("do_raw") == o.yes("do_other"):
        raise UserError("exactly one of do_raw and do_other must be Yes")
    words = _raw_words(o) if o.yes("do_raw") else _other_words(o)
    name = _raw_name(o) if o.yes("do_raw") else _other_names(o)[0]
    return (["relion_import", *words, "--odir", place, "--ofile", name, *(["--continue"] if is_continue else [])],)


def _outputs(o: OptionText, place: str, is_continue: bool) -> Mapping[str, str]:
    if o.yes("do_raw"):
        return {place + _raw_name(o): kinds.MOVIES if o.yes("is_multiframe") else kinds.MICROGRAPHS}
    return {place + name: _MENU[_menu_entry(o)] for name in _other_names(o)}


TYPE = JobType(
    label="relion.import",
    folder="Import",
    title="Import movies, micrographs or other files",
    parameters=ImportOptions,
    commands=_commands,
    inputs=lambda o: {},
    outputs=_outputs,
    continues=ContinueKind.INCREMENTAL,
    suffix=lambda o: ".movies" if o.yes("do_raw") else ".other",
    missing="importing needs RELION's program relion_import for now",
)
