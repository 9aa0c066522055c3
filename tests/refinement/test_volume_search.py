"""The plan of a 3D search: sizes, phases, mirror images of pixels, and cropped grids."""

import numpy as np
import pytest

from relion4plugin.geometry.euler import random_rotations
from relion4plugin.refinement.orientations import VARIANTS, make_global_grid, make_local_lattice
from relion4plugin.refinement.pixels import PixelList
from relion4plugin.refinement.sampling import make_shifts
from relion4plugin.refinement.volume_search import Mirror, crop_transforms, make_volume_plan, uncrop
from relion4plugin.refinement.volume_slices import central_slices


@pytest.fixture
def transform(rng):
    """Half transform of a real random map of 24 px."""
    volume = rng.normal(size=(24, 24, 24)).astype(np.float32)
    return np.fft.rfftn(volume).astype(np.complex64)


@pytest.mark.parametrize("size", [24, 14])
def test_variants_of_a_slice_are_its_pixels_again(rng, transform, size):
    pixels = PixelList.of(24)
    count = pixels.count(size)
    mirror = Mirror.of(pixels, count)
    matrices = random_rotations(4, rng)

    def cut(variant):
        return central_slices(transform, VARIANTS[variant] @ matrices, pixels.kx[:count], pixels.ky[:count], 1, size // 2)

    base = cut(0)
    behind = base.real[:, mirror.index] + 1j * mirror.conjugate * base.imag[:, mirror.index]
    scale = np.abs(base).max()
    np.testing.assert_allclose(cut(1), base.conj(), atol=1e-5 * scale)
    np.testing.assert_allclose(cut(2), behind, atol=1e-5 * scale)
    np.testing.assert_allclose(cut(3), behind.conj(), atol=1e-5 * scale)


@pytest.mark.parametrize("size", [24, 14])
def test_folded_columns_are_all_pixels_but_the_mean(size):
    pixels = PixelList.of(24)
    count = pixels.count(size)
    mirror = Mirror.of(pixels, count)
    line = np.where(mirror.axis < 0, -mirror.axis - 1, mirror.axis)
    found = np.sort(np.concatenate([mirror.first, mirror.second, line]))
    inside = pixels.kx[:count] ** 2 + pixels.ky[:count] ** 2 <= (size // 2) ** 2
    assert len(np.unique(found)) == len(found)
    assert 0 not in found
    assert set(np.flatnonzero(inside)) - {0} <= set(found)
    assert mirror.width == len(mirror.first) + len(mirror.axis)
    flat = mirror.axis[mirror.axis >= 0]
    assert not (pixels.kx[line[mirror.axis < 0]]).any()
    assert set(np.flatnonzero(inside & (pixels.ky[:count] == 0) & (pixels.kx[:count] > 0))) <= set(flat)


@pytest.mark.parametrize(("padding", "radius"), [(1, 12), (1, 7), (2, 5)])
def test_crop_and_back(transform, padding, radius):
    crop = padding * radius + 1
    cropped = crop_transforms(transform[None], crop, padding * radius)
    assert cropped.shape == (1, 2 * crop + 1, 2 * crop + 1, crop + 2, 2)
    assert cropped.dtype == np.float32
    back = uncrop(np.ascontiguousarray(cropped[0]).view(np.complex64)[..., 0], 24)
    axis = np.fft.fftfreq(24, 1 / 24)
    squared = axis[:, None, None] ** 2 + axis[:, None] ** 2 + np.arange(13) ** 2
    inside = squared < (padding * radius) ** 2
    np.testing.assert_array_equal(back[inside], transform[inside])
    assert not back[squared > (padding * radius) ** 2].any()


def test_cropping_leaves_its_input(transform):
    before = transform.copy()
    crop_transforms(transform[None], 6, 5)
    np.testing.assert_array_equal(transform, before)


def make_plan(**changes):
    values = {
        "current_size": 16, "coarse_size": 10, "likelihood_size": 12, "fraction": 0.99, "max_significants": 7, "gradient": True,
    }  # fmt: skip
    grid, lattice = changes.pop("grid", make_global_grid(1, "C1", 0.1)), changes.pop("lattice", None)
    return make_volume_plan(PixelList.of(24), 2, make_shifts(2.0, 4.0, 0.1, 1), grid, lattice, **(values | changes))


def test_plan_counts_pixels():
    plan = make_plan()
    shell = plan.pixels.shell
    assert (plan.count, plan.count_likelihood, plan.count_coarse) == tuple(int((shell <= r).sum()) for r in (8, 6, 5))
    assert plan.radius == 8
    assert plan.crop == 17
    assert plan.halves == 2
    assert make_plan(gradient=False).halves == 1
    assert plan.n_directions == 48
    assert make_plan(grid=None, lattice=make_local_lattice(5.0, 5.0, 0.0)).n_directions == 0


def test_phases_move_content_by_the_shifts():
    plan = make_plan()
    assert plan.phases_coarse.shape == (len(plan.shifts.coarse), plan.count_coarse)
    assert plan.phases_fine.shape == (len(plan.shifts.fine), plan.count)
    image = np.zeros((24, 24))
    image[12, 12] = 1.0
    half = np.fft.rfft2(image).ravel()[plan.pixels.flat[: plan.count]]
    for t in (0, 5):
        x, y = plan.shifts.fine[t]
        expected = np.exp(-2j * np.pi * (plan.pixels.kx[: plan.count] * (12 + x) + plan.pixels.ky[: plan.count] * (12 + y)) / 24)
        np.testing.assert_allclose(half * plan.phases_fine[t], expected, atol=1e-5)
