"""Selection of classes, micrographs or particles."""

from collections.abc import Mapping
from dataclasses import dataclass

from relion4plugin.errors import UserError
from relion4plugin.jobs.job_type import Commands, JobType, NativeRunner, nodes
from relion4plugin.jobs.option_text import OptionText
from relion4plugin.jobs.parameters import parameter
from relion4plugin.jobs.rank_parameters import RankParameters
from relion4plugin.jobs.relion import kinds
from relion4plugin.jobs.relion.native import restart_runner
from relion4plugin.jobs.relion.running import QueueOptions
from relion4plugin.jobs.selectvalues_parameters import SelectValuesParameters

_CLASSES = "Classes"
# Task -> suffix of the label, in order of precedence.
_TASKS = {
    "do_remove_duplicates": ".removeduplicates",
    "do_select_values": ".onvalue",
    "do_discard": ".discard",
    "do_split": ".split",
    "do_class_ranker": ".class2dauto",
}


@dataclass(frozen=True)
class SelectOptions(QueueOptions, SelectValuesParameters, RankParameters):
    """One selection with all options of RELION's job."""

    do_class_ranker: bool = parameter(
        False, label="Automatically select 2D classes", section=_CLASSES, help="Yes selects by predicted scores."
    )
    rank_threshold: float = parameter(
        0.5, label="Minimum score", section=_CLASSES, option="--min_score", help="Classes from this score on are selected."
    )
    do_recenter: bool = parameter(
        True, label="Recenter the class averages", section=_CLASSES, help="Move the selected averages to their centre of mass."
    )
    python_exe: str = parameter(
        "python", label="Python with torch", section=_CLASSES, option="--python", help="What RELION's class ranker runs; not used here."
    )


def _upgraded(options: Mapping[str, str]) -> Mapping[str, str]:
    """The class ranker refuses to recentre, so a job.star that says nothing about it means No."""
    return {"do_recenter": "No", **options} if options.get("do_class_ranker") == "Yes" else options


def _suffix(o: OptionText) -> str:
    return next((suffix for task, suffix in _TASKS.items() if o.yes(task)), ".interactive")


def _check_one_task(o: OptionText) -> None:
    chosen = [task for task in list(_TASKS)[:4] if o.yes(task)]
    if len(chosen) > 1:
        raise UserError(f"{' and '.join(chosen)} are Yes: choose one of them")
    if not (o["fn_model"] or o["fn_mic"] or o["fn_data"]):
        raise UserError("fn_model, fn_mic and fn_data are empty: give a file to select from")


def _ranker_words(o: OptionText, place: str) -> list[str]:
    words = ["relion_class_ranker", "--opt", o.require("fn_model", "the optimiser file of a 2D classification"), "--o", place]
    for name in ("do_recenter", "do_regroup"):
        if o.yes(name):
            raise UserError(f"{name} is Yes, which RELION's class ranker does not do: set {name} to No")
    words += ["--fn_sel_parts", "particles.star", "--fn_sel_classavgs", "class_averages.star", *o.option("--python", "python_exe")]
    least = o.positive("--select_min_nr_particles", "select_nr_parts") or o.positive("--select_min_nr_classes", "select_nr_classes")
    return [*words, *least, "--fn_root", "rank", "--do_granularity_features", "--auto_select", *o.option("--min_score", "rank_threshold")]


