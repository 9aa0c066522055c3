"""Which gain reference is taken."""

import os

import numpy as np
import pytest
import tifffile

from relion4plugin.acquisition.gain_rule import choose_gain, image_size
from relion4plugin.acquisition.preset import read_preset
from relion4plugin.acquisition.record import AcquisitionRecord, Value, user_value

from .small_sessions import write_preset


def tiff(path, shape=(4092, 5760), time=1000.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, np.broadcast_to(np.uint8(1), shape), compression="zlib", photometric="minisblack")
    os.utime(path, (time, time))
    return path


def record(**values):
    base = {"detector_model": "K3", "movie_size_px": (5760, 4092), "gain_needed": True}
    return AcquisitionRecord({name: Value(value) for name, value in (base | values).items()})


@pytest.fixture
def preset(tmp_path):
    def make(**replaced):
        path = write_preset(tmp_path / "p.toml")
        lines = "\n".join(f"{name} = {value!r}" for name, value in ({"rule": "metadata"} | replaced).items())
        path.write_text(path.read_text().replace('rule = "none"', lines))
        return read_preset(path)

    return make


def test_corrected_movies_need_none(tmp_path, preset):
    tiff(tmp_path / "data" / "x_gain.tiff")
    assert choose_gain(record(gain_needed=False), preset(), [tmp_path / "data"]).value is None
    assert choose_gain(record(), preset(rule="none"), [tmp_path / "data"]).value is None


def test_the_newest_before_the_movies(tmp_path, preset):
    data = tmp_path / "data"
    tiff(data / "a_gain.tiff", time=100)
    tiff(data / "b_gain.tiff", time=200)
    tiff(data / "c_gain.tiff", time=900)
    choice = choose_gain(record(), preset(), [data], first_movie=500.0)
    assert choice.value.value == str(data / "b_gain.tiff") and choice.value.path == "gain.patterns"
    assert [item.level for item in choice.findings] == ["info"] and "a_gain.tiff" in choice.findings[0].text


def test_the_name_in_the_metadata_is_of_another_machine(tmp_path, preset):
    tiff(tmp_path / "data" / "a_gain.tiff")
    named = tiff(tmp_path / "gains" / "20240102_EER_GainReference.gain")
    made = preset()
    made = read_preset(write_preset(tmp_path / "q.toml", more=f'[paths]\ngains = "{tmp_path / "gains"}"\n'))
    text = made.path.read_text().replace('rule = "none"', 'rule = "metadata"')
    made.path.write_text(text)
    choice = choose_gain(record(gain_path=r"D:\Ref\20240102_EER_GainReference.gain"), read_preset(made.path), [tmp_path / "data"])
    assert choice.value.value == str(named) and choice.findings == ()


def test_a_missing_named_gain_is_an_error(tmp_path, preset):
    (tmp_path / "data").mkdir()
    choice = choose_gain(record(gain_path=r"D:\x.gain"), preset(), [tmp_path / "data"])
    assert choice.value is None and choice.findings[0].level == "error" and "x.gain" in choice.findings[0].text
    choice = choose_gain(record(), preset(), [tmp_path / "data"])
    assert choice.findings[0].level == "error"


@pytest.mark.parametrize(
    ("shape", "rotation", "error"),
    [((4092, 5760), 0, None), ((5760, 4092), 1, None), ((5760, 4092), 0, "5760 x 4092"), ((8184, 11520), 0, "it needs binning by 2")],
)
def test_sizes_must_fit(tmp_path, preset, shape, rotation, error):
    tiff(tmp_path / "data" / "a_gain.tiff", shape)
    findings = choose_gain(record(), preset(rotation=rotation), [tmp_path / "data"]).findings
    assert ([] if error is None else ["error"]) == [item.level for item in findings]
    if error:
        assert error in findings[0].text


def test_eer_gains_may_have_another_size(tmp_path, preset):
    tiff(tmp_path / "data" / "a.gain", (8192, 8192))
    made = choose_gain(record(movie_format="eer", movie_size_px=(4096, 4096), gain_path="a.gain"), preset(), [tmp_path / "data"])
    assert made.value is not None and made.findings == ()


def test_a_person_decides(tmp_path, preset):
    given = tiff(tmp_path / "mine.tiff")
    base = record()
    choice = choose_gain(base.with_value("gain_path", user_value("gain_path", str(given))), preset(rule="none"), [])
    assert choice.value.value == str(given)
    gone = choose_gain(base.with_value("gain_path", user_value("gain_path", "/nowhere.mrc")), preset(), [])
    assert gone.findings[0].text == "there is no gain reference /nowhere.mrc"
    assert choose_gain(base.with_value("gain_path", user_value("gain_path", "")), preset(), []).value is None


def test_damaged_gains_are_told(tmp_path, preset):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a_gain.tiff").write_bytes(b"II*\0nothing")
    (finding,) = choose_gain(record(), preset(), [tmp_path / "data"]).findings
    assert finding.level == "error" and "cannot be read" in finding.text
    assert image_size(tmp_path / "x.dm4") is None
