"""FRC of class averages against the best matching true projection of a map.

For each class average: exhaustive search over views (HEALPix directions) x in-plane angles x shifts on polar Fourier rings, then a
continuous refinement of the best candidates, then the FRC between the masked class average and the masked projection. Class
averages are compared as they are: they are estimates of the projection without CTF.
"""

from dataclasses import dataclass

import numpy as np
from projections import MapTransform
from scipy import fft
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation

from relion4plugin.geometry.euler import euler_to_matrix
from relion4plugin.geometry.healpix import directions
from relion4plugin.imaging.filters import frc
from relion4plugin.imaging.fourier import half_frequencies, half_shells, half_to_image, image_to_half, shift_phases
from relion4plugin.imaging.masks import soft_disc

N_ANGLES = 128  # in-plane samples of a full turn
SEARCH_RESOLUTION = 15.0  # A; finer rings would only add noise to the search
N_CANDIDATES = 3
FRC_LIMIT = 0.5


@dataclass(frozen=True)
class Match:
    """Best true projection of one class average."""

    resolution: float  # A, where the FRC falls below 0.5; inf when it never reaches it
    curve: np.ndarray  # FRC per shell, float (N/2+1,)
    rotation: np.ndarray  # float (3, 3)
    shift: np.ndarray  # float (2,), px in x and y, applied to the class average


@dataclass(frozen=True)
class ViewLibrary:
    """Angular spectra of the true projections on polar rings; build it with `make_library`."""

    source: MapTransform
    matrices: np.ndarray  # (v, 3, 3)
    spectra: np.ndarray  # complex64 (angular frequency, ring, view), each ring of unit norm
    box_size: int
    pixel_size: float

    @property
    def radii(self) -> np.ndarray:
        """Ring radii in shells, from 1."""
        return np.arange(1, self.spectra.shape[1] + 1)

    @property
    def frequency_unit(self) -> float:
        """1/A of one shell."""
        return 1.0 / (self.box_size * self.pixel_size)


def crossing_resolution(curve: np.ndarray, box_size: int, pixel_size: float, limit: float = FRC_LIMIT) -> float:
    """Resolution in A at which a correlation curve first falls below a limit.

    Parameters
    ----------
    curve : float (N/2+1,)
        Correlation per shell; shell 0 is not looked at.
    box_size : int
        N in px.
    pixel_size : float
        A per px.
    limit : float
        Threshold, met by linear interpolation between shells.

    Returns
    -------
    float
        Nyquist when the curve stays above, inf when it starts below.
    """
    below = np.flatnonzero(~(curve[1:] >= limit))
    if len(below) == 0:
        return 2.0 * pixel_size
    first = int(below[0]) + 1
    if first == 1:
        return float("inf")
    high, low = curve[first - 1], curve[first]
    fraction = (high - limit) / (high - low) if np.isfinite(low) else 0.0
    return float(box_size * pixel_size / (first - 1 + fraction))


