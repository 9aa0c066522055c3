"""Junk that is a chain: unfolded protein, rods, nucleic acid, filaments."""

import numpy as np

from relion4plugin.imaging.fourier import half_frequencies, image_to_half
from relion4plugin.simulation.canvas import Canvas, directions

FIBRE_BEADS, FIBRE_STEP, FIBRE_SMEAR = 400, 7.6, 4.0  # beads of two residues each, A, A
FIBRE_SHARE = (0.4, 1.0)  # of the mass of a particle
WORM_CONTRAST = (2.0, 5.0)  # of the particles', at a width of 40 A
POINTS_PER_PIXEL = 2
STRAND_GAP = 0.25  # of the width, each strand from the middle of a filament


def fibre(rng: np.random.Generator, count: int, canvas: Canvas) -> np.ndarray:
    """Draw unfolded chains, flat as at the surface of the water: random walks of the mass of a particle.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source.
    count : int
        Number of images.
    canvas : Canvas
        Size and scale.

    Returns
    -------
    numpy.ndarray
        complex64 half transforms (count, W, W//2+1) before the CTF.
    """
    # a stiff walk: each step keeps most of the direction of the last
    angle = rng.uniform(0.0, 2.0 * np.pi, (count, 1)) + np.cumsum(rng.normal(0.0, 0.9, (count, FIBRE_BEADS)), axis=1)
    places = np.cumsum(FIBRE_STEP * np.stack([np.cos(angle), np.sin(angle)], axis=-1), axis=1)
    places -= places.mean(axis=1, keepdims=True)
    places *= np.minimum(1.0, 0.3 * canvas.box / places.std(axis=1, keepdims=True))
    share = rng.uniform(*FIBRE_SHARE, count)
    weight = np.broadcast_to((share * canvas.mass / FIBRE_BEADS)[:, None], (count, FIBRE_BEADS))
    return _smeared(_splat(places, weight, canvas), np.full(count, FIBRE_SMEAR), canvas)


def rod(rng: np.random.Generator, count: int, canvas: Canvas) -> np.ndarray:
    """Draw a stiff rod in each image, 20 to 60 A wide, with ends. As `fibre`."""
    length = rng.uniform(0.5, 1.2, count) * canvas.box
    return _worm(rng, rng.uniform(20.0, 60.0, count), length, 1e5, 0.0, canvas)


def dna(rng: np.random.Generator, count: int, canvas: Canvas) -> np.ndarray:
    """Draw a bare double helix across each image, 20 A wide, which bends over 500 A. As `fibre`."""
    return _worm(rng, np.full(count, 20.0), np.full(count, 1.8 * canvas.box), 500.0, 0.15 * canvas.box, canvas)


def filament(rng: np.random.Generator, count: int, canvas: Canvas) -> np.ndarray:
    """Draw a filament of two strands across each image, 50 to 100 A wide, which bends over 1 micrometre. As `fibre`."""
    return _worm(rng, rng.uniform(50.0, 100.0, count), np.full(count, 1.8 * canvas.box), 1e4, 0.15 * canvas.box, canvas)


def _worm(rng: np.random.Generator, width: np.ndarray, length: np.ndarray, persistence: float, offset: float, canvas: Canvas) -> np.ndarray:
    """Worm-like chains of two strands twisted about each other; lengths in A, width and length (count,).

    `persistence` is the length over which the direction is kept and `offset` the standard deviation of the distance of the chain
    from the box centre.
    """
    count, step = len(width), canvas.pixel_size / POINTS_PER_PIXEL
    number = int(np.ceil(length.max() / step))
    along = step * (np.arange(number) - number // 2)
    bend = np.cumsum(rng.normal(0.0, np.sqrt(step / persistence), (count, number)), axis=1)
    angle = rng.uniform(0.0, 2.0 * np.pi, (count, 1)) + bend - bend[:, number // 2, None]
    tangent = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    middle = np.cumsum(step * tangent, axis=1)
    middle += (offset * rng.normal(size=(count, 1)) * directions(rng, count))[:, None] - middle[:, number // 2, None]
    pitch = rng.uniform(3.0, 12.0, (count, 1)) * width[:, None]
    aside = STRAND_GAP * width[:, None] * np.cos(2.0 * np.pi * along / pitch + rng.uniform(0, 2 * np.pi, (count, 1)))
    across = aside[..., None] * np.stack([-tangent[..., 1], tangent[..., 0]], axis=-1)
    # the peak of a Gaussian line of this spread is its mass per length over sqrt(2 pi) sigma
    spread = 0.25 * width
    peak = canvas.contrast * rng.uniform(*WORM_CONTRAST, count) * np.sqrt(width / 40.0)
    mass = peak * np.sqrt(2.0 * np.pi) * spread * step / canvas.pixel_size**2
    weight = 0.5 * mass[:, None] * (np.abs(along) < length[:, None] / 2)
    return _smeared(_splat(middle + across, weight, canvas) + _splat(middle - across, weight, canvas), spread, canvas)


def _splat(places: np.ndarray, weight: np.ndarray, canvas: Canvas) -> np.ndarray:
    """Add points (count, m, 2) x y in A with weights (count, m) to images by bilinear interpolation; those outside are left out."""
    size, count = canvas.size, len(places)
    grid = places / canvas.pixel_size + size // 2
    corner = np.floor(grid).astype(np.int64)
    part = grid - corner
    inside = ((corner >= 0) & (corner < size - 1)).all(axis=-1)
    first = (np.arange(count)[:, None] * size + corner[..., 1]) * size + corner[..., 0]
    flat = np.zeros(count * size * size)
    for down in (0, 1):
        for right in (0, 1):
            share = (part[..., 0] if right else 1 - part[..., 0]) * (part[..., 1] if down else 1 - part[..., 1]) * weight
            flat += np.bincount((first + down * size + right)[inside], share[inside], minlength=len(flat))
    return flat.reshape(count, size, size).astype(np.float32)


def _smeared(images: np.ndarray, spread: np.ndarray, canvas: Canvas) -> np.ndarray:
    """Half transforms of images blurred by Gaussians of standard deviations `spread` (count,) in A."""
    ky, kx = half_frequencies(canvas.size)
    frequency2 = ((kx * kx + ky * ky) / (canvas.size * canvas.pixel_size) ** 2).astype(np.float32)
    gain = np.exp(-2.0 * np.pi**2 * spread.astype(np.float32)[:, None, None] ** 2 * frequency2)
    return np.asarray(image_to_half(images) * gain)
