"""The parameters of a mask creation: names and defaults of RELION's job.star, and our own."""

from dataclasses import dataclass

from relion4plugin.jobs.parameters import parameter

_IO, _MASK = "I/O", "Mask"


@dataclass(frozen=True)
class MaskCreateParameters:
    """One mask; lengths in A or px of the map as declared."""

    fn_in: str = parameter(
        "", label="Input 3D map", section=_IO, option="--i", pattern="*.mrc",
        help="Map with bright density, for example the result of a refinement.",
    )
    lowpass_filter: float = parameter(
        15.0, label="Low-pass filter", section=_MASK, unit="A", option="--lowpass",
        help="Filter of the map before thresholding; coarser makes a smoother, rounder mask, -1 does not filter.",
    )
    angpix: float = parameter(
        -1.0, label="Pixel size", section=_MASK, unit="A", option="--angpix",
        help="Pixel size of the map; -1 takes it from the header.",
    )
    inimask_threshold: float = parameter(
        0.02, label="Initial binarisation threshold", section=_MASK, option="--ini_threshold",
        help="Grey value of the filtered map from which on a voxel is density; higher makes a tighter mask.",
    )
    do_auto_threshold: bool = parameter(
        False, label="Choose the threshold automatically", section=_MASK, short=("--auto_threshold",), relion=False,
        help="Choose the threshold from the grey values of solvent and density instead of using the given one.",
    )
    extend_inimask: int = parameter(
        3, label="Extend binary mask", section=_MASK, unit="px", option="--extend_inimask", minimum=-100, maximum=100,
        help="Voxels by which the thresholded mask is grown in all directions; negative numbers shrink it.",
    )
    width_mask_edge: int = parameter(
        3, label="Soft edge", section=_MASK, unit="px", option="--width_soft_edge", minimum=0, maximum=100,
        help="Width of the raised-cosine edge around the mask; wider edges disturb the FSC less and let in more solvent.",
    )
    keep_largest: bool = parameter(
        False, label="Keep the largest piece", section=_MASK, advanced=True, relion=False,
        help="Drop everything above the threshold that is not connected to the largest piece.",
    )
    fill_holes: bool = parameter(
        False, label="Fill holes", section=_MASK, advanced=True, relion=False,
        help="Close holes that are surrounded by density.",
    )
    invert: bool = parameter(
        False, label="Invert", section=_MASK, option="--invert", advanced=True, relion=False,
        help="Make the mask of everything else.",
    )
