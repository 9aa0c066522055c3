"""Friedel pairs and point groups: loops, closed forms, and a map from one asymmetric unit."""

import numpy as np
import pytest

from relion4plugin.geometry.euler import euler_to_matrix
from relion4plugin.geometry.symmetry import point_group
from relion4plugin.imaging.filters import fsc
from relion4plugin.refinement.em import reconstruct
from relion4plugin.refinement.pixels import PixelList
from relion4plugin.refinement.references import PaddedGrid
from relion4plugin.refinement.symmetrise import make_hermitian, symmetrise
from relion4plugin.refinement.volume_slices import insert_slices
from tests.refinement.gaussian_volumes import CENTRES, HEIGHTS, blob_volume, frequencies, transform_at

BOX = 24


def test_friedel_pairs_are_added_on_the_first_plane(rng):
    grids = rng.normal(size=(2, 6, 6, 4)) + 1j * rng.normal(size=(2, 6, 6, 4))
    before = grids.copy()
    make_hermitian(grids)
    for z in range(6):
        for y in range(6):
            assert np.allclose(grids[:, z, y, 0], before[:, z, y, 0] + before[:, -z % 6, -y % 6, 0].conj())
    assert np.array_equal(grids[..., 1:], before[..., 1:])
    weight = rng.uniform(size=(6, 6, 4))
    total = weight[..., 0].sum()
    make_hermitian(weight)
    assert weight[..., 0].sum() == pytest.approx(2 * total)


@pytest.mark.parametrize("group", ["C4", "D2", "T", "I1", "C7"])
@pytest.mark.parametrize(("padding", "r_max", "threads"), [(2, 8, 1), (1, 12, 3)])
def test_sums_over_rotated_copies_have_their_closed_form(group, padding, r_max, threads):
    """The transform of blobs is known everywhere; that of the copies is that of turned blobs."""
    grid, operators = PaddedGrid(BOX, padding, 3), point_group(group)
    points = frequencies(grid.size, padding)
    centres = CENTRES * 0.5  # smooth in Fourier space, so that interpolation is close
    data = transform_at(points, BOX, centres, HEIGHTS, 1.0).astype(np.complex64)[None]
    axis = np.array([1.0, 0.5, -0.3])

    def bumps(at):
        return np.exp(-((points - at) ** 2).sum(axis=-1) / 60) + np.exp(-((points + at) ** 2).sum(axis=-1) / 60)

    weight = bumps(axis).astype(np.float32)[None]
    before = data.copy()
    symmetrise(data, weight, grid, r_max, operators, threads)
    r2 = (points**2).sum(axis=-1)
    inside = r2 < (r_max - 0.5) ** 2
    turned = sum(transform_at(points, BOX, centres @ a.T, HEIGHTS, 1.0) for a in operators)
    assert np.abs(data[0] - turned)[inside].max() < 0.04 / padding * len(operators) * np.abs(before).max()
    beyond = r2 > r_max**2
    assert np.array_equal(data[0][beyond], before[0][beyond])
    expected = sum(bumps(a @ axis) for a in operators)
    assert np.abs(weight[0] - expected)[inside].max() < 0.02 * len(operators)


def test_fourfold_turns_of_voxels_are_exact_and_threads_do_not_matter(rng):
    grid, operators = PaddedGrid(8, 2, 3), point_group("D4")
    data = np.ascontiguousarray(np.fft.rfftn(rng.normal(size=(2, 16, 16, 16)), axes=(1, 2, 3)).astype(np.complex64))
    weight = np.abs(data)
    other, other_weight = data.copy(), weight.copy()
    full = np.fft.fftn(np.fft.irfftn(data, s=(16, 16, 16), axes=(1, 2, 3)), axes=(1, 2, 3))
    symmetrise(data, weight, grid, 3, operators, 1)
    symmetrise(other, other_weight, grid, 3, operators, 4)
    assert np.array_equal(data, other)
    assert np.array_equal(weight, other_weight)
    for x, y, z in ((0, 0, 0), (3, -2, 1), (0, 4, -4), (6, 0, 0), (1, 1, -5)):
        if x * x + y * y + z * z > 36:
            continue
        copies = np.rint(operators @ [x, y, z]).astype(int)
        expected = sum(full[:, c[2], c[1], c[0]] for c in copies)
        assert np.allclose(data[:, z, y, x], expected, rtol=1e-4, atol=1e-3)
        assert np.allclose(weight[:, z, y, x], sum(np.abs(full[:, c[2], c[1], c[0]]) for c in copies), rtol=1e-4)


def test_no_symmetry_changes_nothing(rng):
    data = rng.normal(size=(1, 8, 8, 5)).astype(np.complex64)
    weight = rng.uniform(size=(1, 8, 8, 5)).astype(np.float32)
    before = data.copy()
    symmetrise(data, weight, PaddedGrid(4, 2, 3), 2, point_group("C1"))
    assert np.array_equal(data, before)


def test_map_from_one_asymmetric_unit_of_views(rng):
    """Slices from a quarter of all directions fill the transform once D2 is applied."""
    operators, grid, pixels = point_group("D2"), PaddedGrid(BOX, 2, 3), PixelList.of(BOX)
    centres = np.concatenate([CENTRES @ a.T for a in operators])
    heights = np.tile(HEIGHTS, 4)
    rot, tilt = rng.uniform(0, 180, 3000), np.rad2deg(np.arccos(rng.uniform(0, 1, 3000)))
    matrices = euler_to_matrix(rot, tilt, rng.uniform(0, 360, 3000))
    count = pixels.count(BOX)
    points = np.einsum("nij,ip->npj", matrices[:, :2], np.stack([pixels.kx[:count], pixels.ky[:count]]))
    values = transform_at(points, BOX, centres, heights)
    data, weight = np.zeros(grid.shape, np.complex64), np.zeros(grid.shape, np.float32)
    for part in range(0, 3000, 250):
        rows = slice(part, part + 250)
        insert_slices(data, weight, values[rows], np.ones(values[rows].shape), matrices[rows], pixels.kx[:count], pixels.ky[:count], 2, 12)
    make_hermitian(data)
    make_hermitian(weight)
    symmetrise(data, weight, grid, BOX // 2, operators)
    found = reconstruct(data, weight, grid, BOX)
    truth = blob_volume(BOX, centres, heights)
    assert np.corrcoef(found.ravel(), truth.ravel())[0, 1] > 0.995
    assert fsc(found, truth)[1:10].min() > 0.99
    assert np.abs(found[1:, 1:, 1:] - np.rot90(found[1:, 1:, 1:], 2, axes=(1, 2))).max() < 0.02 * found.max()
    assert np.abs(found.max() / truth.max() - 1) < 0.05


def test_rotations_are_sums_not_means():
    grid, operators = PaddedGrid(8, 1, 3), point_group("C3")
    data, weight = np.zeros(grid.shape, np.complex64), np.full(grid.shape, 2.0, np.float32)
    symmetrise(data, weight, grid, 3, operators)
    assert weight[0, 0, 1] == pytest.approx(6.0, rel=1e-5)
