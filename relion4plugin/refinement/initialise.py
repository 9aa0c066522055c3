"""The state before the first iteration: noise spectra and start references from the particles themselves."""

from collections.abc import Iterable, Iterator

import numpy as np

from relion4plugin.geometry.euler import euler_to_matrix
from relion4plugin.imaging.filters import lowpass_half, lowpass_to_shell
from relion4plugin.imaging.fourier import half_to_image, image_to_half, round_half_away
from relion4plugin.imaging.masks import mask_with_background, soft_disc
from relion4plugin.refinement.images import MASK_EDGE, ImageModel, ImageSource
from relion4plugin.refinement.pixels import PixelList, shell_sums
from relion4plugin.refinement.references import PaddedGrid, gridding_correction, inverse, soften_corners
from relion4plugin.refinement.robust_noise import robust_mean
from relion4plugin.refinement.settings import RefinementSettings
from relion4plugin.refinement.slices import insertion_matrix, make_hermitian, make_slice_plan
from relion4plugin.refinement.symmetrise import make_hermitian as make_hermitian_volume
from relion4plugin.refinement.volume_slices import insert_slices
from relion4plugin.refinement.volume_transforms import fade_sphere, inverse_volume

SAMPLE = 1000  # particles per optics group
START_SHELL = 0.07  # of the box
BLOBS = 40
LEAST_NOISE = 0.2  # of an image's power: strong images also raise the mean image

Part = tuple[np.ndarray, np.ndarray, np.ndarray]  # positions, images times CTF, CTFs


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


