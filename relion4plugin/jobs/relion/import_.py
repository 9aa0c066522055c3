"""Import of movies, micrographs and other files."""

from collections.abc import Mapping
from dataclasses import dataclass

from relion4plugin.errors import UserError
from relion4plugin.jobs.import_parameters import (
    COORDINATES,
    HALF_MAP,
    MASK,
    MICROGRAPHS,
    PARTICLES,
    REFERENCE,
    REFERENCES,
    ImportParameters,
    check_one_kind,
    checked_group,
    checked_pattern,
    other_names,
    raw_name,
)
from relion4plugin.jobs.job_type import Commands, ContinueKind, JobType
from relion4plugin.jobs.option_text import OptionText
from relion4plugin.jobs.relion import kinds
from relion4plugin.jobs.relion.native import incremental_runner
from relion4plugin.jobs.relion.running import QueueOptions

# Entry of the menu -> kind of the file.
_MENU = {
    COORDINATES: kinds.COORDINATES,
    PARTICLES: kinds.PARTICLES,
    REFERENCES: kinds.IMAGES,
    MICROGRAPHS: kinds.MICROGRAPHS,
    REFERENCE: kinds.MAP,
    MASK: kinds.MASK,
    HALF_MAP: "DensityMap.mrc.halfmap",
}


@dataclass(frozen=True)
class ImportOptions(QueueOptions, ImportParameters):
    """One import with all options of RELION's job."""


def _other_names(o: OptionText) -> tuple[str, ...]:
    return other_names(_menu_entry(o), o.require("fn_in_other", "the file to import"))


def _menu_entry(o: OptionText) -> str:
    entry = o["node_type"].replace("__", " ")
    if entry not in _MENU:
        raise UserError(f"node_type is '{entry}' but must be one of: {'; '.join(_MENU)}")
    return entry


def _raw_words(o: OptionText) -> list[str]:
    pattern = checked_pattern(o.require("fn_in_raw", "a pattern of file names"), "fn_in_raw")
    words = ["--do_movies" if o.yes("is_multiframe") else "--do_micrographs"]
    words += ["--optics_group_name", checked_group(o["optics_group_name"], "optics_group_name"), *o.given("--optics_group_mtf", "fn_mtf")]
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
        words = ["--do_particles", *(["--particles_optics_group_name", checked_group(group, "optics_group_particles")] if group else [])]
    return [*words, *o.option("--i", "fn_in_other")]


def _commands(o: OptionText, place: str, is_continue: bool) -> Commands:
    check_one_kind(o.yes("do_raw"), o.yes("do_other"))
    words = _raw_words(o) if o.yes("do_raw") else _other_words(o)
    name = raw_name(o.yes("is_multiframe")) if o.yes("do_raw") else _other_names(o)[0]
    return (["relion_import", *words, "--odir", place, "--ofile", name, *(["--continue"] if is_continue else [])],)


def _outputs(o: OptionText, place: str, is_continue: bool) -> Mapping[str, str]:
    if o.yes("do_raw"):
        return {place + raw_name(o.yes("is_multiframe")): kinds.MOVIES if o.yes("is_multiframe") else kinds.MICROGRAPHS}
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
    native=lambda o: incremental_runner("import_job"),
)
