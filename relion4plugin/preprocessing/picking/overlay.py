"""A picture of a micrograph with its picks as circles."""

from pathlib import Path

import numpy as np

from relion4plugin.files.atomic import atomic_path
from relion4plugin.preprocessing.picking.agreement import matches
from relion4plugin.preprocessing.picking.micrograph import centre_and_spread, scaled, without_outliers
from relion4plugin.preprocessing.picking.picks import Picks
from relion4plugin.preprocessing.picking.scale_space import smooth

_PICK, _WRONG, _TRUE = (60, 220, 60), (255, 70, 70), (255, 200, 0)
_CONTRAST = 45.0  # grey levels per standard deviation
_DETAIL = 20.0  # A; finer detail hides the particles


def draw_overlay(
    image: np.ndarray, pixel_size: float, picks: Picks, diameter: float, truth: Picks | None = None, width: int = 1024
) -> np.ndarray:
    """Draw picks on a micrograph; row 0 is at the top.

    Parameters
    ----------
    image : (ny, nx)
        Micrograph.
    pixel_size : float
        A.
    picks : Picks
        Green circles; where the truth is known, those that match nothing are red.
    diameter : float
        Of circles whose pick does not tell, in A.
    truth : Picks, optional
        Particles known to be there: yellow circles where no pick matches within half a diameter, else a yellow dot.
    width : int
        Largest width or height of the picture in px.

    Returns
    -------
    uint8 (height, width, 3)
    """
    from PIL import Image, ImageDraw

    zoom = min(1.0, width / max(image.shape))
    small = scaled(without_outliers(image), pixel_size, pixel_size / zoom)
    grey = smooth(small.image, max(0.5, _DETAIL / small.pixel_size / 4))
    middle, spread = centre_and_spread(grey)
    levels = np.clip(128 + _CONTRAST * (grey - middle) / (spread or 1.0), 0, 255).astype(np.uint8)
    height, length = (round(zoom * n) for n in image.shape)
    picture = Image.fromarray(levels).resize((length, height), Image.Resampling.BILINEAR).convert("RGB")
    pencil = ImageDraw.Draw(picture)

    def circle(x: float, y: float, across: float, colour: tuple[int, int, int], line: int = 2) -> None:
        y, x, radius = zoom * y, zoom * x, across / 2
        pencil.ellipse((x - radius, y - radius, x + radius, y + radius), outline=colour, width=line)

    pairs = None if truth is None else matches(picks.centres, truth.centres, diameter / 2 / pixel_size)
    if truth is not None and pairs is not None:
        matched = np.isin(np.arange(len(truth)), pairs)
        for x, y, hit in zip(truth.x, truth.y, matched, strict=True):
            circle(x, y, 4.0 if hit else diameter * zoom / pixel_size, _TRUE)
    for i, (x, y, own) in enumerate(zip(picks.x, picks.y, picks.diameter, strict=True)):
        circle(x, y, (own or diameter) * zoom / pixel_size, _PICK if pairs is None or pairs[i] >= 0 else _WRONG)
    return np.asarray(picture)


def write_picture(path: Path, picture: np.ndarray) -> None:
    """Write a picture (height, width, 3) as PNG or JPEG, by the suffix of the name.

    Raises
    ------
    UserError
        If it cannot be written.
    """
    from PIL import Image

    with atomic_path(path) as temporary:
        Image.fromarray(picture).save(temporary, format="JPEG" if path.suffix.lower() in (".jpg", ".jpeg") else "PNG", quality=80)
