"""Junk with a shape of its own: ice crystals, carbon edges, gold beads, membranes."""

import numpy as np

from relion4plugin.imaging.fourier import half_to_image, image_to_half
from relion4plugin.simulation.canvas import Canvas, directions, log_uniform

ICE_PIECES = (1, 3)
ICE_RADIUS, ICE_CONTRAST = (50.0, 300.0), (3.0, 20.0)  # A; of the particles'
CORNERS = (4, 7)  # sides of a crystal
LOBES = 4  # harmonics of the outline of a blob
EDGE_THICKNESS, EDGE_STRUCTURE = (2.0, 8.0), (3.0, 6.0)  # step, of the particles' contrast; structure, of that of the ice
EDGE_SOFTNESS = 8.0  # A
GOLD_RADIUS, GOLD_CONTRAST = (25.0, 75.0), (20.0, 100.0)
LEAFLET, LEAFLET_WIDTH, TAILS_WIDTH = 20.0, 6.0, 8.0  # A: head groups from the middle of a bilayer, and standard deviations
MEMBRANE_CONTRAST = (1.5, 5.0)
MEMBRANE_RADIUS = (120.0, 3000.0)  # A, of the curvature
VESICLE_CHANCE, VESICLE_RADIUS = 0.25, (0.2, 0.45)  # small liposomes picked as particles; radius in boxes
SMALLEST_VESICLE = 90.0  # A, radius
SECOND_CHANCE, SECOND_GAP = 0.3, (70.0, 140.0)  # a second bilayer, A away


