"""Lists of fractions and session files of EPU: every expected value of real files."""

import json

import pytest

from relion4plugin.acquisition.epu_dose import eer_frames
from relion4plugin.acquisition.epu_fractions import read_epu_fractions
from relion4plugin.acquisition.epu_session import read_epu_session
from tests.acquisition.samples import close


@pytest.fixture(scope="module")
def folder(shared_data):
    return shared_data / "acquisition"


@pytest.fixture(scope="module")
def expected(folder):
    return json.loads((folder / "expected.json").read_text(encoding="utf-8"))


def test_lists_of_fractions(folder, expected):
    wanted = {name: values for name, values in expected.items() if values["kind"] == "epu_fractions_xml"}
    assert len(wanted) == 3
    for name, values in wanted.items():
        reading = read_epu_fractions(folder / name)
        assert reading.role == "fractions"
        found = {
            **reading.extra,
            "kind": reading.format,
            "detector": reading.get("detector_model"),
            "electron_counting": reading.get("counting"),
            "frames_per_fraction": sorted(set(reading.get("frames_per_fraction"))),
            "sum_fraction_exposure_s": reading.get("exposure_actual_s"),
            "sum_dose_e_per_px": reading.get("dose_measured_epx"),
        }
        for key, value in values.items():
            assert close(found[key], value), f"{name}: {key}"
        assert reading.get("gain_needed") is False


def test_session_file(folder, expected):
    name, values = next((name, values) for name, values in expected.items() if values["kind"] == "epu_session_dm")
    reading = read_epu_session(folder / name)
    direct = {
        "kind": reading.format, "assembly_version": reading.get("software_version"), "name": reading.get("session"),
        "clustering_mode": reading.get("clustering"), "dose_fractions_output_format": reading.get("output_format"),
        "phase_plate_enabled": reading.get("phase_plate"), "start": reading.get("acquired"), "tilt_angle": reading.get("tilt_deg"),
        "shots_per_hole": reading.get("shots_per_hole"), "defocus_list_um": reading.get("defoci_um"), **reading.extra,
    }  # fmt: skip
    preset = {
        "detector": "detector", "exposure_s": "exposure_s", "binning": "binning", "spot_index": "spot", "slit_eV": "slit_eV",
        "beam_diameter_um": "beam_diameter_um", "c2_um": "c2_um",
    }  # fmt: skip
    for key, value in values.items():
        if key == "acquisition_preset":
            for item, wanted in value.items():
                found = reading.extra["mag_index"] if item == "mag_index" else reading.get(preset[item])
                assert close(found, wanted), item
        else:
            assert close(direct[key], value), key
    assert reading.get("gain_needed") is True
    assert (reading.get("n_frames"), reading.get("super_resolution_factor")) == (50, 2)


@pytest.mark.parametrize(("exposure", "rate", "frames"), [(0.619959, 317.762949, 190), (1.0, 320.0, 310), (4.0, 248.0, 961)])
def test_estimate_of_eer_frames(exposure, rate, frames):
    assert eer_frames(exposure, rate) == frames
