"""Pixel list, central slices and their transpose, against closed forms and explicit loops."""

import numpy as np
import pytest
from scipy import sparse

from relion4plugin.refinement import kernels
from relion4plugin.refinement.pixels import PixelList, shell_sums
from relion4plugin.refinement.references import PaddedGrid, forward
from relion4plugin.refinement.slices import extract_slices, insertion_matrix, make_hermitian, make_slice_plan
from tests.refinement.simulated import blob_image, rotation

BOX, PAD = 24, 2
ANGLES = np.array([0.0, 17.0, 45.0, 90.0, 133.0, 180.0, 251.5, 359.0])


@pytest.fixture(scope="module")
def pixels():
    return PixelList.of(BOX)


def test_pixels_are_the_independent_ones_in_shell_order(pixels):
    expected = set()
    for ky in range(-BOX // 2, BOX // 2):
        for kx in range(BOX // 2 + 1):
            redundant = kx == 0 and -BOX // 2 < ky < 0
            if not redundant and int(np.hypot(kx, ky) + 0.5) <= BOX // 2:
                expected.add((ky, kx))
    found = list(zip(pixels.ky.astype(int).tolist(), pixels.kx.astype(int).tolist(), strict=True))
    assert len(found) == len(expected)
    assert set(found) == expected
    assert np.all(np.diff(pixels.shell) >= 0)
    assert found[0] == (0, 0)
    for s in range(BOX // 2 + 1):
        assert np.all(pixels.shell[pixels.starts[s] : pixels.starts[s + 1]] == s)
    assert pixels.count(10) == sum(int(np.hypot(*p) + 0.5) <= 5 for p in expected)
    assert pixels.count(BOX + 8) == len(expected)
    assert pixels.per_shell.sum() == len(expected)


def test_shell_sums_add_up_pixels(pixels, rng):
    values = rng.normal(size=(2, len(pixels.flat)))
    sums = shell_sums(values, pixels)
    for s in range(BOX // 2 + 1):
        assert np.allclose(sums[:, s], values[:, pixels.shell == s].sum(axis=1))
    with pytest.raises(ValueError, match="pixels"):
        shell_sums(values[:, :-1], pixels)


def test_slices_of_gaussian_blobs_match_their_analytic_transform(pixels):
    box, sigma = 64, 2.5
    listed = PixelList.of(box)
    centres, heights = np.array([[6.0, -2.5], [-3.0, 4.0], [0.0, 7.0]]), np.array([1.0, 0.5, 1.5])
    image = blob_image(box, centres, heights, sigma).astype(np.float32)
    transforms = forward(image[None], PaddedGrid(box, PAD), corrected=True)
    plan = make_slice_plan(ANGLES, listed, 40, PAD)
    slices = extract_slices(transforms, plan, np)[0]
    count = listed.count(40)
    kx, ky = listed.kx[:count], listed.ky[:count]
    inside = np.hypot(kx, ky) <= 18
    for psi, values in zip(ANGLES, slices, strict=True):
        moved = centres @ rotation(psi).T
        phase = np.exp(-2j * np.pi * (kx[:, None] * moved[:, 0] + ky[:, None] * moved[:, 1]) / box)
        envelope = 2 * np.pi * sigma**2 * np.exp(-2 * (np.pi * sigma / box) ** 2 * (kx**2 + ky**2)) / box**2
        expected = envelope * (phase @ heights)
        error = np.abs(values - expected)[inside].max() / np.abs(expected).max()
        assert error < 0.012, psi


def test_slices_outside_the_image_size_are_zero(pixels, rng):
    plan = make_slice_plan(ANGLES, pixels, 12, PAD)
    count = pixels.count(12)
    outside = np.hypot(pixels.kx[:count], pixels.ky[:count]) > 6
    assert outside.any()
    assert not plan.weights[:, outside].any()


def test_half_a_turn_is_the_complex_conjugate(pixels, rng):
    transforms = forward(rng.normal(size=(2, BOX, BOX)).astype(np.float32), PaddedGrid(BOX, PAD), corrected=False)
    first = extract_slices(transforms, make_slice_plan(ANGLES, pixels, 20, PAD), np)
    second = extract_slices(transforms, make_slice_plan(ANGLES + 180.0, pixels, 20, PAD), np)
    assert np.allclose(first, second.conj(), atol=1e-6 * np.abs(first).max())


def test_insertion_is_the_transpose_of_the_gather(pixels, rng):
    plan = make_slice_plan(ANGLES, pixels, 20, PAD)
    shape = (1, plan.size, plan.size // 2 + 1)
    grid = (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)
    slices = (rng.normal(size=plan.sign.shape) + 1j * rng.normal(size=plan.sign.shape)).astype(np.complex64)
    gathered = extract_slices(grid, plan, np)[0]
    turned = slices.real + 1j * slices.imag * plan.sign
    inserted = insertion_matrix(plan, np, sparse) @ turned.ravel()

    def dot(a, b):
        return float(np.sum(a.real * b.real + a.imag * b.imag, dtype=np.float64))

    assert dot(gathered, slices) == pytest.approx(dot(grid.ravel(), inserted), rel=1e-5)


def test_compiled_insertion_equals_the_sparse_matrix(pixels, rng):
    """One class, one particle with weight 1 at one unshifted sample of every angle."""
    plan = make_slice_plan(ANGLES, pixels, 20, PAD)
    n, count = plan.sign.shape
    images = (rng.normal(size=(n, count)) + 1j * rng.normal(size=(n, count))).astype(np.complex64)
    weight = rng.uniform(0.5, 2, (n, count)).astype(np.float32)
    templates = (rng.normal(size=(n, count)) + 1j * rng.normal(size=(n, count))).astype(np.complex64)
    half = (np.arange(n) % 2).astype(np.int8)
    particle, shift, share = np.arange(n, dtype=np.int32), np.zeros(n, np.int32), np.full(n, 0.7, np.float32)
    one, zero = np.ones((1, count), np.float32), np.zeros((1, count), np.float32)
    matrix = insertion_matrix(plan, np, sparse)
    for subtract in (False, True):
        data, grid = np.zeros((2, plan.n_voxels), np.complex64), np.zeros((2, plan.n_voxels), np.float32)
        kernels.back_project_class(
            0, np.arange(n + 1), particle, shift, share, half, one, zero, images.real.copy(), images.imag.copy(), weight,
            templates.real.copy(), templates.imag.copy(), subtract, plan.corners, plan.weights, plan.sign, data, grid,
        )  # fmt: skip
        values = 0.7 * (images - subtract * weight * templates)
        for h in range(2):
            chosen = (half == h)[:, None]
            expected = matrix @ ((values.real + 1j * values.imag * plan.sign) * chosen).ravel()
            assert np.allclose(data[h], expected, atol=1e-5 * np.abs(expected).max())
            assert np.allclose(grid[h], matrix @ (0.7 * weight * chosen).ravel(), atol=1e-5)


def test_half_grid_equals_insertion_of_every_pixel_and_its_mate(pixels, rng):
    """Explicit insertion into the full plane; the mean pixel, its own mate, counts twice."""
    psi = np.array([28.0])
    plan = make_slice_plan(psi, pixels, 20, PAD)
    count, m = plan.sign.shape[1], plan.size
    values = rng.normal(size=count) + 1j * rng.normal(size=count)
    values[0] = values[0].real
    data = (insertion_matrix(plan, np, sparse) @ (values.real + 1j * values.imag * plan.sign[0])).reshape(m, -1)
    weight = (insertion_matrix(plan, np, sparse) @ np.ones(count)).reshape(m, -1)
    make_hermitian(data)
    make_hermitian(weight)
    full, full_weight = np.zeros((m, m), complex), np.zeros((m, m))
    radius = PAD * 10
    for kx, ky, value in zip(pixels.kx[:count], pixels.ky[:count], values, strict=True):
        if np.hypot(kx, ky) > 10:
            continue
        for sign in (1, -1):
            x, y = PAD * sign * (rotation(psi[0]).T @ [kx, ky])
            for ix in (int(np.floor(x)), int(np.floor(x)) + 1):
                for iy in (int(np.floor(y)), int(np.floor(y)) + 1):
                    w = (1 - abs(x - ix)) * (1 - abs(y - iy))
                    if ix**2 + iy**2 <= radius**2:
                        full[iy % m, ix % m] += w * (value if sign > 0 else np.conj(value))
                        full_weight[iy % m, ix % m] += w
    assert np.allclose(data, full[:, : m // 2 + 1], atol=1e-5)
    assert np.allclose(weight, full_weight[:, : m // 2 + 1], atol=1e-5)


def test_hermitian_column(rng):
    grid = rng.normal(size=(2, 8, 5)) + 1j * rng.normal(size=(2, 8, 5))
    before = grid.copy()
    make_hermitian(grid)
    assert np.array_equal(grid[:, :, 1:], before[:, :, 1:])
    for k in range(8):
        assert np.allclose(grid[:, k, 0], grid[:, -k % 8, 0].conj())
        assert np.allclose(grid[:, k, 0], before[:, k, 0] + before[:, -k % 8, 0].conj())
