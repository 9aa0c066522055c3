import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from relion4plugin.errors import UserError
from relion4plugin.preprocessing.picking.agreement import agreement
from relion4plugin.preprocessing.picking.laplacian import BlobSettings, pick_blobs
from tests.preprocessing.picking.fields import DIAMETER, PIXEL, field, scattered

LOOKED_FOR = BlobSettings(130.0, 175.0)
REACH = DIAMETER / 2 / PIXEL


@pytest.mark.parametrize("count", [12, 60, 110])
def test_clean_fields_are_picked(rng, count):
    image, truth = field(rng, count)
    found = agreement(pick_blobs(image, PIXEL, LOOKED_FOR).picks.centres, truth, REACH)
    assert found.recall >= 0.8
    assert found.precision >= 0.7


def test_centres_and_diameters_are_right(rng):
    image, truth = field(rng, 40, contrast=1.0)
    picks = pick_blobs(image, PIXEL, LOOKED_FOR).picks
    distance = np.linalg.norm(picks.centres[:, None] - truth[None], axis=2).min(axis=1)
    assert np.median(distance) < 1.5  # px of 4 A
    assert np.median(picks.diameter) == pytest.approx(DIAMETER, rel=0.15)


def test_grey_values_in_any_scale_give_the_same_picks(rng):
    image, _ = field(rng, 40)
    one, other = pick_blobs(image, PIXEL, LOOKED_FOR).picks, pick_blobs(900 + 25 * image, PIXEL, LOOKED_FOR).picks
    np.testing.assert_allclose(one.centres, other.centres, atol=0.05)


def test_white_particles_are_found_where_asked_for(rng):
    image, truth = field(rng, 40)
    picks = pick_blobs(-image, PIXEL, BlobSettings(130.0, 175.0, bright=True)).picks
    assert agreement(picks.centres, truth, REACH).f1 > 0.8
    assert agreement(pick_blobs(-image, PIXEL, LOOKED_FOR).picks.centres, truth, REACH).recall < 0.3


def test_the_threshold_moves_by_standard_deviations(rng):
    image, _ = field(rng, 60)
    counts = [len(pick_blobs(image, PIXEL, BlobSettings(130.0, 175.0, adjust=adjust)).picks) for adjust in (-0.7, 0.0, 0.7)]
    assert counts[0] > counts[1] > counts[2]
    limited = pick_blobs(image, PIXEL, BlobSettings(130.0, 175.0, upper=1.0))
    assert 0 < len(limited.picks) < counts[1]


def test_noise_gives_next_to_nothing(rng):
    assert len(pick_blobs(rng.normal(size=(768, 640)).astype(np.float32), PIXEL, LOOKED_FOR).picks) <= 15


def test_nothing_is_picked_at_the_edge(rng):
    image, _ = field(rng, 60)
    picks = pick_blobs(image, PIXEL, BlobSettings(130.0, 175.0, adjust=-3.0)).picks
    margin = 0.9 * 130.0 / 2 / PIXEL
    assert picks.x.min() > margin and picks.y.min() > margin
    assert picks.x.max() < 640 - margin and picks.y.max() < 768 - margin


def test_a_large_dark_contaminant_and_crystals_are_avoided(rng):
    image, truth = field(rng, 60)
    y, x = np.indices(image.shape)
    ice = np.hypot(x - 300, y - 500) < 90
    crystals = np.hypot(x - 120, y - 150) < 18
    dirty = (image - 8 * ice - 10 * crystals).astype(np.float32)
    clear = ~(np.hypot(truth[:, 0] - 300, truth[:, 1] - 500) < 160) & ~(np.hypot(truth[:, 0] - 120, truth[:, 1] - 150) < 60)

    def on_dirt(picks):
        return np.count_nonzero((ice | crystals)[np.rint(picks.y).astype(int), np.rint(picks.x).astype(int)])

    cleaned = pick_blobs(dirty, PIXEL, LOOKED_FOR)
    assert on_dirt(cleaned.picks) == 0
    assert agreement(cleaned.picks.centres, truth[clear], REACH).recall > 0.8
    plain = pick_blobs(dirty, PIXEL, BlobSettings(130.0, 175.0, clean=False))
    assert on_dirt(plain.picks) > 0
    assert cleaned.n_rejected > 0


