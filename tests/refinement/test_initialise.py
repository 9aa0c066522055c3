"""Start volumes: averages over random orientations, blobs, and maps from files."""

import logging

import mrcfile
import numpy as np
import pandas as pd
import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.mrc import write_volume
from relion4plugin.files.particles import read_particles
from relion4plugin.files.star import write_star
from relion4plugin.imaging.filters import lowpass_to_shell
from relion4plugin.refinement import initial_maps, initialise
from relion4plugin.refinement.images import ImageModel, ImageSource
from relion4plugin.refinement.references import PaddedGrid
from relion4plugin.refinement.settings import RefinementSettings
from tests.refinement.gaussian_volumes import CENTRES, HEIGHTS, blob_volume
from tests.refinement.simulated import PIXEL, write_tables

BOX, N = 32, 120


def settings_3d(**changes):
    values = {"dimension": 3, "n_classes": 2, "particle_diameter": 72.0, "padding": 1, "ctf_correction": False, "flatten_solvent": False}
    return RefinementSettings(**(values | changes))


@pytest.fixture(scope="module")
def balls(tmp_path_factory):
    """Images of a ball in every orientation; those of the second class are twice as strong."""
    folder = tmp_path_factory.mktemp("balls")
    axis = np.arange(BOX) - BOX // 2
    ball = np.exp(-(axis[:, None] ** 2 + axis**2) / (2 * 5.0**2)).astype(np.float32)
    images = np.repeat(ball[None], N, axis=0)
    images[1::2] *= 2
    with mrcfile.new(folder / "particles.mrcs", data=images) as mrc:
        mrc.voxel_size = PIXEL
    write_tables(folder / "particles.star", N, BOX, np.zeros(N, int), np.full(N, 15000.0))
    particles = read_particles(folder / "particles.star")
    return particles, ImageSource(particles, 1.0)


