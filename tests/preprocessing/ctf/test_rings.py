import numpy as np
import pytest

from relion4plugin.imaging.ctf import evaluate_ctf
from relion4plugin.preprocessing.ctf.preparation import prepare, spline_basis
from relion4plugin.preprocessing.ctf.profile import equal_phase_radius, resolved_to, ring_profile
from relion4plugin.preprocessing.ctf.rings import Trial, correlations, prepared_pixels, unit_rings
from relion4plugin.preprocessing.ctf.search import SearchRange, refine
from relion4plugin.preprocessing.ctf.spectrum import PowerSpectrum
from tests.preprocessing.ctf.synthetic import TITAN, ctf

ROW = np.array([12000.0, 120.0, 90.0, 0.0, 40.0])


def perfect(row, n=256, pixel=1.4):
    """A spectrum without noise: rings on a background."""
    empty = PowerSpectrum(np.empty((n, n // 2), np.float32), pixel, 1e5)
    fx, fy = empty.frequencies()
    y, x = np.broadcast_arrays(fy[:, None], fx[None, :])
    curve = evaluate_ctf(x.ravel(), y.ravel(), Trial.of(row[None]).ctf(TITAN))[0].reshape(x.shape) ** 2
    damped = curve * np.exp(-0.5 * row[4] * (x**2 + y**2))
    return PowerSpectrum(((1 + 0.2 * damped) * np.exp(-np.hypot(x, y))).astype(np.float32), pixel, 1e5)


def test_trials_are_the_parameters_of_the_ctf():
    found = Trial.of(np.array([[10000.0, 0.0, 150.0, 20.0, 0.0]])).ctf(TITAN)
    assert (found.defocus_u[0], found.defocus_v[0], found.defocus_angle[0], found.phase_shift[0]) == pytest.approx((10150, 9850, 45, 20))


def test_a_smooth_background_does_not_count(rng):
    k = np.linspace(0.03, 0.2, 200)
    basis = spline_basis(k, 0.03, 0.2, 5)
    wave = np.sin(300 * k)
    plain, lifted = (prepared_pixels(k, 0 * k, np.ones(200), wave + b, basis, 700.0).values for b in (0 * k, 5 - 3 * k + k**2))
    np.testing.assert_allclose(plain, lifted, atol=1e-4)


def test_the_truth_correlates_perfectly_and_its_neighbours_do_not():
    pixels = prepare(perfect(ROW), 30.0, 5.0).plane
    others = ROW + np.array([[0.0] * 5, [300, 0, 0, 0, 0], [0, 300, 0, 0, 0], [0, 0, -300, 0, 0], [0, 0, 0, 30, 0]])
    scores = correlations(pixels, Trial.of(others), TITAN)
    assert scores[0] > 0.97
    assert scores[1:].max() < 0.95
    products = unit_rings(pixels, Trial.of(others), TITAN) @ pixels.values
    np.testing.assert_allclose(products, scores, atol=1e-4)


def test_refinement_reaches_the_maximum():
    pixels = prepare(perfect(ROW), 30.0, 5.0).plane
    found = refine(pixels, ROW + np.array([250, -120, 130, 0, 30]), TITAN, SearchRange(dast=0))
    np.testing.assert_allclose(found[:3], ROW[:3], atol=12)


def test_the_restraint_draws_astigmatism_in():
    pixels = prepare(perfect(ROW), 30.0, 5.0).plane
    free, held = (refine(pixels, ROW, TITAN, SearchRange(dast=d)) for d in (0.0, 0.5))
    assert np.hypot(*held[1:3]) < 0.8 * np.hypot(*free[1:3])


def test_steps_stay_in_the_range():
    pixels = prepare(perfect(ROW), 30.0, 5.0).plane
    assert refine(pixels, ROW, TITAN, SearchRange(dfmin=12300, dfmax=20000))[0] == 12300


def test_equal_phase_means_equal_ctf():
    angles = np.linspace(0, np.pi, 50)
    fx, fy = 0.2 * np.cos(angles), 0.2 * np.sin(angles)
    radius = equal_phase_radius(fx, fy, ROW, TITAN)
    with_astigmatism = evaluate_ctf(fx, fy, Trial.of(ROW[None]).ctf(TITAN))[0]
    without = evaluate_ctf(radius, np.zeros(50), ctf(ROW[0], ROW[0], 0))[0]
    np.testing.assert_allclose(without, with_astigmatism, atol=2e-3)


def test_rings_are_followed_to_where_they_end(rng):
    spectrum = perfect(np.array([12000.0, 120.0, 90.0, 0.0, 0.0]), n=512)
    fx, fy = spectrum.frequencies()
    radius = np.hypot(fy[:, None], fx[None, :])
    power = np.where(radius < 0.2, spectrum.power, np.exp(-radius)) * rng.gamma(400, 1 / 400, radius.shape)
    profile = ring_profile(PowerSpectrum(power.astype(np.float32), 1.4, 1e5), ROW, TITAN, 30.0)
    assert resolved_to(profile, 1e5, ROW, TITAN, 5.0) == pytest.approx(5.0, rel=0.06)
    # A small extent washes out rings whose lag is more than half of it.
    assert resolved_to(profile, 100.0, ROW, TITAN, 5.0) > 8
