"""How large a change of angle or shift the data could tell, per class (reported, and used to choose a sampling)."""

import numpy as np

from relion4plugin.geometry.euler import euler_to_matrix
from relion4plugin.imaging.fourier import shift_phases
from relion4plugin.refinement.images import ImageModel
from relion4plugin.refinement.kernels.central_slices import cut_slices
from relion4plugin.refinement.slices import extract_slices, make_slice_plan
from relion4plugin.refinement.state import Model, Poses
from relion4plugin.refinement.volume_search import crop_transforms

CONFIDENT = 4.60517  # -ln 0.01
PARTICLES = 10  # per class, of images
PARTICLES_3D = 100
CHUNK = 16  # particles at a time
STEPS = 8  # perturbations at a time: most particles need few
MIN_SHARE = 0.01
UNKNOWN = 999.0


def _grow(steps: list[tuple[float, float]], last: float) -> np.ndarray:
    """List growing perturbations: add a step while the value is below its bound."""
    values, value = [], 0.0
    for step, bound in steps:
        while value < min(bound, last) - 1e-9:
            value += step
            values.append(value)
    return np.array(values)


ANGLES = _grow([(0.05, 0.2), (0.1, 1), (0.2, 2), (0.5, 5), (1, 10), (2, 20), (5, 30)], 30)  # deg
SHIFTS = _grow([(0.1, 1), (0.2, 2), (0.5, 5), (1, 10)], 10)  # px