def ice(rng: np.random.Generator, count: int, canvas: Canvas) -> np.ndarray:
    """Draw one to three crystals (polygons) or blobs of contamination in each image, bright or dark, with sharp edges.

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
    images = np.zeros((count, canvas.size, canvas.size), np.float32)
    pieces = rng.integers(ICE_PIECES[0], ICE_PIECES[1] + 1, count)
    sign = rng.choice([-1.0, 1.0], count, p=[0.3, 0.7])
    for piece in range(ICE_PIECES[1]):
        rows = np.flatnonzero(pieces > piece)
        radius = log_uniform(rng, *ICE_RADIUS, len(rows))
        # near enough that some of it shows, however small the box
        reach = 0.35 * canvas.box + 0.5 * radius
        centres = directions(rng, len(rows)) * (reach * np.sqrt(rng.random(len(rows))))[:, None]
        height = sign[rows] * canvas.contrast * log_uniform(rng, *ICE_CONTRAST, len(rows))
        crystal = rng.random(len(rows)) < 0.5
        images[rows[crystal]] += height[crystal, None, None] * _polygons(rng, centres[crystal], radius[crystal], canvas)
        images[rows[~crystal]] += height[~crystal, None, None] * _blobs(rng, centres[~crystal], radius[~crystal], canvas)
    return np.asarray(image_to_half(images))


def _polygons(rng: np.random.Generator, centres: np.ndarray, radius: np.ndarray, canvas: Canvas) -> np.ndarray:
    """Polygons of height 1 with edges one pixel wide."""
    n = len(radius)
    corners = rng.integers(CORNERS[0], CORNERS[1] + 1, n)
    turn = rng.uniform(0.0, 2.0 * np.pi, n)
    depth = np.full((n, canvas.size, canvas.size), np.inf, np.float32)
    for side in range(CORNERS[1]):
        # sides beyond the last one repeat the others
        angle = turn + 2.0 * np.pi * (side % corners) / corners + rng.normal(0.0, 0.15, n)
        across = np.cos(angle)[:, None] * (canvas.axis - centres[:, :1])
        down = np.sin(angle)[:, None] * (canvas.axis - centres[:, 1:])
        reach = radius * rng.uniform(0.6, 1.0, n)
        np.minimum(depth, (reach[:, None, None] - across[:, None, :] - down[:, :, None]).astype(np.float32), out=depth)
    return np.asarray(np.clip(depth / np.float32(canvas.pixel_size) + np.float32(0.5), 0.0, 1.0))


def _blobs(rng: np.random.Generator, centres: np.ndarray, radius: np.ndarray, canvas: Canvas) -> np.ndarray:
    """Blobs with wavy outlines, as thick as a ball."""
    x, y = (canvas.axis - centres[:, i, None] for i in range(2))
    angle = np.arctan2(y[:, :, None], x[:, None, :]).astype(np.float32)
    outline = np.ones_like(angle)
    for lobe in range(2, 2 + LOBES):
        height, phase = rng.normal(0.0, 0.25 / lobe, len(radius)), rng.uniform(0.0, 2.0 * np.pi, len(radius))
        outline += height.astype(np.float32)[:, None, None] * np.cos(lobe * angle + phase.astype(np.float32)[:, None, None])
    inside = canvas.distances(centres) / (radius.astype(np.float32)[:, None, None] * np.maximum(outline, 0.3))
    return np.asarray(np.sqrt(np.maximum(1.0 - inside**2, 0.0)))


def edge(rng: np.random.Generator, count: int, canvas: Canvas) -> np.ndarray:
    """Draw the edge of the carbon film: a step, and on one side three to six times the structure of ice. As `ice`."""
    normal = directions(rng, count).astype(np.float32)
    offset = rng.uniform(-0.3, 0.3, count) * canvas.box
    beyond = normal[:, :1, None] * canvas.axis + normal[:, 1:, None] * canvas.axis[:, None] - offset.astype(np.float32)[:, None, None]
    film = 0.5 + 0.5 * np.tanh(beyond / np.float32(EDGE_SOFTNESS))
    height = canvas.contrast * log_uniform(rng, *EDGE_THICKNESS, count)
    roughness = rng.uniform(*EDGE_STRUCTURE, count)
    shape = (count, canvas.size, canvas.size)
    white = image_to_half(rng.standard_normal(shape, dtype=np.float32)) * np.float32(canvas.size)
    structure = half_to_image(white * canvas.texture, canvas.size)
    images = film * (height[:, None, None] + roughness[:, None, None] * structure)
    return np.asarray(image_to_half(images.astype(np.float32)))


def gold(rng: np.random.Generator, count: int, canvas: Canvas) -> np.ndarray:
    """Draw a gold bead in each image. As `ice`."""
    radius = rng.uniform(*GOLD_RADIUS, count)
    centres = directions(rng, count) * (0.35 * canvas.box * np.sqrt(rng.random(count)))[:, None]
    inside = canvas.distances(centres) / radius.astype(np.float32)[:, None, None]
    height = canvas.contrast * log_uniform(rng, *GOLD_CONTRAST, count)
    images = height[:, None, None] * np.sqrt(np.maximum(1.0 - inside**2, 0.0))
    return np.asarray(image_to_half(images.astype(np.float32)))


def membrane(rng: np.random.Generator, count: int, canvas: Canvas) -> np.ndarray:
    """Draw one or two lipid bilayers seen edge-on, nearly straight or round as in a liposome. As `ice`."""
    radius = log_uniform(rng, *MEMBRANE_RADIUS, count)
    normal = directions(rng, count)
    offset = rng.normal(0.0, 0.12 * canvas.box, count)
    centres = (offset - radius)[:, None] * normal
    vesicle = rng.random(count) < VESICLE_CHANCE
    radius[vesicle] = np.maximum(rng.uniform(*VESICLE_RADIUS, vesicle.sum()) * canvas.box, SMALLEST_VESICLE)
    centres[vesicle] = rng.normal(0.0, 0.05 * canvas.box, (vesicle.sum(), 2))
    height = canvas.contrast * log_uniform(rng, *MEMBRANE_CONTRAST, count)
    second = ~vesicle & (rng.random(count) < SECOND_CHANCE)
    gap = rng.uniform(*SECOND_GAP, count) * rng.choice([-1.0, 1.0], count)
    depth = canvas.distances(centres) - radius.astype(np.float32)[:, None, None]
    images = _bilayer(depth)
    images[second] += _bilayer(depth[second] - gap[second].astype(np.float32)[:, None, None])
    return np.asarray(image_to_half(images * height.astype(np.float32)[:, None, None]))


def _bilayer(depth: np.ndarray) -> np.ndarray:
    """Density across a bilayer at `depth` A from its middle: head groups dense, tails thinner than ice."""
    heads = np.exp(-0.5 * ((np.abs(depth) - LEAFLET) / LEAFLET_WIDTH) ** 2)
    return np.asarray(heads - 0.4 * np.exp(-0.5 * (depth / TAILS_WIDTH) ** 2))
