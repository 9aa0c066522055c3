"""What a film shows beside its particles: the structure of ice and carbon, its thickness, contaminants."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from relion4plugin.imaging.fourier import half_to_image
from relion4plugin.simulation import chains, debris
from relion4plugin.simulation.canvas import Canvas
from relion4plugin.simulation.movie_plan import MoviePlan
from relion4plugin.simulation.movie_spec import MovieSpec
from relion4plugin.simulation.noise import KNEE

WATER, WATER_SCATTERING = 0.0314, 3.04  # molecules per A^3 of vitreous ice, and the scattering length of one in A
DISORDER = 0.2  # of the structure factor of water at low resolution, 1 for a gas
UNEVENNESS, UNEVEN_FALL = 10.0, 1.5  # rise of the ice's power below KNEE, of its level above, and exponent of the fall
ICE_PATH, CARBON_PATH = 3100.0, 1900.0  # A, mean free path of inelastic scattering at 300 kV: those electrons are filtered out
CARBON_THICKNESS, CARBON_STRUCTURE = 150.0, 2.5  # A; amplitude of its structure, of that of the ice
CARBON_STEP = 0.25  # rad, phase of the film
RIM_SOFTNESS = 10.0  # A
CURVATURE = 0.3  # of the change of thickness, its quadratic part
THINNEST = 0.2  # of the thickness in the middle

Drawer = Callable[[np.random.Generator, int, Canvas], np.ndarray]
# drawing, box that it needs in A, and how much of it takes electrons away, beside its phase
DRAWN: Mapping[str, tuple[Drawer, float, float]] = {
    "ice": (debris.ice, 600.0, 0.15),
    "gold": (debris.gold, 200.0, 0.3),
    "membrane": (debris.membrane, 500.0, 0.0),
    "fibre": (chains.fibre, 300.0, 0.0),
}


@dataclass(frozen=True)
class Film:
    """The film in the field of a movie, float32 (H, W) each."""

    transmission: np.ndarray  # share of the electrons that reach the detector
    roughness: np.ndarray  # amplitude of the structure, 1 for ice of the nominal thickness
    carbon: np.ndarray | None  # 0 to 1, where the film lies


def make_film(spec: MovieSpec, plan: MoviePlan, shape: tuple[int, int]) -> Film:
    """Make the thickness of the film in a field of `shape` (H, W)."""
    y, x = (np.arange(n, dtype=np.float32)[:, None] - plan.margin for n in shape)
    x = x.T
    along = np.cos(plan.ice[1]) * (x / spec.width - 0.5) + np.sin(plan.ice[1]) * (y / spec.height - 0.5)
    thickness = plan.ice[0] * np.maximum(1.0 + spec.ice_gradient * (along + CURVATURE * along**2), THINNEST)
    transmission = np.exp(-thickness / ICE_PATH)
    roughness = np.sqrt(thickness / max(spec.ice_thickness, 1.0))
    carbon = None
    if plan.carbon is not None:
        beyond = np.hypot(x - plan.carbon[0], y - plan.carbon[1]) - plan.carbon[2]
        carbon = (0.5 + 0.5 * np.tanh(beyond * (spec.file_pixel_size / RIM_SOFTNESS))).astype(np.float32)
        transmission = transmission * np.exp(-CARBON_THICKNESS / CARBON_PATH * carbon)
        roughness = np.hypot(roughness, CARBON_STRUCTURE * carbon)
    return Film(transmission.astype(np.float32), roughness.astype(np.float32), carbon)


def structure_power(frequency2: np.ndarray, spec: MovieSpec) -> np.ndarray:
    """Power of the ice's projected scattering length, A^2 per A^2 of specimen: that of disordered water, with uneven thickness.

    Parameters
    ----------
    frequency2 : numpy.ndarray
        Squared spatial frequency, 1/A^2.
    spec : MovieSpec
        Nominal thickness and strength.

    Returns
    -------
    numpy.ndarray
        Of the same shape.
    """
    level = spec.ice_structure * DISORDER * WATER * spec.ice_thickness * WATER_SCATTERING**2
    return np.asarray(level * (1.0 + UNEVENNESS * (1.0 + frequency2 / KNEE**2) ** -UNEVEN_FALL))


def draw_contaminants(
    spec: MovieSpec, plan: MoviePlan, contrast: float, mass: float, rng: np.random.Generator
) -> list[tuple[int, np.ndarray, float]]:
    """Draw the contaminants that are not made of particles.

    Parameters
    ----------
    spec : MovieSpec
        A valid spec.
    plan : MoviePlan
        Its truth.
    contrast, mass : float
        Standard deviation of a particle's projection inside its disc, and its sum; A.
    rng : numpy.random.Generator
        Source.

    Returns
    -------
    list of (int, numpy.ndarray, float)
        Item, its picture float32 (W, W) with the item at pixel W/2, and the share that takes electrons away.
    """
    found = []
    pixel = spec.file_pixel_size
    for kind, (draw, box, absorbed) in DRAWN.items():
        for item in np.flatnonzero(plan.kinds == kind):
            size = 2 * int(np.ceil(box / pixel))
            canvas = Canvas(size, pixel, contrast, mass, np.zeros((size, size // 2 + 1), np.float32))
            found.append((int(item), half_to_image(draw(rng, 1, canvas), size)[0], absorbed))
    return found
