"""SerialEM's mdoc files: every expected value of real files, kinds of files, doses, and damaged files."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relion4plugin.acquisition.serialem_mdoc import parse_mdoc, read_mdoc
from tests.acquisition.samples import close

_FIELD_OF = {
    "d_number": "scope_id", "voltage_kV": "voltage_kV", "nominal_magnification": "magnification", "pixel_A": "image_px_A",
    "binning": "binning", "super_resolution": "super_resolution", "exposure_s": "exposure_s", "dose_rate_e_per_px_s": "dose_rate_epx_s",
    "n_frames": "n_frames", "spot_size": "spot", "target_defocus_um": "defocus_target_um", "defocus_um": "defocus_um",
    "image_shift": "image_shift", "stage_um": "stage_um", "cds": "cds", "rotation_and_flip": "rotation_flip",
    "gain_reference": "gain_path", "defect_file": "defect_path", "movie_basename": "movie_path", "acquired": "acquired",
    "multishot": "hole", "navigator_label": "grid_square",
}  # fmt: skip
_SECTION = "[FrameSet = 0]\nPixelSpacing = 1.0\nBinning = 1\nNumSubFrames = 10\nDateTime = 01-May-24  10:00:00\n"


@pytest.fixture(scope="module")
def folder(shared_data):
    return shared_data / "acquisition"


@pytest.fixture(scope="module")
def expected(folder):
    content = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    return {name: values for name, values in content.items() if values["kind"] == "serialem_mdoc"}


def _one(tmp_path, text, name="a.tif.mdoc", encoding="utf-8"):
    (tmp_path / name).write_bytes(text.encode(encoding))
    (reading,) = read_mdoc(tmp_path / name)
    return reading


def test_every_expected_value_of_every_file(folder, expected):
    assert len(expected) == 5
    for name, values in expected.items():
        (reading,) = read_mdoc(folder / name)
        assert reading.problems == ()
        for key, field in _FIELD_OF.items():
            if values[key] is None:
                assert field not in reading.values, f"{name}: {key}"
            else:
                assert close(reading.get(field), values[key]), f"{name}: {key}"
        assert close(reading.get("dose_total_eA2", 0.0), values["dose_total_e_per_A2"])
        assert reading.get("slit_eV") == ((values["slit_and_loss_eV"] or [0])[0] or None)
        assert close(reading.extra["frame_doses"], values["frame_doses_and_number"])
        assert list(reading.extra["titles"]) == values["titles"]
        assert (reading.extra["n_frameset"], reading.extra["n_zvalue"]) == (values["n_frameset"], values["n_zvalue"])
        assert (reading.role == "tilt_series") == values["is_tilt_series"]
        assert ("movie_px_A" in reading.values) == (not values["is_tilt_series"])


@pytest.mark.parametrize(("part", "dose"), [("img_h1", 0.75), ("2023-09-25", 0.98073), ("frame_set", 0.63824), ("TS_41", 0.1186)])
def test_dose_of_a_frame(folder, expected, part, dose):
    name = next(name for name in expected if part in name)
    assert read_mdoc(folder / name)[0].get("dose_per_frame_eA2") == pytest.approx(dose, rel=1e-4)


def test_extras_of_facilities_are_read(folder, expected):
    name = next(name for name in expected if "img_h1" in name)
    reading = read_mdoc(folder / name)[0]
    assert (reading.get("cs_mm"), reading.get("optics_group"), reading.get("phase_plate")) == (2.7, "hole2-shot3", True)
    assert reading.extra["other"]["BeamTiltCompensation"] == "True"


def test_line_ends_and_encodings_do_not_matter(folder, expected, tmp_path):
    for name in expected:
        original = read_mdoc(folder / name)[0]
        text = (folder / name).read_bytes().decode().replace("\r\n", "\n")
        for changed, encoding in ((text.replace("\n", "\r\n"), "utf-8"), (text, "utf-8-sig"), ("Note = Größe\n" + text, "latin-1")):
            assert _one(tmp_path, changed, encoding=encoding).values == original.values


def test_a_dose_of_zero_is_unknown_and_an_estimate_is_offered(tmp_path):
    reading = _one(tmp_path, _SECTION + "ExposureDose = 0\nFrameDosesAndNumber = 0 10\nDoseRate = 8\nExposureTime = 2.5\n")
    assert not {"dose_total_eA2", "dose_per_frame_eA2"} & set(reading.values)
    assert reading.extra["dose_per_frame_estimate_eA2"] == pytest.approx(8 * 2.5 / 1.0 / 10)


def test_listed_doses_count_where_the_total_is_not_calibrated(tmp_path):
    reading = _one(tmp_path, _SECTION + "ExposureDose = 0\nFrameDosesAndNumber = 0.5 7  2.0 3\n")
    assert reading.get("dose_per_frame_eA2") == 0.5
    assert reading.get("dose_total_eA2") == pytest.approx(9.5)
    assert reading.confidence["dose_total_eA2"] == "derived"


@pytest.mark.parametrize(
    ("title", "found"),
    [("Titan Krios D3593 x", "3593"), ("Krios D 25-Sep-23", None), ("Glacios 9953405 at home", "9953405"), ("Krios 3", None)],
)
def test_id_of_the_microscope(tmp_path, title, found):
    assert _one(tmp_path, f"T = SerialEM: {title}\n" + _SECTION).get("scope_id") == found


def test_super_resolution_and_physical_pixel(tmp_path):
    reading = _one(tmp_path, _SECTION.replace("Binning = 1", "Binning = 0.5"))
    assert (reading.get("super_resolution"), reading.get("movie_px_A"), reading.get("physical_px_A")) == (True, 1.0, 2.0)


def test_one_file_for_many_movies(tmp_path):
    sections = "".join(_SECTION.replace("= 0]", f"= {k}]") + f"SubFramePath = X:\\a b\\m{k}.tif\nImageShift = {k} 0\n\n" for k in range(3))
    (tmp_path / "all.mdoc").write_text("Voltage = 200\n" + sections)
    readings = read_mdoc(tmp_path / "all.mdoc")
    assert [reading.get("movie_path") for reading in readings] == ["m0.tif", "m1.tif", "m2.tif"]
    assert all(reading.role == "movie" and reading.get("voltage_kV") == 200 for reading in readings)


def test_continuous_tilt_and_montages_are_no_movies(tmp_path):
    tilt = _SECTION + "".join(f"[ZValue = {k}]\nTiltAngle = {k}\n" for k in range(3))
    assert _one(tmp_path, tilt).role == "tilt_series"
    assert _one(tmp_path, "Montage = 1\n[ZValue = 0]\nPixelSpacing = 2\nNumSubFrames = 3\nDateTime = x\n").role == "overview"
    assert _one(tmp_path, "[MontSection = 0]\nPixelSpacing = 2\n").role == "overview"


@pytest.mark.parametrize(("key", "value"), [("PixelSpacing", "-1"), ("PixelSpacing", "nan"), ("Binning", "0"), ("NumSubFrames", "0")])
def test_numbers_that_make_no_sense_are_unknown(tmp_path, key, value):
    reading = _one(tmp_path, _SECTION + f"{key} = {value}\n")
    field = {"PixelSpacing": "movie_px_A", "Binning": "binning", "NumSubFrames": "n_frames"}[key]
    assert field not in reading.values


def test_empty_and_other_files(tmp_path):
    for content in (b"", b"\n", b"\x00" * 50, b"not an mdoc", b"[ZValue = 0", bytes(range(256))):
        (tmp_path / "a.mdoc").write_bytes(content)
        (reading,) = read_mdoc(tmp_path / "a.mdoc")
        assert reading.role == "unknown" and len(reading.problems) == 1
    assert read_mdoc(tmp_path / "missing.mdoc")[0].problems


@settings(max_examples=80)
@given(st.data())
def test_cut_off_anywhere(shared_data, tmp_path_factory, data):
    content = (shared_data / "acquisition" / "serialem" / "frame_set_single.mdoc").read_bytes()
    path = tmp_path_factory.mktemp("mdoc") / "a.mdoc"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    (reading,) = read_mdoc(path)
    whole = read_mdoc(shared_data / "acquisition" / "serialem" / "frame_set_single.mdoc")[0]
    assert reading.role in ("unknown", "single_image", "movie")
    if reading.role == "unknown":
        assert reading.problems
    assert reading.get("voltage_kV") in (whole.get("voltage_kV"), 30.0, 3.0, None)


@given(st.binary(max_size=300))
def test_any_bytes(content):
    parse_mdoc(content)
