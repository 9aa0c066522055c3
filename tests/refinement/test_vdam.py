"""The gradient update against loops over voxels, and its statistics on noise."""

import numpy as np
import pytest

from relion4plugin.refinement import vdam
from relion4plugin.refinement import voxels as voxels_module
from relion4plugin.refinement.references import PaddedGrid
from relion4plugin.refinement.slices import make_hermitian
from relion4plugin.refinement.state import Model
from relion4plugin.refinement.symmetrise import make_hermitian as make_hermitian_volume
from tests.refinement.gaussian_volumes import frequencies
from tests.refinement.slow_expectation import raised_cosine_disc

BOX, PAD, K, SIZE = 12, 2, 3, 8
M = BOX * PAD
GRID = PaddedGrid(BOX, PAD)


def padded_transform(image):
    big = np.zeros((M, M))
    start = M // 2 - BOX // 2
    big[start : start + BOX, start : start + BOX] = image
    return (np.fft.fft2(np.fft.ifftshift(big)) / BOX**2)[:, : M // 2 + 1]


def cropped_image(half):
    big = np.fft.fftshift(np.fft.irfft2(half * BOX**2, s=(M, M)))
    start = M // 2 - BOX // 2
    image = big[start : start + BOX, start : start + BOX]
    w = raised_cosine_disc(BOX, BOX / 2, 3.0)
    return w * image + (1 - w) * (image * (1 - w)).sum() / (1 - w).sum()


def voxels():
    for row in range(M):
        y = row if row <= M // 2 - 1 else row - M
        for x in range(M // 2 + 1):
            if x * x + y * y < (PAD * SIZE // 2) ** 2:
                yield row, x, int(np.floor(np.hypot(x, y) / PAD + 0.5))


def by_shell(values):
    sums, counts = np.zeros(BOX), np.zeros(BOX)
    for row, x, s in voxels():
        sums[s] += values[row, x]
        counts[s] += 1
    return sums / np.maximum(counts, 1)


def slow_update(reference, m, u, data, weight, eta, fudge, pdf):
    """One class in float64; m, u are changed in place."""
    transform, moved = padded_transform(reference), np.zeros((M, M // 2 + 1), complex)
    fresh = [not v.any() for v in m]
    for row, x, _ in voxels():
        g = [data[h, row, x] / max(1.0, weight[h, row, x]) for h in (0, 1)]
        for h in (0, 1):
            m[h, row, x] = g[h] if fresh[h] else 0.9 * m[h, row, x] + 0.1 * g[h]
        u[row, x] = 0.999 * u[row, x] + 0.001 * abs(g[1] - g[0]) ** 2 / (abs((g[0] + g[1]) / 2) ** 2 + 1e-12)
    signal, noise = by_shell(np.abs(transform)), by_shell(np.abs(m[0] - m[1]))
    step = eta * (1 - np.exp(-(3 * K + 10) * pdf))
    strength = 0.0
    for row, x, s in voxels():
        snr = 2 * fudge * signal[s] / noise[s] if noise[s] > 0 else 0.0
        fsc = min(1.0, snr / (1 + snr))
        g = (m[0, row, x] + m[1, row, x]) / 2 / (np.sqrt(u[row, x]) + 1e-12)
        strength += abs(g) ** 2
        moved[row, x] = transform[row, x] + step * (fsc * g - (1 - fsc) * transform[row, x])
    return cropped_image(moved), strength / sum(1 for _ in voxels())


def gradients(rng, size=1e-3):
    shape = (2, K, M, M // 2 + 1)
    data = (size * (rng.normal(size=shape) + 1j * rng.normal(size=shape))).astype(np.complex64)
    weight = rng.uniform(0, 20, shape).astype(np.float32)
    make_hermitian(data)
    make_hermitian(weight)
    return data, weight


@pytest.fixture
def model(rng):
    model = Model(rng.normal(size=(K, BOX, BOX)).astype(np.float32), np.array([0.7, 0.28, 0.02]), np.ones((1, BOX // 2 + 1)), np.ones(1))
    model.current_size = SIZE
    for name in ("tau2", "data_vs_prior", "sigma2_class", "coverage"):
        setattr(model, name, rng.uniform(size=(K, BOX // 2 + 1)))
    return model


def test_three_updates_equal_loops_over_voxels(model, rng):
    expected = model.references.astype(float)
    m, u = np.zeros((2, K, M, M // 2 + 1), complex), np.ones((K, M, M // 2 + 1))
    for eta, fudge in ((0.9, 1.0), (0.6, 1.5), (0.3, 2.0)):
        data, weight = gradients(rng)
        assert vdam.update_references(model, GRID, data, weight, step_size=eta, tau2_fudge=fudge, threshold=0.0) is None
        for k in range(K):
            expected[k], _ = slow_update(
                expected[k], m[:, k], u[k], data[:, k].astype(complex), weight[:, k], eta, fudge, model.pdf_class[k]
            )
        assert np.allclose(model.references, expected, atol=2e-5)
        assert np.allclose(model.moment1, m, atol=1e-8)
        assert np.allclose(model.moment2, u, rtol=1e-4)


def test_newly_reached_shells_start_slowly(model, rng):
    data, weight = gradients(rng)
    vdam.update_references(model, GRID, data, weight, step_size=0.9, tau2_fudge=1.0, threshold=0.0)
    inner = model.moment1.copy()
    model.current_size = SIZE + 2
    vdam.update_references(model, GRID, data, weight, step_size=0.9, tau2_fudge=1.0, threshold=0.0)
    gradient = data / np.maximum(1, weight)
    row, column = 0, PAD * SIZE // 2  # just outside the first size
    assert not inner[:, :, row, column].any()
    assert np.allclose(model.moment1[:, :, row, column], 0.1 * gradient[:, :, row, column], rtol=1e-4)
    assert np.allclose(model.moment1[:, :, 1, 1], gradient[:, :, 1, 1], rtol=1e-4)


def test_class_without_particles_keeps_its_reference(model, rng):
    data, weight = gradients(rng)
    data[:, 1] = weight[:, 1] = 0
    model.pdf_class[:] = (0.8, 0.2, 0.0)
    before = model.references.copy()
    vdam.update_references(model, GRID, data, weight, step_size=0.9, tau2_fudge=1.0, threshold=0.0)
    assert np.array_equal(model.references[1:], before[1:])
    assert not np.array_equal(model.references[0], before[0])


def test_step_sizes_of_classes():
    assert vdam.class_step(1.0, np.array([0.02]), 50)[0] == pytest.approx(0.96, abs=0.005)
    assert vdam.class_step(1.0, np.array([1 / 3]), 3)[0] == pytest.approx(0.998, abs=0.001)
    assert vdam.class_step(1.0, np.array([0.001]), 50)[0] == pytest.approx(0.148, abs=0.001)


@pytest.mark.parametrize(
    ("pdf", "active", "threshold", "expected"),
    [
        ((0.5, 0.49, 0.01), (True, True, True), 0.1, (2, 0)),
        ((0.4, 0.59, 0.01), (True, True, True), 0.1, (2, 1)),
        ((0.4, 0.59, 0.01), (True, False, True), 0.1, (2, 0)),
        ((0.5, 0.45, 0.05), (True, True, True), 0.1, None),  # 0.05 > 0.1 / 3
        ((0.5, 0.49, 0.01), (True, True, True), 0.0, None),
        ((0.5, 0.49, 0.01), (False, False, False), 0.1, None),
        ((0.6, 0.4, 0.0), (True, True, False), 0.1, (2, 0)),
    ],
)
def test_choice_of_the_replaced_class(pdf, active, threshold, expected):
    found = vdam.choose_replacement(np.array(active), np.array(pdf), threshold)
    assert found == (None if expected is None else vdam.Replacement(*expected))


def test_replaced_class_is_a_copy_and_is_not_updated(model, rng):
    data, weight = gradients(rng)
    model.pdf_class[:] = (0.7, 0.299, 0.001)
    start = model.references.copy()
    m, u = np.zeros((2, M, M // 2 + 1), complex), np.ones((M, M // 2 + 1))
    updated, _ = slow_update(start[0].astype(float), m, u, data[:, 0].astype(complex), weight[:, 0], 0.9, 1.0, 0.7)
    change = vdam.update_references(model, GRID, data, weight, step_size=0.9, tau2_fudge=1.0, threshold=0.1)
    assert change == vdam.Replacement(2, 0)
    assert np.array_equal(model.references[2], start[0])
    assert np.allclose(model.references[0], updated, atol=2e-5)
    assert np.allclose(model.moment1[:, 2], 0.9 * m, atol=1e-8)
    assert np.allclose(model.moment2[2], u, rtol=1e-4)
    assert model.pdf_class[2] == model.pdf_class[0]
    assert np.array_equal(model.data_vs_prior[2], model.data_vs_prior[0])


def test_second_moment_of_pure_noise_has_the_expected_quantiles(rng):
    n = 20_000
    moment1, moment2 = np.zeros((2, n), np.complex64), np.ones(n, np.float32)
    for _ in range(200):
        data = (rng.normal(size=(2, n)) + 1j * rng.normal(size=(2, n))).astype(np.complex64)
        moment1, moment2 = vdam.update_moments(moment1, moment2, data, np.full((2, n), 2.0, np.float32))
    low, middle, high = np.quantile(moment2, [0.05, 0.5, 0.95])
    assert low == pytest.approx(3.2, abs=0.2)
    assert middle == pytest.approx(5.2, abs=0.3)
    assert high == pytest.approx(20, rel=0.25)


def test_second_moment_of_coherent_gradients_decays():
    data = np.full((2, 5), 0.3 + 0.1j, np.complex64)
    moment1, moment2 = np.zeros((2, 5), np.complex64), np.ones(5, np.float32)
    for _ in range(200):
        moment1, moment2 = vdam.update_moments(moment1, moment2, data, np.ones((2, 5), np.float32))
    assert np.allclose(moment2, 0.999**200, rtol=1e-3)
    assert np.allclose(moment1, data, rtol=1e-4)


def test_weights_below_one_do_not_amplify(rng):
    data = np.full((2, 1), 0.5 + 0j, np.complex64)
    moment1, _ = vdam.update_moments(np.zeros((2, 1), np.complex64), np.ones(1, np.float32), data, np.full((2, 1), 0.01, np.float32))
    assert np.allclose(moment1, 0.5)


def test_shifted_moments_are_those_of_the_shifted_reference(model, rng):
    vdam.ensure_moments(model, GRID)
    image = np.zeros((BOX, BOX))
    image[5, 6] = 1.0
    moved = np.roll(image, (2, -1), axis=(0, 1))
    model.moment1[0, 1], model.moment1[1, 1] = padded_transform(image), 2 * padded_transform(image)
    vdam.shift_moments(model, GRID, 1, np.array([-1.0, 2.0]))
    assert np.allclose(model.moment1[0, 1], padded_transform(moved), atol=1e-6)
    assert np.allclose(model.moment1[1, 1], 2 * padded_transform(moved), atol=1e-6)


def slow_volume_update(reference, m, u, data, weight, eta, fudge, pdf, size):
    """One class of volumes (padding 1) in float64 arrays over all voxels; m, u are changed in place."""
    n = len(reference)
    transform = np.fft.rfftn(np.fft.ifftshift(reference)) / n**2
    r2 = (frequencies(n, 1) ** 2).sum(axis=-1)
    inside, shell = r2 < (size // 2) ** 2, np.floor(np.sqrt(r2) + 0.5).astype(int)
    g = data / np.maximum(1.0, weight)
    for h in (0, 1):
        m[h][inside] = (0.9 * m[h] + 0.1 * g[h] if m[h].any() else g[h])[inside]
    ratio = np.abs(g[1] - g[0]) ** 2 / (np.abs((g[0] + g[1]) / 2) ** 2 + 1e-12)
    u[inside] = (0.999 * u + 0.001 * ratio)[inside]
    moved = np.zeros_like(transform)
    for s in range(size // 2 + 1):
        mine = inside & (shell == s)
        if not mine.any():
            continue
        snr = 2 * fudge * np.abs(transform[mine]).mean() / np.abs(m[0] - m[1])[mine].mean()
        fsc = snr / (1 + snr)
        step = (m[0] + m[1])[mine] / 2 / np.sqrt(u[mine])
        moved[mine] = transform[mine] + eta * (1 - np.exp(-(3 * 2 + 10) * pdf)) * (fsc * step - (1 - fsc) * transform[mine])
    volume = np.fft.fftshift(np.fft.irfftn(moved * n**2, s=(n, n, n)))
    axis = (np.arange(n) - n // 2) ** 2
    r = np.sqrt(axis[:, None, None] + axis[:, None] + axis)
    w = np.where(r <= n / 2, 1.0, np.where(r >= n / 2 + 3, 0.0, 0.5 - 0.5 * np.cos(np.pi * (n / 2 + 3 - r) / 3)))
    return w * volume + (1 - w) * (volume * (1 - w)).sum() / (1 - w).sum()


def test_updates_of_volumes_equal_array_formulas(rng, monkeypatch):
    monkeypatch.setattr(voxels_module, "BLOCK", 300)
    monkeypatch.setattr(voxels_module, "CACHED", 0)
    n, grid = 12, PaddedGrid(12, 1, 3)
    model = Model(rng.normal(size=(2, n, n, n)).astype(np.float32), np.array([0.7, 0.3]), np.ones((1, 7)), np.ones(1))
    expected = model.references.astype(float)
    m, u = np.zeros((2, 2, *grid.shape), complex), np.ones((2, *grid.shape))
    for size, eta, fudge in ((8, 0.9, 1.0), (10, 0.5, 4.0)):
        model.current_size = size
        noise = rng.normal(size=(2, 2, n, n, n)) * 0.01
        data = np.ascontiguousarray(np.fft.rfftn(noise, axes=(2, 3, 4))).astype(np.complex64)
        weight = rng.uniform(0, 20, data.shape).astype(np.float32)
        make_hermitian_volume(weight)
        vdam.update_references(model, grid, data, weight, step_size=eta, tau2_fudge=fudge, threshold=0.0)
        for k in range(2):
            mk = [m[0, k], m[1, k]]
            expected[k] = slow_volume_update(
                expected[k], mk, u[k], data[:, k].astype(complex), weight[:, k].astype(float), eta, fudge, model.pdf_class[k], size
            )
        assert np.allclose(model.references, expected, atol=2e-5 * np.abs(expected).max())
        assert np.allclose(model.moment1, m, atol=1e-5 * np.abs(m).max())
        assert np.allclose(model.moment2, u, rtol=1e-4)
