"""Options of on-the-fly processing: computed values, options files, what overrules what."""

import pytest

from relion4plugin.errors import UserError
from relion4plugin.jobs.parameters import fields_of
from relion4plugin.schemes.it import values
from relion4plugin.schemes.it.checks import check_options, doubts
from relion4plugin.schemes.it.choices import Choices, final_values, same_value, with_file, with_keys
from relion4plugin.schemes.it.keys import ALIASES, PLAIN_KEYS
from relion4plugin.schemes.it.options import ItOptions, Picker
from relion4plugin.schemes.it.options_file import read_options_file
from relion4plugin.schemes.it.record import relion_text, toml_text
from relion4plugin.schemes.it.sizes import GOOD_SIZES, BoxSizes, box_sizes, small_box

SESSION = {"angpix": 0.885, "dose_per_frame": 1.277, "particle_diameter": 180.0}


def options(**changes) -> ItOptions:
    return ItOptions(**{**SESSION, **changes})


@pytest.mark.parametrize(
    ("diameter", "angpix", "expected"),
    [
        (180, 0.885, BoxSizes(198.0, 306, 96)),
        (180, 2 * 0.885, BoxSizes(198.0, 154, 96)),
        (150, 1.34, BoxSizes(165.0, 168, 64)),
        (200, 1.5, BoxSizes(220.0, 200, 96)),  # 1.5 D / a is exactly 200
        (320, 1.34, BoxSizes(352.0, 360, 160)),  # the ribosome of the paper: 3.0 A
        (30, 1.0, BoxSizes(33.0, 46, 46)),  # below the smallest good size the box stays
    ],
)
def test_sizes(diameter, angpix, expected):
    assert box_sizes(diameter, angpix) == expected


@pytest.mark.parametrize("diameter", [60, 111.3, 180, 250, 333, 700])
@pytest.mark.parametrize("angpix", [0.4, 0.53, 0.885, 1.06, 1.34, 3.0])
def test_sizes_are_even_large_enough_and_fine_enough(diameter, angpix):
    sizes = box_sizes(diameter, angpix)
    assert sizes.box % 2 == 0 and 1.5 * diameter <= sizes.box * angpix < 1.5 * diameter + 2.01 * angpix
    assert sizes.small_box == sizes.box or (sizes.small_box in GOOD_SIZES and angpix * sizes.box / sizes.small_box < 3.75)
    below = [size for size in GOOD_SIZES if size < sizes.small_box]
    assert all(angpix * sizes.box / size >= 3.75 for size in below)


def test_a_box_beyond_all_good_sizes():
    with pytest.raises(UserError, match="a box of 5000 pixels of 1 A is too large"):
        small_box(5000, 1.0)


def test_given_sizes_stay():
    assert box_sizes(180, 0.885, mask=150, small=128) == BoxSizes(150, 306, 128)
    assert box_sizes(180, 0.885, box=400) == BoxSizes(198.0, 400, 96)


def test_super_resolution_doubles_the_pixel():
    found = values.key_values(options(angpix=0.4425, super_resolution=True))
    assert (found["proc__extract__extract_size"], found["proc__extract__rescale"]) == ("306", "96")
    assert (found["prep__motioncorr__bin_factor"], found["prep__importmovies__angpix"]) == ("2", "0.4425")


def test_every_option_of_the_tables_is_declared():
    known = {field.name for field in fields_of(ItOptions)}
    assert set(PLAIN_KEYS) <= known
    firsts = [keys[0] for keys in PLAIN_KEYS.values()]
    assert len(set(firsts)) == len(firsts) and set(ALIASES.values()) <= set(firsts)


def test_gpus_of_processes_and_threads(monkeypatch):
    found = values.key_values(options(gpus="0, 1", picker="topaz", threads=8))
    assert found["proc__class2d__gpu_ids"] == "0,1" and found["proc__refine3d__gpu_ids"] == "0:1"
    assert found["prep__ctffind__nr_mpi"] == found["prep__motioncorr__nr_threads"]
    assert (found["proc__autopick__gpu_ids"], found["proc__autopick__nr_mpi"], found["proc__has_gpu"]) == ("0", "1", "Yes")
    assert found["proc__class2d__nr_threads"] == "8"
    monkeypatch.setattr(values.os, "sched_getaffinity", lambda pid: {0, 3, 5})
    without = values.key_values(options())
    assert without["proc__has_gpu"] == "No" and without["prep__motioncorr__nr_threads"] == "3"
    assert not any("gpu_ids" in key for key in without)


