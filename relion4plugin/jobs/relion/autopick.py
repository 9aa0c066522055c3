"""Automatic picking of particles, and training of Topaz."""

from collections.abc import Mapping

from relion4plugin.errors import UserError
from relion4plugin.jobs.job_type import Commands, ContinueKind, Execution, JobType, NativeRunner, nodes
from relion4plugin.jobs.option_text import OptionText
from relion4plugin.jobs.parameters import format_value
from relion4plugin.jobs.relion import kinds
from relion4plugin.jobs.relion.autopick_parameters import AutoPickOptions
from relion4plugin.jobs.relion.native import incremental_runner
from relion4plugin.jobs.relion.refinement import menu_order

_METHODS = ("do_log", "do_topaz", "do_refs")


def _upgraded(options: Mapping[str, str]) -> Mapping[str, str]:
    """RELION 3.1 picks by references wherever it does not pick blobs; RELION 5 has another name for the Topaz program."""
    known = dict(options)
    if "do_log" in known and "do_refs" not in known and "do_topaz" not in known:
        known["do_refs"] = "No" if known["do_log"] == "Yes" else "Yes"
    if "fn_topaz_exe" in known:
        known.setdefault("fn_topaz_exec", known["fn_topaz_exe"])
    return known


def _suffix(o: OptionText) -> str:
    if o.yes("continue_manual"):
        return ".continuemanual"
    if o.yes("do_topaz"):
        return ".topaz.train" if o.yes("do_topaz_train") else ".topaz.pick"
    if o.yes("do_log"):
        return ".log"
    return ".ref3d" if o.yes("do_ref3d") else ".ref2d"


def _log_words(o: OptionText) -> list[str]:
    if o.yes("use_gpu"):
        raise UserError("use_gpu is Yes, but picking by a Laplacian of Gaussian has no GPU version: set use_gpu to No")
    words = ["--LoG", *o.option("--LoG_diam_min", "log_diam_min"), *o.option("--LoG_diam_max", "log_diam_max"), "--shrink", "0"]
    words += [*o.option("--lowpass", "log_maxres"), *o.option("--LoG_adjust_threshold", "log_adjust_thr")]
    words += o.option("--LoG_upper_threshold", "log_upper_thr") if o.number("log_upper_thr") < 999 else []
    return words + o.switch("--Log_invert", "log_invert")


def _topaz_words(o: OptionText) -> list[str]:
    if o.yes("do_topaz_train") == o.yes("do_topaz_pick"):
        raise UserError("exactly one of do_topaz_train and do_topaz_pick must be Yes")
    words = [*o.given("--topaz_exe", "fn_topaz_exec"), *o.positive("--particle_diameter", "topaz_particle_diameter")]
    if o.yes("do_topaz_train"):
        if not o.yes("use_gpu"):
            raise UserError("use_gpu is No, but training of Topaz needs a GPU: set use_gpu to Yes")
        words += ["--topaz_train", *o.positive("--topaz_nr_particles", "topaz_nr_particles")]
        name = "topaz_train_parts" if o.yes("do_topaz_train_parts") else "topaz_train_picks"
        words += [f"--{name}", o.require(name, "coordinates or particles to train on")]
    else:
        words += ["--topaz_extract", *o.given("--topaz_model", "topaz_model")]
    other = o["topaz_other_args"]
    return words + (["--topaz_args", f" {other} "] if other else []) + _gpu_words(o)


def _reference_words(o: OptionText) -> list[str]:
    if o.yes("do_ref3d"):
        words = ["--ref", o.require("fn_ref3d_autopick", "a map"), *o.option("--sym", "ref3d_symmetry")]
        words += ["--healpix_order", str(menu_order(o, "ref3d_sampling") + 1)]
    else:
        words = ["--ref", o.require("fn_refs_autopick", "class averages")]
    words += o.switch("--invert", "do_invert_refs")
    if o.yes("do_ctf_autopick"):
        words += ["--ctf", *o.switch("--ctf_intact_first_peak", "do_ignore_first_ctfpeak_autopick")]
    words += [*o.option("--ang", "psi_sampling_autopick"), *o.option("--shrink", "shrink")]
    words += [word for name in ("lowpass", "highpass", "angpix", "angpix_ref") for word in o.positive(f"--{name}", name)]
    words += o.option("--threshold", "threshold_autopick")
    helix = o.yes("do_pick_helical_segments")
    distance = format_value(o.number("helical_nr_asu") * o.number("helical_rise")) if helix else o["mindist_autopick"]
    words += ["--min_distance", distance, *o.option("--max_stddev_noise", "maxstddevnoise_autopick")]
    words += o.option("--min_avg_noise", "minavgnoise_autopick") if o.number("minavgnoise_autopick") > -900 else []
    if helix:
        words += ["--helix", *o.switch("--amyloid", "do_amyloid")]
        for name in ("helical_tube_outer_diameter", "helical_tube_kappa_max", "helical_tube_length_min"):
            words += o.option(f"--{name}", name)
    return words + _gpu_words(o)


