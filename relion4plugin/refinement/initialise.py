"""The state before the first iteration: noise spectra and start references from the particles themselves."""

import numpy as np

from relion4plugin.imaging.filters import lowpass_half
from relion4plugin.imaging.fourier import half_to_image, image_to_half, round_half_away
from relion4plugin.imaging.masks import mask_with_background, soft_disc
from relion4plugin.refinement.images import MASK_EDGE, ImageModel, ImageSource
from relion4plugin.refinement.pixels import shell_sums
from relion4plugin.refinement.references import PaddedGrid, gridding_correction, inverse
from relion4plugin.refinement.settings import RefinementSettings
from relion4plugin.refinement.slices import insertion_matrix, make_hermitian, make_slice_plan

SAMPLE = 1000  # particles per optics group
START_SHELL = 0.07  # of the box
BLOBS = 40


def sample_rows(index: np.ndarray, seed: int) -> np.ndarray:
    """Draw at most 1000 particles of each optics group at random, int64, ascending."""
    rng = np.random.default_rng((seed, 0, 3))
    rows = [np.flatnonzero(index == group) for group in np.unique(index)]
    return np.sort(np.concatenate([rng.permutation(r)[:SAMPLE] for r in rows]))


def _pixels(images: np.ndarray, model: ImageModel, rows: np.ndarray) -> np.ndarray:
    """Transform images (n, N, N) to the shell-sorted pixels, complex64 (n, P), with the optics' modulation undone."""
    values = image_to_half(images).reshape(len(images), -1)[:, model.pixels.flat]
    if model.optics.modulation is not None:
        values *= model.optics.modulation[model.optics.index[rows]]
    return values


def noise_spectra(source: ImageSource, model: ImageModel, rows: np.ndarray) -> np.ndarray:
    """Estimate noise variance per component, float64 (n_optics, N//2+1): masked image power without the mean image's."""
    pixels, groups = model.pixels, model.optics.index[rows]
    n_optics, n_shells = len(model.optics.premultiplied), pixels.box // 2 + 1
    power, mean = np.zeros((n_optics, n_shells)), np.zeros((n_optics, len(pixels.flat)), np.complex128)
    for first in range(0, len(rows), 256):
        part = slice(first, first + 256)
        values = _pixels(mask_with_background(source.read(rows[part]), model.mask), model, rows[part])
        np.add.at(power, groups[part], shell_sums(np.abs(values) ** 2, pixels))
        np.add.at(mean, groups[part], values)
    count = np.bincount(groups, minlength=n_optics)
    used = count > 0
    power[used] /= count[used, None]
    mean[used] /= count[used, None]
    spectrum = (power - shell_sums(np.abs(mean) ** 2, pixels)) / (2 * pixels.per_shell)
    spectrum[~used] = spectrum[used].mean(axis=0)
    for group in range(n_optics):
        for shell in np.flatnonzero(spectrum[group] <= 0):
            spectrum[group, shell] = spectrum[group, shell - 1] if shell else spectrum[group, 1]
    return spectrum


def start_shell(settings: RefinementSettings, box: int, pixel_size: float) -> int:
    """Return the shell to which start references are low-passed."""
    if settings.initial_lowpass > 0:
        return max(1, round_half_away(box * pixel_size / settings.initial_lowpass))
    return max(2, round_half_away(START_SHELL * box))


def random_averages(source: ImageSource, model: ImageModel, rows: np.ndarray, settings: RefinementSettings, seed: int) -> np.ndarray:
    """Average particles in random in-plane orientations, float32 (K, N, N): row j goes to class j mod K."""
    pixels, padding, n_classes = model.pixels, settings.padding, settings.n_classes
    box = pixels.box
    size = max(4, round_half_away(START_SHELL * box) // 2 * 2)
    count, grid = pixels.count(size), PaddedGrid(box, padding)
    psi = np.random.default_rng((seed, 0, 4)).uniform(0, 360, len(rows))
    voxels = grid.size * (grid.size // 2 + 1)
    data, weight = np.zeros((n_classes, voxels), np.complex128), np.zeros((n_classes, voxels))
    from scipy import sparse

    for first in range(0, len(rows), 256):
        part = np.arange(first, min(first + 256, len(rows)))
        values = _pixels(source.read(rows[part]), model, rows[part])[:, :count]
        ctf = model.ctf_values(rows[part], count)
        premultiplied = model.optics.premultiplied[model.optics.index[rows[part]]][:, None]
        values = np.where(premultiplied, values, values * ctf)
        for k in range(n_classes):
            mine = part % n_classes == k
            if not mine.any():
                continue
            plan = make_slice_plan(psi[part[mine]], pixels, size, padding)
            matrix = insertion_matrix(plan, np, sparse)
            turned = values[mine].real + 1j * values[mine].imag * plan.sign
            data[k] += matrix @ turned.ravel()
            weight[k] += matrix @ (ctf[mine] ** 2).ravel()
    data, weight = data.reshape(n_classes, grid.size, -1), weight.reshape(n_classes, grid.size, -1)
    make_hermitian(data)
    make_hermitian(weight)
    average = np.divide(data, weight, out=np.zeros_like(data), where=weight > 1e-6 * weight.max())
    return inverse(average.astype(np.complex64), grid) / gridding_correction(box, padding)


def _blobs(rng: np.random.Generator, averages: np.ndarray, diameter_px: float) -> np.ndarray:
    """Draw one image of Gaussian blobs per class, as strong as the average is where each blob sits."""
    n_classes, box = averages.shape[:2]
    centres = box // 2 + rng.normal(0, diameter_px / 7, (n_classes, BLOBS, 2))
    pixel = np.rint(centres).astype(int)
    inside = ((pixel >= 0) & (pixel < box)).all(axis=-1)
    pixel = np.clip(pixel, 0, box - 1)
    amplitude = np.abs(averages[np.arange(n_classes)[:, None], pixel[..., 1], pixel[..., 0]]) * inside
    axis = np.arange(box)
    across = np.exp(-((10 * (axis - centres[..., 0, None]) / diameter_px) ** 2))
    down = np.exp(-((10 * (axis - centres[..., 1, None]) / diameter_px) ** 2))
    return np.einsum("kb,kby,kbx->kyx", amplitude, down, across)


def start_references(averages: np.ndarray, settings: RefinementSettings, pixel_size: float, seed: int) -> np.ndarray:
    """Turn random-orientation averages into start references, float32 (K, N, N): positive minus half-weighted negative blobs."""
    box = averages.shape[-1]
    shell = start_shell(settings, box, pixel_size)

    def lowpass(images: np.ndarray) -> np.ndarray:
        return half_to_image(lowpass_half(image_to_half(images.astype(np.float32)), shell), box)

    references = lowpass(averages)
    diameter = settings.particle_diameter / pixel_size
    if settings.init_blobs:
        rng = np.random.default_rng((seed, 0, 5))
        blobs = _blobs(rng, references, diameter) - 0.5 * _blobs(rng, references, diameter)
        spread = blobs.std(axis=(1, 2), keepdims=True)
        target = references.std(axis=(1, 2), keepdims=True)
        references = lowpass(np.where(spread > 0, blobs * target / np.maximum(spread, 1e-20), references))
    return mask_with_background(references, soft_disc(box, diameter / 2, MASK_EDGE)).astype(np.float32)
