"""Boxes about picked positions, cut out of a micrograph that stays on disk."""

from pathlib import Path

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.files.mrc import read_header


def map_micrograph(path: Path) -> np.ndarray:
    """Map the pixels of a micrograph, (ny, nx) in the type of the file, without reading them.

    Raises
    ------
    UserError
        If the file is missing, damaged, truncated, or a stack.
    """
    header = read_header(path)
    if header.nz != 1:
        raise UserError(f"{path}: {header.nz} images in the file, expected one micrograph; correct movies for motion first")
    found = path.stat().st_size
    if found < header.expected_bytes:
        raise UserError(f"{path}: truncated micrograph, expected {header.expected_bytes} bytes, found {found}; make it again")
    return np.memmap(path, dtype=header.dtype, mode="r", offset=header.offset, shape=(header.ny, header.nx))


def whole_pixels(coordinates: np.ndarray) -> np.ndarray:
    """Return the pixel of each coordinate: its part before the point, int64, as RELION takes it."""
    return np.trunc(coordinates).astype(np.int64)


def touching(x: np.ndarray, y: np.ndarray, box: int, shape: tuple[int, ...]) -> np.ndarray:
    """Tell which boxes have a pixel in the micrograph.

    Parameters
    ----------
    x, y : int (n,)
        Centres: pixel `box`/2 of the box.
    box : int
        Side of the box, px.
    shape : tuple of int
        (ny, nx) of the micrograph.

    Returns
    -------
    bool (n,)
    """
    half = box // 2
    return (x + half > 0) & (x - half < shape[1]) & (y + half > 0) & (y - half < shape[0])


def cut_boxes(micrograph: np.ndarray, x: np.ndarray, y: np.ndarray, box: int) -> np.ndarray:
    """Cut boxes out of a micrograph; pixels beyond its edge take the value of the nearest pixel inside, as in RELION.

    Parameters
    ----------
    micrograph : (ny, nx)
        Pixels of any type.
    x, y : int (n,)
        Centres: pixel `box`/2 of the box. All boxes touch the micrograph.
    box : int
        Side of the box, px, even.

    Returns
    -------
    float32 (n, box, box)
    """
    ny, nx = micrograph.shape
    left, top = x - box // 2, y - box // 2
    inside = (left >= 0) & (top >= 0) & (left + box <= nx) & (top + box <= ny)
    images = np.empty((len(x), box, box), dtype=np.float32)
    if inside.any():
        windows = np.lib.stride_tricks.sliding_window_view(micrograph, (box, box))
        images[inside] = windows[top[inside], left[inside]]
    crossing = ~inside
    if crossing.any():
        steps = np.arange(box)
        rows = np.clip(top[crossing, None] + steps, 0, ny - 1)
        columns = np.clip(left[crossing, None] + steps, 0, nx - 1)
        images[crossing] = micrograph[rows[:, :, None], columns[:, None, :]]
    return images
