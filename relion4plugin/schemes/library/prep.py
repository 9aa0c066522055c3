"""The scheme ``prep``: import, motion correction and CTF estimation, again and again while movies arrive.

Source: RELION-4.0 paper, figure 2 (left); departures are listed in docs/schemes.md.
"""

from relion4plugin.schemes.library.template import Draft, SchemeTemplate

PREP = "prep"


def prep_template() -> SchemeTemplate:
    """Return the template of ``prep``."""
    draft = Draft(
        PREP,
        floats={
            **{"do_at_most": 50, "maxtime_hr": 48, "wait_sec": 180, "nr_imported": 0, "nr_done": 0, "nr_finished": 0},
            **{"idle_waits": 0, "max_idle_waits": 10, "zero": 0, "one": 1},
        },
        bools={
            **{"is_multiframe": True, "has_unfinished": False, "do_motioncorr": True, "has_progress": False},
            **{"is_idle": False, "end_when_idle": False, "ends": False},
        },
        strings={"ctf_input": "undefined", "movies": "movies", "micrographs": "micrographs"},
    )
    draft.strings |= {
        "imported_movies": draft.file("importmovies", "movies.star"),
        "imported_mics": draft.file("importmovies", "micrographs.star"),
        "corrected_mics": draft.file("motioncorr", "corrected_micrographs.star"),
        "finished_mics": draft.file("ctffind", "micrographs_ctf.star"),
    }
    _add_jobs(draft)
    _add_graph(draft)
    return draft.template()


def _add_jobs(draft: Draft) -> None:
    draft.job(
        "importmovies",
        "relion.import",
        {
            "do_raw": "Yes",
            "fn_in_raw": "Movies/*.tiff",
            "is_multiframe": "$$is_multiframe",
            "angpix": "1.4",
            "kV": "300",
            "Cs": "2.7",
            "Q0": "0.1",
        },
    )
    draft.job(
        "motioncorr",
        "relion.motioncorr",
        {
            "input_star_mics": draft.file("importmovies", "movies.star"),
            "do_own_motioncor": "Yes",
            "do_float16": "Yes",
            "do_save_ps": "Yes",
            "do_dose_weighting": "Yes",
            "dose_per_frame": "1",
            "bin_factor": "1",
            "patch_x": "5",
            "patch_y": "5",
            "fn_gain_ref": "",
            "eer_grouping": "32",
            "other_args": "--do_at_most $$do_at_most",
        },
    )
    draft.job(
        "ctffind",
        "relion.ctffind",
        # Single images have no power spectra that motion correction could have made.
        {"input_star_mics": "$$ctf_input", "use_ctffind4": "Yes", "use_given_ps": "$$is_multiframe", "do_phaseshift": "No"},
    )


def _add_graph(draft: Draft) -> None:
    draft.operator("WAIT", "wait", input1="wait_sec")
    draft.operator("EXIT_maxtime", "exit_maxtime", input1="maxtime_hr")
    draft.operator("COUNT_movies", "float=count_images", "nr_imported", "imported_movies", "movies")
    draft.operator("COUNT_mics", "float=count_images", "nr_imported", "imported_mics", "micrographs")
    draft.operator("COUNT_done", "float=count_images", "nr_done", "finished_mics", "micrographs")
    draft.operator("HAS_unfinished", "bool=gt", "has_unfinished", "nr_imported", "nr_done")
    draft.operator("CHECK_multiframe", "bool=set", "do_motioncorr", "is_multiframe")
    draft.operator("SET_corrected", "string=set", "ctf_input", "corrected_mics")
    draft.operator("SET_imported", "string=set", "ctf_input", "imported_mics")
    draft.path("WAIT", "EXIT_maxtime", "importmovies")
    draft.fork("importmovies", "is_multiframe", if_true="COUNT_movies", if_false="COUNT_mics")
    draft.path("COUNT_movies", "COUNT_done")
    draft.path("COUNT_mics", "COUNT_done", "HAS_unfinished")
    draft.fork("HAS_unfinished", "has_unfinished", if_true="CHECK_multiframe", if_false="COUNT_idle")
    draft.fork("CHECK_multiframe", "do_motioncorr", if_true="motioncorr", if_false="SET_imported")
    draft.path("motioncorr", "SET_corrected", "ctffind")
    draft.path("SET_imported", "ctffind", "COUNT_finished", "HAS_progress")
    _add_end(draft)


def _add_end(draft: Draft) -> None:
    """Tell passes that brought something from idle ones; movies that fail every time do not keep the scheme alive."""
    draft.operator("COUNT_finished", "float=count_images", "nr_finished", "finished_mics", "micrographs")
    draft.operator("HAS_progress", "bool=gt", "has_progress", "nr_finished", "nr_done")
    draft.operator("RESET_idle", "float=set", "idle_waits", "zero")
    draft.operator("COUNT_idle", "float=plus", "idle_waits", "idle_waits", "one")
    draft.operator("CHECK_idle", "bool=ge", "is_idle", "idle_waits", "max_idle_waits")
    draft.operator("CHECK_end", "bool=and", "ends", "is_idle", "end_when_idle")
    draft.operator("EXIT_idle", "exit")
    draft.fork("HAS_progress", "has_progress", if_true="RESET_idle", if_false="COUNT_idle")
    draft.path("RESET_idle", "WAIT")
    draft.path("COUNT_idle", "CHECK_idle", "CHECK_end")
    draft.fork("CHECK_end", "ends", if_true="EXIT_idle", if_false="WAIT")