@pytest.mark.parametrize(("wanted", "schemes"), [({"do_prep": False}, {"proc"}), ({"do_proc": False}, {"prep"}), ({}, {"prep", "proc"})])
def test_only_what_is_run_gets_values(wanted, schemes):
    choices = with_keys(Choices(options(**wanted)), ["prep__wait_sec=1", "proc__wait_sec=2"])
    assert {key.split("__")[0] for key in final_values(choices)} == schemes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"angpix": 0.0}, "angpix is not given"),
        ({"angpix": -1.0}, "angpix is -1"),
        ({"angpix": float("nan")}, "angpix is not a number"),
        ({"dose_per_frame": 0.0}, "dose_per_frame is not given"),
        ({"particle_diameter": 0.0}, "particle_diameter is not given"),
        ({"do_prep": False, "do_proc": False}, "nothing would run"),
        ({"do_prep": False}, "ctffind_mics is not given"),
        ({"gpus": "0;1"}, "gpus is '0;1'"),
        ({"symmetry": "X3"}, "symmetry 'X3'"),
        ({"picker": "eye"}, "picker is 'eye'"),
        ({"log_diam_ratio": 1.2}, "log_diam_ratio is 1.2"),
        ({"box_size": 255}, "box_size is 255 px"),
        ({"box_size": 64, "small_box": 128, "mask_diameter": 50.0}, "small_box is 128 px"),
        ({"mask_diameter": 500.0}, "mask_diameter is 500 A, but the box is narrower"),
        ({"fn_in_raw": ""}, "fn_in_raw is empty"),
    ],
)
def test_wrong_options(changes, message):
    with pytest.raises(UserError, match=r"^[^\n]*$") as caught:
        check_options(options(**changes))
    assert message in str(caught.value)


def test_right_options_have_no_doubts(tmp_path):
    assert check_options(options()) is None
    assert list(doubts(options(), tmp_path)) == []
    single = options(is_multiframe=False, dose_per_frame=0.0)
    assert check_options(single) is None


def test_doubts(tmp_path):
    odd = options(fn_gain_ref="gain.mrc", iniref="ref.mrc", fn_in_raw="Movies/one.tiff", particle_diameter=5.0)
    assert [line.split()[0].rstrip(":") for line in doubts(odd, tmp_path)] == ["fn_gain_ref", "iniref", "fn_in_raw", "particle_diameter"]


def test_a_missing_crYOLO_is_told(tmp_path, monkeypatch):
    for name in ("CRYOLO_ENV", "CRYOLO_GENERIC_MODEL"):
        monkeypatch.delenv(name, raising=False)
    [line] = doubts(options(picker="cryolo"), tmp_path)
    assert line.startswith("picker is cryolo: crYOLO is not installed")
    assert list(doubts(options(picker="cryolo", cryolo_program="own.sh"), tmp_path)) == []


RELION = """{
'do_prep' : 'True',
'do_proc' : 'True',
'do_auto_boxsize' : 'True',
'prep__importmovies__angpix' : '0.4425',  # super-resolution
'prep__importmovies__kV' : '200',
'prep__motioncorr__dose_per_frame' : '1.277',
'prep__motioncorr__bin_factor' : '2',
'prep__importmovies__is_multiframe' : 'True',
'proc__autopick__log_diam_min' : '150.0',
'proc__autopick__log_diam_max' : '180.0',
'proc__autopick__topaz_particle_diameter' : '180.0',
'proc__autopick__use_gpu' : 'False',
'proc__do_log' : 'False',
'proc__topaz_model' : '',
'proc__extract__extract_size' : '256',
'proc__class2d__particle_diameter' : '200',
'proc__class2d__nr_iter_grad' : 100,
'proc__class2d__gpu_ids' : '0,1',
'proc__refine3d__sym_name' : 'D2',
'proc__iniref' : 'None',
}
"""


def from_file(tmp_path, text: str, name: str = "o.py", before: Choices | None = None) -> Choices:
    path = tmp_path / name
    path.write_text(text)
    return with_file(before or Choices(), read_options_file(path), name)


def test_a_file_of_relion(tmp_path):
    choices = from_file(tmp_path, RELION)
    chosen = choices.options
    assert (chosen.angpix, chosen.super_resolution, chosen.kV, chosen.particle_diameter) == (0.4425, True, 200.0, 180.0)
    assert (chosen.picker, chosen.gpus, chosen.symmetry, chosen.iniref) == (Picker.TOPAZ.value, "0,1", "D2", "")
    assert chosen.log_diam_ratio == pytest.approx(150 / 180, abs=1e-6)
    found = final_values(choices)
    assert found["proc__extract__extract_size"] == "306"  # do_auto_boxsize computes anew
    assert found["proc__autopick__use_gpu"] == "False"
    assert found["proc__class2d__nr_iter_grad"] == "100"
    assert set(choices.overrides) == {"proc__autopick__use_gpu", "proc__class2d__nr_iter_grad", "proc__autopick__log_diam_min"}


