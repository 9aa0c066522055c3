"""Central slices against loops, closed forms and their transpose."""

import numpy as np
import pytest

from relion4plugin.geometry.euler import random_rotations
from relion4plugin.refinement.pixels import PixelList
from relion4plugin.refinement.references import PaddedGrid, forward
from relion4plugin.refinement.volume_slices import central_slices, insert_slices
from tests.refinement.gaussian_volumes import CENTRES, HEIGHTS, blob_volume, transform_at

BOX = 16


def hermitian_noise(rng, size):
    return np.fft.rfftn(rng.normal(size=(size, size, size))).astype(np.complex64)


def slow_value(full, matrix, kx, ky, padding, r_max):
    """One pixel of a slice out of the full transform (M, M, M)."""
    if kx**2 + ky**2 > r_max**2:
        return 0.0
    point = padding * matrix.T @ np.array([kx, ky, 0.0])
    base, total = np.floor(point).astype(int), 0.0
    for dx in (0, 1):
        for dy in (0, 1):
            for dz in (0, 1):
                corner = base + np.array([dx, dy, dz])
                weight = np.prod(1 - np.abs(point - corner))
                if (corner**2).sum() <= (padding * r_max) ** 2:
                    total += weight * full[corner[2], corner[1], corner[0]]
    return total


@pytest.mark.parametrize("padding", [1, 2])
def test_slices_equal_loops_over_pixels(rng, padding):
    volume = rng.normal(size=(BOX * padding,) * 3)
    full = np.fft.fftn(volume)
    matrices, pixels, r_max = random_rotations(4, rng), PixelList.of(BOX), 6
    kx, ky = pixels.kx, pixels.ky
    found = central_slices(np.fft.rfftn(volume).astype(np.complex64), matrices, kx, ky, padding, r_max)
    expected = [[slow_value(full, a, x, y, padding, r_max) for x, y in zip(kx, ky, strict=True)] for a in matrices]
    assert np.allclose(found, expected, atol=2e-4 * np.abs(full).max())
    assert np.abs(found).max() > 1


def test_slices_of_blobs_have_their_closed_form(rng):
    volume = blob_volume(BOX, CENTRES, HEIGHTS)
    matrices, pixels = random_rotations(6, rng), PixelList.of(BOX)
    count = pixels.count(12)
    kx, ky = pixels.kx[:count], pixels.ky[:count]
    transform = forward(volume[None], PaddedGrid(BOX, 2, 3), corrected=True)[0]
    found = central_slices(transform, matrices, kx, ky, 2, 6)
    points = np.einsum("nij,ip->npj", matrices[:, :2], np.stack([kx, ky]))
    expected = transform_at(points, BOX, CENTRES, HEIGHTS)
    # voxels themselves need no correction for interpolation: the mean comes out too large
    assert np.abs(found - expected)[:, 1:].max() < 0.02 * np.abs(expected).max()


def test_insertion_is_the_transpose(rng):
    size, padding, r_max = 2 * BOX, 2, 6
    matrices, pixels = random_rotations(5, rng), PixelList.of(BOX)
    kx, ky = pixels.kx, pixels.ky
    transform = hermitian_noise(rng, size)
    values = (rng.normal(size=(5, len(kx))) + 1j * rng.normal(size=(5, len(kx)))).astype(np.complex64)
    weights = rng.uniform(size=values.shape)
    data, weight = np.zeros(transform.shape, np.complex128), np.zeros(transform.shape)
    insert_slices(data, weight, values, weights, matrices, kx, ky, padding, r_max)
    forward_product = (central_slices(transform, matrices, kx, ky, padding, r_max) * values.conj()).real.sum()
    assert forward_product == pytest.approx((transform * data.conj()).real.sum(), rel=1e-4)
    ones = np.ones(transform.shape, np.complex64)
    assert (central_slices(ones, matrices, kx, ky, padding, r_max).real * weights).sum() == pytest.approx(weight.sum(), rel=1e-4)
