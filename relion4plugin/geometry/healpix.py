"""Directions on the sphere: the HEALPix grid in NESTED order (Gorski et al. 2005)."""

import numpy as np

_FACE_ROW = np.array([2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4])
_FACE_COLUMN = np.array([1, 3, 5, 7, 0, 2, 4, 6, 1, 3, 5, 7])


def _even_bits(values: np.ndarray) -> np.ndarray:
    """Pack bits 0, 2, 4, ... of each value into bits 0, 1, 2, ..."""
    packed = np.zeros_like(values)
    for bit in range(16):
        packed |= ((values >> (2 * bit)) & 1) << bit
    return packed


def directions(order: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixel centres of a HEALPix grid.

    Parameters
    ----------
    order : int
        0 to 12; there are 12 * 4^order directions, about 58.6 / 2^order degrees apart.

    Returns
    -------
    rot, tilt : float64 (12 * 4^order,)
        Degrees, in NESTED order; rot in [0, 360), tilt in (0, 180).
    """
    if not 0 <= order <= 12:
        raise ValueError(f"HEALPix order {order} is outside 0..12")
    side = 1 << order
    pixel = np.arange(12 * side * side, dtype=np.int64)
    face, within = pixel // (side * side), pixel % (side * side)
    x, y = _even_bits(within), _even_bits(within >> 1)
    ring = _FACE_ROW[face] * side - x - y - 1  # from 1 at the north pole to 4 side - 1
    north, south = ring < side, ring > 3 * side
    in_ring = np.where(north, ring, np.where(south, 4 * side - ring, side))  # pixels of the ring / 4
    z = (2 * side - ring) * (2.0 / (3 * side))
    cap = in_ring**2 / (3.0 * side * side)
    z = np.where(north, 1 - cap, np.where(south, cap - 1, z))
    # a step of one pixel along the diagonal of a face is 45 degrees / (pixels of the ring / 4)
    rot = (_FACE_COLUMN[face] * in_ring + x - y) * 45.0 / in_ring
    return rot % 360.0, np.rad2deg(np.arccos(z))


def children(pixels: np.ndarray) -> np.ndarray:
    """Pixels of the next order that make up the given pixels.

    Parameters
    ----------
    pixels : int (n,)
        NESTED pixel numbers.

    Returns
    -------
    int (n, 4)
    """
    return 4 * np.asarray(pixels)[..., None] + np.arange(4)