def test_sizes_in_a_file_stay_without_auto_box(tmp_path):
    choices = from_file(tmp_path, RELION.replace("'do_auto_boxsize' : 'True'", "'do_auto_boxsize' : 'False'"))
    found = final_values(choices)
    assert (found["proc__extract__extract_size"], found["proc__refine3d__particle_diameter"]) == ("256", "200")


def test_toml_with_tables(tmp_path):
    text = 'angpix = 1.1\npicker = "cryolo"\nis_multiframe = false\n[prep.importmovies]\nCs = 1.4\n[proc.class2d]\nnr_pool = 20\n'
    choices = from_file(tmp_path, text, "o.toml")
    chosen = choices.options
    assert (chosen.angpix, chosen.picker, chosen.is_multiframe, chosen.Cs) == (1.1, "cryolo", False, 1.4)
    assert choices.overrides == {"proc__class2d__nr_pool": "20"}


def test_a_later_file_counts_more(tmp_path):
    first = from_file(tmp_path, "{'angpix': 1, 'kV': 200, 'proc__class2d__nr_pool': 1}")
    second = from_file(tmp_path, "{'angpix': 2, 'proc__class2d__nr_pool': 2}", before=first)
    assert (second.options.angpix, second.options.kV, second.overrides) == (2.0, 200.0, {"proc__class2d__nr_pool": "2"})


@pytest.mark.parametrize(("write", "name"), [(relion_text, "relion_it_options.py"), (toml_text, "relion_it_options.toml")])
@pytest.mark.parametrize("picker", ["log", "topaz", "cryolo"])
def test_what_is_written_is_read_as_the_same(tmp_path, write, name, picker):
    chosen = options(picker=picker, super_resolution=True, gpus="0,1", symmetry="D2", topaz_model='my "best".sav', log_diam_ratio=0.75)
    choices = with_keys(Choices(chosen), ["proc__class2d__nr_pool=20", "prep__motioncorr__other_args=--a 'b c'"])
    again = from_file(tmp_path, write(choices), name)
    known, found = final_values(choices), final_values(again)
    assert known.keys() == found.keys()
    assert {key: (known[key], found[key]) for key in known if not same_value(known[key], found[key])} == {}


def test_a_later_change_reaches_what_follows_from_it(tmp_path):
    """A saved file holds all computed values; with another diameter they are computed anew."""
    again = from_file(tmp_path, relion_text(Choices(options())))
    changed = Choices(options(particle_diameter=250.0), again.overrides)
    assert final_values(changed) == final_values(Choices(options(particle_diameter=250.0)))


HOSTILE = "__import__('pathlib').Path('harmed').touch()"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{{'do_prep': {HOSTILE}}}", "programs are not executed"),
        (HOSTILE, "programs are not executed"),
        (f"{{'a': [{HOSTILE} for x in (1,)]}}", "programs are not executed"),
        ("import os\n{}", "line 1"),
        ("{'a': 1\n'b': 2}", "line"),
        ("['a']", "holds list, not a dictionary"),
        ("{1: 2}", "1 is no name of an option"),
        ("{'angpix': [1]}", "angpix is a list"),
        ("{'angpix': None}", "angpix is a NoneType"),
        ("{'angpix': 'one'}", "angpix is 'one'"),
        ("{'angpics': 1}", "no option 'angpics'; did you mean angpix"),
        ("{'do_prep': 'perhaps'}", "do_prep is 'perhaps'"),
        ("(" * 5000 + ")" * 5000, ""),
        ("-" * 20000 + "1", ""),
        ("{'a': '\0'}", ""),
        ("", "expected"),
    ],
)
def test_hostile_and_damaged_dictionaries(tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^[^\n]*$") as caught:
        from_file(tmp_path, text)
    assert message in str(caught.value)
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("o.toml", b"angpix = \n", "is not a TOML file"),
        ("o.toml", b"angpix = [1]\n", "angpix is a list"),
        ("o.toml", b"angpix = 2024-01-01\n", "angpix is a date"),
        ("o.py", b"\xff\xfe", "is not a text file"),
        ("o.py", b" " * 1048577, "more than 1048576 bytes"),
    ],
)
def test_other_damaged_files(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_options_file(tmp_path / name)
    with pytest.raises(UserError, match="no such file"):
        read_options_file(tmp_path / "missing.toml")


@pytest.mark.parametrize("word", ["angpix=1", "proc__x", "="])
def test_a_setting_of_another_form(word):
    with pytest.raises(UserError, match="is no setting"):
        with_keys(Choices(), [word])


def test_a_score_that_is_given_counts():
    assert values.key_values(options())["proc__select_parts__select_by"] == "calibrated"
    found = values.key_values(options(rank_threshold=0.3))
    assert (found["proc__select_parts__select_by"], found["proc__select_parts__rank_threshold"]) == ("score", "0.3")
