"""A distribution on the sphere as a picture: Mollweide's equal-area projection with a graticule."""

import numpy as np

from relion4plugin.files.view_directions import pixels_of, unit_vectors

# Dark to bright, of even steps in lightness.
_HEX = ("440154", "472d7b", "3b528b", "2c728e", "21918c", "28ae80", "5ec962", "addc30", "fde725")
_COLOURS = np.array([[int(code[i : i + 2], 16) for i in (0, 2, 4)] for code in _HEX], dtype=np.float64)
_PARALLELS, _MERIDIANS = (30, 60, 90, 120, 150), (-120, -60, 0, 60, 120)  # tilt and rot, deg


def colours(values: np.ndarray) -> np.ndarray:
    """Colours of values between 0 and 1, uint8 (..., 3)."""
    position = np.clip(np.nan_to_num(values), 0.0, 1.0) * (len(_COLOURS) - 1)
    channels = [np.interp(position, np.arange(len(_COLOURS)), _COLOURS[:, c]) for c in range(3)]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)


def mollweide_angles(height: int) -> tuple[np.ndarray, np.ndarray]:
    """Angles shown at each pixel of a picture of `height` rows and twice as many columns.

    Returns
    -------
    rot, tilt : float64 (height, 2 height)
        Degrees; rot runs from -180 at the left to 180, tilt from 0 at the top; NaN outside the ellipse.
    """
    y = 1.0 - (2.0 * np.arange(height) + 1.0) / height
    x = (2.0 * np.arange(2 * height) + 1.0) / height - 2.0
    theta = np.arcsin(y)
    latitude = np.arcsin(np.clip((2.0 * theta + np.sin(2.0 * theta)) / np.pi, -1.0, 1.0))
    rot = 90.0 * x[None] / np.cos(theta)[:, None]
    tilt = np.broadcast_to(90.0 - np.rad2deg(latitude)[:, None], rot.shape)
    outside = np.abs(rot) > 180.0
    return np.where(outside, np.nan, rot), np.where(outside, np.nan, tilt)


def sphere_picture(counts: np.ndarray, height: int = 260) -> np.ndarray:
    """Draw a count per HEALPix pixel.

    Parameters
    ----------
    counts : float (12 * 4^order,)
        NESTED order; the largest gets the brightest colour, 0 the darkest.
    height : int
        Rows of the picture, even.

    Returns
    -------
    uint8 (height, 2 height, 4)
        Red, green, blue, opacity; transparent outside the ellipse.
    """
    order = (len(counts) // 12).bit_length() // 2
    rot, tilt = mollweide_angles(height)
    inside = np.isfinite(rot)
    top = max(float(np.max(counts)), 1e-12)
    shown = np.zeros(rot.shape)
    shown[inside] = np.asarray(counts)[pixels_of(unit_vectors(rot[inside], tilt[inside]), order)] / top
    picture = np.zeros((*rot.shape, 4), np.uint8)
    picture[..., :3] = colours(shown)
    _draw_graticule(picture, rot, tilt)
    picture[..., 3] = 255 * inside
    return picture


def colour_bar(width: int = 128) -> np.ndarray:
    """The scale of colours from left to right, uint8 (1, width, 4)."""
    bar = np.full((1, width, 4), 255, np.uint8)
    bar[0, :, :3] = colours(np.linspace(0, 1, width))
    return bar


def _draw_graticule(picture: np.ndarray, rot: np.ndarray, tilt: np.ndarray) -> None:
    """Blend thin light lines where a parallel or a meridian runs between two pixels."""
    line = np.zeros(rot.shape, bool)
    with np.errstate(invalid="ignore"):
        for value in _PARALLELS:
            line[1:] |= (tilt[:-1] < value) & (tilt[1:] >= value)
        for value in _MERIDIANS:
            line[:, 1:] |= (rot[:, :-1] < value) & (rot[:, 1:] >= value)
    picture[line, :3] = np.rint(0.72 * picture[line, :3] + 0.28 * 255).astype(np.uint8)
