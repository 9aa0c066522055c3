"""Small pictures of micrographs and particles for the report of a session."""

import math
from pathlib import Path

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.files.mrc import StackReader, read_mrc
from relion4plugin.preprocessing.picking.overlay import draw_overlay
from relion4plugin.preprocessing.picking.picks import Picks, make_picks
from relion4plugin.web.images import grey_levels
from relion4plugin.web.volume_views import at_most

_COLUMNS, _EDGE, _GAP = 16, 70, 4  # of a montage; px


def micrograph_picture(path: Path, pixel_size: float, width: int, picks: Picks | None = None, diameter: float = 1.0) -> np.ndarray:
    """Return a micrograph made small and smooth, with picks as circles.

    Parameters
    ----------
    path : Path
        The micrograph.
    pixel_size : float
        A.
    width : int
        Largest width or height of the picture, px.
    picks : Picks, optional
        What is circled.
    diameter : float
        Of the circles, A.

    Returns
    -------
    uint8 (height, width, 3)

    Raises
    ------
    UserError
        If it cannot be read or is a stack.
    """
    images, _ = read_mrc(path)
    if len(images) != 1:
        raise UserError(f"{path}: expected one image, found {len(images)}")
    return draw_overlay(images[0], pixel_size, make_picks([], [], []) if picks is None else picks, diameter, width=width)


def particle_montage(root: Path, names: list[str]) -> np.ndarray:
    """Return particles side by side, each with grey levels of its own.

    Parameters
    ----------
    root : Path
        What the names are relative to.
    names : list of str
        Such as ``000012@Extract/job006/Movies/a.mrcs``.

    Returns
    -------
    uint8 (height, width, 4)
        Opaque where there are pictures.

    Raises
    ------
    UserError
        If an image cannot be read.
    """
    parts = [name.partition("@") for name in names]
    stacks = {file: i for i, file in enumerate(dict.fromkeys(file for _, _, file in parts))}
    reader = StackReader([root / file for file in stacks])
    columns = min(_COLUMNS, len(names))
    step = _EDGE + _GAP
    canvas = np.zeros((math.ceil(len(names) / columns) * step - _GAP, columns * step - _GAP, 4), np.uint8)
    try:
        for i, (number, _, file) in enumerate(parts):
            tile = at_most(grey_levels(reader.read(np.array([stacks[file]]), np.array([int(number) - 1]))[0], 1.0, 99.0), _EDGE)
            y, x = step * (i // columns), step * (i % columns)
            part = canvas[y : y + tile.shape[0], x : x + tile.shape[1]]
            part[..., :3], part[..., 3] = tile[..., None], 255
    finally:
        reader.close()
    return canvas
