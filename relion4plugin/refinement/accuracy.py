"""How large a change of angle or shift the data could tell, per class (reported, and used to choose a sampling)."""

import numpy as np

from relion4plugin.imaging.fourier import shift_phases
from relion4plugin.refinement.images import ImageModel
from relion4plugin.refinement.slices import extract_slices, make_slice_plan
from relion4plugin.refinement.state import Model, Poses

CONFIDENT = 4.60517  # -ln 0.01
PARTICLES = 10
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
    transforms : complex64 (K, M, M//2+1), gridding-corrected padded references
    """
    rng = np.random.default_rng(seed)
    pixels, n_classes = images.pixels, model.n_classes
    count = pixels.count(model.current_size)
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
        rows = rng.permutation(rows)[:PARTICLES]
        weight = images.ctf_values(rows, count) ** 2 / model.sigma2_noise[images.optics.index[rows]][:, pixels.shell[:count]] / 2
        weight[:, 0] = 0.0
        psi = np.concatenate([[0.0], ANGLES]) + rng.uniform(0, 360)
        slices = extract_slices(transforms[k : k + 1], make_slice_plan(psi, pixels, model.current_size, padding), np)[0]
        turned = np.abs(slices[1:] - slices[0]) ** 2
        model.accuracy_rotation[k] = float(_first_telling(weight @ turned.T, ANGLES).mean())
        axis = rng.integers(0, 2, len(rows))
        power = np.abs(slices[0]) ** 2
        snr = np.einsum("np,snp->ns", weight * power, moved[:, axis])
        model.accuracy_translation[k] = float(_first_telling(snr, SHIFTS).mean()) * images.pixel_size
        last = int(np.argmin(np.abs(ANGLES - model.accuracy_rotation[k])))
        spectrum = np.bincount(pixels.shell[:count], (weight.mean(axis=0) * turned[last]), minlength=pixels.box // 2 + 1)
        model.orientability[k] = spectrum / max(spectrum.sum(), 1e-30)


def _first_telling(snr: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return for each particle the first perturbation whose SNR is confident, the last where none is."""
    enough = snr > CONFIDENT
    return values[np.where(enough.any(axis=1), enough.argmax(axis=1), len(values) - 1)]
