"""Values of scheme variables and job options that follow from the options of on-the-fly processing.

Source: RELION-4.0 paper, section 4.2.
"""

import os

from relion4plugin.jobs.parameters import format_value
from relion4plugin.schemes.it.keys import NOT_GIVEN, PLAIN_KEYS, SEPARATOR
from relion4plugin.schemes.it.options import ItOptions, Picker
from relion4plugin.schemes.it.sizes import BoxSizes, box_sizes

_SIZES = {"mask_diameter", "box_size", "small_box"}
# Options that only one way of picking has a use for.
_ONLY = {
    Picker.LOG: {"log_adjust_thr"},
    Picker.TOPAZ: {"topaz_model", "fn_topaz_exec", "minimum_pick_fom"},
    Picker.CRYOLO: {"cryolo_model", "cryolo_program"},
}
_THREADED = ("prep__motioncorr", "proc__class2d", "proc__inimodel3d", "proc__refine3d")


def micrograph_angpix(options: ItOptions) -> float:
    """Return the pixel size of the micrographs in A."""
    return 2.0 * options.angpix if options.super_resolution else options.angpix


def sizes_of(options: ItOptions) -> BoxSizes | None:
    """Return given and computed sizes; None where the diameter or the pixel size is not known yet.

    Raises
    ------
    UserError
        If no box is large enough.
    """
    angpix, diameter = micrograph_angpix(options), options.particle_diameter
    if angpix <= 0 or diameter <= 0:
        return None
    return box_sizes(diameter, angpix, options.mask_diameter, options.box_size, options.small_box)


def key_values(options: ItOptions) -> dict[str, str]:
    """Return the value of every key that follows from the options.

    Keys of schemes that are not run and of other ways of picking are left out, and sizes that cannot be computed yet.

    Raises
    ------
    UserError
        If no box is large enough.
    """
    values = _plain_values(options)
    values["prep__motioncorr__bin_factor"] = "2" if options.super_resolution else "1"
    values["proc__iniref"] = options.iniref or NOT_GIVEN
    if not options.do_prep and options.ctffind_mics:
        values["proc__prep_end"] = options.ctffind_mics  # nothing else has to end before
    if options.rank_threshold != ItOptions.rank_threshold:
        values["proc__select_parts__select_by"] = "score"  # a threshold that is given counts
    values |= _size_values(options) | _picking_values(options) | _machine_values(options)
    wanted = {"prep": options.do_prep, "proc": options.do_proc}
    return {key: value for key, value in values.items() if wanted[key.split(SEPARATOR)[0]]}


def _plain_values(options: ItOptions) -> dict[str, str]:
    unused = set(_SIZES).union(*(names for picker, names in _ONLY.items() if picker.value != options.picker))
    if options.picker == Picker.CRYOLO.value:
        unused.add("particle_diameter")  # the network knows it
    if options.do_prep or not options.ctffind_mics:
        unused.add("ctffind_mics")
    if not options.fn_topaz_exec:
        unused.add("fn_topaz_exec")  # the default of the program and its environment stays
    return {key: format_value(getattr(options, name)) for name, keys in PLAIN_KEYS.items() if name not in unused for key in keys}


def _size_values(options: ItOptions) -> dict[str, str]:
    sizes = sizes_of(options)
    if sizes is None:
        return {}
    return {key: format_value(sizes.mask_diameter) for key in PLAIN_KEYS["mask_diameter"]} | {
        "proc__extract__extract_size": str(sizes.box),
        "proc__extract__do_rescale": "Yes",
        "proc__extract__rescale": str(sizes.small_box),
    }


def _picking_values(options: ItOptions) -> dict[str, str]:
    picker = Picker(options.picker)
    if picker is Picker.CRYOLO:
        return {"proc__cryolo_model": options.cryolo_model or NOT_GIVEN}
    values = {"proc__do_log": format_value(picker is Picker.LOG)}
    if picker is Picker.TOPAZ:
        return values | {"proc__autopick__nr_mpi": "1"}
    return values | {"proc__autopick__log_diam_min": f"{options.log_diam_ratio * options.particle_diameter:.4g}"}


def _machine_values(options: ItOptions) -> dict[str, str]:
    threads = str(options.threads or len(os.sched_getaffinity(0)))
    values = {f"{job}__nr_threads": threads for job in _THREADED} | {"prep__ctffind__nr_mpi": threads}
    gpus = options.gpus.replace(" ", "")
    values["proc__has_gpu"] = format_value(bool(gpus))
    if not gpus:
        return values
    # RELION separates the GPUs of MPI processes by colons, those of one process by commas.
    values |= {"proc__class2d__gpu_ids": gpus, "proc__inimodel3d__gpu_ids": gpus, "proc__refine3d__gpu_ids": gpus.replace(",", ":")}
    if options.picker == Picker.CRYOLO.value:
        return values | {"proc__autopick__param1_value": gpus}
    return values | {"proc__autopick__gpu_ids": gpus.split(",")[0]}
