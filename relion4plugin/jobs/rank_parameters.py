"""The parameters of a class selection: names of RELION's job.star (its defaults but for the threshold), and our own."""

from dataclasses import dataclass

from relion4plugin.jobs.parameters import parameter

_IO, _RULE, _OUT = "I/O", "Selection", "Output"
RULES = ("calibrated", "score", "top", "number")


@dataclass(frozen=True)
class RankParameters:
    """One selection of 2D classes by their scores."""

    fn_model: str = parameter(
        "", label="Optimiser of the 2D classification", section=_IO, option="--opt", short=("--i",), pattern="*_optimiser.star",
        help="run_it200_optimiser.star of a finished 2D classification, of this program or of RELION.",
    )
    do_class_ranker: bool = parameter(
        True, label="Automatically select 2D classes", section=_IO, advanced=True,
        help="What makes a selection job of RELION one by scores; it cannot be switched off here.",
    )
    fn_weights: str = parameter(
        "", label="Weights", section=_RULE, option="--fn_pytorch_model", short=("--weights",), pattern="*", advanced=True, relion=False,
        help="Network to score with: made by train-ranker, or the file published for RELION 4 or 5. Without it the one shipped.",
    )
    fn_selection: str = parameter(
        "", label="Selection by hand", section=_RULE, short=("--selection",), pattern="*.star", relion=False,
        help="A backup_selection.star with one label per class, as the report's gallery and RELION write it; it replaces every rule.",
    )
    select_by: str = parameter(
        "calibrated", label="Select by", section=_RULE, choices=RULES, short=("--select",), relion=False,
        help="calibrated: a threshold made for this data set from its scores; score: --min_score; top: the best classes that hold "
        "--top_fraction of the particles; number: only as many as --select_min_nr_particles or --select_min_nr_classes ask for.",
    )
    rank_threshold: float = parameter(
        0.15, label="Minimum score", section=_RULE, option="--min_score",
        help="Classes from this score on are selected; 0.15 is that of the RELION-4.0 paper. Giving it means --select score.",
    )
    max_score: float = parameter(
        999.0, label="Maximum score", section=_RULE, option="--max_score", advanced=True, relion=False,
        help="Classes above this score are left out.",
    )
    relative_thresholds: bool = parameter(
        False, label="Relative thresholds", section=_RULE, option="--relative_thresholds", advanced=True, relion=False,
        help="Minimum and maximum are shares of the best score. Giving it means --select score.",
    )
    top_fraction: float = parameter(
        0.5, label="Share of the particles", section=_RULE, minimum=0.0, maximum=1.0, relion=False,
        help="The best classes that together hold this share of the particles are selected. Giving it means --select top.",
    )
    select_nr_parts: int = parameter(
        -1, label="Select at least this many particles", section=_RULE, option="--select_min_nr_particles",
        help="Classes are added by falling score until so many particles are selected, under every rule; -1 asks for none.",
    )
    select_nr_classes: int = parameter(
        -1, label="OR: select at least this many classes", section=_RULE, option="--select_min_nr_classes",
        help="Classes are added by falling score until there are so many; with both, reaching the particles ends it. -1 asks for none.",
    )
    do_recenter: bool = parameter(
        False, label="Recenter the class averages", section=_OUT,
        help="Write the selected averages moved to the centre of mass of their positive density, and let the origins of particles follow.",
    )
    do_regroup: bool = parameter(
        False, label="Regroup the particles", section=_OUT,
        help="Join the scale groups (micrographs) of the selected particles into a few of similar intensity scale.",
    )
    nr_groups: int = parameter(
        1, label="Approximate number of groups", section=_OUT, minimum=1,
        help="Groups that are left after joining; only with --do_regroup.",
    )
    keep_training: str = parameter(
        "", label="Keep as training data in", section=_OUT, advanced=True, relion=False,
        help="Folder to which the classification and the selection by hand are copied for train-ranker; only with --selection.",
    )
    job_score: float = parameter(
        -1.0, label="Score of the data set", section=_OUT, maximum=1.0, advanced=True, relion=False,
        help="Kept with the training data: 0 (worthless) to 1 (excellent); -1 leaves it to be guessed from resolution and particles.",
    )
