"""Defects of a camera from text files and maps."""

from pathlib import Path

import numpy as np
import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.defects import read_defects
from relion4plugin.files.movie_write import write_movie
from relion4plugin.files.mrc import write_volume


def marked(bad: np.ndarray) -> set[tuple[int, int]]:
    return {(int(x), int(y)) for y, x in np.argwhere(bad)}


def text(tmp_path: Path, content: str) -> Path:
    path = tmp_path / "defects.txt"
    path.write_text(content)
    return path


def test_rectangles(tmp_path: Path) -> None:
    bad = read_defects(text(tmp_path, "# x y w h\n1 2 3 1\n\n 5 0 9 2 \n-1 3 2 1\n"), (4, 7))
    assert marked(bad) == {(1, 2), (2, 2), (3, 2), (5, 0), (6, 0), (5, 1), (6, 1), (0, 3)} and bad.dtype == bool


SERIALEM = """CameraSizeX 6
CameraSizeY 4
RotationAndFlip 7
K2Type 1
BadColumns 5
BadRows 0
BadPixels 1 1 2 3
PartialBadCol 3 1 1 2
"""


def test_serialem_list_counts_rows_from_the_top(tmp_path: Path) -> None:
    top = np.zeros((4, 6), bool)
    top[:, 5] = top[0] = True
    top[1, 1] = top[3, 2] = True
    top[1:3, 3] = True
    np.testing.assert_array_equal(read_defects(text(tmp_path, SERIALEM), (4, 6)), top[::-1])
    np.testing.assert_array_equal(read_defects(text(tmp_path, SERIALEM), (8, 12)), top[::-1].repeat(2, 0).repeat(2, 1))
    binned = top[::-1].reshape(2, 2, 3, 2).any(axis=(1, 3))
    np.testing.assert_array_equal(read_defects(text(tmp_path, SERIALEM), (2, 3)), binned)


def test_serialem_usable_area(tmp_path: Path) -> None:
    bad = read_defects(text(tmp_path, "CameraSizeX 6\nCameraSizeY 4\nUsableArea 1 0 2 4\n"), (4, 6))
    assert marked(~bad) == {(x, y) for x in range(5) for y in (1, 2)}


def test_maps(tmp_path: Path) -> None:
    bad = np.zeros((5, 6), np.float32)
    bad[1, 2] = 1
    write_volume(tmp_path / "d.mrc", bad[None], 1.0)
    write_movie(tmp_path / "d.tif", [bad.astype(np.uint8)], 1.0)
    for name in ("d.mrc", "d.tif"):
        assert marked(read_defects(tmp_path / name, (5, 6))) == {(2, 1)}
        with pytest.raises(UserError, match="6 x 5 px, expected 8 x 8 px"):
            read_defects(tmp_path / name, (8, 8))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1 2 3\n", "'x y width height'"),
        ("1 2 3 a\n", "not whole numbers"),
        ("BadRows 1\n", "CameraSizeX or CameraSizeY is missing"),
        ("CameraSizeX 6\nCameraSizeY 4\nBadPixels 1 2 3\n", "'BadPixels' with 3 numbers"),
        ("CameraSizeX 6\nCameraSizeY 4\nUsableArea 1 2\n", "UsableArea has 2 numbers"),
        ("CameraSizeX 9\nCameraSizeY 9\n", "for a camera of 9 x 9 px, but the movies have 6 x 4"),
    ],
)
def test_mistakes_are_told(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_defects(text(tmp_path, content), (4, 6))


def test_missing_and_binary_files_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read_defects(tmp_path / "d.txt", (4, 6))
    (tmp_path / "d.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot be read"):
        read_defects(tmp_path / "d.txt", (4, 6))
