import numpy as np
import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.motion_star import MotionRecord, PatchShifts, accumulated_motion, read_motion, write_motion
from relion4plugin.files.star import read_star

REAL = "star/relion31_tutorial_bgal/MotionCorr/job002"


def record(**changes):
    shifts = np.full((6, 2), np.nan)
    shifts[1:5] = [[0, 0], [3, 4], [3, 5], [0, 5]]
    values = {
        "movie": "Movies/a.tiff", "shape": (100, 120), "pixel_size": 0.9, "voltage": 200.0, "shifts": shifts, "dose_rate": 1.2,
        "first_frame": 2, "coefficients": np.arange(36) / 7.0, "hot_pixels": np.array([[5, 6], [90, 3]]),
        "patches": PatchShifts(np.array([2, 3]), np.array([[30.0, 25.0]] * 2), np.array([[0.0, 0.0], [0.5, -0.25]])),
    }  # fmt: skip
    return MotionRecord(**{**values, **changes})


@pytest.mark.parametrize(
    "changes", [{}, {"coefficients": None, "patches": None}, {"gain": "g.mrc", "defects": "d.txt", "eer_upsampling": 1, "eer_grouping": 32}]
)
def test_what_is_written_is_read(tmp_path, changes):
    write_motion(tmp_path / "a.star", record(**changes))
    found, expected = read_motion(tmp_path / "a.star"), record(**changes)
    for name in (
        "movie",
        "gain",
        "defects",
        "shape",
        "pixel_size",
        "voltage",
        "dose_rate",
        "first_frame",
        "eer_grouping",
        "eer_upsampling",
    ):
        assert getattr(found, name) == getattr(expected, name)
    assert found.shifts == pytest.approx(expected.shifts, nan_ok=True, abs=1e-5)
    assert found.hot_pixels.tolist() == expected.hot_pixels.tolist()
    if "coefficients" in changes:
        assert found.coefficients is None and found.patches is None
    else:
        assert found.coefficients == pytest.approx(expected.coefficients, abs=1e-5)
        assert found.patches.shifts == pytest.approx(expected.patches.shifts)


def test_frames_outside_the_sum_are_marked_as_relion_does(tmp_path):
    write_motion(tmp_path / "a.star", record())
    blocks = read_star(tmp_path / "a.star")
    assert blocks["global_shift"]["rlnMicrographShiftX"].tolist()[::5] == [-9999, -9999]
    assert blocks["general"]["rlnMotionModelVersion"] == 1 and blocks["general"]["rlnImageSizeX"] == 120


def test_relions_files_are_read_and_their_motion_is_that_of_its_table(shared_data):
    rows = read_star(shared_data / REAL / "corrected_micrographs.star")["micrographs"]
    for number in ("00021", "00022", "00024", "00026"):
        found = read_motion(shared_data / REAL / f"Movies/20170629_{number}_frameImage.star")
        row = rows[rows["rlnMicrographName"].str.contains(number)].iloc[0]
        expected = [row[f"rlnAccumMotion{part}"] for part in ("Total", "Early", "Late")]
        assert accumulated_motion(found) == pytest.approx(expected, abs=1e-4)
        assert found.gain == "Movies/gain.mrc" and len(found.patches.frames) == 600


def test_what_relion_wrote_is_written_again(shared_data, tmp_path):
    path = shared_data / REAL / "Movies/20170629_00021_frameImage.star"
    write_motion(tmp_path / "a.star", read_motion(path))
    expected, found = path.read_text().split(), (tmp_path / "a.star").read_text().split()
    assert found == expected


def test_early_motion_ends_with_the_exposure():
    assert accumulated_motion(record()) == pytest.approx((9.0, 5.0, 4.0))
    assert accumulated_motion(record(dose_rate=0.0)) == pytest.approx((9.0, 0.0, 9.0))


def test_files_that_are_something_else(tmp_path):
    (tmp_path / "a.star").write_text("\ndata_general\n\n_rlnImageSizeX 3\n")
    with pytest.raises(UserError, match="not the motion of a movie"):
        read_motion(tmp_path / "a.star")
