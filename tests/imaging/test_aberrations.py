"""Aberration phases against closed forms of the polynomials."""

import numpy as np
import pytest

from relion4plugin.arrays import to_numpy
from relion4plugin.imaging.aberrations import (
    antisymmetric_phase,
    demodulate,
    even_zernike_order,
    mtf_at,
    odd_zernike_order,
    symmetric_phase,
    zernike,
)
from relion4plugin.imaging.ctf import wavelength


@pytest.fixture
def plane(rng):
    return rng.uniform(-0.4, 0.4, (2, 200))


def test_orders():
    assert [odd_zernike_order(i) for i in range(6)] == [(-1, 1), (1, 1), (-3, 3), (-1, 3), (1, 3), (3, 3)]
    assert [even_zernike_order(i) for i in range(9)] == [
        (0, 0), (-2, 2), (0, 2), (2, 2), (-4, 4), (-2, 4), (0, 4), (2, 4), (4, 4)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("m", "n", "closed"),
    [
        (0, 0, lambda x, y: np.ones_like(x)),
        (1, 1, lambda x, y: x),
        (-1, 1, lambda x, y: y),
        (0, 2, lambda x, y: 2 * (x**2 + y**2) - 1),
        (2, 2, lambda x, y: x**2 - y**2),
        (-2, 2, lambda x, y: 2 * x * y),
        (1, 3, lambda x, y: (3 * (x**2 + y**2) - 2) * x),
        (3, 3, lambda x, y: x**3 - 3 * x * y**2),
        (-3, 3, lambda x, y: 3 * x**2 * y - y**3),
        (0, 4, lambda x, y: 6 * (x**2 + y**2) ** 2 - 6 * (x**2 + y**2) + 1),
    ],
)
def test_polynomials(xp, plane, m, n, closed):
    fx, fy = plane
    np.testing.assert_allclose(to_numpy(zernike(m, n, xp.asarray(fx), xp.asarray(fy))), closed(fx, fy), atol=1e-12)


def test_symmetries(plane):
    fx, fy = plane
    even = [0.1, 2, 3, 4, 5, 6, 7, 8, 9]
    odd = [1, 2, 3, 4, 5, 6]
    np.testing.assert_allclose(symmetric_phase(fx, fy, even), symmetric_phase(-fx, -fy, even), atol=1e-12)
    np.testing.assert_allclose(antisymmetric_phase(fx, fy, odd_zernike=odd), -antisymmetric_phase(-fx, -fy, odd_zernike=odd), atol=1e-12)


def test_beam_tilt(plane):
    fx, fy = plane
    phase = antisymmetric_phase(fx, fy, beam_tilt_mrad=(0.5, -0.2), voltage=200, spherical_aberration=2.0)
    expected = -2 * np.pi * 2e7 * wavelength(200.0) ** 2 * (fx**2 + fy**2) * (fx * 0.5e-3 - fy * 0.2e-3)
    np.testing.assert_allclose(phase, expected, rtol=1e-12)


def test_beam_tilt_is_coma_and_shift_in_zernike_terms(plane):
    fx, fy = plane
    third = -2 * np.pi * 2.7e7 * wavelength(300.0) ** 2 * 1e-3 / 3
    tilt = antisymmetric_phase(fx, fy, beam_tilt_mrad=(1.0, 0.0))
    np.testing.assert_allclose(antisymmetric_phase(fx, fy, odd_zernike=[0, 2 * third, 0, 0, third, 0]), tilt, rtol=1e-9, atol=1e-12)


def test_demodulation_removes_the_phase(xp, plane, rng):
    fx, fy = plane
    phase = antisymmetric_phase(fx, fy, beam_tilt_mrad=(1.0, -3.0))
    true = (rng.normal(size=(3, fx.size)) + 1j * rng.normal(size=(3, fx.size))).astype(np.complex64)
    seen = (true * np.exp(1j * phase)).astype(np.complex64)
    clean = demodulate(xp.asarray(seen), xp.asarray(phase))
    assert clean.dtype == np.complex64
    np.testing.assert_allclose(to_numpy(clean), true, atol=1e-5)


def test_mtf_is_interpolated_in_detector_pixels(xp):
    table = xp.asarray([[0.0, 1.0], [0.25, 0.8], [0.5, 0.4]])
    values = mtf_at(xp.asarray([0.0, 0.0625, 0.15, 0.0, 0.5]), xp.asarray([0.0, 0.0, 0.2, 0.1875, 0.0]), table, 2.0)
    np.testing.assert_allclose(to_numpy(values), [1, 0.9, 0.4, 0.6, 0.4], atol=1e-6)