def _row_words(o: OptionText, place: str) -> list[str]:
    if o["fn_model"]:
        raise UserError("fn_model is given, but this task works on micrographs or particles: leave fn_model empty")
    if o.yes("do_remove_duplicates"):
        if o["fn_mic"]:
            raise UserError("fn_mic is given, but duplicates are removed from particles only: leave fn_mic empty")
        words = ["--i", o.require("fn_data", "a STAR file of particles"), "--o", f"{place}particles.star"]
        words += [*o.option("--remove_duplicates", "duplicate_threshold"), *o.positive("--image_angpix", "image_angpix")]
        return ["relion_star_handler", *words]
    words = ["relion_star_handler", "--i", o["fn_mic"] or o["fn_data"], "--o", f"{place}{_rows_name(o)}.star"]
    if o.yes("do_select_values"):
        words += [*o.option("--select", "select_label"), *o.option("--minval", "select_minval")]
        return words + o.option("--maxval", "select_maxval")
    if o.yes("do_discard"):
        words += ["--discard_on_stats", *o.option("--discard_label", "discard_label")]
        return words + o.option("--discard_sigma", "discard_sigma")
    limits = [*o.positive("--nr_split", "nr_split"), *o.positive("--size_split", "split_size")]
    if not limits:
        raise UserError("nr_split and split_size are both 0 or less: give one of them a value above 0")
    return [*words, "--split", *o.switch("--random_order", "do_random"), *limits]


def _rows_name(o: OptionText) -> str:
    return "micrographs" if o["fn_mic"] else "particles"


def _display_words(o: OptionText, place: str) -> list[str]:
    source = o["fn_model"] or o["fn_mic"] or o["fn_data"]
    words = ["relion_display", "--gui", "--i", source, "--allow_save"]
    if not o["fn_model"]:
        return [*words, "--fn_imgs", f"{place}{_rows_name(o)}.star"]
    words += ["--fn_parts", f"{place}particles.star"]
    if "Class2D/" in source:
        words += ["--fn_imgs", f"{place}class_averages.star", *o.switch("--recenter", "do_recenter")]
    return words


def _commands(o: OptionText, place: str, is_continue: bool) -> Commands:
    _check_one_task(o)
    suffix = _suffix(o)
    if suffix == ".class2dauto":
        words = _ranker_words(o, place)
    elif suffix == ".interactive":
        words = _display_words(o, place)
    else:
        words = _row_words(o, place)
    if o.yes("do_regroup"):
        if not o["fn_model"]:
            raise UserError("do_regroup is Yes, which needs the optimiser file of a classification in fn_model")
        words += o.option("--regroup", "nr_groups")
    return (words + o.words("other_args"),)


def _inputs(o: OptionText) -> Mapping[str, str]:
    if _suffix(o) in (".interactive", ".class2dauto") and o["fn_model"]:
        return {o["fn_model"]: kinds.OPTIMISER}
    if o["fn_mic"] and not o.yes("do_remove_duplicates"):
        return {o["fn_mic"]: kinds.MICROGRAPHS}
    return nodes((o["fn_data"], kinds.PARTICLES))


def _outputs(o: OptionText, place: str, is_continue: bool) -> Mapping[str, str]:
    suffix = _suffix(o)
    if suffix == ".split":
        return {}
    if suffix == ".removeduplicates" or o["fn_model"]:
        found = {f"{place}particles.star": kinds.PARTICLES}
        averages = suffix == ".class2dauto" or (suffix == ".interactive" and "Class2D/" in o["fn_model"])
        found |= {f"{place}class_averages.star": f"{kinds.IMAGES}.classaverages"} if averages else {}
        return found | ({f"{place}rank_optimiser.star": f"{kinds.OPTIMISER}.autoselect"} if suffix == ".class2dauto" else {})
    return {f"{place}{_rows_name(o)}.star": kinds.MICROGRAPHS if o["fn_mic"] else kinds.PARTICLES}


def _native(o: OptionText) -> NativeRunner | None:
    suffix = _suffix(o)
    if suffix == ".interactive":
        return None
    return restart_runner("rank") if suffix == ".class2dauto" else restart_runner("selectvalues", keeps_directory=False)


TYPE = JobType(
    label="relion.select",
    folder="Select",
    title="Selection",
    parameters=SelectOptions,
    commands=_commands,
    inputs=_inputs,
    outputs=_outputs,
    suffix=_suffix,
    native=_native,
    missing="selection by hand needs RELION's program relion_display and a screen; switch on the class ranker, or select by values",
    upgrade=_upgraded,
)
