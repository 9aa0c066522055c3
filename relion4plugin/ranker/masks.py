"""Where the protein and where the solvent is in class averages of 4 A/px."""

from dataclasses import dataclass

import numpy as np
import scipy.ndimage

from relion4plugin.imaging.filters import lowpass_half
from relion4plugin.imaging.fourier import half_to_image, image_to_half, round_half_away
from relion4plugin.ranker.resize import UNIFORM_PIXEL

LOWPASS = 25.0  # A
THRESHOLD = 0.05  # standard deviations of the low-passed image
CENTRE = 0.36  # squared radius of the central disc, in squared radii of the circle
SHARE = 0.1  # of the central disc that a component must fill
RING = 0.95  # inner radius of the ring, in radii of the circle
PI = 3.14  # of RELION's area rules; one pixel more or less can decide about a component
_PLANE = np.zeros((3, 3, 3), bool)  # pixels that share an edge, within one image
_PLANE[1, 1], _PLANE[1, :, 1] = True, True
_SQUARE = np.ones((1, 3, 3), bool)


@dataclass(frozen=True, eq=False)
class ClassMasks:
    """Regions of m class averages of n x n px.

    Attributes
    ----------
    protein, solvent : bool (m, n, n)
        Solvent is what the circle holds besides protein.
    ring : bool (n, n)
        The outermost part of the circle.
    rejected_area : int64 (m,)
        Pixels of components that touch the central disc but fill too little of it.
    radius : float
        px, of the circle.
    """

    protein: np.ndarray
    solvent: np.ndarray
    ring: np.ndarray
    rejected_area: np.ndarray
    radius: float

    @property
    def protein_area(self) -> np.ndarray:
        """Pixels of protein, int64 (m,)."""
        return np.count_nonzero(self.protein, axis=(1, 2))

    @property
    def solvent_area(self) -> np.ndarray:
        """Pixels of solvent, int64 (m,)."""
        return np.count_nonzero(self.solvent, axis=(1, 2))

    @property
    def scattered_signal(self) -> np.ndarray:
        """Share of bright central pixels that belong to no accepted component, float64 (m,)."""
        return self.rejected_area / (self.rejected_area + self.protein_area + 1)

    @property
    def edge_signal(self) -> np.ndarray:
        """Share of the circle's rim that is protein, float64 (m,): high where the particle is cut off or has neighbours."""
        rim = round_half_away(np.sqrt(_radius_squared(self.ring.shape[-1]))) == round_half_away(self.radius)
        return np.count_nonzero(self.protein & rim, axis=(1, 2)) / np.count_nonzero(rim)

    @property
    def contour_ratio(self) -> np.ndarray:
        """Length of the protein's contour over that of a disc of the same area, float64 (m,); 0 without protein."""
        inner = scipy.ndimage.binary_erosion(self.protein, _SQUARE)
        contour = np.count_nonzero(self.protein & ~inner, axis=(1, 2))
        disc = 2 * np.sqrt(PI * self.protein_area)
        return np.divide(contour, disc, out=np.zeros(len(disc)), where=disc > 0)

    @property
    def has_solvent(self) -> np.ndarray:
        """Whether solvent fills more than 8 % of the circle, bool (m,)."""
        return self.solvent_area > 0.08 * PI * self.radius**2


def _radius_squared(n: int) -> np.ndarray:
    axis = np.arange(n, dtype=np.float64) - n // 2
    return axis[:, None] ** 2 + axis**2


def lowpass(images: np.ndarray) -> np.ndarray:
    """Low-pass filter images of 4 A/px to 25 A with a raised cosine of two shells; float64 (m, n, n)."""
    n = images.shape[-1]
    shell = round_half_away(n * UNIFORM_PIXEL / LOWPASS)
    return half_to_image(lowpass_half(image_to_half(images.astype(np.float64, copy=False)), shell, 2), n)


def class_masks(smooth: np.ndarray, particle_diameter: float) -> ClassMasks:
    """Tell protein from solvent (RELION-4.0 paper, section 3.2).

    Protein is where the low-passed image exceeds 5 % of its standard deviation, in connected pieces that fill at least a tenth
    of a central disc of 0.6 radii. Pieces that do not touch this disc, such as neighbours, count as solvent.

    Parameters
    ----------
    smooth : float (m, n, n)
        Low-passed class averages at 4 A/px.
    particle_diameter : float
        A.

    Returns
    -------
    ClassMasks
    """
    n = smooth.shape[-1]
    radius = min(n / 2, particle_diameter / (2 * UNIFORM_PIXEL))
    squared = _radius_squared(n)
    circle = squared <= radius**2
    centre = squared <= CENTRE * radius**2
    white = (smooth > THRESHOLD * smooth.std(axis=(1, 2), keepdims=True)) & circle
    labels, count = scipy.ndimage.label(white, structure=_PLANE)
    inside = np.bincount(labels[:, centre].ravel(), minlength=count + 1)
    accepted = inside > SHARE * PI * CENTRE * radius**2
    rejected = (inside > 0) & ~accepted
    accepted[0] = rejected[0] = False  # the background
    protein = accepted[labels]
    rejected_area = np.count_nonzero(rejected[labels], axis=(1, 2))
    return ClassMasks(protein, circle & ~protein, circle & (squared >= (RING * radius) ** 2), rejected_area, radius)
