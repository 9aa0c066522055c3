import numpy as np
import pytest

from relion4plugin.errors import UserError
from relion4plugin.imaging.ctf import PLAIN_CTF, evaluate_ctf
from relion4plugin.imaging.filters import resize_images
from relion4plugin.preprocessing.picking import template_scores
from relion4plugin.preprocessing.picking.agreement import agreement, matches
from relion4plugin.preprocessing.picking.micrograph import ScaledMicrograph
from relion4plugin.preprocessing.picking.template_images import References, make_templates
from relion4plugin.preprocessing.picking.template_scores import Filters, score_map
from relion4plugin.preprocessing.picking.templates import TemplateBank, TemplateSettings, pick_templates
from tests.preprocessing.picking.shapes import BOX, PIXEL, one_ctf, shape_image, shapes_field, turned

PLAIN = TemplateSettings(step=10.0, lowpass=12.0, distance=110.0, noise_spread=-1.0)


def bank(settings: TemplateSettings = PLAIN) -> TemplateBank:
    blank = np.zeros((BOX, BOX), np.float32)
    blank[BOX // 2 - 3 : BOX // 2 + 3, BOX // 2 - 3 : BOX // 2 + 3] = 1
    return TemplateBank(References(np.stack([blank, shape_image()]), PIXEL), settings)


def test_the_radius_is_that_of_the_particle_with_surroundings():
    y, x = np.indices((64, 64)) - 32
    disc = References((np.hypot(x, y) < 15).astype(np.float32)[None], 2.0)
    assert disc.particle_radius == pytest.approx(30.0, abs=2.0) and disc.radius == pytest.approx(1.3 * disc.particle_radius)
    everywhere = References(np.ones((1, 64, 64), np.float32), 2.0)
    assert everywhere.particle_radius == everywhere.radius == 62.0


def test_templates_are_turned_scaled_and_without_mean():
    coarse, fine = References(shape_image()[None], PIXEL), References(resize_images(shape_image()[None], 2 * BOX), PIXEL / 2)
    templates = make_templates(coarse, PIXEL, 30.0, -1.0)
    assert templates.angles.tolist() == list(range(0, 360, 30))
    np.testing.assert_allclose(templates.images.sum(axis=(-2, -1)), 0, atol=1e-3)
    n = templates.images.shape[-1]
    centre = slice(n // 2 - 15, n // 2 + 16)
    expected = turned(shape_image(), -60.0)[BOX // 2 - 15 : BOX // 2 + 16, BOX // 2 - 15 : BOX // 2 + 16]
    difference = templates.images[0, 2][centre, centre] - expected  # the mean is taken away
    np.testing.assert_allclose(difference, difference.mean(), atol=0.02)
    scaled = make_templates(fine, PIXEL, 30.0, -1.0).images
    middle = [images[0, :, images.shape[-2] // 2 - 15 : images.shape[-2] // 2 + 16, images.shape[-1] // 2 - 15 : images.shape[-1] // 2 + 16]
              for images in (scaled, templates.images)]  # fmt: skip
    np.testing.assert_allclose(middle[0], middle[1], atol=0.05)


def test_steps_divide_the_circle():
    references = References(shape_image()[None], PIXEL)
    assert len(make_templates(references, PIXEL, 7.0, 20.0).angles) == 52
    assert len(make_templates(references, PIXEL, 360.0, 20.0).angles) == 1


@pytest.mark.parametrize("with_ctf", [False, True])
def test_scores_are_those_of_the_definition(with_ctf, monkeypatch):
    ctf = one_ctf(15000.0) if with_ctf else None
    image, _, _ = shapes_field(1, count=6, shape=(160, 144), ctf=ctf)
    small = ScaledMicrograph(image, (1.0, 1.0), PIXEL)
    templates = make_templates(bank().references, PIXEL, 45.0, 12.0)
    monkeypatch.setattr(template_scores, "_BATCH_BYTES", 3 * 12 * 160 * 144)
    scores = score_map(small, templates, Filters(12.0, -1.0), ctf, PLAIN_CTF, -1.0)
    fy, fx = np.fft.fftfreq(160, PIXEL)[:, None], np.fft.fftfreq(144, PIXEL)[None, :]
    t = np.clip(0.5 - (np.hypot(fy, fx) * 12.0 - 1) / 0.1, 0, 1)
    band = 0.5 - 0.5 * np.cos(np.pi * t)
    flat = np.fft.ifft2(np.fft.fft2(image - image.mean()) * band).real
    flat /= flat.std()
    transfer = np.ones((160, 144))
    if ctf is not None:
        ys, xs = np.broadcast_arrays(fy, fx)
        transfer = evaluate_ctf(xs.ravel(), ys.ravel(), ctf)[0].reshape(160, 144)
    radius, reach = templates.radius / PIXEL, templates.images.shape[-1] // 2
    inside = np.hypot(*(np.indices((2 * reach + 1, 2 * reach + 1)) - reach)) <= radius
    for y, x in ((70, 65), (84, 90)):
        found = []
        for k in range(2):
            for turn in templates.images[k]:
                frame = np.zeros((160, 144))
                frame[y - reach : y + reach + 1, x - reach : x + reach + 1] = -turn
                a = np.fft.ifft2(np.fft.fft2(frame) * transfer * band).real
                spread = flat[y - reach : y + reach + 1, x - reach : x + reach + 1][inside].std()
                found.append((flat * a).sum() / spread / np.sqrt((a * a).sum()) / np.sqrt(band.size / (band**2).sum()))
        assert scores.correlation[y, x] == pytest.approx(max(found), rel=2e-3)
        assert scores.reversed_[y, x] == pytest.approx(-min(found), rel=2e-3)


def test_particles_are_found_with_their_angles():
    image, truth, psi = shapes_field(2)
    picks = pick_templates(image, PIXEL, bank())
    good = picks.chosen(picks.score > 0.1)
    found = agreement(good.centres, truth, 3.0)
    assert found.recall == 1.0 and found.precision == 1.0
    pairs = matches(good.centres, truth, 3.0)
    assert (good.reference == 2).all()
    error = np.mod(good.psi - psi[pairs] + 180, 360) - 180
    assert np.abs(error).max() < 8.0
    assert np.hypot(*(good.centres - truth[pairs]).T).mean() < 0.8


def test_faint_particles_are_found_by_their_ctf():
    ctf, found = one_ctf(30000.0), [0, 0]
    for seed in range(4):
        image, truth, _ = shapes_field(seed, contrast=0.8, ctf=ctf)
        for method, given in enumerate((ctf, None)):
            best = pick_templates(image, PIXEL, bank(), given).centres[: len(truth)]
            found[method] += agreement(best, truth, 3.0).n_matched
    assert found[0] >= 50 and found[0] > 1.15 * found[1]


def test_contrast_and_scale_of_grey_values():
    image, truth, _ = shapes_field(4, count=12)
    dark = pick_templates(image, PIXEL, bank())
    bright = pick_templates(500.0 - 40.0 * image, PIXEL, bank(TemplateSettings(**{**PLAIN.__dict__, "invert": False})))
    np.testing.assert_allclose(bright.score[:12], dark.score[:12], rtol=1e-2)
    assert agreement(bright.centres[:12], truth, 3.0).recall == 1.0


def test_uneven_surroundings_and_dark_ones_are_left_out():
    image, _, _ = shapes_field(5)
    image[:, :200] *= 3
    limited = TemplateSettings(**{**PLAIN.__dict__, "noise_spread": 1.0})
    everywhere, even = pick_templates(image, PIXEL, bank()), pick_templates(image, PIXEL, bank(limited))
    assert (everywhere.x < 150).any() and not (even.x < 150).any() and (even.x > 250).any()
    image, _, _ = shapes_field(5)
    image[:, :200] -= 2
    dark = TemplateSettings(**{**PLAIN.__dict__, "noise_mean": -0.2})
    assert not (pick_templates(image, PIXEL, bank(dark)).x < 150).any()


def test_a_down_scaled_search_finds_the_same():
    image, truth, _ = shapes_field(6)
    picks = pick_templates(image, PIXEL, bank(TemplateSettings(**{**PLAIN.__dict__, "shrink": 0.6})))
    assert agreement(picks.chosen(picks.score > 0.1).centres, truth, 3.0).recall == 1.0


@pytest.mark.parametrize(
    ("pixel_size", "shape", "message"),
    [(0.0, (300, 300), "the pixel size is not known"), (PIXEL, (60, 300), "more than half of this micrograph of 240 A")],
)
def test_what_does_not_fit_is_refused(pixel_size, shape, message):
    with pytest.raises(UserError, match=message):
        pick_templates(np.random.default_rng(0).normal(size=shape).astype(np.float32), pixel_size, bank())


def test_noise_alone_has_no_good_picks():
    image = np.random.default_rng(7).normal(size=(400, 400)).astype(np.float32)
    assert pick_templates(image, PIXEL, bank()).score.max(initial=0.0) < 0.3
