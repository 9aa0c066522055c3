"""Each rule finds what it is for, and nothing in a session without faults."""

from dataclasses import replace
from pathlib import Path

import pytest

from relion4plugin.acquisition.combine import combine
from relion4plugin.acquisition.distinct_settings import by_setting, distinct_settings
from relion4plugin.acquisition.find_sessions import SessionInfo
from relion4plugin.acquisition.movie_table import MovieTable
from relion4plugin.acquisition.reading import Reading
from relion4plugin.acquisition.rules import RULES, Facts, check
from relion4plugin.acquisition.timing import timing

_IMAGE = {
    "voltage_kV": 300.0, "movie_px_A": 1.0, "image_px_A": 1.0, "dose_total_eA2": 40.0, "dose_on_camera_epx": 40.0, "n_frames": 40,
    "dose_per_frame_eA2": 1.0, "dose_rate_epx_s": 15.0, "software_version": "3.5.0.1", "detector_model": "K3", "readout_px": (5760, 4092),
    "super_resolution": False, "super_resolution_factor": 1, "binning": 1, "mode": "counting",
}  # fmt: skip
_HEADER = {"movie_size_px": (5760, 4092), "n_frames": 40, "movie_format": "tiff"}
_NAME = "FoilHole_1_Data_2_3_20240501_100000"


def _facts(image=None, header=None, fractions=(), kind="data", names=(_NAME,), extra=None, confidence=None, acquired="2024-05-01T10:00:01"):
    values = {name: value for name, value in {**_IMAGE, **(image or {})}.items() if value is not None}
    images = [Reading("a.xml", "epu_image_xml", "movie", values, {}, confidence or {}, extra or {})]
    headers = [Reading("a.tiff", "tiff", "header", {**_HEADER, **(header or {})})]
    alike = by_setting(images)
    record = combine((images, fractions, headers))
    table = MovieTable.of_rows([{"name": name, "movie": "a", "metadata": "b", "acquired": acquired} for name in names])
    info = SessionInfo(Path("s"), "s", "EPU", kind, {"images": 1, "movies": 1})
    return Facts(info, record, images, fractions, headers, table, distinct_settings(alike), timing(table["acquired"]), (), (), {"movie": 1})


def _found(facts, level=None):
    return {finding.rule for finding in check(facts) if level is None or finding.level == level}


def _fractions(**values):
    extra = {"expected_fractions": values.pop("expected", 40), "recorded_fractions": values.pop("recorded", 40)}
    return [Reading("a_Fractions.xml", "epu_fractions_xml", "fractions", values, {}, {}, extra)]


def test_a_session_without_faults():
    assert check(_facts()) == ()


@pytest.mark.parametrize("field", ["voltage_kV", "movie_px_A", "dose_per_frame_eA2"])
def test_v01_what_is_missing(field):
    facts = _facts({field: None, "dose_total_eA2": None, "dose_on_camera_epx": None} if field.startswith("dose") else {field: None})
    findings = [finding for finding in check(facts) if finding.rule == "V01"]
    assert [(finding.field, finding.level) for finding in findings] == [(field, "error")]


def test_v01_an_estimate_of_the_dose_is_offered():
    unknown = dict.fromkeys(("dose_per_frame_eA2", "dose_total_eA2", "dose_on_camera_epx"))
    (finding,) = [item for item in check(_facts(unknown, extra={"dose_per_frame_estimate_eA2": 0.7})) if item.rule == "V01"]
    assert "0.7 e/A^2" in finding.text and "lower bound" in finding.text


@pytest.mark.parametrize(
    ("rule", "level", "changes"),
    [
        ("V02", "warning", {"image": {"voltage_kV": 250.0}}),
        ("V03", "error", {"image": {"dose_on_camera_epx": 40.1}}),
        ("V04", "warning", {"image": {"dose_measured_epx": 37.0}}),
        ("V04", "warning", {"fractions": _fractions(dose_measured_epx=43.0)}),
        ("V05", "warning", {"extra": {"frame_doses": ((1.05, 40),)}}),
        ("V06", "error", {"header": {"movie_size_px": (11520, 8184)}}),
        ("V07", "error", {"header": {"n_frames": 39}}),
        ("V07", "info", {"header": {"n_frames": 38}, "confidence": {"n_frames": "estimated"}}),
        ("V07", "warning", {"header": {"n_frames": 30}, "confidence": {"n_frames": "estimated"}}),
        ("V07", "warning", {"fractions": _fractions(recorded=12)}),
        ("V11", "warning", {"image": {"frames_per_fraction": (6,) * 39 + (46,)}}),
        ("V11", "warning", {"extra": {"frame_doses": ((0.5, 20), (1.5, 20))}}),
        ("V12", "warning", {"image": {"dose_total_eA2": 140.0, "dose_on_camera_epx": 140.0}}),
        ("V12", "info", {"image": {"dose_rate_epx_s": 90.0}}),
        ("V13", "error", {"header": {"movie_size_px": (11520, 8184)}}),
        ("V13", "error", {"image": {"super_resolution": True}}),
        ("V14", "info", {"image": {"phase_plate": True}}),
        ("V14", "info", {"image": {"cds": True}}),
        ("V15", "error", {"kind": "tilt_series"}),
        ("V16", "warning", {"acquired": "2024-05-03T10:00:00"}),
        ("V16", "warning", {"acquired": "2999-05-03T10:00:00", "names": ("x",)}),
        ("V20", "warning", {"image": {"software_version": "4.1.0.0"}}),
        ("V20", "warning", {"image": {"software_version": "2.0.1"}}),
    ],
)
def test_rules_find_what_they_are_for(rule, level, changes):
    assert rule in _found(_facts(**changes), level)


def test_tolerances():
    assert check(_facts({"dose_on_camera_epx": 40.02, "dose_measured_epx": 39.0})) == ()
    assert "V06" not in _found(_facts(header={"movie_size_px": (4092, 5760)}))
    assert "V05" not in _found(_facts(extra={"frame_doses": ((0.0, 40),)}))
    assert "V16" not in _found(_facts(acquired="2024-05-01T23:00:00+02:00"))


def test_v06_super_resolution_doubles_the_read_out():
    image = {"super_resolution": True, "super_resolution_factor": 2, "binning": 2, "readout_px": (2880, 2046)}
    assert not {"V06", "V13"} & _found(_facts(image))


def test_v10_and_v18():
    facts = _facts()
    two = (*facts.settings, *facts.settings)
    assert "V10" in _found(replace(facts, settings=two))
    assert "V18" in _found(replace(facts, without_movie=("a.xml",)))
    assert "V18" in _found(replace(facts, without_metadata=("a.mrc", "b.mrc", "c.mrc", "d.mrc")))


def test_v11_proposes_where_to_end_the_sum():
    (finding,) = [item for item in check(_facts({"frames_per_fraction": (6,) * 39 + (46,)})) if item.rule == "V11"]
    assert "end the sum at frame 39" in finding.text


def test_rules_are_registered_by_id():
    check(_facts())
    assert set(RULES) == {f"V{number:02d}" for number in (1, 2, 3, 4, 5, 6, 7, 10, 11, 12, 13, 14, 15, 16, 18, 20)}
    assert all(function.__doc__ for functions in RULES.values() for function in functions)
