"""Which variable of a scheme or option of a job holds each option, in the names of RELION's options files.

A key is ``SCHEME__VARIABLE`` or ``SCHEME__JOB__OPTION``.
"""

from collections.abc import Mapping

SEPARATOR = "__"
AUTO_BOX = "do_auto_boxsize"
NOT_GIVEN = "None"  # where RELION expects a file name

# Option of ours -> keys that hold its value as it is. The first one is also read as the option.
PLAIN_KEYS: Mapping[str, tuple[str, ...]] = {
    "ctffind_mics": ("proc__ctffind_mics",),
    "maxtime_hr": ("prep__maxtime_hr", "proc__maxtime_hr"),
    "wait_sec": ("prep__wait_sec", "proc__wait_sec"),
    "end_when_idle": ("prep__end_when_idle", "proc__end_when_idle"),
    "max_idle_waits": ("prep__max_idle_waits", "proc__max_idle_waits"),
    "do_at_most": ("prep__do_at_most",),
    "fn_in_raw": ("prep__importmovies__fn_in_raw",),
    "is_multiframe": ("prep__is_multiframe",),
    "angpix": ("prep__importmovies__angpix",),
    "kV": ("prep__importmovies__kV",),
    "Cs": ("prep__importmovies__Cs",),
    "Q0": ("prep__importmovies__Q0",),
    "phase_plate": ("prep__ctffind__do_phaseshift",),
    "dose_per_frame": ("prep__motioncorr__dose_per_frame",),
    "eer_grouping": ("prep__motioncorr__eer_grouping",),
    "fn_gain_ref": ("prep__motioncorr__fn_gain_ref",),
    "particle_diameter": ("proc__autopick__log_diam_max", "proc__autopick__topaz_particle_diameter"),
    "symmetry": ("proc__refine3d__sym_name", "proc__inimodel3d__sym_name"),
    "mask_diameter": ("proc__class2d__particle_diameter", "proc__inimodel3d__particle_diameter", "proc__refine3d__particle_diameter"),
    "box_size": ("proc__extract__extract_size",),
    "small_box": ("proc__extract__rescale",),
    "log_adjust_thr": ("proc__autopick__log_adjust_thr",),
    "topaz_model": ("proc__topaz_model",),
    "fn_topaz_exec": ("proc__autopick__fn_topaz_exec",),
    "minimum_pick_fom": ("proc__extract__minimum_pick_fom",),
    "cryolo_model": ("proc__cryolo_model",),
    "cryolo_program": ("proc__cryolo_program",),
    "ctf_max_resolution": ("proc__select_mics__select_maxval",),
    "nr_classes": ("proc__class2d__nr_classes",),
    "min_nr_parts_2d": ("proc__min_nr_parts_2d",),
    "growth_2d": ("proc__growth_2d",),
    "growth_3d": ("proc__growth_3d",),
    "select_by": ("proc__select_parts__select_by",),
    "rank_threshold": ("proc__select_parts__rank_threshold",),
    "min_nr_parts_3d": ("proc__min_nr_parts_3d",),
    "iniref": ("proc__iniref",),
}
# Other spellings of the first keys, in files for RELION's own schemes and for MDCatch.
ALIASES: Mapping[str, str] = {
    "prep__importmovies__is_multiframe": "prep__is_multiframe",
    "proc__autopick__topaz_model": "proc__topaz_model",
}
