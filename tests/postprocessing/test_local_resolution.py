import dataclasses
import re
import subprocess

import numpy as np
import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.mrc import read_mrc
from relion4plugin.imaging.filters import lowpass_volume
from relion4plugin.postprocessing.local_resolution import (
    LocalResolutionSettings,
    _local_curves,
    _Window,
    _window,
    crossing,
    local_resolution,
)
from relion4plugin.postprocessing.maps import read_half_maps
from relion4plugin.progress import Silent
from tests.postprocessing.simulated import BOX, PIXEL, ball, particle, write_halves


@pytest.fixture
def two_regions(tmp_path):
    """One particle, its left half with little noise, its right half with much."""
    sigma = np.where(np.arange(BOX) < BOX // 2, 0.02, 0.25)[None, None, :]
    return write_halves(tmp_path, particle(), sigma)


def test_crossings_lie_between_shells():
    curves = np.array([[1, 0.9, 0.4, 0.0], [1, 0.9, 0.8, 0.7], [1, 0.1, 0.9, 0.9], [0, 0.9, 0.5, 0.1]])
    np.testing.assert_allclose(crossing(curves, 0.5), [1.8, 3.0, 1.0, 2.0])


def test_each_region_gets_its_own_resolution(two_regions):
    halves = read_half_maps(two_regions)
    result = local_resolution(halves, None, LocalResolutionSettings())
    left, right = ball(14).copy(), ball(14).copy()
    left[:, :, 26:], right[:, :, :38] = False, False
    fine, coarse = np.median(result.resolution[left]), np.median(result.resolution[right])
    assert fine < 1.2 * 2 * PIXEL and coarse > 1.5 * fine
    assert (result.resolution[left] >= 2 * PIXEL - 1e-3).all() and result.resolution.max() <= 50
    noise = [np.std((halves.average() - particle())[part]) for part in (left, right)]
    kept = [np.std((result.filtered - particle())[part]) for part in (left, right)]
    signal = [np.std(particle()[part]) for part in (left, right)]
    assert kept[0] < 0.5 * signal[0] and kept[1] < 0.5 * noise[1], (kept, noise, signal)


def test_one_resolution_everywhere_is_one_filter(tmp_path):
    """Without noise every curve is 1: the filtered map is the map up to the last shell."""
    halves = read_half_maps(write_halves(tmp_path, particle(bfactor=300), 1e-5))
    result = local_resolution(halves, None, LocalResolutionSettings())
    inside = ball(14)
    np.testing.assert_allclose(result.filtered[inside], lowpass_volume(halves.average(), PIXEL, 4.0)[inside], atol=2e-3)
    assert np.allclose(result.resolution[inside], 4.0, rtol=0.02)


def test_memory_changes_nothing_and_the_seed_is_kept(two_regions):
    halves = read_half_maps(two_regions)
    settings = LocalResolutionSettings()
    one, two = (local_resolution(halves, None, dataclasses.replace(settings, memory=memory)) for memory in (0.5, 1e-4))
    np.testing.assert_allclose(one.values, two.values, rtol=1e-6)
    np.testing.assert_array_equal(one.resolution, two.resolution)


def test_a_mask_limits_the_spheres(two_regions):
    halves = read_half_maps(two_regions)
    mask = ball(10).astype(np.float32)
    result = local_resolution(halves, mask, LocalResolutionSettings())
    everywhere = local_resolution(halves, None, LocalResolutionSettings())
    assert len(result.values) < len(everywhere.values)
    assert (result.resolution[ball(8)] > 0).all()
    assert (np.linalg.norm(result.positions, axis=1) <= 10 + 12.5 / PIXEL + 1).all()


def test_boxes_too_small_for_the_spheres_are_refused(two_regions):
    halves = read_half_maps(two_regions)
    with pytest.raises(UserError, match="too small"):
        local_resolution(halves, None, LocalResolutionSettings(sampling=100))
    corner = np.zeros_like(halves.first)
    corner[0, 0, 0] = 1
    with pytest.raises(UserError, match="touches the mask"):
        local_resolution(halves, corner, LocalResolutionSettings())


@pytest.mark.relion
def test_at_relions_own_points(two_regions):
    """The same spheres: RELION transforms the whole box, takes whole shells and has other random phases."""
    words = ["relion_postprocess", "--locres", "--i", two_regions.name, "--o", "relion", "--angpix", str(PIXEL)]
    subprocess.run(words, cwd=two_regions.parent, check=True, capture_output=True)
    text = (two_regions.parent / "relion_locres_fscs.star").read_text()
    listed = re.findall(r"kk= (\S+) ii= (\S+) jj= (\S+) local resolution= (\S+)", text)
    x, y, z, theirs = np.array(listed, dtype=float).T  # RELION lists x first
    halves, settings = read_half_maps(two_regions), LocalResolutionSettings()
    window = _Window(_window(halves, None, settings).weight, np.column_stack([z, y, x]).astype(int) + BOX // 2)
    shells = crossing(_local_curves(halves, window, settings, Silent()), settings.threshold) / (window.size * PIXEL)
    ours = 1 / np.maximum(shells, 1 / settings.worst)
    assert len(ours) > 20
    assert np.corrcoef(1 / ours, 1 / theirs)[0, 1] > 0.98
    assert np.abs(1 / ours - 1 / theirs).mean() < 0.015
    # Reading the curve between shells is finer than the last whole shell.
    assert 0.8 < np.median(ours / theirs) <= 1.0


@pytest.mark.relion
def test_the_filtered_map_is_like_relions(two_regions):
    words = ["relion_postprocess", "--locres", "--i", two_regions.name, "--o", "relion", "--angpix", str(PIXEL)]
    subprocess.run(words, cwd=two_regions.parent, check=True, capture_output=True)
    filtered, _ = read_mrc(two_regions.parent / "relion_locres_filtered.mrc")
    result = local_resolution(read_half_maps(two_regions), None, LocalResolutionSettings())
    assert np.corrcoef(result.filtered[ball(14)], filtered[ball(14)])[0, 1] > 0.9
