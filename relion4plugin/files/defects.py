"""Defects of a camera: which of its pixels are never used."""

import os
from pathlib import Path

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.files.movie_mrc import MrcMovie
from relion4plugin.files.movie_tiff import TiffMovie

_SERIALEM_KEYS = ("CameraSize", "RotationAndFlip", "K2Type", "FalconType", "UsableArea", "Bad", "PartialBad")


def read_defects(path: str | os.PathLike[str], shape: tuple[int, int]) -> np.ndarray:
    """Read which pixels of a movie are defects.

    Parameters
    ----------
    path
        One of: a text file with a rectangle ``x y width height`` in each line, counted from 0 in the orientation in which movies are
        read (MotionCor2); a defect list of SerialEM; an MRC or TIFF image of the size of the movie, in which anything but 0 is a defect.
    shape
        Rows and columns (ny, nx) of a frame. A list of SerialEM is scaled where frames have twice or half the size of its camera.

    Returns
    -------
    array : bool (ny, nx)
        True where a pixel is a defect. Rectangles may reach beyond the frame.

    Raises
    ------
    UserError
        If the file is missing, damaged, or made for another size.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"defect file {path}: no such file; give an existing one")
    suffix = path.suffix.lower()
    if suffix in (".mrc", ".mrcs", ".tif", ".tiff"):
        return _read_map(path, suffix, shape)
    try:
        lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"defect file {path} cannot be read ({error}); expected a text file, or a map ending in .mrc or .tif") from error
    words = [line for line in lines if line and not line[0].startswith("#")]
    if any(line[0].startswith(_SERIALEM_KEYS) for line in words):
        return _from_serialem(path, words, shape)
    return _from_rectangles(path, words, shape)


def _read_map(path: Path, suffix: str, shape: tuple[int, int]) -> np.ndarray:
    reader = MrcMovie(path) if suffix.startswith(".mrc") else TiffMovie(path)
    image = reader.read(0)
    reader.close()
    if image.shape != shape:
        found, expected = (f"{nx} x {ny} px" for ny, nx in (image.shape, shape))
        raise UserError(f"defect map {path} has {found}, expected {expected} as in the movies; give the one that belongs to them")
    return image != 0


def _numbers(path: Path, words: list[str]) -> list[int]:
    try:
        return [int(word) for word in words]
    except ValueError as error:
        raise UserError(f"defect file {path}: '{' '.join(words)}' are not whole numbers; correct the line") from error


def _from_rectangles(path: Path, lines: list[list[str]], shape: tuple[int, int]) -> np.ndarray:
    bad = np.zeros(shape, dtype=bool)
    for line in lines:
        numbers = _numbers(path, line)
        if len(numbers) != 4:
            raise UserError(f"defect file {path}: expected 'x y width height' in each line, found '{' '.join(line)}'; correct the line")
        x, y, width, height = numbers
        _mark(bad, x, y, width, height)
    return bad


def _mark(bad: np.ndarray, x: int, y: int, width: int, height: int) -> None:
    """Mark the part of a rectangle that lies within the frame."""
    bad[max(0, y) : max(0, y + height), max(0, x) : max(0, x + width)] = True


def _from_serialem(path: Path, lines: list[list[str]], shape: tuple[int, int]) -> np.ndarray:
    """Draw a list of SerialEM in pixels of the camera, whose rows are counted from the top."""
    single = {line[0]: _numbers(path, line[1:]) for line in lines if line[0].startswith(("CameraSize", "UsableArea"))}
    size_x, size_y = (next(iter(single.get(f"CameraSize{axis}", [])), 0) for axis in "XY")
    if size_x < 1 or size_y < 1:
        raise UserError(f"defect file {path}: CameraSizeX or CameraSizeY is missing; take the file that SerialEM saved with the frames")
    bad = np.zeros((size_y, size_x), dtype=bool)
    for key, *words in lines:
        if key.startswith(("Bad", "PartialBad")):
            _draw(bad, path, key, _numbers(path, words))
    area = single.get("UsableArea", [])
    if area:
        _draw_unusable(bad, path, area)
    return _scaled(path, bad[::-1], shape)


def _draw(bad: np.ndarray, path: Path, key: str, numbers: list[int]) -> None:
    if key == "BadColumns":
        for column in numbers:
            _mark(bad, column, 0, 1, bad.shape[0])
    elif key == "BadRows":
        for row in numbers:
            _mark(bad, 0, row, bad.shape[1], 1)
    elif key == "BadPixels" and len(numbers) % 2 == 0:
        for x, y in zip(numbers[0::2], numbers[1::2], strict=True):
            _mark(bad, x, y, 1, 1)
    elif key.startswith("PartialBad") and len(numbers) == 4:
        first, width, start, end = numbers
        if "Col" in key:
            _mark(bad, first, start, width, end + 1 - start)
        else:
            _mark(bad, start, first, end + 1 - start, width)
    else:
        raise UserError(f"defect file {path}: '{key}' with {len(numbers)} numbers is not understood; correct the line")


def _draw_unusable(bad: np.ndarray, path: Path, area: list[int]) -> None:
    """Mark what lies outside the usable area; a side of 0 has no limit."""
    if len(area) != 4:
        raise UserError(f"defect file {path}: UsableArea has {len(area)} numbers, expected top, left, bottom and right; correct the line")
    top, left, bottom, right = area
    bad[: max(0, top)] = True
    bad[:, : max(0, left)] = True
    if bottom > 0:
        bad[bottom + 1 :] = True
    if right > 0:
        bad[:, right + 1 :] = True


def _scaled(path: Path, bad: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    if bad.shape == shape:
        return np.ascontiguousarray(bad)
    if (2 * bad.shape[0], 2 * bad.shape[1]) == shape:
        return bad.repeat(2, axis=0).repeat(2, axis=1)
    if bad.shape == (2 * shape[0], 2 * shape[1]):
        return np.asarray(bad.reshape(shape[0], 2, shape[1], 2).any(axis=(1, 3)))
    raise UserError(
        f"defect file {path} is for a camera of {bad.shape[1]} x {bad.shape[0]} px, but the movies have {shape[1]} x {shape[0]} px; "
        "give the one that belongs to these movies"
    )
