"""Image XML of EPU: every expected value of real files, derived doses, and what is no movie."""

import json
from pathlib import Path

import pytest

from relion4plugin.acquisition.epu_image import read_epu_image
from tests.acquisition.samples import FIELD_OF, close, image_xml, pair_of, write

_SPECIAL = ("kind", "frames_per_fraction", "gain_reference", "c2_aperture")


@pytest.fixture(scope="module")
def expected(shared_data):
    folder = shared_data / "acquisition"
    content = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    return {folder / name: values for name, values in content.items() if values["kind"] == "epu_image_xml"}


def test_every_expected_value_of_every_file(expected):
    assert len(expected) == 89
    for path, values in expected.items():
        reading = read_epu_image(path)
        assert reading.problems == ()
        for name, value in values.items():
            if value is None or name in _SPECIAL:
                continue
            assert close(reading.get(FIELD_OF[name]), value), f"{path}: {name}"
        if values["frames_per_fraction"] is not None:
            assert set(reading.get("frames_per_fraction")) == {values["frames_per_fraction"]}
        if values["gain_reference"] is not None:
            assert reading.extra["gain_reference"] == values["gain_reference"]
            assert reading.get("gain_path") == values["gain_reference"].rpartition("/")[2]
        if values["c2_aperture"] is not None:
            assert reading.get("c2_um") == float(values["c2_aperture"])


def test_what_a_file_does_not_say_is_absent(expected):
    unknown = {"detector_commercial_name": "detector_model", "dose_on_camera_e_per_px": "dose_on_camera_epx", "energy_slit_eV": "slit_eV"}
    for path, values in expected.items():
        reading = read_epu_image(path)
        for name, field in unknown.items():
            assert (values[name] is None) == (field not in reading.values), f"{path}: {name}"
        assert ("movie_px_A" in reading.values) == (values["movie_pixel_A"] is not None)


def test_dose_times_area_is_the_dose_on_the_camera(expected):
    checked = 0
    for path in expected:
        reading = read_epu_image(path)
        if reading.get("dose_on_camera_epx"):
            assert reading.get("dose_total_eA2") * reading.get("image_px_A") ** 2 == pytest.approx(
                reading.get("dose_on_camera_epx"), rel=1e-6
            )
            checked += 1
    assert checked == 88


def test_overviews_are_no_movies(expected):
    roles = {path.name: read_epu_image(path).role for path in expected}
    assert {name for name, role in roles.items() if role != "movie"} == {
        "FoilHole_9015889_20250108_154715.xml", "FoilHole_9015889_20250108_154725.xml", "GridSquare_20250108_151151.xml",
    }  # fmt: skip


def test_a_list_of_fractions_is_no_image(shared_data):
    path = next((shared_data / "acquisition").rglob("*_Fractions.xml"))
    reading = read_epu_image(path)
    assert reading.role == "unknown"
    assert "its root is <Acquisition>" in reading.problems[0]


def test_provenance(expected):
    path = next(path for path in expected if "epu_falcon4i" in str(path))
    value = read_epu_image(path).value("voltage_kV")
    assert (value.unit, value.source, value.file, value.confidence) == ("kV", "image XML", str(path), "measured")
    assert value.path == "microscopeData/gun/AccelerationVoltage"
    assert read_epu_image(path).value("n_frames").confidence == "estimated"


def _fraction(first: int, last: int) -> str:
    return f"<a:anyType><o:EndFrameNumber>{last}</o:EndFrameNumber><o:StartFrameNumber>{first}</o:StartFrameNumber></a:anyType>"


def test_unequal_fractions_are_weighted_by_their_frames(tmp_path):
    fractions = "".join(_fraction(6 * k + 1, 6 * k + 6) for k in range(21)) + _fraction(127, 172)
    xml = image_xml(f"<o:DoseFractions>{fractions}</o:DoseFractions>", dose=43e20)
    reading = read_epu_image(write(tmp_path / "FoilHole_1_Data_2_3_20240101_101010.xml", xml))
    assert reading.get("frames_per_fraction") == (6,) * 21 + (46,)
    assert reading.get("n_frames") == 22
    assert reading.get("dose_per_frame_eA2") == pytest.approx(43 * 6 / 172)


@pytest.mark.parametrize(
    ("changes", "mode", "movie_px", "physical_px"),
    [
        ({}, "counting", 1.0, 1.0),
        ({"counting": "false"}, "linear", 1.0, 1.0),
        ({"sr": 2}, "super-resolution", 0.5, 1.0),
        ({"sr": 2, "binning": 2}, "super-resolution", 0.5, 0.5),
    ],
)
def test_modes_and_pixels(tmp_path, changes, mode, movie_px, physical_px):
    reading = read_epu_image(write(tmp_path / "FoilHole_1_Data_2_3_20240101_101010.xml", image_xml(**changes)))
    assert (reading.get("mode"), reading.get("movie_px_A"), reading.get("physical_px_A")) == (
        mode, pytest.approx(movie_px), pytest.approx(physical_px)
    )  # fmt: skip


def _falcon(name: str, value: str) -> str:
    return pair_of(f"Detectors[EF-Falcon].{name}", value)


def test_compressed_falcon_movies_are_tiff(tmp_path):
    custom = _falcon("EerGainReference", r"C:\a\x_EER_GainReference.gain")
    xml = image_xml(camera="EF-Falcon", custom=custom, more_input=pair_of("EnableCompression", "true"))
    reading = read_epu_image(write(tmp_path / "FoilHole_1_Data_2_3_20240101_101010.xml", xml))
    assert (reading.get("movie_format"), reading.get("gain_path")) == ("tiff", "x_EER_GainReference.gain")


def test_the_detector_that_took_the_image_counts(tmp_path):
    custom = _falcon("CommercialName", "Falcon 4i") + pair_of("Detectors[BM-Ceta].CommercialName", "Ceta")
    xml = image_xml(camera="EF-Falcon", custom=custom)
    assert read_epu_image(write(tmp_path / "a.xml", xml)).get("detector_model") == "Falcon 4i"
    assert read_epu_image(write(tmp_path / "b.xml", xml.replace("<Name>EF-Falcon", "<Name>EF-CCD"))).get("detector_model") is None


def test_a_decimal_comma_is_read(tmp_path):
    xml = image_xml().replace("<ExposureTime>2<", "<ExposureTime>2,5<")
    assert read_epu_image(write(tmp_path / "a.xml", xml)).get("exposure_s") == 2.5


@pytest.mark.parametrize("binning", [0, -2])
def test_a_binning_that_makes_no_sense_is_unknown(tmp_path, binning):
    reading = read_epu_image(write(tmp_path / "a.xml", image_xml(binning=binning)))
    assert "binning" not in reading.values and "physical_px_A" not in reading.values
    assert "binning" in reading.problems[0]


def test_an_image_without_fractions_is_no_movie(tmp_path):
    xml = image_xml().replace('<a:Value i:type="o:X"><o:NumberOffractions>40</o:NumberOffractions></a:Value>', '<a:Value i:nil="true"/>')
    reading = read_epu_image(write(tmp_path / "FoilHole_1_Data_2_3_20240101_101010.xml", xml))
    assert reading.role == "single_image" and "movie_px_A" not in reading.values
    assert Path(reading.file).name.startswith("FoilHole")
