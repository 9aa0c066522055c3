"""Picking of particles by hand."""

from collections.abc import Mapping
from dataclasses import dataclass

from relion4plugin.jobs.job_type import Commands, ContinueKind, JobType, nodes
from relion4plugin.jobs.option_text import OptionText
from relion4plugin.jobs.parameters import parameter
from relion4plugin.jobs.relion import kinds
from relion4plugin.jobs.relion.running import QueueOptions

_IO, _DISPLAY, _COLOUR = "I/O", "Display", "Colours"


@dataclass(frozen=True)
class ManualPickOptions(QueueOptions):
    """One session of picking by hand."""

    fn_in: str = parameter("", label="Input micrographs", section=_IO, option="--i", pattern="*.star", help="STAR file of micrographs.")
    do_startend: bool = parameter(
        False, label="Pick starts and ends of helices", section=_IO, option="--pick_start_end", help="Two clicks make one filament."
    )
    do_fom_threshold: bool = parameter(False, label="Use a threshold of picks", section=_IO, help="Show only picks above a score.")
    minimum_pick_fom: float = parameter(
        0.0, label="Minimum score of picks", section=_IO, option="--minimum_pick_fom",
        help="Score of automatic picks from which on they show.",
    )
    diameter: float = parameter(
        100.0, label="Particle diameter", section=_DISPLAY, unit="A", option="--particle_diameter", minimum=0.0,
        help="Of the circles drawn.",
    )
    micscale: float = parameter(
        0.2, label="Scale", section=_DISPLAY, option="--scale", minimum=0.0, help="Size of the image on the screen."
    )
    sigma_contrast: float = parameter(
        3.0, label="Sigma contrast", section=_DISPLAY, option="--sigma_contrast", minimum=0.0,
        help="Standard deviations from black to white.",
    )
    white_val: float = parameter(0.0, label="White value", section=_DISPLAY, option="--white", help="Grey value shown white; 0 chooses it.")
    black_val: float = parameter(0.0, label="Black value", section=_DISPLAY, option="--black", help="Grey value shown black; 0 chooses it.")
    lowpass: float = parameter(20.0, label="Low-pass filter", section=_DISPLAY, unit="A", option="--lowpass", help="0 or less for none.")
    highpass: float = parameter(-1.0, label="High-pass filter", section=_DISPLAY, unit="A", option="--highpass", help="0 or less for none.")
    angpix: float = parameter(
        -1.0, label="Pixel size", section=_DISPLAY, unit="A", option="--angpix", help="-1 takes that of the STAR file."
    )
    do_topaz_denoise: bool = parameter(
        False, label="Denoise with Topaz", section=_DISPLAY, option="--topaz_denoise", help="Instead of the filters; needs Topaz."
    )
    fn_topaz_exec: str = parameter("", label="Topaz program", section=_DISPLAY, option="--topaz_exe", pattern="*", help="Where Topaz is.")
    do_color: bool = parameter(False, label="Colour the particles", section=_COLOUR, help="From blue to red by a column of a STAR file.")
    color_label: str = parameter(
        "rlnAutopickFigureOfMerit", label="Column for colours", section=_COLOUR, option="--color_label",
        help="Column that gives the colour.",
    )
    fn_color: str = parameter(
        "", label="STAR file for colours", section=_COLOUR, option="--color_star", pattern="*.star", help="File that has the column."
    )
    blue_value: float = parameter(0.0, label="Blue value", section=_COLOUR, option="--blue", help="Value shown blue.")
    red_value: float = parameter(2.0, label="Red value", section=_COLOUR, option="--red", help="Value shown red.")


def _filter_words(o: OptionText) -> list[str]:
    if o.yes("do_topaz_denoise"):
        return ["--topaz_denoise", *o.given("--topaz_exe", "fn_topaz_exec")]
    return [word for name in ("lowpass", "highpass", "angpix") for word in o.positive(f"--{name}", name)]


def _commands(o: OptionText, place: str, is_continue: bool) -> Commands:
    micrographs = o.require("fn_in", "a STAR file of micrographs")
    words = ["relion_manualpick", "--i", micrographs, "--odir", place, "--pickname", "manualpick"]
    words += ["--allow_save", "--fast_save", "--selection", f"{place}micrographs_selected.star"]
    words += [*o.option("--scale", "micscale"), *o.option("--sigma_contrast", "sigma_contrast")]
    words += [*o.option("--black", "black_val"), *o.option("--white", "white_val"), *_filter_words(o)]
    words += o.option("--minimum_pick_fom", "minimum_pick_fom") if o.yes("do_fom_threshold") else []
    words += [*o.option("--particle_diameter", "diameter"), *o.switch("--pick_start_end", "do_startend")]
    if o.yes("do_color"):
        words += [*o.option("--color_label", "color_label"), *o.option("--blue", "blue_value"), *o.option("--red", "red_value")]
        words += o.given("--color_star", "fn_color")
    return (words + o.words("other_args"),)


def _outputs(o: OptionText, place: str, is_continue: bool) -> Mapping[str, str]:
    ends = ".helixstartend" if o.yes("do_startend") else ""
    return {
        f"{place}micrographs_selected.star": kinds.MICROGRAPHS,
        f"{place}manualpick.star": f"{kinds.COORDINATES}.manualpick{ends}",
    }


TYPE = JobType(
    label="relion.manualpick",
    folder="ManualPick",
    title="Picking by hand",
    parameters=ManualPickOptions,
    commands=_commands,
    inputs=lambda o: nodes((o["fn_in"], kinds.MICROGRAPHS)),
    outputs=_outputs,
    continues=ContinueKind.INCREMENTAL,
    suffix=lambda o: ".helical" if o.yes("do_startend") else "",
    missing="picking by hand needs RELION's program relion_manualpick and a screen",
)