def test_as_many_gold_beads_as_particles_are_avoided(rng):
    image, truth = field(rng, 40)
    beads = scattered(rng, 40, image.shape, 60.0, 30.0)
    y, x = np.indices(image.shape)
    gold = np.any([np.hypot(x - a, y - b) < 12 for a, b in beads], axis=0)
    free = np.linalg.norm(truth[:, None] - beads, axis=2).min(axis=1) > 2 * REACH
    picks = pick_blobs((image - 20 * gold).astype(np.float32), PIXEL, LOOKED_FOR).picks
    assert not gold[np.rint(picks.y).astype(int), np.rint(picks.x).astype(int)].any()
    assert agreement(picks.centres, truth[free], REACH).recall > 0.8


def test_particles_without_noise_are_not_taken_for_gold(rng):
    image, truth = field(rng, 30, contrast=1.0)
    picks = pick_blobs(gaussian_filter(image, 6), PIXEL, LOOKED_FOR).picks
    assert agreement(picks.centres, truth, REACH).recall > 0.9


def test_hot_pixels_change_nothing(rng):
    image, _ = field(rng, 40)
    hot = image.copy()
    hot[rng.integers(0, 768, 50), rng.integers(0, 640, 50)] = 1e6
    one, other = (pick_blobs(pixels, PIXEL, LOOKED_FOR).picks for pixels in (image, hot))
    assert agreement(other.centres, one.centres, 2.0).f1 > 0.95


@pytest.mark.parametrize(
    ("image", "pixel_size", "settings", "message"),
    [
        (np.ones((64, 64)), 4.0, LOOKED_FOR, "m.mrc: particles of 175 A are more than half"),
        (np.ones((256, 256)), 0.0, LOOKED_FOR, "the pixel size is not known"),
        (np.ones((256, 256)), 4.0, LOOKED_FOR, "all pixels are 1"),
        (np.full((256, 256), np.nan), 4.0, LOOKED_FOR, "65536 of 65536 pixels are not numbers"),
        (np.ones((256, 256)), 4.0, BlobSettings(5.0, 10.0), "raise --log_diam_min"),
    ],
)
def test_what_cannot_be_searched_is_said(image, pixel_size, settings, message):
    with pytest.raises(UserError, match=message):
        pick_blobs(image, pixel_size, settings, "m.mrc")


def test_real_micrographs_are_picked_as_by_hand(shared_data):
    from relion4plugin.files.mrc import read_mrc
    from relion4plugin.preprocessing.picking.picks import read_picks

    folder = shared_data / "micrographs" / "apoferritin_empiar10146"
    image = read_mrc(folder / "May08_03.13.02.mrc")[0][0]
    truth = read_picks(folder / "May08_03.13.02_manualpick.star")
    found = agreement(pick_blobs(image, 1.5, BlobSettings(110.0, 140.0)).picks.centres, truth.centres, 70.0 / 1.5)
    assert found.precision > 0.9
    assert found.recall > 0.7


@pytest.mark.parametrize("diameters", [(100.0, 120.0), (108.3, 130.0)])
def test_crowded_particles_are_not_taken_for_noise(shared_data, diameters):
    """In some of these micrographs dark and bright are alike once their contaminants are filled in."""
    from relion4plugin.files.mrc import read_mrc
    from relion4plugin.preprocessing.picking.picks import read_picks

    folder = shared_data / "micrographs" / "apoferritin_empiar10146"
    for path in sorted(folder.glob("*.mrc")):
        truth = read_picks(path.with_name(f"{path.stem}_manualpick.star"))
        found = agreement(pick_blobs(read_mrc(path)[0][0], 1.5, BlobSettings(*diameters)).picks.centres, truth.centres, 60.0 / 1.5)
        assert found.precision > 0.85 and found.recall > 0.5, path.name


def test_the_contaminant_of_a_real_micrograph_is_avoided(shared_data):
    from relion4plugin.files.mrc import read_mrc

    folder = shared_data / "micrographs" / "ucsf_stack_1142"
    image = read_mrc(folder / "Ucsf_stack_1142_DW.mrc")[0][0]
    mask = read_mrc(folder / "Ucsf_stack_1142_DW_contamination_mask.mrc")[0][0]
    picks = pick_blobs(image, 5.0, BlobSettings(100.0, 150.0)).picks
    on_mask = np.count_nonzero(mask[np.rint(picks.y).astype(int), np.rint(picks.x).astype(int)] > 50)
    assert on_mask <= 0.01 * len(picks)  # at its rim
