"""The schemes ``proc-*``: from micrographs to a refined map, again and again while micrographs arrive.

They differ in how particles are picked. Source: RELION-4.0 paper, figure 2 (right) and section 4.2; departures are listed
in docs/schemes.md.
"""

from collections.abc import Callable

from relion4plugin.jobs.markers import SUCCESS
from relion4plugin.schemes.library.prep import PREP
from relion4plugin.schemes.library.template import Draft, SchemeTemplate
from relion4plugin.schemes.model import NEW

PROC = "proc"
_RANK_THRESHOLD = "0.15"  # section 4.2


def proc_log_template() -> SchemeTemplate:
    """Return the template that picks by a Laplacian of Gaussian."""
    return _proc("log", lambda draft: _pick_in_relion(draft, do_log=True))


def proc_topaz_template() -> SchemeTemplate:
    """Return the template that picks with Topaz."""
    return _proc("topaz", lambda draft: _pick_in_relion(draft, do_log=False))


def proc_cryolo_template() -> SchemeTemplate:
    """Return the template that picks with crYOLO, by an external job."""
    return _proc("cryolo", _pick_with_cryolo)


def _proc(picker: str, add_picking: Callable[[Draft], None]) -> SchemeTemplate:
    draft = Draft(f"{PROC}-{picker}")
    _add_variables(draft)
    _add_mics(draft)
    add_picking(draft)
    _add_extraction(draft)
    _add_2d(draft)
    _add_3d(draft)
    return draft.template()


def _add_variables(draft: Draft) -> None:
    draft.floats |= {"maxtime_hr": 48, "wait_sec": 180, "zero": 0, "one": 1}
    draft.floats |= {"current_nr_mics": 0, "prev_nr_mics": 0, "idle_waits": 0, "max_idle_waits": 10}
    draft.floats |= {"nr_extracted": 0, "nr_classified": 0, "nr_needed": 0, "nr_finished": 0}
    draft.floats |= {"min_nr_parts_2d": 2000, "growth_2d": 1.2, "last_nr_parts_2d": 200, "last_nr_parts_3d": 500}
    draft.floats |= {"current_nr_parts": 0, "nr_refined": 0, "nr_needed_3d": 0, "min_nr_parts_3d": 5000, "growth_3d": 1.5}
    draft.floats |= {"last_growth_3d": 1.1, "nr_worth_3d": 0}
    draft.bools |= {"has_ctffind": False, "has_larger_nr_mics": False, "has_gpu": False, "do_3d": False, "has_iniref": False}
    draft.bools |= {"enough_2d": False, "has_grown": False, "has_unfinished": False}
    draft.bools |= {"is_idle": False, "end_when_idle": False, "ends": False, "prep_ended": False}
    draft.bools |= {"has_grown_3d": False, "has_more_3d": False, "is_final_3d": False}
    draft.bools |= {"enough_last_2d": False, "enough_last_3d": False}
    draft.strings |= {
        "particles": "particles",
        "micrographs": "micrographs",
        "comma": ",",
        "ctffind_mics": f"Schemes/{PREP}/ctffind/micrographs_ctf.star",
        "prep_end": f"Schemes/{PREP}/{SUCCESS}",
        "selected_mics": draft.file("select_mics", "micrographs.star"),
        "extracted_parts": draft.file("extract", "particles.star"),
        "optimiser_pattern": draft.file("class2d", "run_it*_optimiser.star"),
        "optimisers": "undefined",
        "class2d_optimiser": "undefined",
        "selected_parts": draft.file("select_parts", "particles.star"),
        "iniref": "None",
        "myref": "undefined",
        "inimodel_output": draft.file("inimodel3d", "initial_model.mrc"),
    }


