"""Gain references are turned and scaled as RELION does it; one of another size is refused."""

from pathlib import Path

import numpy as np
import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.gain import read_gain
from relion4plugin.files.movie_write import write_eer, write_movie
from relion4plugin.files.movies import MovieHeader
from relion4plugin.files.mrc import write_volume
from tests.files.test_movies import motion_corrected, still_picture


def header(shape: tuple[int, int], kind: str = "tiff") -> MovieHeader:
    return MovieHeader(Path("m"), kind, 3, shape, 1.0, 3, "uint8")


def write(path: Path, gain: np.ndarray) -> Path:
    write_volume(path, gain[None].astype(np.float32), 1.0)
    return path


ODD = np.arange(1.0, 7.0).reshape(2, 3)


@pytest.mark.parametrize(
    ("rotation", "flip", "expected"),
    [
        (0, 0, ODD),
        (1, 0, [[4, 1], [5, 2], [6, 3]]),
        (2, 0, [[6, 5, 4], [3, 2, 1]]),
        (3, 0, [[3, 6], [2, 5], [1, 4]]),
        (0, 1, [[4, 5, 6], [1, 2, 3]]),
        (0, 2, [[3, 2, 1], [6, 5, 4]]),
        (1, 1, [[6, 3], [5, 2], [4, 1]]),
    ],
)
def test_turns_and_flips(tmp_path: Path, rotation: int, flip: int, expected: list) -> None:
    expected = np.asarray(expected, np.float32)
    got = read_gain(write(tmp_path / "g.mrc", ODD), rotation, flip, header(expected.shape))
    assert got.dtype == np.float32 and np.array_equal(got, expected)


def test_response_of_eer_camera_is_inverted_and_gain_file_is_not(tmp_path: Path) -> None:
    response = np.array([[1.0, 2.0], [4.0, 0.0]])
    got = read_gain(write(tmp_path / "g.mrc", response), 0, 0, header((2, 2), "eer"))
    np.testing.assert_allclose(got, [[1.75, 0.875], [0.4375, 0.0]])
    write_movie(tmp_path / "g.tif", [response.astype(np.float32)], 1.0)  # turns rows around, as TIFF movies are
    (tmp_path / "g.tif").rename(tmp_path / "g.gain")
    np.testing.assert_array_equal(read_gain(tmp_path / "g.gain", 0, 0, header((2, 2), "eer")), response[::-1])


def test_eer_gain_of_half_and_twice_the_size(tmp_path: Path) -> None:
    write_movie(tmp_path / "g.tif", [np.arange(1, 5, dtype=np.float32).reshape(2, 2)], 1.0)
    (tmp_path / "g.tif").rename(tmp_path / "g.gain")
    fine = read_gain(tmp_path / "g.gain", 0, 0, header((4, 4), "eer"))
    np.testing.assert_array_equal(fine[:, 0], [3, 3, 1, 1])
    np.testing.assert_array_equal(read_gain(tmp_path / "g.gain", 0, 0, header((1, 1), "eer")), [[2.5]])


def test_other_sizes_are_told(tmp_path: Path) -> None:
    gain = write(tmp_path / "g.mrc", np.ones((4, 6)))
    with pytest.raises(UserError, match=r"g\.mrc has 6 x 4 px, expected 8 x 8 px as in m; give the one that belongs"):
        read_gain(gain, 0, 0, header((8, 8)))
    with pytest.raises(UserError, match="rotate it by a quarter turn"):
        read_gain(gain, 0, 0, header((6, 4)))
    with pytest.raises(UserError, match="4 x 6 px, expected 6 x 4 px"):
        read_gain(gain, 1, 0, header((4, 6)))


@pytest.mark.parametrize(
    ("name", "value", "message"), [("g.mrc", np.nan, "not finite"), ("z.mrc", 0.0, "zero everywhere"), ("g.dm4", 1.0, "dm2mrc")]
)
def test_useless_gain_is_told(tmp_path: Path, name: str, value: float, message: str) -> None:
    path = write(tmp_path / "x.mrc", np.full((2, 2), value)).rename(tmp_path / name)
    with pytest.raises(UserError, match=message):
        read_gain(path, 0, 0, header((2, 2)))


@pytest.mark.parametrize(("rotation", "flip"), [(4, 0), (0, 3), (-1, 0)])
def test_unknown_turns_are_told(tmp_path: Path, rotation: int, flip: int) -> None:
    with pytest.raises(UserError, match="but must be 0"):
        read_gain(write(tmp_path / "g.mrc", ODD), rotation, flip, header((2, 3)))


def steps(shape: tuple[int, int]) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]]
    x, y = x / shape[1], y / shape[0]
    return (1 + 0.3 * (x > 0.6) * (y < 0.2) + 0.5 * (x < 0.1) + 0.2 * (y > 0.9)).astype(np.float32)


@pytest.mark.relion
@pytest.mark.parametrize(("rotation", "flip"), [(0, 0), (1, 0), (2, 0), (3, 0), (0, 1), (1, 2)])
def test_sums_have_the_gain_of_relion(tmp_path: Path, rotation: int, flip: int) -> None:
    shape = (256, 256)
    picture = still_picture(shape).astype(np.uint8)
    write_movie(tmp_path / "a.tif", [picture] * 3, 1.0)
    write(tmp_path / "g.mrc", steps(shape))
    got = motion_corrected(tmp_path, "a.tif", "--gainref", "g.mrc", "--gain_rot", str(rotation), "--gain_flip", str(flip))
    np.testing.assert_allclose(got, 3.0 * picture * read_gain(tmp_path / "g.mrc", rotation, flip, header(shape)), atol=1e-3)


@pytest.mark.relion
def test_rows_of_tiff_gains_are_turned_as_by_relion(tmp_path: Path) -> None:
    shape = (256, 256)
    picture = still_picture(shape).astype(np.uint8)
    write_movie(tmp_path / "a.mrcs", [picture] * 3, 1.0)
    write_movie(tmp_path / "g.tif", [steps(shape)], 1.0)
    got = motion_corrected(tmp_path, "a.mrcs", "--gainref", "g.tif")
    np.testing.assert_allclose(got, 3.0 * picture * read_gain(tmp_path / "g.tif", 0, 0, header(shape)), atol=1e-3)


@pytest.mark.relion
@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["mrc", "tif", "gain"])
def test_eer_gains_are_those_of_relion(tmp_path: Path, suffix: str) -> None:
    side = 4096  # the only size that RELION reads
    rate = 0.02 + 0.1 * (np.hypot(*np.ogrid[-1000:3096, -2000:2096]) < 300)
    frame = (np.random.default_rng(0).random((side, side)) < rate).astype(np.uint8)
    write_eer(tmp_path / "a.eer", [frame] * 6, 1.0)
    gain = steps((side, side))
    if suffix == "mrc":
        write(tmp_path / "g.mrc", gain)
    else:
        write_movie(tmp_path / "g.tif", [gain], 1.0)
        (tmp_path / "g.tif").rename(tmp_path / f"g.{suffix}")
    got = motion_corrected(tmp_path, "a.eer", "--eer_grouping", "2", "--eer_upsampling", "1", "--gainref", f"g.{suffix}")
    expected = 6.0 * frame * read_gain(tmp_path / f"g.{suffix}", 0, 0, header((side, side), "eer"))
    np.testing.assert_allclose(got, expected, atol=1e-3)
