"""Options and words for helical reconstructions in 3D, which only RELION's program makes."""

from dataclasses import dataclass

from relion4plugin.jobs.option_text import OptionText
from relion4plugin.jobs.parameters import parameter
from relion4plugin.jobs.relion.refinement import range_words

_HELIX = "Helix"
# Options that RELION's form takes as free text.
FREE_TEXT = frozenset(
    {"helical_tube_inner_diameter", "helical_tube_outer_diameter", "range_rot", "range_tilt", "range_psi"}
    | {f"helical_{kind}_{end}" for kind in ("twist", "rise") for end in ("initial", "min", "max", "inistep")}
)


@dataclass(frozen=True)
class HelixOptions:
    """A helical reconstruction."""

    do_helix: bool = parameter(False, label="Helical reconstruction", section=_HELIX, option="--helix", help="Yes for filaments.")
    helical_tube_inner_diameter: float = parameter(-1.0, label="Inner diameter", section=_HELIX, unit="A", help="Of the tube; -1 for none.")
    helical_tube_outer_diameter: float = parameter(-1.0, label="Outer diameter", section=_HELIX, unit="A", help="Of the tube.")
    range_rot: float = parameter(-1.0, label="Range of rot", section=_HELIX, unit="deg", help="Of local searches.")
    range_tilt: float = parameter(15.0, label="Range of tilt", section=_HELIX, unit="deg", help="Of local searches.")
    range_psi: float = parameter(10.0, label="Range of psi", section=_HELIX, unit="deg", help="Of local searches.")
    do_apply_helical_symmetry: bool = parameter(True, label="Apply helical symmetry", section=_HELIX, help="No only uses the priors.")
    helical_nr_asu: int = parameter(1, label="Asymmetric units", section=_HELIX, minimum=1, help="New ones in each segment.")
    helical_twist_initial: float = parameter(
        0.0, label="Initial twist", section=_HELIX, unit="deg", help="Positive for right-handed helices."
    )
    helical_rise_initial: float = parameter(0.0, label="Initial rise", section=_HELIX, unit="A", help="Shift along the axis.")
    helical_z_percentage: float = parameter(
        30.0, label="Central part", section=_HELIX, unit="%", help="Part of the box that sets the rest."
    )
    do_local_search_helical_symmetry: bool = parameter(False, label="Search twist and rise", section=_HELIX, help="In each iteration.")
    helical_twist_min: float = parameter(0.0, label="Smallest twist", section=_HELIX, unit="deg", help="Start of the search.")
    helical_twist_max: float = parameter(0.0, label="Largest twist", section=_HELIX, unit="deg", help="End of the search.")
    helical_twist_inistep: float = parameter(0.0, label="Step of twist", section=_HELIX, unit="deg", help="0 chooses it.")
    helical_rise_min: float = parameter(0.0, label="Smallest rise", section=_HELIX, unit="A", help="Start of the search.")
    helical_rise_max: float = parameter(0.0, label="Largest rise", section=_HELIX, unit="A", help="End of the search.")
    helical_rise_inistep: float = parameter(0.0, label="Step of rise", section=_HELIX, unit="A", help="0 chooses it.")
    helical_range_distance: float = parameter(
        -1.0, label="Range of averaging", section=_HELIX, help="Neighbouring segments share orientations; -1 for none."
    )
    keep_tilt_prior_fixed: bool = parameter(True, label="Keep the prior of tilt", section=_HELIX, help="At 90 degrees.")


def helix_words(o: OptionText, local_ranges: bool) -> list[str]:
    """Return the words for a helix; nothing where the job is none.

    Parameters
    ----------
    o
        Options of the job.
    local_ranges
        Whether the ranges of local searches are given.
    """
    if not o.yes("do_helix"):
        return []
    words = ["--helix", *o.positive("--helical_inner_diameter", "helical_tube_inner_diameter")]
    words += [*o.option("--helical_outer_diameter", "helical_tube_outer_diameter"), *_symmetry_words(o)]
    words += o.switch("--helical_keep_tilt_prior_fixed", "keep_tilt_prior_fixed")
    if local_ranges:
        for angle in ("tilt", "psi", "rot"):
            words += range_words(o, f"--sigma_{angle}", f"range_{angle}")
    distance = o.number("helical_range_distance")
    return words + (["--helical_sigma_distance", f"{distance / 3:g}"] if distance > 0 else [])


def _symmetry_words(o: OptionText) -> list[str]:
    if not o.yes("do_apply_helical_symmetry"):
        return ["--ignore_helical_symmetry"]
    names = ["helical_nr_asu", "helical_twist_initial", "helical_rise_initial"]
    words = [word for name in names for word in o.option(f"--{name}", name)]
    words += o.times("--helical_z_percentage", "helical_z_percentage", 0.01)
    if not o.yes("do_local_search_helical_symmetry"):
        return words
    words.append("--helical_symmetry_search")
    for kind in ("helical_twist", "helical_rise"):
        words += [*o.option(f"--{kind}_min", f"{kind}_min"), *o.option(f"--{kind}_max", f"{kind}_max")]
        words += o.positive(f"--{kind}_inistep", f"{kind}_inistep")
    return words