def _add_mics(draft: Draft) -> None:
    """Wait for micrographs, select those with good CTFs, and go on to picking where there are new ones."""
    draft.job(
        "select_mics",
        "relion.select",
        {
            "fn_mic": "$$ctffind_mics",
            "do_select_values": "Yes",
            "select_label": "rlnCtfMaxResolution",
            "select_maxval": "6",
            "do_recenter": "No",
        },
    )
    draft.operator("WAIT", "wait", input1="wait_sec")
    draft.operator("EXIT_maxtime", "exit_maxtime", input1="maxtime_hr")
    draft.operator("HAS_ctffind", "bool=file_exists", "has_ctffind", "ctffind_mics")
    draft.operator("COUNT_mics", "float=count_images", "current_nr_mics", "selected_mics", "micrographs")
    draft.operator("HAS_mics_increased", "bool=gt", "has_larger_nr_mics", "current_nr_mics", "prev_nr_mics")
    draft.operator("COUNT_idle", "float=plus", "idle_waits", "idle_waits", "one")
    # Whether prep has ended is looked up before its micrographs are: those that it finishes later are not overlooked.
    draft.operator("LOOK_prep", "bool=file_exists", "prep_ended", "prep_end")
    draft.path("WAIT", "EXIT_maxtime", "LOOK_prep", "HAS_ctffind")
    draft.fork("HAS_ctffind", "has_ctffind", if_true="select_mics", if_false="CHECK_nothing")
    draft.operator("CHECK_nothing", "bool=and", "ends", "prep_ended", "end_when_idle")
    draft.fork("CHECK_nothing", "ends", if_true="EXIT_idle", if_false="WAIT")
    draft.path("select_mics", "COUNT_mics", "HAS_mics_increased")


def _pick_in_relion(draft: Draft, do_log: bool) -> None:
    draft.bools |= {"do_log": do_log, "do_topaz": not do_log, "pick_on_gpu": False}
    draft.strings["topaz_model"] = ""
    draft.job(
        "autopick",
        "relion.autopick",
        {
            "fn_input_autopick": draft.file("select_mics", "micrographs.star"),
            "do_log": "$$do_log",
            "log_diam_min": "150",
            "log_diam_max": "180",
            "log_adjust_thr": "0",
            "do_topaz": "$$do_topaz",
            "do_topaz_pick": "Yes",
            "topaz_model": "$$topaz_model",
            "topaz_particle_diameter": "180",
            "use_gpu": "$$pick_on_gpu",
        },
    )
    # LoG refuses a GPU and has scores of another scale than Topaz.
    draft.operator("SET_do_topaz", "bool=not", "do_topaz", "do_log")
    draft.operator("SET_pick_on_gpu", "bool=and", "pick_on_gpu", "do_topaz", "has_gpu")
    draft.fork("HAS_mics_increased", "has_larger_nr_mics", if_true="SET_do_topaz", if_false="COUNT_idle")
    draft.path("SET_do_topaz", "SET_pick_on_gpu", "autopick")


def _pick_with_cryolo(draft: Draft) -> None:
    draft.strings |= {"cryolo_program": "relion4plugin cryolo", "cryolo_model": "None"}
    draft.job(
        "autopick",
        "relion.external",
        {
            "fn_exe": "$$cryolo_program",
            "in_mic": draft.file("select_mics", "micrographs.star"),
            "param1_label": "gpu",
            "param1_value": "0",
            "param2_label": "box_size",
            "param2_value": "0",
            "param3_label": "model",
            "param3_value": "$$cryolo_model",
        },
    )
    draft.fork("HAS_mics_increased", "has_larger_nr_mics", if_true="autopick", if_false="COUNT_idle")