def noise_spectra(source: ImageSource, model: ImageModel, rows: np.ndarray, robust: bool) -> np.ndarray:
    """Estimate noise variance per component, float64 (n_optics, N//2+1): masked image power without the mean image's.

    `robust` lets strong images count less, as `robust_noise`.
    """
    pixels, groups = model.pixels, model.optics.index[rows]
    components = 2 * pixels.per_shell
    n_optics, n_shells = len(model.optics.premultiplied), pixels.box // 2 + 1
    powers, mean = np.empty((len(rows), n_shells), np.float32), np.zeros((n_optics, len(pixels.flat)), np.complex128)
    for first in range(0, len(rows), 256):
        part = slice(first, first + 256)
        values = _pixels(mask_with_background(source.read(rows[part]), model.mask), model, rows[part])
        powers[part] = shell_sums(np.abs(values) ** 2, pixels)
        np.add.at(mean, groups[part], values)
    count = np.bincount(groups, minlength=n_optics)
    used = count > 0
    mean[used] /= count[used, None]
    power = np.zeros((n_optics, n_shells))
    for group in np.flatnonzero(used):
        mine = powers[groups == group]
        power[group] = robust_mean(mine, components) if robust else mine.mean(axis=0, dtype=np.float64)
    spectrum = power - shell_sums(np.abs(mean) ** 2, pixels)
    if robust:
        spectrum = np.maximum(spectrum, LEAST_NOISE * power)
    spectrum /= components
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
    """Average particles in random orientations, float32 (K, N, N) or (K, N, N, N): row j goes to class j mod K."""
    pixels, padding = model.pixels, settings.padding
    box = pixels.box
    size = max(4, round_half_away(START_SHELL * box) // 2 * 2)
    rng = np.random.default_rng((seed, 0, 4))
    average = _average_volumes if settings.dimension == 3 else _average_images
    return average(_start_pixels(source, model, rows, pixels.count(size)), len(rows), pixels, size, padding, settings.n_classes, rng)


def _start_pixels(source: ImageSource, model: ImageModel, rows: np.ndarray, count: int) -> Iterator[Part]:
    """Yield positions in `rows`, images times CTF (n, P) and CTFs (n, P), some particles at a time."""
    for first in range(0, len(rows), 256):
        part = np.arange(first, min(first + 256, len(rows)))
        values = _pixels(source.read(rows[part]), model, rows[part])[:, :count]
        ctf = model.ctf_values(rows[part], count)
        premultiplied = model.optics.premultiplied[model.optics.index[rows[part]]][:, None]
        yield part, np.where(premultiplied, values, values * ctf), ctf


def _average_images(
    parts: Iterable[Part],
    n: int,
    pixels: PixelList,
    size: int,
    padding: int,
    n_classes: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Average images in random in-plane orientations, float32 (K, N, N)."""
    from scipy import sparse

    grid = PaddedGrid(pixels.box, padding)
    psi = rng.uniform(0, 360, n)
    voxels = grid.size * (grid.size // 2 + 1)
    data, weight = np.zeros((n_classes, voxels), np.complex128), np.zeros((n_classes, voxels))
    for part, values, ctf in parts:
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
    return inverse(average.astype(np.complex64), grid) / gridding_correction(pixels.box, padding)


def _average_volumes(
    parts: Iterable[Part],
    n: int,
    pixels: PixelList,
    size: int,
    padding: int,
    n_classes: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Reconstruct volumes from images in random orientations, float32 (K, N, N, N), on a grid of the few frequencies needed."""
    box, count = pixels.box, pixels.count(size)
    angles = rng.uniform(0, (360, 180, 360), (n, 3))
    small = 2 * (padding * (size // 2) + 1)
    data, weight = np.zeros((n_classes, small, small, small // 2 + 1), np.complex128), np.zeros((n_classes, small, small, small // 2 + 1))
    kx, ky = pixels.kx[:count], pixels.ky[:count]
    for part, values, ctf in parts:
        matrices = euler_to_matrix(*angles[part].T)
        for k in range(n_classes):
            mine = part % n_classes == k
            insert_slices(data[k], weight[k], values[mine], ctf[mine] ** 2, matrices[mine], kx, ky, padding, size // 2)
    make_hermitian_volume(data)
    make_hermitian_volume(weight)
    average = np.divide(data, weight, out=np.zeros_like(data), where=weight > 1e-6 * weight.max()).astype(np.complex64)
    maps = np.stack([inverse_volume(transform, box, box * padding) for transform in average])
    maps /= gridding_correction(box, padding, 3)
    return soften_corners(maps)


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


def _blob_volumes(rng: np.random.Generator, averages: np.ndarray, diameter_px: float) -> np.ndarray:
    """Draw one map of Gaussian blobs per class, float32 (K, N, N, N); as `_blobs`, but none farther than D/3 from the centre."""
    box = averages.shape[-1]
    axis = np.arange(box)
    maps = np.empty_like(averages)
    for average, out in zip(averages, maps, strict=True):
        offset = rng.normal(0, diameter_px / 6, (BLOBS, 3))  # z, y, x
        inside = (np.abs(offset) <= diameter_px / 3).all(axis=1)
        centres = box // 2 + offset[inside]
        z, y, x = np.clip(np.rint(centres).astype(int), 0, box - 1).T
        profile = np.exp(-((10 * (axis - centres[..., None]) / diameter_px) ** 2)).astype(np.float32)
        across = profile[:, 2] * np.abs(average[z, y, x])[:, None]
        for plane, height in zip(out, profile[:, 0].T, strict=True):
            plane[:] = (profile[:, 1] * height[:, None]).T @ across
    return maps


def start_references(averages: np.ndarray, settings: RefinementSettings, pixel_size: float, seed: int) -> np.ndarray:
    """Turn random-orientation averages into start references of the same shape: positive minus half-weighted negative blobs.

    Returns
    -------
    float32 (K, N, N) or (K, N, N, N)
    """
    box, volume = averages.shape[-1], averages.ndim == 4
    shell = start_shell(settings, box, pixel_size)

    def lowpass(maps: np.ndarray) -> np.ndarray:
        if volume:
            return np.stack([lowpass_to_shell(one, shell) for one in maps])
        return half_to_image(lowpass_half(image_to_half(maps.astype(np.float32)), shell), box)

    references = lowpass(averages)
    diameter = settings.particle_diameter / pixel_size
    if settings.init_blobs:
        rng = np.random.default_rng((seed, 0, 5))
        draw, axes = (_blob_volumes, (1, 2, 3)) if volume else (_blobs, (1, 2))
        blobs = draw(rng, references, diameter) - 0.5 * draw(rng, references, diameter)
        spread = blobs.std(axis=axes, keepdims=True)
        target = references.std(axis=axes, keepdims=True)
        references = lowpass(np.where(spread > 0, blobs * target / np.maximum(spread, 1e-20), references))
    if volume:
        for reference in references:
            fade_sphere(reference, diameter / 2, MASK_EDGE)
        return references
    return mask_with_background(references, soft_disc(box, diameter / 2, MASK_EDGE)).astype(np.float32)
