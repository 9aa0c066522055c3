"""The electrons of an EER hardware frame: run lengths and subpixel positions, from and to bits.

Each electron is written as the number of empty pixels before it and its position within the pixel, lowest bits first. The highest
run length says only that so many pixels are empty. The format is that of the EER file format documentation of Thermo Fisher Scientific.
"""

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def add_events(
    data: np.ndarray, counts: np.ndarray, upsampling: int, skip_bits: int, x_bits: int, y_bits: int, padded: bool
) -> bool:
    """Add the electrons of a hardware frame to an image.

    Parameters
    ----------
    data : uint8 (n,)
        Compressed frame.
    counts : whole numbers (ny, nx)
        Image, changed in place; its sides are `upsampling` times those of the camera.
    upsampling : int
        1 or 2.
    skip_bits, x_bits, y_bits : int
        Bits of the run length and of the subpixel position.
    padded : bool
        Whether subpixel bits also follow a run that ends without an electron.

    Returns
    -------
    bool
        Whether the runs fill the frame exactly.
    """
    ny, nx = counts.shape[0] // upsampling, counts.shape[1] // upsampling
    longest = (1 << skip_bits) - 1
    event_bits = skip_bits + x_bits + y_bits
    x_mask, y_mask = (1 << x_bits) - 1, (1 << y_bits) - 1
    # The highest bit of a position is stored inverted: it is a signed offset from the centre of the pixel.
    x_flip, y_flip = (1 << x_bits) >> 1, (1 << y_bits) >> 1
    bits, n_bits, i = np.uint64(0), 0, 0
    x, y = np.int64(0), np.int64(0)
    while y < ny:
        while n_bits <= 56 and i < data.size:
            bits |= np.uint64(data[i]) << np.uint64(n_bits)
            n_bits += 8
            i += 1
        if n_bits < skip_bits:
            return False
        word = np.int64(bits & np.uint64(0xFFFFFFFF))
        run = word & longest
        x += run
        while x >= nx:
            x -= nx
            y += 1
        if y >= ny:
            return y == ny and x == 0
        used = event_bits if run < longest or padded else skip_bits
        if n_bits < used:
            return False
        if run < longest:
            if upsampling == 1:
                counts[y, x] += 1
            else:
                sub_x = ((word >> skip_bits) & x_mask) ^ x_flip
                sub_y = ((word >> (skip_bits + x_bits)) & y_mask) ^ y_flip
                counts[2 * y + (sub_y >> (y_bits - 1)), 2 * x + (sub_x >> (x_bits - 1))] += 1
            x += 1
            if x == nx:
                x -= nx
                y += 1
        bits >>= np.uint64(used)
        n_bits -= used
    return True


@numba.njit(cache=True, nogil=True)
def _put(data: np.ndarray, place: int, value: int, n_bits: int) -> int:
    for bit in range(n_bits):
        if (value >> bit) & 1:
            data[(place + bit) >> 3] |= np.uint8(1 << ((place + bit) & 7))
    return place + n_bits


@numba.njit(cache=True, nogil=True)
def encode_events(positions: np.ndarray, subpixels: np.ndarray, n_pixels: int, skip_bits: int, padded: bool) -> np.ndarray:
    """Return a compressed hardware frame with two subpixel bits in each direction.

    Parameters
    ----------
    positions : int64 (n,)
        Pixels with an electron, row by row, ascending.
    subpixels : int64 (n,)
        Position within the pixel: quarter in x plus four times the quarter in y, both from 0.
    n_pixels : int
        Pixels of the camera.
    skip_bits : int
        8 or 7 bits of the run length.
    padded : bool
        See `add_events`.

    Returns
    -------
    data : uint8 (m,)
        The frame.
    """
    longest = (1 << skip_bits) - 1
    runs = positions.size + n_pixels // longest + 2
    data = np.zeros((runs * (skip_bits + 4) + 7) // 8 + 16, dtype=np.uint8)
    place, after = 0, 0
    for i in range(positions.size + 1):
        run = (positions[i] if i < positions.size else n_pixels) - after
        while run >= longest:
            place = _put(data, place, longest, skip_bits)
            place += 4 if padded else 0
            run -= longest
        place = _put(data, place, run, skip_bits)
        if i < positions.size:
            place = _put(data, place, subpixels[i] ^ 10, 4)
            after = positions[i] + 1
    return data[: (place + 63) // 64 * 8]  # whole words of 64 bits, as cameras write them