def _gpu_words(o: OptionText) -> list[str]:
    return ["--gpu", o["gpu_ids"]] if o.yes("use_gpu") else []


def _unfinished_words(o: OptionText, is_continue: bool) -> list[str]:
    if o.yes("do_topaz"):
        return ["--only_do_unfinished"] if is_continue else []
    words = [*o.switch("--write_fom_maps", "do_write_fom_maps"), *o.switch("--read_fom_maps", "do_read_fom_maps")]
    return words or (["--only_do_unfinished"] if is_continue else [])


def _by_hand(o: OptionText, place: str) -> list[str]:
    words = ["relion_manualpick", *o.option("--i", "fn_input_autopick"), "--odir", place, "--pickname", "autopick"]
    words += ["--allow_save", "--selection", f"{place}micrographs_selected.star"]
    return [*words, "--scale", "0.25", "--sigma_contrast", "3", "--lowpass", "20", "--particle_diameter", "100"]


def _commands(o: OptionText, place: str, is_continue: bool) -> Commands:
    micrographs = o.require("fn_input_autopick", "a STAR file of micrographs")
    if o.yes("continue_manual"):
        return (_by_hand(o, place) + o.words("other_args"),)
    chosen = [name for name in _METHODS if o.yes(name)]
    if len(chosen) != 1:
        raise UserError(f"exactly one of {', '.join(_METHODS)} must be Yes, not {len(chosen)}")
    words = [o.program("relion_autopick"), "--i", micrographs, "--odir", place, "--pickname", "autopick"]
    words += {"do_log": _log_words, "do_topaz": _topaz_words, "do_refs": _reference_words}[chosen[0]](o)
    return ([*words, *_unfinished_words(o, is_continue), *o.words("other_args")],)


def _inputs(o: OptionText) -> Mapping[str, str]:
    found = nodes((o["fn_input_autopick"], kinds.MICROGRAPHS))
    if o.yes("do_topaz"):
        if o.yes("do_topaz_train"):
            parts = o.yes("do_topaz_train_parts")
            found |= nodes((o["topaz_train_parts"], kinds.PARTICLES) if parts else (o["topaz_train_picks"], kinds.COORDINATES))
        return found | nodes((o["topaz_model"], kinds.TOPAZ_MODEL) if o.yes("do_topaz_pick") else ("", ""))
    if o.yes("do_refs"):
        found |= nodes((o["fn_ref3d_autopick"], kinds.MAP) if o.yes("do_ref3d") else (o["fn_refs_autopick"], kinds.IMAGES))
    return found


def _outputs(o: OptionText, place: str, is_continue: bool) -> Mapping[str, str]:
    picks = {f"{place}autopick.star": f"{kinds.COORDINATES}.autopick"}
    if o.yes("continue_manual"):
        return picks | {f"{place}micrographs_selected.star": kinds.MICROGRAPHS}
    if o.yes("do_topaz") and o.yes("do_topaz_train"):
        return {f"{place}input_training_coords.star": kinds.COORDINATES} if o.yes("do_topaz_train_parts") else {}
    return picks | {f"{place}logfile.pdf": f"{kinds.LOG}.autopick"}


def _native(o: OptionText) -> NativeRunner | None:
    if o.yes("continue_manual") or sum(o.yes(name) for name in _METHODS) != 1 or o.yes("do_pick_helical_segments"):
        return None
    if o.yes("do_log"):
        return incremental_runner("autopick_log")
    if o.yes("do_refs"):
        return _by_references(o)
    return incremental_runner("autopick_topaz") if o.yes("do_topaz_pick") and not o.yes("do_topaz_train") else None


def _by_references(o: OptionText) -> NativeRunner | None:
    """Score maps are neither written nor read: picking is quick enough to do it again."""
    if o.yes("do_ref3d") or o.yes("do_write_fom_maps") or o.yes("do_read_fom_maps"):
        return None
    runner = incremental_runner("autopick_ref")
    if not o.yes("use_gpu"):
        return runner

    def noted(execution: Execution) -> tuple[str, ...]:
        return ("use_gpu is Yes, but picking by references runs on the processor here", *runner(execution))

    return noted


TYPE = JobType(
    label="relion.autopick",
    folder="AutoPick",
    title="Automatic picking",
    parameters=AutoPickOptions,
    commands=_commands,
    inputs=_inputs,
    outputs=_outputs,
    continues=ContinueKind.INCREMENTAL,
    suffix=_suffix,
    native=_native,
    missing="picking by hand, by projections of a map or along helices, score maps, and training of Topaz, need RELION's programs",
    upgrade=_upgraded,
)
