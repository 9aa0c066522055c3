"""The parameters of symmetry alignment, under the names of RELION's program."""

from dataclasses import dataclass

from relion4plugin.jobs.parameters import parameter

_INPUT, _SYMMETRY = "I/O", "Symmetry"


@dataclass(frozen=True)
class AlignSymmetryParameters:
    """One alignment of a map to the axes of its point group."""

    fn_in: str = parameter(
        "", label="Input map", section=_INPUT, short=("--i",), pattern="*.mrc *_model.star", relion=False,
        help="A map, or the model.star of a run with one or several 3D classes.",
    )
    angpix: float = parameter(
        -1.0, label="Pixel size", section=_INPUT, unit="A", minimum=-1.0, option="--angpix", relion=False,
        help="Of the map; -1 takes it from the file.",
    )
    select_largest_class: bool = parameter(
        False, label="Take the largest class", section=_INPUT, option="--select_largest_class", relion=False,
        help="Of a model.star, take the class with the most particles; otherwise all are tried and the most symmetric one wins.",
    )
    select_best_class: bool = parameter(
        False, label="Take the class of best resolution", section=_INPUT, relion=False,
        help="Of a model.star, take the class with the best rlnEstimatedResolution.",
    )
    sym_name: str = parameter(
        "", label="Point group", section=_SYMMETRY, short=("--sym",), option="--sym", relion=False,
        help="C1 to C99, D1 to D99, T, O, I or I1 to I4; may be left out with --find.",
    )
    find: bool = parameter(
        False, label="Find the point group", section=_SYMMETRY, relion=False,
        help="Rank point groups by how well the map agrees with its turned copies, and use the one found.",
    )
    candidates: str = parameter(
        "", label="Groups to try", section=_SYMMETRY, relion=False,
        help="Point groups joined by commas; empty tries C2 to C8, D2 to D8, T, O and I.",
    )
    apply_sym: bool = parameter(
        False, label="Apply the symmetry", section=_SYMMETRY, option="--apply_sym", relion=False,
        help="Write the average over the point group instead of the aligned map alone.",
    )
    keep_centre: bool = parameter(
        False, label="Keep the centre", section=_SYMMETRY, option="--keep_centre", relion=False,
        help="The axes pass through the centre of the box already: only turn the map.",
    )
    maxres: float = parameter(
        -1.0, label="Resolution limit", section=_SYMMETRY, unit="A", minimum=-1.0, option="--maxres", relion=False,
        help="Finer detail is not compared: give the resolution of a noisy map if it is known; -1 compares all.",
    )  # fmt: skip