def estimate(model: Model, poses: Poses, images: ImageModel, transforms: np.ndarray, padding: int, seed: tuple[int, ...]) -> None:
    """Set accuracies and spectral orientability of each class in place.

    Parameters
    ----------
    transforms : complex64 (K, M, M//2+1) or (K, M, M, M//2+1), gridding-corrected padded references
    padding : int
    seed : tuple of int
        Of the choice of particles and perturbed angles.
    """
    rng = np.random.default_rng(seed)
    pixels, n_classes = images.pixels, model.n_classes
    count = pixels.count(model.current_size)
    volume = transforms.ndim == 4
    model.accuracy_rotation = np.full(n_classes, UNKNOWN)
    model.accuracy_translation = np.full(n_classes, UNKNOWN)
    model.orientability = np.zeros((n_classes, pixels.box // 2 + 1))
    steps = (SHIFTS[:, None, None] * np.eye(2)).reshape(-1, 2)
    phases = shift_phases(pixels.ky[:count], pixels.kx[:count], steps, pixels.box)
    moved = np.abs(1 - phases.reshape(len(SHIFTS), 2, count)) ** 2
    for k in np.flatnonzero(model.pdf_class >= MIN_SHARE):
        rows = np.flatnonzero(poses.class_number == k + 1)
        if not len(rows):
            continue
        rows = rng.permutation(rows)[: PARTICLES_3D if volume else PARTICLES]
        weight = images.ctf_values(rows, count) ** 2 / model.sigma2_noise[images.optics.index[rows]][:, pixels.shell[:count]] / 2
        weight[:, 0] = 0.0
        if volume:
            view = _VolumeView(transforms[k], images, model.current_size, padding)
            told, spectrum, power = _turn_volume(view, poses.angles[rows], weight, rng)
        else:
            told, spectrum, power = _turn_image(transforms[k : k + 1], images, model.current_size, padding, weight, rng)
        model.accuracy_rotation[k] = told
        axis = rng.integers(0, 2, len(rows))
        shifted = _first_telling(_shift_snr(weight * power, moved, axis), SHIFTS)
        model.accuracy_translation[k] = float(shifted.mean()) * images.pixel_size
        per_shell = np.bincount(pixels.shell[:count], spectrum, minlength=pixels.box // 2 + 1)
        model.orientability[k] = per_shell / max(per_shell.sum(), 1e-30)


def _turn_image(
    transform: np.ndarray, images: ImageModel, size: int, padding: int, weight: np.ndarray, rng: np.random.Generator
) -> tuple[float, np.ndarray, np.ndarray]:
    """Perturb the in-plane angle of an image (1, M, M//2+1): accuracy (deg), SNR per pixel at it (P,), and power (P,)."""
    psi = np.concatenate([[0.0], ANGLES]) + rng.uniform(0, 360)
    slices = extract_slices(transform, make_slice_plan(psi, images.pixels, size, padding), np)[0]
    turned = np.abs(slices[1:] - slices[0]) ** 2
    told = float(_first_telling(weight @ turned.T, ANGLES).mean())
    last = int(np.argmin(np.abs(ANGLES - told)))
    return told, weight.mean(axis=0) * turned[last], np.abs(slices[0]) ** 2


class _VolumeView:
    """Cuts slices of one volume."""

    def __init__(self, transform: np.ndarray, images: ImageModel, size: int, padding: int) -> None:
        pixels, r_max = images.pixels, size // 2
        count = pixels.count(size)
        self._kx, self._ky = pixels.kx[:count], pixels.ky[:count]
        self._inside = (self._kx**2 + self._ky**2 <= r_max**2).astype(np.float32)
        self._padding = np.float32(padding)
        self._grid = crop_transforms(transform[None], padding * r_max + 1, padding * r_max)[0]

    def __call__(self, angles: np.ndarray) -> np.ndarray:
        """Return slices complex64 (..., P) at Euler angles (..., 3)."""
        matrices = euler_to_matrix(*angles.reshape(-1, 3).T).astype(np.float32)
        real, imag = (np.empty((len(matrices), len(self._kx)), np.float32) for _ in range(2))
        cut_slices(self._grid, matrices, self._kx, self._ky, self._inside, self._padding, real, imag)
        return (real + 1j * imag).reshape(*angles.shape[:-1], -1)


def _turn_volume(
    view: _VolumeView, angles: np.ndarray, weight: np.ndarray, rng: np.random.Generator
) -> tuple[float, np.ndarray, np.ndarray]:
    """Perturb rot, tilt or psi of each particle: mean accuracy (deg), mean SNR per pixel at it (P,), and power (n, P).

    Parameters
    ----------
    angles : (n, 3), current poses
    weight : (n, P), C^2 / (2 s2)
    """
    n = len(angles)
    direction = np.eye(3)[rng.integers(0, 3, n)]
    told, power, spectrum = np.full(n, ANGLES[-1]), np.empty(weight.shape, np.float32), np.zeros(weight.shape[1])
    for first in range(0, n, CHUNK):
        rows = np.arange(first, min(first + CHUNK, n))
        still = view(angles[rows])
        power[rows] = np.abs(still) ** 2
        for step in range(0, len(ANGLES), STEPS):
            trial = ANGLES[step : step + STEPS]
            turned = np.abs(view(angles[rows][:, None] + trial[:, None] * direction[rows][:, None]) - still[:, None]) ** 2
            snr = np.einsum("np,nsp->ns", weight[rows], turned)
            last = step + STEPS >= len(ANGLES)
            done = (snr > CONFIDENT).any(axis=1) | last
            chosen = np.where((snr > CONFIDENT).any(axis=1), (snr > CONFIDENT).argmax(axis=1), len(trial) - 1)[done]
            told[rows[done]] = trial[chosen]
            spectrum += np.einsum("np,np->p", weight[rows[done]], turned[done, chosen])
            rows, still = rows[~done], still[~done]
            if not len(rows):
                break
    return float(told.mean()), spectrum / n, power


def _shift_snr(signal: np.ndarray, moved: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """Return the SNR (n, steps) of shifts along each particle's own axis; signal (n, P), moved (steps, 2, P)."""
    snr = np.einsum("np,sap->nsa", signal, moved, optimize=True)
    return np.take_along_axis(snr, axis[:, None, None], axis=2)[..., 0]


def _first_telling(snr: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return for each particle the first perturbation whose SNR is confident, the last where none is."""
    enough = snr > CONFIDENT
    return values[np.where(enough.any(axis=1), enough.argmax(axis=1), len(values) - 1)]
