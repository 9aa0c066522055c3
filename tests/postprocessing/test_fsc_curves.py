import numpy as np
import pytest

from relion4plugin.files.star import read_star
from relion4plugin.imaging.filters import fsc, resolution_at
from relion4plugin.imaging.masks import soft_sphere
from relion4plugin.postprocessing.fsc_curves import correct_for_mask, first_random_shell, fsc_curves, particle_fraction_curve
from relion4plugin.postprocessing.maps import read_half_maps
from tests.postprocessing.simulated import BOX, particle, write_halves


def test_correction_is_chens_formula():
    masked = np.array([1.0, 0.9, 0.8, 0.7, 0.4, 0.2, 0.5])
    noise = np.array([1.0, 0.9, 0.5, 0.4, 0.1, 0.3, 1.0])
    expected = [1.0, 0.9, 0.8, 0.5, 0.3 / 0.9, -0.1 / 0.7, 0.0]
    np.testing.assert_allclose(correct_for_mask(masked, noise, 1), expected)


def test_phases_are_random_from_the_first_shell_below():
    assert first_random_shell(np.array([0.0, 0.9, 0.79, 0.95, 0.1]), 0.8) == 2
    assert first_random_shell(np.array([0.0, 0.9, 0.85]), 0.8) is None


def test_particle_curve_is_the_snr_concentrated_in_the_mask():
    snr, fraction = np.array([3.0, 1.0, 0.1]), 4.0
    unmasked = snr / (1 + snr)
    np.testing.assert_allclose(particle_fraction_curve(unmasked, fraction), fraction * snr / (1 + fraction * snr))


def test_a_mask_alone_does_not_make_resolution(tmp_path):
    """Beyond 8 A there is noise only: a tight mask correlates it, the corrected curve must not."""
    signal = particle(bfactor=2500.0)
    halves = read_half_maps(write_halves(tmp_path, signal, 0.02 * signal.max()))
    tight = soft_sphere(BOX, 5, 0)
    curves = fsc_curves(halves, tight, force_mask=True)
    beyond = slice(25, 33)
    assert curves.masked[beyond].mean() > 0.1
    assert curves.corrected[beyond].mean() < 0.5 * curves.masked[beyond].mean()
    assert any("too tight" in remark for remark in curves.remarks) or curves.randomised[25] < 0.1


def test_curves_of_the_definition(tmp_path):
    halves = read_half_maps(write_halves(tmp_path, particle(), 0.1))
    mask = soft_sphere(BOX, 18, 6)
    curves = fsc_curves(halves, mask)
    np.testing.assert_allclose(curves.unmasked[1:], fsc(halves.first, halves.second)[1:])
    np.testing.assert_allclose(curves.masked[1:], fsc(halves.first * mask, halves.second * mask)[1:])
    shell = curves.random_from
    assert curves.unmasked[shell] < 0.8 <= curves.unmasked[1:shell].min(initial=1.0)
    masked, noise = curves.masked[shell + 2 :], curves.randomised[shell + 2 :]
    np.testing.assert_allclose(curves.corrected[shell + 2 :], (masked - noise) / (1 - noise), atol=1e-12)
    assert curves.box_fraction == pytest.approx(np.pi / 6 / 1.1 / (mask > 0.5).mean())
    below = np.flatnonzero(curves.corrected[1:] < 0.143)
    last = below[0] if below.size else BOX // 2
    assert curves.resolution == pytest.approx(128.0 / last)


def test_the_unmasked_curve_wins_over_a_mask_that_cuts_everything(tmp_path):
    halves = read_half_maps(write_halves(tmp_path, particle(), 0.03))
    wrong = np.roll(soft_sphere(BOX, 6, 2), 24, axis=2)
    curves = fsc_curves(halves, wrong)
    np.testing.assert_array_equal(curves.corrected, curves.unmasked)
    assert any("cuts density" in remark for remark in curves.remarks)
    assert fsc_curves(halves, wrong, force_mask=True).resolution > curves.resolution


def test_without_a_mask_the_unmasked_curve_is_quoted(tmp_path):
    halves = read_half_maps(write_halves(tmp_path, particle(), 0.03))
    curves = fsc_curves(halves, None)
    assert curves.masked is None and curves.randomised is None
    np.testing.assert_array_equal(curves.corrected, curves.unmasked)


def test_correction_of_a_real_curve(shared_data):
    """RELION's own curves of a finished project."""
    table = read_star(shared_data / "star/relion31_tutorial_bgal/PostProcess/job030/postprocess.star")["fsc"]
    masked, noise, corrected = (
        table[label].to_numpy()
        for label in (
            "rlnFourierShellCorrelationMaskedMaps",
            "rlnCorrectedFourierShellCorrelationPhaseRandomizedMaskedMaps",
            "rlnFourierShellCorrelationCorrected",
        )
    )
    first = round(256 * 1.244 / 9.650424)
    np.testing.assert_allclose(correct_for_mask(masked, noise, first), corrected, atol=2e-5)
    assert resolution_at(corrected, 0.143, 1.244, 256) == pytest.approx(2.818265, rel=1e-5)