@pytest.mark.parametrize("padding", [1, 2])
def test_averages_of_balls_are_balls_of_their_density(balls, padding):
    particles, source = balls
    settings = settings_3d(padding=padding)
    averages = initialise.random_averages(source, ImageModel.of(particles, settings), np.arange(N), settings, 7)
    assert averages.shape == (2, BOX, BOX, BOX)
    assert averages.dtype == np.float32
    # a projection of exp(-r^2 / 2 s^2) is itself times s sqrt(2 pi); the few shells used blur it
    expected = lowpass_to_shell(blob_volume(BOX, np.zeros((1, 3)), np.ones(1), 5.0), 2.0, 0.5) / (5.0 * np.sqrt(2 * np.pi))
    axis = (np.arange(BOX) - BOX // 2) ** 2
    inside = axis[:, None, None] + axis[:, None] + axis < 12**2
    assert np.corrcoef(averages[0][inside], expected[inside])[0, 1] > 0.97
    assert averages[0][inside].max() == pytest.approx(expected.max(), rel=0.2)
    assert np.allclose(averages[1][inside], 2 * averages[0][inside], atol=0.1 * averages[1].max())


def test_start_references_are_lowpassed_masked_blobs_of_the_averages_strength(rng):
    averages = np.stack([blob_volume(BOX, 1.5 * CENTRES, HEIGHTS, 4.0), blob_volume(BOX, -1.5 * CENTRES, HEIGHTS, 4.0)])
    settings = settings_3d()
    references = initialise.start_references(averages, settings, PIXEL, 5)
    assert references.shape == averages.shape
    assert references.dtype == np.float32
    power = np.abs(np.fft.fftn(np.fft.ifftshift(references, axes=(1, 2, 3)), axes=(1, 2, 3))) ** 2
    k = np.fft.fftfreq(BOX, 1 / BOX) ** 2
    high = k[:, None, None] + k[:, None] + k > 64
    assert power[:, high].sum() < 0.01 * power.sum()
    axis = (np.arange(BOX) - BOX // 2) ** 2
    r = np.sqrt(axis[:, None, None] + axis[:, None] + axis)
    assert np.ptp(references[:, r > 12 + 5], axis=1).max() < 1e-6
    for reference, average in zip(references, averages, strict=True):
        assert 0.4 < reference.std() / average.std() < 1.2
        assert abs(np.corrcoef(reference.ravel(), average.ravel())[0, 1]) < 0.98
    assert np.corrcoef(references[0].ravel(), references[1].ravel())[0, 1] < 0.95
    again = initialise.start_references(averages, settings, PIXEL, 5)
    assert np.array_equal(again, references)
    assert not np.array_equal(initialise.start_references(averages, settings, PIXEL, 6), references)
    plain = initialise.start_references(averages, settings_3d(init_blobs=False), PIXEL, 5)
    inside = r < 10
    assert np.allclose(plain[:, inside], np.stack([lowpass_to_shell(a, 2) for a in averages])[:, inside], atol=1e-5)


def test_blobs_sit_where_their_heights_come_from():
    """Each blob takes the height of the average at its centre: none appear where the average is zero."""
    average = np.zeros((1, BOX, BOX, BOX), np.float32)
    average[0, BOX // 2 + 3 :] = 1.0
    blobs = initialise._blob_volumes(np.random.default_rng(1), average, 24.0)[0]
    assert blobs[: BOX // 2 - 4].max() < 1e-2 * blobs.max()
    draw = np.random.default_rng(1).normal(0, 4.0, (40, 3))
    kept = draw[(np.abs(draw) <= 8).all(axis=1)]
    kept = kept[np.rint(BOX // 2 + kept[:, 0]) >= BOX // 2 + 3]
    expected = blob_volume(BOX, kept[:, ::-1], np.ones(len(kept)), 24.0 / 10 / np.sqrt(2))
    assert np.allclose(blobs, expected, atol=1e-4 * expected.max())


# maps from files


@pytest.fixture
def start_map(tmp_path):
    volume = blob_volume(BOX, 2 * CENTRES, HEIGHTS, 4.0)
    write_volume(tmp_path / "start.mrc", volume, PIXEL)
    return tmp_path / "start.mrc", volume


def load(path, **changes):
    return initial_maps.load_references(settings_3d(reference=str(path), **changes), PaddedGrid(BOX, 1, 3), PIXEL)


def test_one_map_is_copied_to_all_classes(start_map, caplog):
    path, volume = start_map
    with caplog.at_level(logging.INFO):
        found = load(path, n_classes=3)
    assert found.shape == (3, BOX, BOX, BOX)
    assert found.dtype == np.float32
    assert all(np.array_equal(one, volume) for one in found)
    assert "copied to all" in caplog.text


def test_maps_of_a_star_file_one_per_class(start_map, tmp_path):
    path, volume = start_map
    write_volume(tmp_path / "second.mrc", 2 * volume, PIXEL)
    star = tmp_path / "refs.star"
    write_star(star, {"": pd.DataFrame({"rlnReferenceImage": ["start.mrc", "Class3D/job001/second.mrc"]})})
    found = load(star)
    assert np.array_equal(found[0], volume)
    assert np.array_equal(found[1], 2 * volume)
    with pytest.raises(UserError, match="2 maps for 3 classes"):
        load(star, n_classes=3)
    write_star(star, {"": pd.DataFrame({"rlnImageName": ["start.mrc"]})})
    with pytest.raises(UserError, match="no column rlnReferenceImage"):
        load(star)
    assert path.exists()


@pytest.mark.parametrize(("box", "pixel"), [(24, 4.0), (40, 3.0), (48, 2.0), (24, 3.0)])
def test_other_boxes_and_pixels_are_rescaled(tmp_path, caplog, box, pixel):
    scale = PIXEL / pixel
    write_volume(tmp_path / "other.mrc", blob_volume(box, 1.3 * CENTRES * scale, HEIGHTS, 3.0 * scale), pixel)
    with caplog.at_level(logging.INFO):
        found = load(tmp_path / "other.mrc", n_classes=1)[0]
    expected = blob_volume(BOX, 1.3 * CENTRES, HEIGHTS, 3.0)
    # what lies beyond the given map is missing
    assert np.abs(found - expected).max() < 0.06 * expected.max()
    assert f"{box}" in caplog.text
    assert ("WARNING" in caplog.text) == (pixel != PIXEL)


@pytest.mark.parametrize("pixel", [0.0, 1.0])
def test_same_box_without_a_pixel_size_is_taken_as_it_is(start_map, caplog, pixel):
    path, volume = start_map
    write_volume(path, volume, pixel)
    assert np.array_equal(load(path, n_classes=1)[0], volume)
    assert "taken as 3 A" in caplog.text


def test_lowpass_and_mask_of_the_start_map(start_map):
    path, volume = start_map
    low = load(path, n_classes=1, initial_lowpass=24.0)[0]
    assert np.allclose(low, lowpass_to_shell(volume, 4), atol=1e-5)
    masked = load(path, n_classes=1, flatten_solvent=True)[0]
    axis = (np.arange(BOX) - BOX // 2) ** 2
    r = np.sqrt(axis[:, None, None] + axis[:, None] + axis)
    assert np.array_equal(masked[r < 12], volume[r < 12])
    assert not masked[r > 17].any()


def test_solvent_mask_of_the_user(start_map, tmp_path):
    path, volume = start_map
    mask = np.zeros((BOX,) * 3, np.float32)
    mask[10:20, 5:25, 5:25] = 1.0
    write_volume(tmp_path / "mask.mrc", mask, PIXEL)
    found = load(path, n_classes=1, flatten_solvent=True, solvent_mask=str(tmp_path / "mask.mrc"))[0]
    assert np.array_equal(found, volume * mask)
    write_volume(tmp_path / "mask.mrc", 5 * mask, PIXEL)
    with pytest.raises(UserError, match="expected 0 to 1"):
        load(path, n_classes=1, flatten_solvent=True, solvent_mask=str(tmp_path / "mask.mrc"))
    write_volume(tmp_path / "mask.mrc", 0 * mask, PIXEL)
    with pytest.raises(UserError, match="zero everywhere"):
        load(path, n_classes=1, flatten_solvent=True, solvent_mask=str(tmp_path / "mask.mrc"))


@pytest.mark.parametrize(
    ("volume", "pixel", "message"),
    [
        (np.ones((8, 8, 10)), 3.0, "10 x 8 x 8 voxels"),
        (np.full((BOX,) * 3, np.nan), 3.0, "not finite"),
        (np.ones((8, 8, 8)), 0.0, "no pixel size"),
    ],
)
def test_maps_that_cannot_be_used(tmp_path, volume, pixel, message):
    write_volume(tmp_path / "bad.mrc", volume.astype(np.float32), pixel)
    with pytest.raises(UserError, match=message):
        load(tmp_path / "bad.mrc")
    with pytest.raises(UserError, match="no such file"):
        load(tmp_path / "missing.mrc")
