"""Box sizes that follow from the particle's diameter and the pixel size.

Source: RELION-4.0 paper, section 4.2: boxes of 1.5 diameters, scaled down to pixels of 2.8 to 3.5 A in sizes that are
good for Fourier transforms.

>>> box_sizes(diameter=180, angpix=0.885)
BoxSizes(mask_diameter=198.0, box=306, small_box=96)
"""

import math
from dataclasses import dataclass

from relion4plugin.errors import UserError

GOOD_SIZES = (48, 64, 96, 128, 160, 192, 256, 288, 300, 320, 360, 384, 400, 420, 450, 480, 512, 640, 768, 896, 1024)
_LARGEST_PIXEL = 3.75  # A; Nyquist frequency at 7.5 A, where 2D classes show secondary structure
_BOX, _MASK = 1.5, 1.1  # in diameters
_ROUNDING = 1e-6  # 1.5 D / a that is whole but for the last bits stays whole


@dataclass(frozen=True)
class BoxSizes:
    """Diameter of the mask in A, box in the micrograph and box after scaling down in pixels."""

    mask_diameter: float
    box: int
    small_box: int


def box_sizes(diameter: float, angpix: float, mask: float = 0.0, box: int = 0, small: int = 0) -> BoxSizes:
    """Return the sizes for a particle; those that are given stay.

    Parameters
    ----------
    diameter : float
        Largest diameter of the particle, A.
    angpix : float
        Pixel size of the micrographs (after binning of super-resolution movies), A.
    mask, box, small : float, int, int
        Sizes that a person gave (see `BoxSizes`); 0 computes them.

    Raises
    ------
    UserError
        If no box is large enough.
    """
    if not box:
        box = math.ceil(_BOX * diameter / angpix - _ROUNDING)
        box += box % 2
    return BoxSizes(mask or round(_MASK * diameter, 3), box, small or small_box(box, angpix))


def small_box(box: int, angpix: float) -> int:
    """Return the first good size at which pixels are smaller than 3.75 A; the box itself where none below it is good.

    Raises
    ------
    UserError
        If even the largest size leaves the pixels too large.
    """
    for size in GOOD_SIZES:
        if size > box:
            return box
        if angpix * box / size < _LARGEST_PIXEL:
            return size
    raise UserError(
        f"a box of {box} pixels of {angpix:g} A is too large: even scaled down to {GOOD_SIZES[-1]} pixels they are not below "
        f"{_LARGEST_PIXEL} A; check particle_diameter and angpix, or give box_size and small_box"
    )