def make_library(source: MapTransform, box_size: int, pixel_size: float, order: int = 3) -> ViewLibrary:
    """Project a map to all HEALPix directions, on polar rings.

    Parameters
    ----------
    source : MapTransform
        The true map.
    box_size : int
        Box of the class averages, px.
    pixel_size : float
        Pixel size of the class averages, A.
    order : int
        HEALPix order: 2 is 192 directions (15 degrees apart), 3 is 768 (7.5 degrees).
    """
    rot, tilt = directions(order)
    matrices = np.asarray(euler_to_matrix(rot, tilt, np.zeros_like(rot)))
    n_rings = int(min(box_size // 2 - 1, max(4, box_size * pixel_size / SEARCH_RESOLUTION)))
    ky, kx = _polar_points(n_rings)
    half = source.slices(matrices, ky, kx, 1.0 / (box_size * pixel_size)).reshape(len(matrices), n_rings, -1)
    return ViewLibrary(source, matrices, np.ascontiguousarray(_angular_spectra(half).transpose(2, 1, 0)), box_size, pixel_size)


def match_class(image: np.ndarray, library: ViewLibrary, diameter: float, max_shift: int = 4) -> Match:
    """Find the true projection that a class average shows and measure the FRC between them.

    Parameters
    ----------
    image : float (N, N)
        Class average.
    library : ViewLibrary
        True projections.
    diameter : float
        Particle diameter in A, for the soft mask on both.
    max_shift : int
        Largest shift searched, px in x and in y.
    """
    n = library.box_size
    mask = soft_disc(n, diameter / library.pixel_size / 2)
    half = image_to_half((np.asarray(image, dtype=np.float32) * mask)[None])[0]
    if not np.any(half):
        return Match(float("inf"), np.zeros(n // 2 + 1), np.eye(3), np.zeros(2))
    found = [_refine(half, library, *start) for start in _candidates(half, library, max_shift)]
    _, rotation, shift = max(found, key=lambda one: one[0])
    ky, kx = half_frequencies(n)
    flat_ky, flat_kx = _flat(ky, kx, n)
    slice_half = library.source.slices(rotation[None], flat_ky, flat_kx, library.frequency_unit).reshape(half.shape)
    projection = half_to_image(slice_half[None], n)[0] * mask
    shifted = half_to_image((half.ravel() * _phases(flat_ky, flat_kx, shift, n)).reshape(half.shape)[None], n)[0] * mask
    curve = np.asarray(frc(shifted, projection))
    return Match(crossing_resolution(curve, n, library.pixel_size), curve, rotation, shift)


def _flat(ky: np.ndarray, kx: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies as flat float arrays, whatever broadcastable shape they come in."""
    shape = (n, n // 2 + 1)
    return tuple(np.broadcast_to(np.asarray(k, dtype=np.float64), shape).ravel() for k in (ky, kx))  # type: ignore[return-value]


def _phases(ky: np.ndarray, kx: np.ndarray, shift: np.ndarray, n: int) -> np.ndarray:
    return np.asarray(shift_phases(ky, kx, np.asarray(shift, dtype=np.float64).reshape(1, 2), n)).reshape(-1)


def _polar_points(n_rings: int) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies (ky, kx), flat, of half a turn of every ring; the other half is the complex conjugate."""
    angles = 2 * np.pi * np.arange(N_ANGLES // 2) / N_ANGLES
    radii = np.arange(1, n_rings + 1)
    return (radii[:, None] * np.sin(angles)).ravel(), (radii[:, None] * np.cos(angles)).ravel()


def _angular_spectra(half_rings: np.ndarray) -> np.ndarray:
    """Angular transforms (..., ring, N_ANGLES) of rings given over half a turn, each ring of unit norm."""
    rings = np.concatenate([half_rings, half_rings.conj()], axis=-1)
    norms = np.sqrt((np.abs(rings) ** 2).sum(axis=-1, keepdims=True))
    return fft.fft(rings / np.maximum(norms, 1e-20), axis=-1)


def _class_rings(half: np.ndarray, n: int, n_rings: int) -> np.ndarray:
    """Exact polar samples complex64 (n_rings, N_ANGLES/2) of an image transform (by the discrete sum, ring after ring)."""
    image = half_to_image(half[None], n)[0].astype(np.float64)
    ky, kx = _polar_points(n_rings)
    position = np.arange(n) - n // 2
    along_y = np.exp(-2j * np.pi / n * ky[:, None] * position)  # (points, n)
    along_x = np.exp(-2j * np.pi / n * kx[:, None] * position)
    return ((along_y @ image) * along_x).sum(axis=1).astype(np.complex64).reshape(n_rings, -1)


def _candidates(half: np.ndarray, library: ViewLibrary, max_shift: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Best (rotation, shift) of the N_CANDIDATES best views."""
    n_rings = len(library.radii)
    grid = np.arange(-max_shift, max_shift + 1)
    shifts = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2).astype(np.float64)
    ky, kx = _polar_points(n_rings)
    phases = np.exp(-2j * np.pi / library.box_size * (shifts[:, :1] * kx + shifts[:, 1:] * ky)).astype(np.complex64)
    rings = _class_rings(half, library.box_size, n_rings)[None] * phases.reshape(len(shifts), n_rings, -1)
    weights = np.sqrt(library.radii).astype(np.float32)
    spectra = (_angular_spectra(rings) * weights[:, None]).transpose(2, 0, 1)  # (frequency, shift, ring)
    products = np.matmul(np.ascontiguousarray(spectra), library.spectra.conj())  # (frequency, shift, view)
    scores = fft.fft(products, axis=0).real  # correlation at in-plane angle index
    flat = scores.transpose(2, 0, 1).reshape(len(library.matrices), -1)
    best = flat.argmax(axis=1)
    order = np.argsort(flat[np.arange(len(best)), best])[::-1][:N_CANDIDATES]
    starts = []
    for view in order:
        angle, shift = np.unravel_index(best[view], (N_ANGLES, len(shifts)))
        turn = np.asarray(euler_to_matrix(0.0, 0.0, 360.0 * angle / N_ANGLES)).reshape(3, 3)
        starts.append((turn @ library.matrices[view], shifts[shift]))
    return starts


def _refine(half: np.ndarray, library: ViewLibrary, rotation: np.ndarray, shift: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Continuous refinement: (score, rotation, shift)."""
    n = library.box_size
    flat_ky, flat_kx = _flat(*half_frequencies(n), n)
    shells = half_shells(n).ravel()
    used = (shells >= 1) & (shells <= len(library.radii))
    ky, kx, index, data = flat_ky[used], flat_kx[used], shells[used], half.ravel()[used]
    power = np.bincount(index, np.abs(data) ** 2)[1:]
    weights = np.sqrt(library.radii)

    def rotated(parameters: np.ndarray) -> np.ndarray:
        return Rotation.from_rotvec(np.radians(parameters[:3])).as_matrix() @ rotation

    def loss(parameters: np.ndarray) -> float:
        view = library.source.slices(rotated(parameters)[None], ky, kx, library.frequency_unit)[0]
        shifted = data * _phases(ky, kx, parameters[3:], n)
        cross = np.bincount(index, (shifted * view.conj()).real)[1:]
        norm = np.sqrt(power * np.bincount(index, np.abs(view) ** 2)[1:])
        return -float((weights * cross / np.maximum(norm, 1e-30)).sum() / weights.sum())

    start = np.concatenate([np.zeros(3), shift])
    simplex = np.vstack([start, start + np.diag([4.0, 4.0, 4.0, 0.7, 0.7])])  # degrees, px
    found = minimize(loss, start, method="Nelder-Mead", options={"initial_simplex": simplex, "maxfev": 250, "xatol": 0.05, "fatol": 1e-4})
    return -float(found.fun), rotated(found.x), found.x[3:]
