"""Options of the schemes that follow from a record and a preset, with their sources."""

import pytest

from relion4plugin.acquisition.changes import source_of
from relion4plugin.acquisition.merge import merge
from relion4plugin.acquisition.preset import NO_PRESET, find_preset, read_preset
from relion4plugin.acquisition.preset_check import check_preset
from relion4plugin.acquisition.record import AcquisitionRecord, Value
from relion4plugin.acquisition.settings import make_settings
from relion4plugin.acquisition.user_values import user_values
from relion4plugin.schemes.it.choices import final_values
from relion4plugin.schemes.it.fill import filled
from relion4plugin.schemes.library.catalogue import shipped_folder
from relion4plugin.schemes.library.template import read_template

from .small_sessions import write_preset


def record(**values):
    base = {"movie_px_A": 1.0, "physical_px_A": 1.0, "voltage_kV": 300.0, "n_frames": 40, "dose_per_frame_eA2": 1.0, "movie_format": "tiff"}
    known = (base | values).items()
    return AcquisitionRecord({name: Value(value, source="image XML", file="/a/x.xml", path=name) for name, value in known})


def settings(preset=NO_PRESET, words=(), **values):
    user = user_values(words)
    return make_settings(merge(record(**values), preset, user), preset, user, Value("/data/*.tiff", source="file name"))


def keys(made):
    return final_values(made.choices)


def test_eer_fractions_have_their_own_dose():
    made = settings(movie_format="eer", n_frames=190, dose_per_frame_eA2=28.5048 / 190)
    assert made.choices.options.eer_grouping == 7
    assert made.choices.options.dose_per_frame == pytest.approx(7 * 28.5048 / 190)
    assert "prep__motioncorr__group_frames" not in keys(made) and not made.choices.options.super_resolution
    given = settings(words=["eer_grouping=10"], movie_format="eer", n_frames=190, dose_per_frame_eA2=0.15)
    assert given.choices.options.eer_grouping == 10 and given.choices.options.dose_per_frame == pytest.approx(1.5)
    assert source_of("prep__motioncorr__eer_grouping", given) == "user"


@pytest.mark.parametrize(("movie", "physical", "factor"), [(0.53, 1.06, "2"), (0.527941, 0.52794, "1"), (1.06, 1.06, "1")])
def test_super_resolution_frames_are_binned(movie, physical, factor):
    assert keys(settings(movie_px_A=movie, physical_px_A=physical))["prep__motioncorr__bin_factor"] == factor


def test_patches_follow_detector_and_orientation(tmp_path):
    wide = keys(settings(detector_model="K3", movie_size_px=(5760, 4092)))
    assert (wide["prep__motioncorr__patch_x"], wide["prep__motioncorr__patch_y"]) == ("7", "5")
    tall = keys(settings(detector_model="K3", movie_size_px=(4092, 5760)))
    assert (tall["prep__motioncorr__patch_x"], tall["prep__motioncorr__patch_y"]) == ("5", "7")
    preset = read_preset(write_preset(tmp_path / "p.toml", more="[detector]\npatches = [4, 3]\n"))
    mine = settings(preset, detector_model="K3")
    assert keys(mine)["prep__motioncorr__patch_x"] == "4"
    assert source_of("prep__motioncorr__patch_x", mine) == "preset, p.toml, detector.patches"


def test_weak_frames_are_grouped_and_an_odd_last_fraction_is_left_out():
    made = keys(settings(dose_per_frame_eA2=0.3, frames_per_fraction=(6,) * 21 + (46,), n_frames=22))
    assert made["prep__motioncorr__group_frames"] == "3" and made["prep__motioncorr__last_frame_sum"] == "21"
    assert "prep__motioncorr__last_frame_sum" not in keys(settings(frames_per_fraction=(6,) * 22))


def test_single_images_are_not_motion_corrected():
    assert keys(settings(n_frames=1))["prep__is_multiframe"] == "No"


def test_files_are_copied_into_the_project():
    user = user_values([])
    made = make_settings(
        merge(record(defect_path="/d/defects.txt"), NO_PRESET, user), NO_PRESET, user, Value("Movies/*.tiff"), Value("/g/gain.mrc"),
        Value("/m/mtf.star"),
    )  # fmt: skip
    assert {str(source): name for source, name in made.copies.items()} == {
        "/g/gain.mrc": "Acquisition/gain.mrc", "/d/defects.txt": "Acquisition/defects.txt", "/m/mtf.star": "Acquisition/mtf.star",
    }  # fmt: skip
    values = keys(made)
    assert values["prep__motioncorr__fn_gain_ref"] == "Acquisition/gain.mrc"
    assert values["prep__motioncorr__fn_defect"] == "Acquisition/defects.txt"
    assert values["prep__importmovies__fn_mtf"] == "Acquisition/mtf.star"


def test_a_queue_goes_to_every_heavy_job(tmp_path):
    more = '[queue]\nsubmit = true\nname = "gpu"\nscript = "/s.sh"\ncores_per_node = 8\n'
    values = keys(settings(read_preset(write_preset(tmp_path / "p.toml", more=more))))
    for job in ("prep__motioncorr", "proc__class2d", "proc__refine3d"):
        assert [values[f"{job}__{name}"] for name in ("do_queue", "queuename", "qsub", "min_dedicated")] == ["Yes", "gpu", "sbatch", "8"]


def test_a_preset_fills_variables_of_a_submission_script(tmp_path):
    preset = write_preset(tmp_path / "p.toml", more='[keys]\nproc__class2d__qsub_extra1 = "gpu:1"\n')
    assert [str(finding) for finding in check_preset(preset) if "qsub_extra" in str(finding)] == []
    assert keys(settings(read_preset(preset)))["proc__class2d__qsub_extra1"] == "gpu:1"


def test_a_person_beats_the_preset_also_for_keys(tmp_path):
    preset = read_preset(write_preset(tmp_path / "p.toml", more="[keys]\nproc__class2d__nr_iter_grad = 50\n"))
    assert keys(settings(preset))["proc__class2d__nr_iter_grad"] == "50"
    made = settings(preset, ["proc__class2d__nr_iter_grad=70", "particle_diameter=99"])
    assert keys(made)["proc__class2d__nr_iter_grad"] == "70" and made.choices.options.particle_diameter == 99
    assert source_of("proc__class2d__nr_iter_grad", made) == "user"
    assert source_of("proc__extract__extract_size", made) == "computed from particle_diameter, user"


@pytest.mark.parametrize("picker", ["log", "topaz", "cryolo"])
@pytest.mark.parametrize("name", ["krios_k3", "krios_falcon4i", "glacios_falcon4i", "talos_falcon3"])
def test_every_shipped_preset_fills_every_scheme(name, picker):
    preset = find_preset(name)
    made = settings(preset, [f"picker={picker}"], movie_format="eer" if "4i" in name else "mrc")
    folder = shipped_folder()
    sources = {"prep": read_template(folder / "prep"), "proc": read_template(folder / f"proc-{picker}").renamed("proc")}
    schemes = filled(sources, final_values(made.choices))
    assert schemes["prep"].jobs["importmovies"].options["kV"] == "300"
    assert schemes["prep"].jobs["motioncorr"].options["other_args"] == "--do_at_most $$do_at_most"