def _add_extraction(draft: Draft) -> None:
    """Extract, note that these micrographs are done, and decide whether it is time for a classification."""
    draft.job(
        "extract",
        "relion.extract",
        {
            "star_mics": draft.file("select_mics", "micrographs.star"),
            "coords_suffix": draft.file("autopick", "autopick.star"),
            "do_float16": "Yes",
            "extract_size": "256",
            "do_rescale": "Yes",
            "rescale": "64",
            "do_fom_threshold": "$$do_topaz" if "do_topaz" in draft.bools else "No",
            "minimum_pick_fom": "0",
        },
    )
    draft.operator("SET_prev_nr_mics", "float=set", "prev_nr_mics", "current_nr_mics")
    draft.operator("RESET_idle", "float=set", "idle_waits", "zero")
    draft.operator("COUNT_extracted", "float=count_images", "nr_extracted", "extracted_parts", "particles")
    draft.operator("CHECK_enough_2d", "bool=ge", "enough_2d", "nr_extracted", "min_nr_parts_2d")
    draft.operator("SET_needed", "float=mult", "nr_needed", "nr_classified", "growth_2d")
    draft.operator("CHECK_grown", "bool=ge", "has_grown", "nr_extracted", "nr_needed")
    draft.operator("CHECK_idle", "bool=ge", "is_idle", "idle_waits", "max_idle_waits")
    draft.operator("CHECK_unfinished", "bool=gt", "has_unfinished", "nr_extracted", "nr_finished")
    draft.path("autopick", "extract", "SET_prev_nr_mics", "RESET_idle", "COUNT_extracted")
    draft.path("COUNT_idle", "COUNT_extracted", "CHECK_enough_2d")
    draft.operator("LOOK_idle", "bool=ge", "is_idle", "idle_waits", "max_idle_waits")
    draft.operator("CHECK_end", "bool=and", "ends", "is_idle", "end_when_idle")
    draft.operator("EXIT_idle", "exit")
    draft.fork("CHECK_enough_2d", "enough_2d", if_true="CHECK_idle", if_false="LOOK_idle")
    draft.fork("CHECK_idle", "is_idle", if_true="CHECK_unfinished", if_false="SET_needed")
    draft.fork("CHECK_unfinished", "has_unfinished", if_true="class2d", if_false="CHECK_end")
    # what there is must do where no more will come
    draft.fork("LOOK_idle", "is_idle", if_true="CHECK_last_2d", if_false="WAIT")
    draft.operator("CHECK_last_2d", "bool=ge", "enough_last_2d", "nr_extracted", "last_nr_parts_2d")
    draft.fork("CHECK_last_2d", "enough_last_2d", if_true="CHECK_unfinished", if_false="CHECK_end")
    draft.operator("CHECK_prep", "bool=and", "ends", "ends", "prep_ended")
    draft.path("CHECK_end", "CHECK_prep")
    draft.fork("CHECK_prep", "ends", if_true="EXIT_idle", if_false="WAIT")
    draft.path("SET_needed", "CHECK_grown")
    draft.fork("CHECK_grown", "has_grown", if_true="class2d", if_false="WAIT")


