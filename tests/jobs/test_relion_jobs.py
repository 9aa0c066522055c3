import re
import shlex
import subprocess
from pathlib import Path

import pytest

from relion4plugin.errors import UserError
from relion4plugin.jobs.option_text import OptionText, expanded
from relion4plugin.jobs.registry import job_type
from tests.jobs.job_options import LONG_JOBS

PLACE = Path("X/job007")


def command(label: str, options: dict[str, str], is_continue: bool = False, place: str = "X/job007") -> str:
    """The first command without its last two words, as text."""
    words = job_type(label).relion_command(options, Path(place), is_continue)[0]
    assert words[-2:] == ["--pipeline_control", f"{place}/"] or not any("relion_" in word for word in words)
    return shlex.join(words[:-2] if words[-2] == "--pipeline_control" else words)


# Written down from RELION 4.0's job pages, option by option.
EXPECTED = [
    (
        "relion.import",
        {"fn_in_raw": "Movies/*.tiff", "fn_mtf": "k2.star", "angpix": "0.885", "kV": "200", "Cs": "1.40"},
        "relion_import --do_movies --optics_group_name opticsGroup1 --optics_group_mtf k2.star --angpix 0.885 --kV 200 --Cs 1.40 --Q0 0.1 "
        "--beamtilt_x 0 --beamtilt_y 0 --i 'Movies/*.tiff' --odir X/job007/ --ofile movies.star",
    ),
    (
        "relion.motioncorr",
        {
            "input_star_mics": "Import/job001/movies.star", "fn_gain_ref": "gain.mrc", "gain_rot": "270 degrees (3)",
            "dose_per_frame": "1.277",
            "nr_threads": "12", "patch_x": "5", "patch_y": "5", "other_args": "--do_at_most 20",
        },
        "relion_run_motioncorr --i Import/job001/movies.star --o X/job007/ --first_frame_sum 1 --last_frame_sum -1 --use_own --j 12 "
        "--float16 "
        "--bin_factor 1 --bfactor 150 --dose_per_frame 1.277 --preexposure 0 --patch_x 5 --patch_y 5 --eer_grouping 32 --gainref gain.mrc "
        "--gain_rot 3 --gain_flip 0 --dose_weighting --grouping_for_ps 3 --do_at_most 20",
    ),
    (
        "relion.ctffind",
        {"input_star_mics": "m.star", "use_ctffind4": "Yes", "fn_ctffind_exe": "/opt/ctffind", "nr_mpi": "4"},
        "relion_run_ctffind_mpi --i m.star --o X/job007/ --Box 512 --ResMin 30 --ResMax 5 --dFMin 5000 --dFMax 50000 --FStep 500 --dAst "
        "100 "
        "--ctffind_exe /opt/ctffind --ctfWin -1 --is_ctffind4 --fast_search --use_given_ps",
    ),
    (
        "relion.autopick",
        {"fn_input_autopick": "m.star", "do_log": "Yes", "log_diam_min": "150", "log_diam_max": "180", "log_upper_thr": "5"},
        "relion_autopick --i m.star --odir X/job007/ --pickname autopick --LoG --LoG_diam_min 150 --LoG_diam_max 180 --shrink 0 "
        "--lowpass 20 "
        "--LoG_adjust_threshold 0 --LoG_upper_threshold 5",
    ),
    (
        "relion.extract",
        {
            "star_mics": "m.star", "coords_suffix": "AutoPick/job005/autopick.star", "extract_size": "256",
            "do_rescale": "Yes", "rescale": "64",
        },
        "relion_preprocess --i m.star --coord_list AutoPick/job005/autopick.star --part_star X/job007/particles.star --part_dir X/job007/ "
        "--extract --extract_size 256 --float16 --scale 64 --norm --bg_radius 24 --white_dust -1 --black_dust -1 --invert_contrast",
    ),
    (
        "relion.class2d",
        {"fn_img": "p.star", "do_em": "No", "do_grad": "Yes", "nr_classes": "100", "nr_threads": "8", "use_gpu": "Yes", "gpu_ids": "0:1"},
        "relion_refine --o X/job007/run --grad --class_inactivity_threshold 0.1 --grad_write_iter 10 --iter 200 --i p.star "
        "--dont_combine_weights_via_disc --pool 3 --pad 2 --ctf --tau2_fudge 2 --particle_diameter 200 --K 100 --flatten_solvent "
        "--zero_mask "
        "--center_classes --oversampling 1 --psi_step 12 --offset_range 5 --offset_step 2 --norm --scale --j 8 --gpu 0:1",
    ),
    (
        "relion.refine3d",
        {"fn_img": "p.star", "fn_ref": "r.mrc", "sym_name": "D2", "nr_mpi": "3", "nr_threads": "6", "ini_high": "40", "fn_mask": "m.mrc"},
        "relion_refine_mpi --o X/job007/run --auto_refine --split_random_halves --i p.star --ref r.mrc --firstiter_cc --ini_high 40 "
        "--dont_combine_weights_via_disc --pool 3 --pad 2 --ctf --particle_diameter 200 --flatten_solvent --zero_mask --solvent_mask m.mrc "
        "--oversampling 1 --healpix_order 2 --auto_local_healpix_order 4 --offset_range 5 --offset_step 2 --sym D2 "
        "--low_resol_join_halves 40 "
        "--norm --scale --j 6",
    ),
    (
        "relion.select",
        {"fn_mic": "m.star", "do_select_values": "Yes", "select_minval": "-9999.", "select_maxval": "6"},
        "relion_star_handler --i m.star --o X/job007/micrographs.star --select rlnCtfMaxResolution --minval -9999. --maxval 6",
    ),
    (
        "relion.select",
        {"fn_model": "o.star", "do_class_ranker": "Yes", "select_nr_classes": "5", "python_exe": "py"},
        "relion_class_ranker --opt o.star --o X/job007/ --fn_sel_parts particles.star --fn_sel_classavgs class_averages.star --python py "
        "--select_min_nr_classes 5 --fn_root rank --do_granularity_features --auto_select --min_score 0.5",
    ),
    (
        "relion.joinstar",
        {"do_mic": "Yes", "fn_mic1": "a.star", "fn_mic2": "b.star", "fn_mic4": "d.star"},
        "relion_star_handler --combine --i ' a.star b.star d.star ' --check_duplicates rlnMicrographName --o X/job007/join_mics.star",
    ),
    (
        "relion.ctfrefine",
        {"fn_data": "p.star", "fn_post": "post.star", "do_defocus": "Per-particle", "do_astig": "Per-micrograph", "nr_threads": "12"},
        "relion_ctf_refine --i p.star --f post.star --o X/job007/ --fit_defocus --kmin_defocus 30 --fit_mode fpmff --j 12",
    ),
    (
        "relion.external",
        {
            "fn_exe": "scripts/pick.py", "in_mic": "m.star", "param1_label": "box", "param1_value": "64 'two words'", "param3_label": "dry",
            "param2_value": "lost", "nr_threads": "4",
        },
        "scripts/pick.py --o X/job007/ --in_mics m.star --box 64 'two words' --dry --j 4",
    ),
    (
        "relion.manualpick",
        {"fn_in": "m.star", "do_color": "Yes", "angpix": "0.885", "do_fom_threshold": "Yes"},
        "relion_manualpick --i m.star --odir X/job007/ --pickname manualpick --allow_save --fast_save --selection "
        "X/job007/micrographs_selected.star --scale 0.2 --sigma_contrast 3 --black 0 --white 0 --lowpass 20 --angpix 0.885 "
        "--minimum_pick_fom 0 --particle_diameter 100 --color_label rlnAutopickFigureOfMerit --blue 0 --red 2",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("label", "options", "expected"), EXPECTED, ids=[label for label, _, _ in EXPECTED])
def test_commands_are_those_of_relion(label, options, expected, monkeypatch):
    for name in ("RELION_SCRATCH_DIR", "RELION_QSUB_NRMPI", "RELION_QSUB_NRTHREADS"):
        monkeypatch.delenv(name, raising=False)
    assert command(label, options) == expected


@pytest.mark.parametrize(
    ("label", "options", "added"),
    [
        ("relion.import", {}, "--continue"),
        ("relion.motioncorr", {"input_star_mics": "m.star"}, "--only_do_unfinished"),
        ("relion.ctffind", {"input_star_mics": "m.star"}, "--only_do_unfinished"),
        ("relion.autopick", {"fn_input_autopick": "m.star", "do_log": "Yes"}, "--only_do_unfinished"),
        ("relion.extract", {"star_mics": "m.star", "coords_suffix": "c.star"}, "--only_do_unfinished"),
    ],
)
def test_incremental_jobs_only_add_a_word_when_continued(label, options, added):
    assert command(label, options, True).replace(f" {added}", "") == command(label, options)


def test_a_continued_refinement_leaves_out_what_the_state_has():
    options = {"fn_img": "p.star", "fn_ref": "r.mrc", "fn_cont": "X/job007/run_it012_optimiser.star", "nr_mpi": "3", "nr_threads": "4"}
    assert command("relion.refine3d", options, True) == (
        "relion_refine_mpi --continue X/job007/run_it012_optimiser.star --o X/job007/run --dont_combine_weights_via_disc --pool 3 --pad 2 "
        "--particle_diameter 200 --j 4"
    )
    options = {"fn_img": "p.star", "fn_cont": "X/job007/run_it120_optimiser.star", "do_em": "No", "do_grad": "Yes"}
    words = shlex.split(command("relion.class2d", options, True))
    assert not {"--i", "--ctf", "--K", "--flatten_solvent", "--zero_mask", "--norm", "--scale"} & set(words)
    assert {"--grad", "--iter", "--tau2_fudge", "--psi_step"} <= set(words)
    assert "--continue" not in command("relion.class2d", options)  # a new run takes no notice of fn_cont


def test_an_initial_model_is_finished_only_after_its_last_command():
    commands = job_type("relion.initialmodel").relion_command({"fn_img": "p.star", "sym_name": "D2"}, PLACE, False)
    assert [words[0] for words in commands] == ["relion_refine", "rm", "relion_align_symmetry", "touch"]
    assert "--sym C1" in shlex.join(commands[0]) and "--sym D2" in shlex.join(commands[2])
    assert commands[1][-1] == commands[3][-1] == "X/job007/RELION_JOB_EXIT_SUCCESS"
    assert "--pipeline_control" not in commands[1] + commands[3]
    directly = job_type("relion.initialmodel").relion_command({"fn_img": "p.star", "sym_name": "D2", "do_run_C1": "No"}, PLACE, False)
    assert "--sym D2" in shlex.join(directly[0]) and "--sym C1" in shlex.join(directly[2])


def test_the_output_root_follows_the_directory():
    assert "--o Class2D/job123/run " in command("relion.class2d", {"fn_img": "p.star"}, place="Class2D/job123")


def test_other_arguments_and_quotes_are_split_as_by_a_shell():
    options = {"star_mics": "m.star", "coords_suffix": "c.star", "other_args": '--a "b c" --d $HOME'}
    words = job_type("relion.extract").relion_command(options, PLACE, False)[0]
    assert words[-6:-2] == ["--a", "b c", "--d", "$HOME"]
    assert expanded(["$RELION4PLUGIN_NOT_SET", "x"]) == ["$RELION4PLUGIN_NOT_SET", "x"]
    with pytest.raises(UserError, match=r"other_args is '--a \"b': .*close the quote"):
        job_type("relion.extract").relion_command({**options, "other_args": '--a "b'}, PLACE, False)


def test_words_of_older_and_newer_relion_are_understood():
    old = job_type("relion.class2d").relion_command({"fn_img": "p.star", "nr_iter": "30"}, PLACE, False)[0]
    assert "--grad" not in old and old[old.index("--iter") + 1] == "30"
    topaz = {"fn_input_autopick": "m.star", "do_topaz": "Yes", "do_topaz_pick": "Yes"}
    assert "--topaz_exe relion_python_topaz" in command("relion.autopick", {**topaz, "fn_topaz_exe": "relion_python_topaz"})
    saved = {"input_star_mics": "m.star", "save_ps": "No", "save_noDW": "Yes", "do_float16": "No"}
    assert "--save_noDW" in command("relion.motioncorr", saved) and "--grouping_for_ps" not in command("relion.motioncorr", saved)
    assert "--is_ctffind4" in command("relion.ctffind", {"input_star_mics": "m.star"})
    by_references = {"fn_input_autopick": "m.star", "do_log": "No", "fn_refs_autopick": "r.star"}
    assert "--ref r.star" in command("relion.autopick", by_references)
    assert "--coord_dir AutoPick/job006/ --coord_suffix _autopick.star" in command(
        "relion.extract", {"star_mics": "m.star", "coords_suffix": "AutoPick/job006/coords_suffix_autopick.star"}
    )
    assert "--mtf" not in command("relion.postprocess", {"fn_in": "half1.mrc", "fn_mask": "m.mrc", "fn_mtf": "a.star", "do_mtf": "No"})


@pytest.mark.parametrize(
    ("label", "options", "is_continue", "expected"),
    [
        ("relion.import", {"fn_in_raw": "/data/*.tif"}, False, "below the project directory"),
        ("relion.import", {"fn_in_raw": "a/../../*.tif"}, False, "below the project directory"),
        ("relion.import", {"optics_group_name": "my group"}, False, "letters, digits and hyphens"),
        ("relion.import", {"do_other": "Yes"}, False, "exactly one of do_raw and do_other"),
        ("relion.motioncorr", {}, False, "input_star_mics is empty"),
        ("relion.motioncorr", {"input_star_mics": "m", "do_save_ps": "No"}, False, "do_float16 is Yes, which needs power spectra"),
        ("relion.motioncorr", {"input_star_mics": "m", "dose_per_frame": "0"}, False, "dose_per_frame"),
        ("relion.motioncorr", {"input_star_mics": "m", "fn_gain_ref": "g", "gain_rot": "left"}, False, "gain_rot is 'left'"),
        ("relion.ctffind", {"input_star_mics": "m", "use_ctffind4": "No"}, False, "both No"),
        ("relion.ctffind", {"input_star_mics": "m", "use_gctf": "Yes", "other_gctf_args": "--phase_shift_L 1"}, False, "--phase_shift"),
        ("relion.autopick", {"fn_input_autopick": "m", "do_log": "Yes", "use_gpu": "Yes"}, False, "set use_gpu to No"),
        ("relion.autopick", {"fn_input_autopick": "m", "do_topaz": "Yes"}, False, "do_topaz_train and do_topaz_pick"),
        ("relion.autopick", {"fn_input_autopick": "m", "do_log": "Yes", "do_refs": "Yes"}, False, "not 2"),
        ("relion.extract", {"star_mics": "m"}, False, "coords_suffix is empty"),
        ("relion.class2d", {"fn_img": "p", "do_em": "No", "do_grad": "Yes", "nr_mpi": "4"}, False, "VDAM runs as one process"),
        ("relion.class2d", {"fn_img": "p", "do_em": "Yes", "do_grad": "Yes"}, False, "exactly one of do_em and do_grad"),
        ("relion.class2d", {"fn_img": "p"}, True, "fn_cont is empty"),
        ("relion.class2d", {"fn_cont": "run_data.star"}, True, "run_it025_optimiser.star"),
        ("relion.refine3d", {"fn_img": "p"}, False, "fn_ref is empty"),
        ("relion.refine3d", {"fn_img": "p", "fn_ref": "r", "sampling": "8 degrees"}, False, "must be one of 30 degrees"),
        ("relion.class3d", {"fn_img": "p", "fn_ref": "r", "use_gpu": "Yes", "dont_skip_align": "No"}, False, "no GPU version"),
        ("relion.select", {}, False, "fn_model, fn_mic and fn_data are empty"),
        ("relion.select", {"fn_mic": "m", "do_split": "Yes", "do_discard": "Yes"}, False, "choose one of them"),
        ("relion.select", {"fn_model": "o", "do_class_ranker": "Yes", "do_recenter": "Yes"}, False, "set do_recenter to No"),
        ("relion.select", {"fn_model": "o", "do_split": "Yes"}, False, "leave fn_model empty"),
        ("relion.joinstar", {"do_part": "Yes", "fn_part1": "a"}, False, "fn_part2 is empty"),
        ("relion.joinstar", {}, False, "exactly one of do_part, do_mic, do_mov"),
        ("relion.ctfrefine", {"fn_data": "p", "fn_post": "q"}, False, "are all No"),
        ("relion.ctfrefine", {"fn_data": "p", "fn_post": "q", "do_ctf": "No"}, False, "nothing to fit"),
        ("relion.polish", {"fn_data": "p", "fn_post": "q", "fn_mic": "m"}, False, "opt_params is empty"),
        ("relion.polish", {"fn_data": "p", "fn_post": "q", "fn_mic": "m", "opt_params": "o", "rescale": "9"}, False, "two even numbers"),
        ("relion.postprocess", {"fn_mask": "m", "fn_in": "map.mrc"}, False, "neither half1 nor half2"),
        ("relion.multibody", {"fn_in": "o", "fn_bodies": "b", "do_select": "Yes", "eigenval_min": "9999"}, False, "must be below"),
        ("relion.external", {}, False, "fn_exe is empty"),
    ],
)
def test_options_that_give_no_command_are_one_clear_line(label, options, is_continue, expected):
    with pytest.raises(UserError) as caught:
        job_type(label).relion_command(options, PLACE, is_continue)
    assert expected in str(caught.value) and "\n" not in str(caught.value)


def test_numbers_are_read_as_relion_reads_them():
    o = OptionText({"a": "12px", "b": "$$c", "d": "1e2", "e": '""', "f": "Yes ", "g": "true"})
    assert (o.number("a"), o.number("b"), o.number("d"), o.number("nothing")) == (12, 0, 100, 0)
    assert (o["e"], o.yes("f"), o.yes("g"), o.whole("e", 7)) == ("", True, False, 7)


def test_environment_variables_are_left_to_the_runner(monkeypatch):
    monkeypatch.setenv("MY_MODEL", "/models/a.sav")
    options = {**LONG_JOBS["topaz"][1], "topaz_model": "$MY_MODEL"}
    words = job_type("relion.autopick").relion_command(options, PLACE, False)[0]
    assert "$MY_MODEL" in words and "/models/a.sav" in expanded(words)


# Options of RELION 4 that RELION 3.1 does not know, and options of RELION 3.1 that its help does not show.
RELION_4_ONLY = {
    "--float16", "--grad", "--class_inactivity_threshold", "--grad_write_iter", "--center_classes", "--auto_sampling", "--coord_list",
    "--minimum_pick_fom", "--topaz_exe", "--topaz_extract", "--topaz_model", "--topaz_args", "--topaz_train", "--topaz_nr_particles",
    "--topaz_train_picks", "--apply_sym", "--select_largest_class",
}  # fmt: skip
HIDDEN = {"--pipeline_control", "--continue", "--pick_star", "--multibody_masks", "--reconstruct_subtracted_bodies"}


@pytest.mark.relion
def test_relions_programs_know_the_options():
    helps: dict[str, set[str]] = {}
    used: set[str] = set()
    for label, options, is_continue in LONG_JOBS.values():
        for words in job_type(label).relion_command(options, PLACE, is_continue):
            program = words[0]
            if not program.startswith("relion_"):
                continue
            if program not in helps:
                shown = subprocess.run([program, "--help"], capture_output=True, text=True, check=False)
                helps[program] = set(re.findall(r"--\w+", shown.stdout + shown.stderr))
            flags = {word for word in words if re.fullmatch(r"--[A-Za-z]\w*", word)}
            used |= flags
            assert flags - helps[program] <= RELION_4_ONLY | HIDDEN, f"{program}: {flags - helps[program]}"
    assert RELION_4_ONLY | HIDDEN <= used  # nothing is excused in vain
