"""RELION's schemes prep and proc: their graphs, variables and the options that matter to the flow of files."""

from relion4plugin.schemes.model import Edge, Operator, Scheme, SchemeJob, Variable

PREP_TEMPLATES = {
    "importmovies": ("relion.import", {}),
    "motioncorr": (
        "relion.motioncorr",
        {"input_star_mics": "Schemes/prep/importmovies/movies.star", "other_args": "--do_at_most $$do_at_most"},
    ),
    "ctffind": ("relion.ctffind", {"input_star_mics": "Schemes/prep/motioncorr/corrected_micrographs.star"}),
}
PROC_TEMPLATES = {
    "select_mics": ("relion.select", {"fn_mic": "$$ctffind_mics"}),
    "autopick": ("relion.autopick", {"fn_input_autopick": "Schemes/proc/select_mics/micrographs.star", "do_log": "$$do_log"}),
    "extract": (
        "relion.extract",
        {"star_mics": "Schemes/proc/select_mics/micrographs.star", "coords_suffix": "Schemes/proc/autopick/autopick.star"},
    ),
    "class2d": ("relion.class2d", {"fn_img": "Schemes/proc/extract/particles.star"}),
    "select_parts": ("relion.select", {"fn_model": "Schemes/proc/class2d/run_it200_optimiser.star"}),
    "inimodel3d": ("relion.initialmodel", {"fn_img": "Schemes/proc/select_parts/particles.star"}),
    "refine3d": ("relion.refine3d", {"fn_img": "Schemes/proc/select_parts/particles.star", "fn_ref": "$$myref"}),
}
_PROC_OPERATORS = """
WAIT wait undefined wait_sec undefined
EXIT_maxtime exit_maxtime undefined maxtime_hr undefined
HAS_ctffind bool=file_exists has_ctffind ctffind_mics undefined
COUNT_mics float=count_images current_nr_mics selected_mics micrographs
HAS_mics_increased bool=gt has_larger_nr_mics current_nr_mics prev_nr_mics
SET_prev_nr_mics float=set prev_nr_mics current_nr_mics undefined
SET_do_topaz bool=not do_topaz do_log undefined
COUNT_parts float=count_images current_nr_parts selected_parts particles
CHECK_do_3d bool=ge do_3d current_nr_parts min_nr_parts_3d
CHECK_iniref bool=file_exists has_iniref iniref undefined
SET_myref_user string=set myref iniref undefined
SET_myref_inimodel string=set myref inimodel_output undefined
HAS_topaz_model bool=file_exists has_topaz_model topaz_model undefined
"""
# from, false or plain, fork variable, true
_PROC_EDGES = """
WAIT EXIT_maxtime
EXIT_maxtime HAS_ctffind
HAS_ctffind WAIT has_ctffind select_mics
select_mics COUNT_mics
COUNT_mics HAS_mics_increased
HAS_mics_increased WAIT has_larger_nr_mics SET_prev_nr_mics
SET_prev_nr_mics SET_do_topaz
SET_do_topaz autopick
autopick extract
extract class2d
class2d select_parts
select_parts COUNT_parts
COUNT_parts CHECK_do_3d
CHECK_do_3d WAIT do_3d CHECK_iniref
CHECK_iniref inimodel3d has_iniref SET_myref_user
inimodel3d SET_myref_inimodel
SET_myref_inimodel refine3d
SET_myref_user refine3d
refine3d WAIT
"""


def same(**values):
    return {name: Variable(value, value) for name, value in values.items()}


def operators(text):
    rows = [line.split() for line in text.strip().splitlines()]
    return {name: Operator(name, kind, output, one, two) for name, kind, output, one, two in rows}


def edges(text):
    rows = [line.split() for line in text.strip().splitlines()]
    return tuple(Edge(row[0], row[1]) if len(row) == 2 else Edge(row[0], row[1], True, row[3], row[2]) for row in rows)


def prep(wait_sec=180.0, maxtime_hr=48.0) -> Scheme:
    return Scheme(
        "Schemes/prep/",
        floats=same(do_at_most=50.0, maxtime_hr=maxtime_hr, wait_sec=wait_sec),
        operators=operators("WAIT wait undefined wait_sec undefined\nEXIT_maxtime exit_maxtime undefined maxtime_hr undefined"),
        jobs={name: SchemeJob(name, name, "continue") for name in PREP_TEMPLATES},
        edges=edges("WAIT EXIT_maxtime\nEXIT_maxtime importmovies\nimportmovies motioncorr\nmotioncorr ctffind\nctffind WAIT"),
    )


def proc(wait_sec=180.0, maxtime_hr=48.0, min_nr_parts_3d=5000.0) -> Scheme:
    return Scheme(
        "Schemes/proc/",
        floats=same(
            current_nr_mics=0.0,
            prev_nr_mics=0.0,
            maxtime_hr=maxtime_hr,
            wait_sec=wait_sec,
            current_nr_parts=0.0,
            min_nr_parts_3d=min_nr_parts_3d,
        ),
        bools=same(
            has_ctffind=False, do_3d=False, has_larger_nr_mics=False, do_log=True, do_topaz=False, has_topaz_model=False, has_iniref=False
        ),
        strings=same(
            ctffind_mics="Schemes/prep/ctffind/micrographs_ctf.star",
            selected_mics="Schemes/proc/select_mics/micrographs.star",
            selected_parts="Schemes/proc/select_parts/particles.star",
            particles="particles",
            micrographs="micrographs",
            topaz_model="Schemes/proc/train_topaz/model_epoch10.sav",
            iniref="None",
            myref="undefined",
            inimodel_output="Schemes/proc/inimodel3d/initial_model.mrc",
        ),
        operators=operators(_PROC_OPERATORS),
        jobs={
            name: SchemeJob(name, name, "continue" if name in ("select_mics", "autopick", "extract") else "new") for name in PROC_TEMPLATES
        },
        edges=edges(_PROC_EDGES),
    )