def _add_2d(draft: Draft) -> None:
    """Classify in 2D and select by score; the file of the last iteration is looked up, whatever its number.

    New particles join the classes of the same job. When nothing arrives any more all particles are visited once more.
    """
    draft.job(
        "class2d",
        "relion.class2d",
        {
            "fn_img": draft.file("extract", "particles.star"),
            "do_grad": "Yes",
            "do_em": "No",
            "nr_iter_grad": "200",
            "nr_classes": "100",
            "particle_diameter": "200",
            "nr_pool": "30",
            "use_gpu": "$$has_gpu",
            "do_stream": "Yes",
            "stream_first": "1",
            "parts_per_class": "50",
            "stream_last": "$$is_idle",
        },
    )
    draft.job(
        "select_parts",
        "relion.select",
        {
            "fn_model": "$$class2d_optimiser",
            "do_class_ranker": "Yes",
            "rank_threshold": _RANK_THRESHOLD,
            "do_recenter": "No",
            "select_by": "calibrated",
        },
        NEW,
    )
    draft.operator("FIND_optimisers", "string=glob", "optimisers", "optimiser_pattern")
    draft.operator("LAST_optimiser", "string=after_last", "class2d_optimiser", "optimisers", "comma")
    draft.operator("COUNT_parts", "float=count_images", "current_nr_parts", "selected_parts", "particles")
    draft.operator("CHECK_do_3d", "bool=ge", "do_3d", "current_nr_parts", "min_nr_parts_3d")
    draft.operator("SET_nr_classified", "float=set", "nr_classified", "nr_extracted")
    draft.operator("SET_nr_finished", "float=set", "nr_finished", "nr_extracted")
    draft.path("class2d", "FIND_optimisers", "LAST_optimiser", "select_parts", "COUNT_parts", "CHECK_do_3d")
    draft.fork("CHECK_do_3d", "do_3d", if_true="SET_needed_3d", if_false="CHECK_last_3d")
    draft.operator("CHECK_last_3d", "bool=ge", "enough_last_3d", "current_nr_parts", "last_nr_parts_3d")
    draft.operator("SET_do_last_3d", "bool=and", "do_3d", "enough_last_3d", "is_idle")
    draft.path("CHECK_last_3d", "SET_do_last_3d")
    draft.fork("SET_do_last_3d", "do_3d", if_true="SET_needed_3d", if_false="SET_nr_classified")
    draft.fork("SET_nr_classified", "is_idle", if_true="SET_nr_finished", if_false="WAIT")
    draft.path("SET_nr_finished", "WAIT")


def _add_3d(draft: Draft) -> None:
    """Take the given reference or make one, and refine: where that pays, or for the last time."""
    selected = draft.file("select_parts", "particles.star")
    common = {"sym_name": "C1", "particle_diameter": "200", "nr_pool": "30", "use_gpu": "$$has_gpu"}
    inimodel = {"fn_img": selected, "nr_classes": "3", "nr_iter": "200", "do_run_C1": "Yes"}
    # RELION refines two halves by two processes and a leader.
    refine = {"fn_img": selected, "fn_ref": "$$myref", "ref_correct_greyscale": "Yes", "ini_high": "40", "nr_mpi": "3"}
    draft.job("inimodel3d", "relion.initialmodel", {**common, **inimodel}, NEW)
    draft.job("refine3d", "relion.refine3d", {**common, **refine}, NEW)
    draft.operator("SET_needed_3d", "float=mult", "nr_needed_3d", "nr_refined", "growth_3d")
    draft.operator("CHECK_grown_3d", "bool=ge", "has_grown_3d", "current_nr_parts", "nr_needed_3d")
    draft.operator("SET_worth_3d", "float=mult", "nr_worth_3d", "nr_refined", "last_growth_3d")
    draft.operator("CHECK_more_3d", "bool=ge", "has_more_3d", "current_nr_parts", "nr_worth_3d")
    draft.operator("CHECK_final_3d", "bool=and", "is_final_3d", "has_more_3d", "is_idle")
    draft.operator("SET_nr_refined", "float=set", "nr_refined", "current_nr_parts")
    draft.path("SET_needed_3d", "CHECK_grown_3d")
    draft.fork("CHECK_grown_3d", "has_grown_3d", if_true="CHECK_iniref", if_false="SET_worth_3d")
    draft.path("SET_worth_3d", "CHECK_more_3d", "CHECK_final_3d")
    draft.fork("CHECK_final_3d", "is_final_3d", if_true="CHECK_iniref", if_false="SET_nr_classified")
    draft.operator("CHECK_iniref", "bool=file_exists", "has_iniref", "iniref")
    draft.operator("SET_myref_user", "string=set", "myref", "iniref")
    draft.operator("SET_myref_inimodel", "string=set", "myref", "inimodel_output")
    draft.fork("CHECK_iniref", "has_iniref", if_true="SET_myref_user", if_false="inimodel3d")
    draft.path("inimodel3d", "SET_myref_inimodel", "refine3d")
    draft.path("SET_myref_user", "refine3d", "SET_nr_refined", "SET_nr_classified")
