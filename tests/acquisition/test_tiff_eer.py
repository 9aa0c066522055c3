"""Tags of TIFF and EER movies; the files are synthetic, made from the layout of the formats."""

import numpy as np
import pytest
import tifffile

from relion4plugin.acquisition.eer_tags import parse_eer_metadata, read_eer_tags
from relion4plugin.acquisition.movie_headers import read_header
from relion4plugin.acquisition.tiff_tags import description_values, pixel_size, read_tiff_tags

_TITLE = "SerialEMCCD: Frames . ., scaled by 1.00  r/f 3\n  CountRef_a.mrc\n  defects_a.txt\nKrios 3"
_ITEMS = {
    "acquisitionID": "X", "cameraName": "EF-Falcon", "commercialName": "Falcon 4i", "exposureTime": "2.5", "meanDoseRate": "8.0",
    "totalDose": "20.0", "numberOfFrames": "740", "sensorImageHeight": "4096", "sensorImageWidth": "4096", "sensorPixelSize.width": "5e-11",
    "sensorPixelSize.height": "5e-11", "timestamp": "2024-05-01T10:00:00.0+02:00", "eerGainReference": r"C:\g\x_EER_GainReference.gain",
}  # fmt: skip


def _metadata(items=None):
    listed = "".join(f'<item name="{name}" unit="x">{text}</item>' for name, text in (items or _ITEMS).items())
    return f'<?xml version="1.0" encoding="utf 8"?>\n<metadata>{listed}</metadata>'


def _tiff(path, frames=3, size=(32, 48), description=_TITLE, resolution=(2.0e8, 2.0e8), unit=3):
    data = np.ones((frames, *size), dtype=np.uint8)
    with tifffile.TiffWriter(path) as tiff:
        for frame in data:
            tiff.write(frame, description=description, metadata=None, resolution=resolution, resolutionunit=unit, contiguous=False)
    return path


def test_tags_of_a_tiff_movie(tmp_path):
    reading = read_tiff_tags(_tiff(tmp_path / "a.tif"))
    assert reading.problems == ()
    assert (reading.format, reading.role) == ("serialem_tiff", "header")
    assert reading.get("movie_px_A") == pytest.approx(0.5)
    assert reading.get("movie_size_px") == (48, 32)
    assert (reading.get("gain_path"), reading.get("defect_path"), reading.get("rotation_flip")) == ("CountRef_a.mrc", "defects_a.txt", 3)


@pytest.mark.parametrize(
    ("resolution", "unit", "pixel"),
    [((10**8, 1), 3, 1.0), ((254_000_000, 1), 2, 1.0), ((10**8, 2), 3, 2.0), ((10**8, 1), 1, None), ((0, 1), 3, None), ((72, 1), 2, None)],
)
def test_pixel_size_of_resolution_and_unit(resolution, unit, pixel):
    assert pixel_size({282: resolution, 296: unit}) == (None if pixel is None else pytest.approx(pixel))


def test_packed_frames_are_twice_as_wide(tmp_path):
    reading = read_tiff_tags(_tiff(tmp_path / "a.tif", description="SerialEMCCD: Frames, 4 bits packed  r/f 0"))
    assert reading.get("movie_size_px") == (96, 32)
    assert reading.extra["packed"]


def test_titles_of_other_programs_say_nothing():
    assert description_values(("Velox", "gain.mrc")) == {}


def test_header_of_a_tiff_movie_has_the_number_of_frames(tmp_path):
    reading = read_header(_tiff(tmp_path / "a.tif", frames=5))
    assert (reading.get("n_frames"), reading.get("movie_size_px"), reading.get("movie_format")) == (5, (48, 32), "tiff")
    assert reading.value("n_frames").source == "movie header"


@pytest.mark.parametrize("name", ["a.tif", "a.eer", "a.mrc"])
def test_files_that_are_no_movies(tmp_path, name):
    for content in (b"", b"II*\x00", b"II+\x00\x08\x00", b"x" * 5000):
        (tmp_path / name).write_bytes(content)
        reading = read_header(tmp_path / name)
        assert reading.problems and "n_frames" not in reading.values
    assert read_header(tmp_path / "x" / name).problems


def test_a_tiff_movie_cut_off_anywhere(tmp_path):
    content = _tiff(tmp_path / "whole.tif").read_bytes()
    for cut in range(0, len(content) - 1, 97):
        (tmp_path / "a.tif").write_bytes(content[:cut])
        assert read_header(tmp_path / "a.tif").problems


def test_metadata_of_an_eer_movie():
    reading = parse_eer_metadata("a.eer", _metadata(), (4096, 4096))
    assert reading.problems == ()
    wanted = {
        "n_frames": 740, "exposure_actual_s": 2.5, "movie_px_A": 0.5, "detector_model": "Falcon 4i", "detector": "EF-Falcon",
        "dose_total_eA2": 80.0, "dose_per_frame_eA2": 80.0 / 740, "frame_rate_Hz": 296.0, "gain_path": "x_EER_GainReference.gain",
        "movie_size_px": (4096, 4096), "acquired": "2024-05-01T10:00:00.0+02:00",
    }  # fmt: skip
    for name, value in wanted.items():
        assert reading.get(name) == (pytest.approx(value) if isinstance(value, float) else value), name


def test_a_pixel_of_zero_gives_no_dose():
    reading = parse_eer_metadata("a.eer", _metadata({**_ITEMS, "sensorPixelSize.width": "0"}), (4096, 4096))
    assert not {"movie_px_A", "dose_total_eA2", "dose_per_frame_eA2"} & set(reading.values)
    assert reading.get("dose_measured_epx") == 20.0


@pytest.mark.parametrize("content", [None, "", "<metadata>", "<metadata><item name='a'>", "<metadata><!DOCTYPE x></metadata>"])
def test_metadata_that_cannot_be_read(content):
    reading = parse_eer_metadata("a.eer", content, (4096, 4096))
    assert reading.problems
    assert "n_frames" not in reading.values


def test_tag_of_an_eer_file(tmp_path):
    path = tmp_path / "a.eer"
    text = _metadata().encode()
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        tiff.write(np.zeros((16, 16), np.uint8), metadata=None, extratags=[(65001, 7, len(text), text, True)])
    reading = read_eer_tags(path)
    assert reading.get("n_frames") == 740
    assert reading.get("dose_total_eA2") == pytest.approx(80.0)


def test_a_tiff_file_that_calls_itself_eer(tmp_path):
    reading = read_eer_tags(_tiff(tmp_path / "a.eer"))
    assert "no EER movie" in reading.problems[0]
