"""Pictures for a page: grey values as bytes, bytes as PNG."""

import base64
import io

import numpy as np


def grey_levels(image: np.ndarray, low: float = 0.5, high: float = 99.5) -> np.ndarray:
    """Scale an image to bytes between two percentiles of its finite values.

    Parameters
    ----------
    image : float (ny, nx)
        Grey values; values that are not finite become black.
    low, high : float
        Percentiles that become 0 and 255.

    Returns
    -------
    uint8 (ny, nx)
        A constant image becomes mid grey (128).
    """
    values = np.asarray(image, dtype=np.float32)
    finite = np.isfinite(values)
    if not finite.any():
        return np.zeros(values.shape, dtype=np.uint8)
    bottom, top = np.percentile(values[finite], (low, high))
    if top <= bottom:
        return np.where(finite, 128, 0).astype(np.uint8)
    scaled = (np.where(finite, values, bottom) - bottom) / (top - bottom)
    return np.rint(np.clip(scaled, 0.0, 1.0) * 255).astype(np.uint8)


def png_data_uri(levels: np.ndarray) -> str:
    """Encode grey levels as a PNG inside a ``data:`` address.

    Parameters
    ----------
    levels : uint8 (ny, nx) or (ny, nx, 4)
        Grey levels, or red, green, blue and opacity; row 0 is drawn at the top.

    Returns
    -------
    str
        ``data:image/png;base64,...``
    """
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def jpeg_data_uri(levels: np.ndarray, quality: int = 85) -> str:
    """Encode a picture as a JPEG inside a ``data:`` address: micrographs, whose noise makes a PNG large.

    Parameters
    ----------
    levels : uint8 (ny, nx) or (ny, nx, 3)
        Grey levels, or red, green and blue; row 0 is drawn at the top.
    quality : int
        1 to 95.

    Returns
    -------
    str
        ``data:image/jpeg;base64,...``
    """
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, format="JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
