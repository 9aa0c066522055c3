"""Options of jobs that make their commands as long as possible, for tests of commands."""

# Name -> (type of job, options, whether the job is continued).
LONG_JOBS: dict[str, tuple[str, dict[str, str], bool]] = {
    "import movies": ("relion.import", {"fn_mtf": "mtf.star"}, True),
    "import half maps": (
        "relion.import",
        {"do_raw": "No", "do_other": "Yes", "node_type": "Unfiltered half-map (unfil.mrc)", "fn_in_other": "a/half1.mrc"},
        False,
    ),
    "motioncorr": (
        "relion.motioncorr",
        {
            "input_star_mics": "m.star", "fn_defect": "d.txt", "fn_gain_ref": "g.mrc", "group_frames": "2", "do_save_noDW": "Yes",
            "gain_rot": "90 degrees (1)",
        },
        True,
    ),
    "motioncor2": (
        "relion.motioncorr",
        {"input_star_mics": "m.star", "do_own_motioncor": "No", "do_float16": "No", "do_save_ps": "No", "other_motioncor2_args": "-a 1"},
        False,
    ),
    "ctffind": (
        "relion.ctffind",
        {"input_star_mics": "m.star", "use_ctffind4": "Yes", "use_noDW": "Yes", "do_phaseshift": "Yes", "fn_ctffind_exe": "ctffind"},
        True,
    ),
    "gctf": (
        "relion.ctffind",
        {"input_star_mics": "m.star", "use_gctf": "Yes", "do_EPA": "Yes", "fn_gctf_exe": "gctf", "other_gctf_args": "-b 2"},
        False,
    ),
    "autopick log": (
        "relion.autopick",
        {"fn_input_autopick": "m.star", "do_log": "Yes", "log_upper_thr": "5", "log_invert": "Yes"},
        True,
    ),
    "autopick references": (
        "relion.autopick",
        {
            "fn_input_autopick": "m.star", "do_refs": "Yes", "fn_refs_autopick": "r.star", "highpass": "400", "angpix": "1",
            "angpix_ref": "2",
            "do_ignore_first_ctfpeak_autopick": "Yes", "minavgnoise_autopick": "-1", "use_gpu": "Yes", "do_write_fom_maps": "Yes",
            "do_pick_helical_segments": "Yes", "do_amyloid": "Yes",
        },
        False,
    ),
    "autopick map": (
        "relion.autopick",
        {"fn_input_autopick": "m.star", "do_refs": "Yes", "do_ref3d": "Yes", "fn_ref3d_autopick": "r.mrc", "do_read_fom_maps": "Yes"},
        True,
    ),
    "topaz": (
        "relion.autopick",
        {
            "fn_input_autopick": "m.star", "do_topaz": "Yes", "do_topaz_pick": "Yes", "topaz_model": "t.sav",
            "topaz_particle_diameter": "180",
            "topaz_other_args": "-x 1", "fn_topaz_exec": "topaz", "use_gpu": "Yes", "gpu_ids": "0:1",
        },
        True,
    ),
    "topaz training": (
        "relion.autopick",
        {
            "fn_input_autopick": "m.star", "do_topaz": "Yes", "do_topaz_train": "Yes", "topaz_train_picks": "p.star",
            "topaz_nr_particles": "300", "use_gpu": "Yes",
        },
        False,
    ),
    "extract": (
        "relion.extract",
        {"star_mics": "m.star", "coords_suffix": "c.star", "do_rescale": "Yes", "do_fom_threshold": "Yes", "do_extract_helix": "Yes"},
        True,
    ),
    "re-extract": (
        "relion.extract",
        {"star_mics": "m.star", "do_reextract": "Yes", "fndata_reextract": "p.star", "do_recenter": "Yes"},
        False,
    ),
    "class2d": (
        "relion.class2d",
        {
            "fn_img": "p.star", "do_em": "No", "do_grad": "Yes", "highres_limit": "8", "do_preread_images": "Yes", "use_gpu": "Yes",
            "ctf_intact_first_peak": "Yes", "do_parallel_discio": "No",
        },
        False,
    ),
    "class2d helix": ("relion.class2d", {"fn_img": "p.star", "do_em": "Yes", "do_helix": "Yes", "scratch_dir": "/scratch"}, False),
    "initial model": ("relion.initialmodel", {"fn_img": "p.star", "sym_name": "D2", "nr_classes": "2"}, False),
    "class3d": (
        "relion.class3d",
        {
            "fn_img": "p.star", "fn_ref": "r.mrc", "fn_mask": "m.mrc", "do_local_ang_searches": "Yes", "do_fast_subsets": "Yes",
            "highres_limit": "7", "relax_sym": "D2",
        },
        False,
    ),
    "refine3d helix": (
        "relion.refine3d",
        {
            "fn_img": "p.star", "fn_ref": "r.mrc", "fn_mask": "m.mrc", "do_solvent_fsc": "Yes", "auto_faster": "Yes", "do_helix": "Yes",
            "helical_tube_inner_diameter": "20", "helical_tube_outer_diameter": "90", "do_local_search_helical_symmetry": "Yes",
            "helical_twist_inistep": "0.1", "helical_rise_inistep": "0.1", "helical_range_distance": "3", "relax_sym": "C2",
        },
        False,
    ),
    "refine3d continued": ("relion.refine3d", {"fn_cont": "Refine3D/job001/run_it005_optimiser.star", "fn_mask": "m.mrc"}, True),
    "multi-body": (
        "relion.multibody",
        {"fn_in": "Refine3D/job001/run_it019_optimiser.star", "fn_bodies": "b.star", "do_select": "Yes", "eigenval_min": "-5"},
        False,
    ),
    "mask": ("relion.maskcreate", {"fn_in": "r.mrc", "angpix": "1.2", "do_helix": "Yes"}, False),
    "post-process": (
        "relion.postprocess",
        {"fn_in": "half1.mrc", "fn_mask": "m.mrc", "fn_mtf": "mtf.star", "do_adhoc_bfac": "Yes", "do_skip_fsc_weighting": "Yes"},
        False,
    ),
    "local resolution": (
        "relion.localres",
        {"fn_in": "half1.mrc", "fn_mask": "m.mrc", "fn_mtf": "mtf.star", "do_relion_locres": "Yes", "do_resmap_locres": "No"},
        False,
    ),
    "subtract": ("relion.subtract", {"fn_opt": "o.star", "fn_mask": "m.mrc", "do_data": "Yes", "fn_data": "p.star",
    "new_box": "128"}, False),
    "subtract about a point": ("relion.subtract", {"fn_opt": "o.star", "do_center_mask": "No", "do_center_xyz": "Yes"}, False),
    "subtract back": ("relion.subtract", {"do_fliplabel": "Yes", "fn_fliplabel": "p.star"}, False),
    "CTF refinement": (
        "relion.ctfrefine",
        {
            "fn_data": "p.star", "fn_post": "post.star", "do_defocus": "Per-particle", "do_tilt": "Yes",
            "do_trefoil": "Yes", "do_4thorder": "Yes",
        },
        True,
    ),
    "magnification": ("relion.ctfrefine", {"fn_data": "p.star", "fn_post": "post.star", "do_aniso_mag": "Yes"}, False),
    "polish": (
        "relion.polish",
        {"fn_data": "p.star", "fn_post": "post.star", "fn_mic": "m.star", "do_own_params": "Yes", "extract_size": "300", "rescale": "200"},
        True,
    ),
    "polish training": (
        "relion.polish",
        {"fn_data": "p.star", "fn_post": "post.star", "fn_mic": "m.star", "do_polish": "No", "do_param_optim": "Yes"},
        False,
    ),
    "select values": ("relion.select", {"fn_mic": "m.star", "do_select_values": "Yes"}, False),
    "select discard": ("relion.select", {"fn_data": "p.star", "do_discard": "Yes"}, False),
    "select split": ("relion.select", {"fn_data": "p.star", "do_split": "Yes", "do_random": "Yes", "nr_split": "2"}, False),
    "select duplicates": ("relion.select", {"fn_data": "p.star", "do_remove_duplicates": "Yes", "image_angpix": "1"}, False),
    "join": ("relion.joinstar", {"do_part": "Yes", "fn_part1": "a.star", "fn_part2": "b.star"}, False),
}  # fmt: skip
