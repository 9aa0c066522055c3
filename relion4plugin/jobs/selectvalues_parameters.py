"""The parameters of a selection of rows of a STAR file: names and defaults of RELION's job.star."""

from dataclasses import dataclass

from relion4plugin.jobs.parameters import parameter

_IO, _VALUES, _STATS, _SPLIT, _DUPLICATES = "I/O", "Values", "Image statistics", "Subsets", "Duplicates"


@dataclass(frozen=True)
class SelectValuesParameters:
    """One selection of micrographs or particles by values, image statistics, subsets or distance."""

    fn_mic: str = parameter(
        "", label="Micrographs", section=_IO, option="--i", pattern="*.star", help="STAR file of micrographs to choose from."
    )
    fn_data: str = parameter("", label="Particles", section=_IO, pattern="*.star", help="STAR file of particles to choose from.")
    do_select_values: bool = parameter(False, label="Select by values", section=_VALUES, help="Keep rows with a value in a range.")
    select_label: str = parameter(
        "rlnCtfMaxResolution", label="Column", section=_VALUES, option="--select", help="Column that has the value."
    )
    select_minval: float = parameter(-9999.0, label="Smallest value", section=_VALUES, option="--minval", help="This value is still kept.")
    select_maxval: float = parameter(9999.0, label="Largest value", section=_VALUES, option="--maxval", help="This value is still kept.")
    do_discard: bool = parameter(
        False, label="Discard by image statistics", section=_STATS, option="--discard_on_stats",
        help="Leave out images whose mean or standard deviation is far from that of the others.",
    )
    discard_label: str = parameter(
        "rlnImageName", label="Column of images", section=_STATS, option="--discard_label", help="Column with the names of the images."
    )
    discard_sigma: float = parameter(
        4.0, label="Deviation", section=_STATS, option="--discard_sigma", minimum=0.0, help="Standard deviations that are still kept."
    )
    do_split: bool = parameter(False, label="Split into subsets", section=_SPLIT, option="--split", help="Write the rows to several files.")
    do_random: bool = parameter(False, label="In random order", section=_SPLIT, option="--random_order", help="Shuffle the rows first.")
    split_size: int = parameter(
        100, label="Rows per subset", section=_SPLIT, option="--size_split", help="0 or less: as many as the number of subsets asks for."
    )
    nr_split: int = parameter(-1, label="Number of subsets", section=_SPLIT, option="--nr_split", help="0 or less: as many as are needed.")
    do_remove_duplicates: bool = parameter(
        False, label="Remove duplicates", section=_DUPLICATES, help="Of particles of one micrograph that are too close, keep the last one."
    )
    duplicate_threshold: float = parameter(
        30.0, label="Smallest distance", section=_DUPLICATES, unit="A", option="--remove_duplicates", minimum=0.0,
        help="Particles closer than this are the same one.",
    )
    image_angpix: float = parameter(
        -1.0, label="Pixel size before extraction", section=_DUPLICATES, unit="A", option="--image_angpix",
        help="Pixel size of the micrographs, for down-scaled particles; -1 takes it from the STAR file.",
    )
