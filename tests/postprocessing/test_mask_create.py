import subprocess

import numpy as np
import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.mrc import read_mrc, write_volume
from relion4plugin.postprocessing.mask_create import MaskSettings, automatic_threshold, create_mask, extend, soft_edge
from tests.postprocessing.simulated import BOX, PIXEL, ball, particle


def slow_mask(inside, grow, width):
    """The definition, voxel by voxel."""
    points = np.argwhere(inside)
    distance2 = np.array([((points - here) ** 2).sum(axis=1).min() for here in np.ndindex(inside.shape)]).reshape(inside.shape)
    grown = distance2 < grow**2 if grow > 0 else inside
    points = np.argwhere(grown)
    distance = np.sqrt([((points - here) ** 2).sum(axis=1).min() for here in np.ndindex(inside.shape)]).reshape(inside.shape)
    return np.where(distance < width, 0.5 + 0.5 * np.cos(np.pi * distance / max(width, 1)), 0.0)


@pytest.mark.parametrize(("grow", "width"), [(0, 3), (3, 2), (2, 4)])
def test_growth_and_edge_follow_their_definition(grow, width, rng):
    inside = np.zeros((12, 12, 12), bool)
    inside[tuple(rng.integers(4, 8, (3, 5)))] = True
    np.testing.assert_allclose(soft_edge(extend(inside, grow), width), slow_mask(inside, grow, width), atol=1e-6)


def test_shrinking_undoes_growing_of_a_ball():
    start = ball(10)
    smaller = extend(start, -3)
    assert smaller.sum() < start.sum() and (extend(smaller, 3) <= start).all()
    assert np.array_equal(extend(ball(10), -3), ~extend(~ball(10), 3))


def test_options_change_the_mask():
    volume = ball(12).astype(np.float32) - ball(4) + 0.0
    volume[2:5, 2:5, 2:5] = 1
    base = MaskSettings(low_pass=-1, threshold=0.5, extend=0, edge=0)
    plain, largest, filled, inverse = (
        create_mask(volume, PIXEL, MaskSettings(**{**vars(base), **change})).mask
        for change in ({}, {"keep_largest": True}, {"fill": True}, {"invert": True})
    )
    assert plain[3, 3, 3] == 1 and largest[3, 3, 3] == 0
    centre = (BOX // 2,) * 3
    assert plain[centre] == 0 and filled[centre] == 1
    np.testing.assert_array_equal(inverse, 1 - plain)


@pytest.mark.parametrize("noise", [0.0005, 0.02, 0.05])
def test_the_automatic_threshold_finds_the_particle(noise, rng):
    signal = particle()
    truth = ball(16)
    made = create_mask(signal + noise * rng.standard_normal(signal.shape).astype(np.float32), PIXEL, MaskSettings(threshold=None))
    inside = made.mask > 0.5
    assert inside[truth].mean() > 0.95
    assert inside.sum() < 2.6 * truth.sum()  # 3 px and half the edge further out: 2.1 times
    assert made.remarks == ()


def test_flattened_solvent_does_not_confuse_the_threshold():
    flat = np.where(ball(24), particle(), 0)
    inside = create_mask(flat, PIXEL, MaskSettings(threshold=None)).mask > 0.5
    assert inside[ball(16)].mean() > 0.97 and inside.mean() < 0.2


def test_real_maps_get_a_sensible_automatic_mask(shared_data):
    """Molecular weight under the mask, extended by 3 px: more than the protein, less than five times as much."""
    volume, pixel = read_mrc(shared_data / "maps/bgal_relion_tutorial_D2.mrc")
    made = create_mask(volume, pixel, MaskSettings(threshold=None))
    kilodaltons = 0.81e-3 * pixel**3 * (made.mask > 0.5).sum()
    assert 465 < kilodaltons < 5 * 465


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (MaskSettings(threshold=99.0), "no voxel"),
        (MaskSettings(threshold=-99.0), "every voxel"),
        (MaskSettings(low_pass=3.0), "beyond the map's limit"),
        (MaskSettings(threshold=0.1, extend=-40), "nothing is left"),
    ],
)
def test_impossible_masks_are_refused(settings, expected):
    with pytest.raises(UserError, match=expected):
        create_mask(particle(), PIXEL, settings)


def test_a_map_without_density_has_no_threshold():
    with pytest.raises(UserError, match="no density stands out"):
        automatic_threshold(np.where(ball(3), 1.0, 0.0))


def test_a_mask_at_the_edge_of_the_box_is_said():
    made = create_mask(ball(30).astype(np.float32), PIXEL, MaskSettings(low_pass=-1, threshold=0.5))
    assert any("edge of the box" in remark for remark in made.remarks)


@pytest.mark.relion
@pytest.mark.parametrize(("threshold", "grow", "width"), [(0.03, 3, 6), (0.02, 0, 3), (0.05, 5, 4)])
def test_as_relion(threshold, grow, width, tmp_path, rng):
    volume = particle() + 0.05 * rng.standard_normal((BOX, BOX, BOX)).astype(np.float32)
    write_volume(tmp_path / "map.mrc", volume, PIXEL)
    words = ["relion_mask_create", "--i", "map.mrc", "--o", "mask.mrc", "--lowpass", "15", "--ini_threshold", str(threshold)]
    words += ["--extend_inimask", str(grow), "--width_soft_edge", str(width), "--angpix", str(PIXEL)]
    subprocess.run(words, cwd=tmp_path, check=True, capture_output=True)
    theirs, _ = read_mrc(tmp_path / "mask.mrc")
    ours = create_mask(volume, PIXEL, MaskSettings(threshold=threshold, extend=grow, edge=width)).mask
    # A voxel whose filtered value is the threshold to rounding may fall either way.
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.9999
