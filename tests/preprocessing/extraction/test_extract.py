import mrcfile
import numpy as np
import pytest

from relion4plugin.errors import UserError
from relion4plugin.preprocessing.extraction import extract as module
from relion4plugin.preprocessing.extraction.background import Background
from relion4plugin.preprocessing.extraction.boxes import cut_boxes, map_micrograph, touching, whole_pixels
from relion4plugin.preprocessing.extraction.extract import ExtractionSettings, extract
from relion4plugin.preprocessing.extraction.recentre import projected_point, recentred
from relion4plugin.preprocessing.extraction.rescale import crop_frequencies


def slow_box(micrograph: np.ndarray, x: int, y: int, box: int) -> np.ndarray:
    ny, nx = micrograph.shape
    rows = [min(max(y - box // 2 + i, 0), ny - 1) for i in range(box)]
    columns = [min(max(x - box // 2 + i, 0), nx - 1) for i in range(box)]
    return micrograph[np.ix_(rows, columns)].astype(np.float32)


@pytest.mark.parametrize("dtype", ["<i2", ">i2", "<f4", "<f2", "i1", "<u2"])
def test_boxes_inside_and_across_edges(rng, dtype):
    micrograph = rng.integers(0, 100, (50, 70)).astype(dtype)
    x, y = np.array([35, 0, 69, 72, -7, 30, 8]), np.array([25, 0, 49, 20, -7, 55, 8])
    boxes = cut_boxes(micrograph, x, y, 16)
    assert boxes.dtype == np.float32
    for i in range(len(x)):
        assert np.array_equal(boxes[i], slow_box(micrograph, x[i], y[i], 16))


def test_coordinates_are_cut_off_not_rounded():
    assert whole_pixels(np.array([1.9, 2.5, -0.9, -1.2])).tolist() == [1, 2, 0, -1]


def test_boxes_with_no_pixel_inside():
    x, y = np.array([-7, -8, 77, 78, 30, 30]), np.array([10, 10, 10, 10, 57, 58])
    assert touching(x, y, 16, (50, 70)).tolist() == [True, False, True, False, True, False]


def test_waves_below_the_new_nyquist_frequency_survive_scaling():
    box, size = 48, 20
    def wave(n):
        yy, xx = np.mgrid[:n, :n] / n
        return 3 + np.cos(2 * np.pi * (5 * xx - 7 * yy) + 0.3) + 0.5 * np.sin(2 * np.pi * (9 * xx + 2 * yy))
    fine = wave(box) + np.cos(2 * np.pi * 15 * np.mgrid[:box, :box][1] / box)
    small = crop_frequencies(fine[None].astype(np.float32), size)
    assert small.dtype == np.float32
    np.testing.assert_allclose(small[0], wave(size), atol=2e-6)


def test_scaling_to_the_same_size_changes_nothing(rng):
    images = rng.normal(size=(2, 16, 16)).astype(np.float32)
    assert crop_frequencies(images, 16) is images


def slow_normalise(image: np.ndarray, radius: float) -> np.ndarray:
    n = len(image)
    yy, xx = np.mgrid[:n, :n] - n // 2
    outside = xx**2 + yy**2 > radius**2
    basis = np.stack([xx, yy, np.ones_like(xx)]).astype(np.float64)
    fit = np.linalg.lstsq(basis[:, outside].T, image[outside].astype(np.float64), rcond=None)[0]
    flat = image - np.tensordot(fit, basis, 1)
    return (flat - flat[outside].mean()) / flat[outside].std()


@pytest.mark.parametrize("offset", [0.0, 5e4])
def test_normalisation_against_double_precision(rng, offset):
    n = 32
    yy, xx = np.mgrid[:n, :n]
    images = (rng.normal(0, 7, (5, n, n)) + 0.4 * xx - 0.9 * yy + offset).astype(np.float32)
    images[:, 12:20, 12:20] += 100
    found, n_flat = Background(n, 12).normalise(images, -1, -1, rng)
    assert n_flat == 0
    for image, result in zip(images, found, strict=True):
        np.testing.assert_allclose(result, slow_normalise(image, 12), atol=1e-4)


def test_flat_backgrounds_are_not_divided(rng):
    yy, xx = np.mgrid[:16, :16].astype(np.float32)
    images = np.stack([np.full((16, 16), 7.0), 1e4 + 3 * xx - 2 * yy]).astype(np.float32)
    images[:, 8, 8] += 2
    found, n_flat = Background(16, 6).normalise(images, 3, 3, rng)
    assert n_flat == 2
    np.testing.assert_allclose(found[:, 8, 8], 2, atol=5e-3)
    np.testing.assert_allclose(found[:, 0], 0, atol=5e-3)


def test_dust_becomes_noise_and_the_rest_is_as_without_it(rng):
    n, radius = 64, 24
    clean = rng.normal(50, 2, (3, n, n)).astype(np.float32)
    clean = np.clip(clean, 44, 56)  # no dust of its own
    dusty = clean.copy()
    dusty[:, 3, 5], dusty[:, 40, 33] = 75, 20
    found, _ = Background(n, radius).normalise(dusty, 3.5, 3.5, rng)
    plain, _ = Background(n, radius).normalise(clean, -1, -1, rng)
    rest = np.ones((n, n), dtype=bool)
    rest[[3, 40], [5, 33]] = False
    np.testing.assert_allclose(found[:, rest], plain[:, rest], atol=0.02)
    assert np.abs(found[:, [3, 40], [5, 33]]).max() < 5


@pytest.mark.parametrize(("white", "black", "left"), [(3.5, -1, 40), (-1, 3.5, 3)])
def test_white_and_black_dust_are_told_apart(rng, white, black, left):
    images = rng.normal(0, 1, (1, 32, 32)).astype(np.float32)
    images[0, 2, 2], images[0, 40 - 32, 3] = 30, -30
    found, _ = Background(32, 12).normalise(images, white, black, rng)
    assert (abs(found[0, 2, 2]) < 6) == (left == 40) and (abs(found[0, 8, 3]) < 6) == (left == 3)


def test_a_circle_without_background_is_refused():
    with pytest.raises(ValueError, match="no background"):
        Background(16, 12)


def test_chunks_make_no_difference(rng, monkeypatch):
    micrograph = rng.normal(10, 2, (200, 220)).astype(np.float32)
    x, y = rng.integers(-10, 230, 40), rng.integers(-10, 210, 40)
    settings = ExtractionSettings(32, 16, 6, invert=True)
    whole = extract(micrograph, x, y, settings)
    monkeypatch.setattr(module, "_CHUNK_PIXELS", 3 * 32 * 32)
    np.testing.assert_allclose(extract(micrograph, x, y, settings).images, whole.images, atol=1e-5)


def test_order_of_steps(rng):
    micrograph = rng.normal(10, 2, (100, 100)).astype(np.float32)
    x, y = np.array([50, 40]), np.array([50, 61])
    found = extract(micrograph, x, y, ExtractionSettings(32, 16, 6, invert=True)).images
    scaled = crop_frequencies(cut_boxes(micrograph, x, y, 32), 16)
    for i in range(2):
        np.testing.assert_allclose(found[i], -slow_normalise(scaled[i], 6), atol=1e-5)


def test_noise_for_dust_depends_on_the_seed_only(rng):
    micrograph = rng.normal(0, 1, (64, 64)).astype(np.float32)
    settings = ExtractionSettings(32, 32, 12, white_dust=2, black_dust=2)
    one, same, other = (extract(micrograph, np.array([32]), np.array([32]), settings, seed).images for seed in (1, 1, 2))
    assert np.array_equal(one, same) and not np.array_equal(one, other)


@pytest.mark.parametrize(
    ("value", "half", "message"), [(np.nan, False, "not finite"), (np.inf, True, "not finite"), (7e4, True, "16 bits")]
)
def test_pixels_that_cannot_be_written(value, half, message):
    micrograph = np.zeros((32, 32), dtype=np.float32)
    micrograph[10, 10] = value
    with pytest.raises(UserError, match=message):
        extract(micrograph, np.array([16]), np.array([16]), ExtractionSettings(16, 16, half_precision=half))


def test_micrographs_are_mapped(tmp_path, rng):
    path = tmp_path / "m.mrc"
    data = rng.integers(-5, 5, (20, 30)).astype(np.int16)
    with mrcfile.new(path) as file:
        file.set_data(data)
    mapped = map_micrograph(path)
    assert isinstance(mapped, np.memmap) and np.array_equal(mapped, data)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match="truncated micrograph"):
        map_micrograph(path)
    with mrcfile.new(path, overwrite=True) as file:
        file.set_data(np.zeros((3, 8, 8), dtype=np.float32))
    with pytest.raises(UserError, match="3 images in the file"):
        map_micrograph(path)


def test_recentring_keeps_the_position():
    coordinates, offsets = np.array([[100.0, 50.5], [3.0, 4.0]]), np.array([[15.9, -6.3], [0.75, -0.75]])
    moved, rest = recentred(coordinates, offsets, np.array([1.5, 1.5]))
    np.testing.assert_allclose(moved, [[89.0, 54.5], [2.0, 5.0]])  # halves go away from zero
    np.testing.assert_allclose(coordinates * 1.5 - offsets, moved * 1.5 - rest)
    assert np.abs(rest).max() <= 0.75 + 1e-9


def test_projection_of_a_point_of_the_map():
    angles = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 90.0], [0.0, 90.0, 0.0], [90.0, 90.0, 0.0]])
    np.testing.assert_allclose(projected_point(np.array([1.0, 2.0, 3.0]), angles), [[1, 2], [2, -1], [-3, 2], [-3, -1]], atol=1e-12)
