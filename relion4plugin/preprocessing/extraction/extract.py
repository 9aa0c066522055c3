"""From picks on a micrograph to the images of particles."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.preprocessing.extraction.background import Background
from relion4plugin.preprocessing.extraction.boxes import cut_boxes
from relion4plugin.preprocessing.extraction.rescale import crop_frequencies

_CHUNK_PIXELS = 1 << 18  # pixels of the images that are treated together: they stay in the cache
_LARGEST_HALF = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class ExtractionSettings:
    """What is done to each box.

    Attributes
    ----------
    box : int
        Side in the micrograph, px, even.
    size : int
        Side after down-scaling, px, even, at most `box`.
    background_radius : float or None
        Radius of the circle outside of which the background is measured, px of the scaled box; None does not normalise.
    white_dust, black_dust : float
        Standard deviations beyond which pixels are replaced by noise; 0 or less never. Only with normalisation.
    invert : bool
        Change the sign of the grey values.
    half_precision : bool
        Refuse grey values that 16 bits do not hold.
    """

    box: int
    size: int
    background_radius: float | None = None
    white_dust: float = -1.0
    black_dust: float = -1.0
    invert: bool = False
    half_precision: bool = False


@dataclass(frozen=True, eq=False)
class Extracted:
    """Images (n, size, size), float32, and the number of those whose background is flat."""

    images: np.ndarray
    n_flat: int


@lru_cache(maxsize=4)
def _background(size: int, radius: float) -> Background:
    return Background(size, radius)


def extract(micrograph: np.ndarray, x: np.ndarray, y: np.ndarray, settings: ExtractionSettings, seed: int = 0) -> Extracted:
    """Cut out, down-scale, normalise and invert boxes, in this order, a few at a time.

    Parameters
    ----------
    micrograph : (ny, nx)
        Pixels of any type, also memory-mapped.
    x, y : int (n,)
        Centres, px. All boxes touch the micrograph.
    settings : ExtractionSettings
        What is done.
    seed : int
        Of the noise that replaces dust.

    Returns
    -------
    Extracted

    Raises
    ------
    UserError
        If a result is no finite number, or does not fit 16 bits where it has to.
    """
    s = settings
    rng = np.random.default_rng(seed)
    images = np.empty((len(x), s.size, s.size), dtype=np.float32)
    n_flat = 0
    for part in _chunks(len(x), s.size):
        boxes = _scaled_boxes(micrograph, x[part], y[part], s)
        if s.background_radius is not None:
            boxes, flat = _background(s.size, s.background_radius).normalise(boxes, s.white_dust, s.black_dust, rng)
            n_flat += flat
        if s.invert:
            np.negative(boxes, out=boxes)
        _check(boxes, s.half_precision)
        images[part] = boxes
    return Extracted(images, n_flat)


def _chunks(n: int, side: int) -> Iterator[slice]:
    step = max(1, _CHUNK_PIXELS // side**2)
    return (slice(start, start + step) for start in range(0, n, step))


def _scaled_boxes(micrograph: np.ndarray, x: np.ndarray, y: np.ndarray, s: ExtractionSettings) -> np.ndarray:
    if s.size == s.box:
        return cut_boxes(micrograph, x, y, s.box)
    boxes = np.empty((len(x), s.size, s.size), dtype=np.float32)
    for part in _chunks(len(x), s.box):
        boxes[part] = crop_frequencies(cut_boxes(micrograph, x[part], y[part], s.box), s.size)
    return boxes


def _check(boxes: np.ndarray, half_precision: bool) -> None:
    largest = max(float(boxes.max()), -float(boxes.min()))
    if not np.isfinite(largest):
        raise UserError("pixels near the picks are not finite numbers; make the micrograph again")
    if half_precision and largest > _LARGEST_HALF:
        raise UserError(f"grey values up to {largest:.6g} do not fit 16 bits: switch do_float16 off, or do_norm on")
