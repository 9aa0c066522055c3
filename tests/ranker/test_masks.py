"""Protein and solvent masks against a flood fill pixel by pixel, and their scalars on drawn shapes."""

import numpy as np
import pytest
import scipy.ndimage

from relion4plugin.ranker.granulometry import granulometry
from relion4plugin.ranker.masks import CENTRE, PI, SHARE, class_masks, lowpass


def flood(smooth: np.ndarray, radius: float) -> tuple[np.ndarray, int]:
    """Protein mask and rejected area of one image, by growing pieces from pixels of the central disc."""
    n = len(smooth)
    x = np.arange(n) - n // 2
    squared = x[:, None] ** 2 + x[None] ** 2
    white = (smooth > 0.05 * smooth.std()) & (squared <= radius**2)
    centre = squared <= CENTRE * radius**2
    seen, protein, rejected = np.zeros((n, n), bool), np.zeros((n, n), bool), 0
    for seed in np.argwhere(white & centre):
        if seen[tuple(seed)]:
            continue
        piece, queue = [], [tuple(seed)]
        seen[tuple(seed)] = True
        while queue:
            row, column = queue.pop()
            piece.append((row, column))
            for near in ((row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)):
                if min(near) >= 0 and max(near) < n and white[near] and not seen[near]:
                    seen[near] = True
                    queue.append(near)
        rows = tuple(np.array(piece).T)
        if centre[rows].sum() > SHARE * PI * CENTRE * radius**2:
            protein[rows] = True
        else:
            rejected += len(piece)
    return protein, rejected


@pytest.mark.parametrize("diameter", [120.0, 200.0, 900.0])
def test_masks_are_those_of_a_flood_fill(rng, diameter):
    smooth = scipy.ndimage.gaussian_filter(rng.standard_normal((12, 40, 40)), (0, 2.5, 2.5))
    smooth[6:] = scipy.ndimage.gaussian_filter(rng.standard_normal((6, 40, 40)), (0, 1, 1)) - 0.1
    masks = class_masks(smooth, diameter)
    assert masks.radius == min(20, diameter / 8)
    for image, protein, rejected in zip(smooth, masks.protein, masks.rejected_area, strict=True):
        expected, area = flood(image, masks.radius)
        np.testing.assert_array_equal(protein, expected)
        assert rejected == area
    assert masks.protein_area.max() > 0 and masks.rejected_area.max() > 0
    assert not (masks.protein & masks.solvent).any()


def disc(n, row, column, radius):
    y, x = np.mgrid[:n, :n] - n // 2
    return ((y - row) ** 2 + (x - column) ** 2 <= radius**2).astype(float)


def test_a_disc_a_speck_and_a_neighbour():
    n = 50
    neighbour = disc(n, 0, 19, 3)
    image = disc(n, 0, -3, 7) + disc(n, 9, 6, 1) + neighbour - 0.001
    masks = class_masks(image[None], 160.0)  # circle of 20 px, central disc of 12 px
    assert masks.protein_area[0] == disc(n, 0, -3, 7).sum()
    assert masks.rejected_area[0] == disc(n, 9, 6, 1).sum()
    assert masks.scattered_signal[0] == pytest.approx(5 / (5 + 149 + 1))
    assert masks.edge_signal[0] == 0
    assert masks.solvent[0][neighbour > 0].sum() == (neighbour * disc(n, 0, 0, 20)).sum()
    assert masks.has_solvent[0]


def test_the_rim_counts_pixels_outside_the_circle():
    n = 50
    image = np.where(np.arange(n)[None] >= n // 2 - 2, 1.0, -1.0) * np.ones((n, 1))
    masks = class_masks(image[None], 160.0)
    y, x = np.mgrid[:n, :n] - n // 2
    rim = np.floor(np.hypot(x, y) + 0.5) == 20
    assert masks.edge_signal[0] == (rim & (x >= -2) & (x**2 + y**2 <= 400)).sum() / rim.sum()


def test_a_bar_has_a_longer_contour_than_a_square():
    bar, square = np.zeros((2, 40, 40))
    bar[16:25, 8:33] = square[13:28, 13:28] = 1
    ratio = class_masks(np.stack([bar, square, np.zeros((40, 40))]) - 0.01, 160.0).contour_ratio
    expected = [(2 * (9 + 25) - 4) / (2 * np.sqrt(PI * 9 * 25)), (4 * 15 - 4) / (2 * np.sqrt(PI * 15 * 15)), 0.0]
    np.testing.assert_allclose(ratio, expected)


def test_the_ring_is_the_outermost_part_of_the_circle():
    ring = class_masks(np.zeros((1, 60, 60)), 200.0).ring
    y, x = np.mgrid[:60, :60] - 30
    np.testing.assert_array_equal(ring, (np.hypot(x, y) <= 25) & (np.hypot(x, y) >= 23.75))


def test_lowpass_passes_30_and_stops_20_angstrom():
    x = np.arange(60) * 4.0
    wave = np.stack([np.cos(2 * np.pi * x / period) * np.ones((60, 1)) for period in (30.0, 20.0, 25.263)])
    smooth = lowpass(wave)
    np.testing.assert_allclose(smooth[0], wave[0], atol=1e-6)
    np.testing.assert_allclose(smooth[1], 0, atol=1e-6)


def test_granulometry_by_hand(rng):
    image = rng.standard_normal((17, 17))
    found = granulometry(image[None])[0]
    for i, radius in enumerate(range(1, 7)):
        offsets = [(a, b) for a in range(-radius, radius + 1) for b in range(-radius, radius + 1) if a * a + b * b <= radius**2]

        def around(source, y, x, offsets=offsets):
            return [source[y + a, x + b] for a, b in offsets if 0 <= y + a < 17 and 0 <= x + b < 17]

        eroded = np.array([[min(around(image, y, x)) for x in range(17)] for y in range(17)])
        opened = np.array([[max(around(eroded, y, x)) for x in range(17)] for y in range(17)])
        assert found[i] == pytest.approx(opened.sum())
