"""Extraction of particles from micrographs."""

from collections.abc import Mapping
from dataclasses import dataclass

from relion4plugin.errors import UserError
from relion4plugin.jobs.extract_parameters import ExtractParameters, background_radius
from relion4plugin.jobs.job_type import Commands, ContinueKind, JobType, NativeRunner, nodes
from relion4plugin.jobs.option_text import OptionText
from relion4plugin.jobs.parameters import parameter
from relion4plugin.jobs.relion import kinds
from relion4plugin.jobs.relion.native import incremental_runner
from relion4plugin.jobs.relion.running import QueueOptions

_HELIX = "Helix"


@dataclass(frozen=True)
class ExtractOptions(QueueOptions, ExtractParameters):
    """One extraction with all options of RELION's job."""

    do_extract_helix: bool = parameter(False, label="Extract helical segments", section=_HELIX, option="--helix", help="For filaments.")
    helical_tube_outer_diameter: float = parameter(
        200.0, label="Tube diameter", section=_HELIX, unit="A", option="--helical_outer_diameter", help="Outer diameter of tubes."
    )
    helical_bimodal_angular_priors: bool = parameter(
        True, label="Bimodal angular priors", section=_HELIX, option="--helical_bimodal_angular_priors", help="The polarity is not known."
    )
    do_extract_helical_tubes: bool = parameter(
        True, label="Coordinates are starts and ends", section=_HELIX, option="--helical_tubes", help="No where each is a segment."
    )
    do_cut_into_segments: bool = parameter(
        True, label="Cut tubes into segments", section=_HELIX, option="--helical_cut_into_segments", help="No extracts whole tubes."
    )
    helical_nr_asu: int = parameter(1, label="Asymmetric units", section=_HELIX, option="--helical_nr_asu", minimum=1, help="Per segment.")
    helical_rise: float = parameter(
        1.0, label="Helical rise", section=_HELIX, unit="A", option="--helical_rise", help="Shift from one asymmetric unit to the next."
    )


def _source_words(o: OptionText, place: str) -> list[str]:
    picks = ["--pick_star", f"{place}extractpick.star"]
    part = ["--part_star", f"{place}particles.star"]
    if o.yes("do_reextract"):
        words = ["--reextract_data_star", o.require("fndata_reextract", "refined particles")]
        if o.yes("do_reset_offsets") and o.yes("do_recenter"):
            raise UserError("do_reset_offsets and do_recenter are both Yes: choose one")
        words += o.switch("--reset_offsets", "do_reset_offsets")
        if o.yes("do_recenter"):
            words += ["--recenter", *(word for axis in "xyz" for word in o.option(f"--recenter_{axis}", f"recenter_{axis}"))]
        return [*words, *part, *picks]
    coordinates = o.require("coords_suffix", "the STAR file of a picking job")
    folder, _, name = coordinates.rpartition("/")
    if "coords_suffix" in name:  # how RELION 3.1 points to its coordinates
        words = ["--coord_dir", f"{folder}/", "--coord_suffix", name.replace("coords_suffix", "", 1)]
    else:
        words = ["--coord_list", coordinates]
    return [*words, *part, *(picks if o.yes("do_extract_helix") and o.yes("do_extract_helical_tubes") else [])]


def _background_radius(o: OptionText) -> int:
    scaled = o.number("rescale") if o.yes("do_rescale") else None
    return background_radius(o.number("extract_size"), o.number("bg_diameter"), scaled)


def _helix_words(o: OptionText) -> list[str]:
    words = ["--helix", *o.option("--helical_outer_diameter", "helical_tube_outer_diameter")]
    words += o.switch("--helical_bimodal_angular_priors", "helical_bimodal_angular_priors")
    if not o.yes("do_extract_helical_tubes"):
        return words
    if not o.yes("do_cut_into_segments"):
        return [*words, "--helical_tubes", "--helical_nr_asu", "1", "--helical_rise", "1"]
    words += ["--helical_tubes", "--helical_cut_into_segments"]
    return [*words, *o.option("--helical_nr_asu", "helical_nr_asu"), *o.option("--helical_rise", "helical_rise")]


def _commands(o: OptionText, place: str, is_continue: bool) -> Commands:
    micrographs = o.require("star_mics", "a STAR file of micrographs")
    if o.number("extract_size") <= 0:
        raise UserError(f"extract_size is '{o['extract_size']}' but must be above 0")
    words = [o.program("relion_preprocess"), "--i", micrographs, *_source_words(o, place), "--part_dir", place]
    words += ["--extract", *o.option("--extract_size", "extract_size")]
    words += o.option("--minimum_pick_fom", "minimum_pick_fom") if o.yes("do_fom_threshold") else []
    words += o.switch("--float16", "do_float16")
    words += o.option("--scale", "rescale") if o.yes("do_rescale") else []
    if o.yes("do_norm"):
        words += ["--norm", "--bg_radius", str(_background_radius(o))]
        words += [*o.option("--white_dust", "white_dust"), *o.option("--black_dust", "black_dust")]
    words += o.switch("--invert_contrast", "do_invert")
    words += _helix_words(o) if o.yes("do_extract_helix") else []
    return ([*words, *(["--only_do_unfinished"] if is_continue else []), *o.words("other_args")],)


def _inputs(o: OptionText) -> Mapping[str, str]:
    refined = o.yes("do_reextract")
    source = (o["fndata_reextract"], kinds.PARTICLES) if refined else (o["coords_suffix"], kinds.COORDINATES)
    return nodes((o["star_mics"], kinds.MICROGRAPHS), source)


def _outputs(o: OptionText, place: str, is_continue: bool) -> Mapping[str, str]:
    helix, refined = o.yes("do_extract_helix"), o.yes("do_reextract")
    found = {f"{place}particles.star": kinds.PARTICLES + (".helicalsegments" if helix else ".reextract" if refined else "")}
    if refined:
        found[f"{place}extractpick.star"] = f"{kinds.COORDINATES}.reextract"
    elif helix and o.yes("do_extract_helical_tubes"):
        found[f"{place}extractpick.star"] = f"{kinds.COORDINATES}.helixstartend"
    return found


def _native(o: OptionText) -> NativeRunner | None:
    return None if o.yes("do_extract_helix") or o["other_args"] else incremental_runner("extract")


TYPE = JobType(
    label="relion.extract",
    folder="Extract",
    title="Particle extraction",
    parameters=ExtractOptions,
    commands=_commands,
    inputs=_inputs,
    outputs=_outputs,
    continues=ContinueKind.INCREMENTAL,
    suffix=lambda o: (".reextract" if o.yes("do_reextract") else "") + (".helical" if o.yes("do_extract_helix") else ""),
    native=_native,
    missing="helical segments (do_extract_helix) and additional arguments (other_args) need RELION's program relion_preprocess",
    free_text=frozenset({"recenter_x", "recenter_y", "recenter_z"}),
)
