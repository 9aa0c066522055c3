"""Agreement of halves: statistics of noise and signal, formulas, and curves made by hand."""

import numpy as np
import pytest

from relion4plugin.imaging.filters import fsc as map_fsc
from relion4plugin.refinement import gold_standard as gold
from relion4plugin.refinement.references import PaddedGrid
from tests.refinement.gaussian_volumes import blob_volume, frequencies

BOX = 16


def sums(rng, grid, signal=0.0, noise=1.0, shared=None):
    """Data and weight of a half: a shared transform plus noise."""
    weight = rng.uniform(1, 5, grid.shape).astype(np.float32)
    values = noise * (rng.normal(size=grid.shape) + 1j * rng.normal(size=grid.shape))
    if shared is not None:
        values = values + signal * shared
    return (values * weight).astype(np.complex64), weight


def slow_fsc(d1, w1, d2, w2, grid, size):
    """Loop over all voxels of the half grid; cells with kx > 0 count twice."""
    cells, n = {}, grid.box // 2 + 1
    k = np.fft.fftfreq(grid.size, 1 / grid.size).astype(int)

    def cell(v):
        return int(np.copysign(np.floor(abs(v) / grid.padding + 0.5), v))

    for zi, z in enumerate(k):
        for yi, y in enumerate(k):
            for x in range(grid.size // 2 + 1):
                if x * x + y * y + z * z <= (grid.padding * size // 2) ** 2:
                    total = cells.setdefault((cell(z), cell(y), cell(x)), np.zeros(4, complex))
                    total += d1[zi, yi, x], w1[zi, yi, x], d2[zi, yi, x], w2[zi, yi, x]
    out = np.zeros((3, 4 * n))
    for (z, y, x), (a, b, c, d) in cells.items():
        one, two, count = a / b, c / d, 1 if x == 0 else 2
        shell = int(np.sqrt(x * x + y * y + z * z) + 0.5)
        out[:, shell] += count * np.array([(one * np.conj(two)).real, abs(one) ** 2, abs(two) ** 2])
    with np.errstate(invalid="ignore"):
        curve = (out[0] / np.sqrt(out[1] * out[2]))[:n]
    curve[size // 2 + 1 :], curve[0] = 0, 1
    return curve


@pytest.mark.parametrize(("padding", "size"), [(1, 8), (2, 6), (2, 8)])
def test_half_fsc_equals_loops_over_voxels(rng, padding, size):
    grid = PaddedGrid(8, padding, 3)
    shared = rng.normal(size=grid.shape) + 1j * rng.normal(size=grid.shape)
    one, two = sums(rng, grid, 1.0, 1.0, shared), sums(rng, grid, 1.0, 1.0, shared)
    found = gold.half_fsc(*one, *two, grid, size)
    assert np.allclose(found, slow_fsc(*one, *two, grid, size), atol=1e-5)
    assert 0.2 < found[2] < 0.9


def test_half_fsc_of_equal_and_of_independent_halves(rng):
    grid = PaddedGrid(24, 1, 3)
    one, two = sums(rng, grid), sums(rng, grid)
    assert np.allclose(gold.half_fsc(*one, *one, grid, 20)[:11], 1.0, atol=1e-5)
    noise = gold.half_fsc(*one, *two, grid, 20)
    assert np.abs(noise[4:11]).max() < 0.25
    assert noise[0] == 1
    assert not noise[11:].any()


def test_join_averages_low_shells_only(rng):
    grid = PaddedGrid(8, 2, 3)
    d1, w1 = sums(rng, grid)
    d2, w2 = sums(rng, grid)
    before = [a.copy() for a in (d1, w1, d2, w2)]
    gold.join_low_resolution(d1, w1, d2, w2, grid, 2)
    low = (frequencies(16, 1) ** 2).sum(axis=-1) <= 16
    for one, two, b1, b2 in ((d1, d2, before[0], before[2]), (w1, w2, before[1], before[3])):
        assert np.allclose(one[low], (b1 + b2)[low] / 2)
        assert np.array_equal(one[low], two[low])
        assert np.array_equal(one[~low], b1[~low])
        assert np.array_equal(two[~low], b2[~low])
    with pytest.raises(ValueError, match="contiguous"):
        gold.join_low_resolution(d1.T, w1, d2.T, w2, grid, 2)


def test_spectra_follow_their_formulas(rng):
    grid = PaddedGrid(8, 2, 3)
    _, weight = sums(rng, grid)
    fsc = np.array([1.0, 0.9, 0.5, 0.1, -0.2])
    tau2, ratio, sigma2 = gold.spectra_from_fsc(fsc, weight, grid, 6, 2.0)
    assert ratio == pytest.approx([2 * 999, 2 * 9, 2.0, 2 / 9, 2 * 0.001 / 0.999], rel=1e-6)
    r = np.sqrt((frequencies(16, 1) ** 2).sum(axis=-1))
    shell = np.where(r < 6, np.floor(r / 2 + 0.5), -1)
    for s in range(4):
        assert sigma2[s] == pytest.approx(1 / (8 * weight[shell == s].mean()), rel=1e-5)
    assert sigma2[4] == 0
    assert np.allclose(tau2, ratio * sigma2)


def test_power_from_halves_is_the_signals(rng):
    """Signal of power tau2 under noise of variance 1/weight: FSC and weights together tell tau2."""
    grid, true = PaddedGrid(32, 1, 3), 0.02
    shared = np.sqrt(true) * (rng.normal(size=grid.shape) + 1j * rng.normal(size=grid.shape))
    weight = np.full(grid.shape, 50.0, np.float32)
    halves = []
    for _ in range(2):
        noise = (rng.normal(size=grid.shape) + 1j * rng.normal(size=grid.shape)) / np.sqrt(50.0)
        halves += [((shared + noise) * weight).astype(np.complex64), weight]
    tau2, _, _ = gold.spectra_from_fsc(gold.half_fsc(*halves, grid, 32), weight, grid, 32, 1.0)
    assert np.allclose(tau2[5:15], true, rtol=0.35)
    assert tau2[5:15].mean() == pytest.approx(true, rel=0.1)


def test_joined_curve():
    assert gold.joined_fsc(np.array([1.0, 0.143, 0.0, -0.1])) == pytest.approx([1.0, 0.5, 0.0, 0.0], abs=1e-3)


def test_solvent_correction_removes_what_the_mask_adds(rng):
    """A mask that cuts sharply through density brings the same high frequencies to both halves."""
    box = 32
    axis = (np.arange(box) - box // 2) ** 2
    mask = (axis[:, None, None] + axis[:, None] + axis < 49).astype(np.float32)
    particle = blob_volume(box, np.array([[0.5, 0.2, -0.3]]), np.ones(1), 5.0) * 2
    halves = [particle + rng.normal(size=(box,) * 3).astype(np.float32) * 0.25 for _ in range(2)]
    unmasked, masked = map_fsc(*halves), map_fsc(halves[0] * mask, halves[1] * mask)
    corrected = gold.solvent_corrected_fsc(*halves, mask, rng)
    assert np.abs(unmasked[8:]).max() < 0.2
    assert masked[8:].mean() > 0.4
    assert np.abs(corrected[8:].mean()) < 0.25
    assert corrected[1] == pytest.approx(masked[1])
    assert np.array_equal(gold.solvent_corrected_fsc(particle, particle, mask, rng), map_fsc(particle, particle))


def test_solvent_correction_follows_its_formula(rng, monkeypatch):
    curves = iter([np.array([1, 0.9, 0.7, 0.5, 0.3, 0.2, 0.1]), np.array([1, 0.95, 0.9, 0.8, 0.7, 0.6, 0.3]),
                   np.array([1, 0.9, 0.9, 0.2, 0.2, 0.1, 0.4])])  # fmt: skip
    monkeypatch.setattr(gold, "map_fsc", lambda a, b: next(curves))
    monkeypatch.setattr(gold, "randomise_phases", lambda volume, shell, rng: (volume, shell)[0])
    found = gold.solvent_corrected_fsc(np.ones((2, 2, 2)), np.ones((2, 2, 2)), np.ones((2, 2, 2)), rng)
    assert found == pytest.approx([1, 0.95, 0.9, 0.8, 0.5 / 0.8, 0.5 / 0.9, 0.0])


@pytest.mark.parametrize(
    ("ratio", "shell"),
    [
        ([9, 9, 9, 9, 9, 9, 9, 9, 0.5, 0.1, 0.1, 0.1, 0.1, 0.1], 7),
        ([9, 9, 9, 9, 9, 9, 9, 9, 0.5, 2.0, 2.0, 0.1, 0.1, 0.1], 7),  # a second rise by 3 shells does not count
        ([9, 9, 9, 9, 9, 9, 9, 9, 0.5, 2.0, 2.0, 2.0, 0.1, 0.1], 11),
        ([9, 9, 0.5, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1], 5),
        ([9] * 14, 12),
    ],
)
def test_last_resolved_shell(ratio, shell):
    assert gold.resolved_shell(np.array(ratio, float)) == shell


def test_image_size_rules():
    fsc = np.array([1, 1, 1, 0.9, 0.45, 0.4, 0.3, 0.25, 0.15, 0.1, 0.0])
    assert gold.high_fsc_at_limit(fsc, 16)  # shell 7
    assert not gold.high_fsc_at_limit(fsc, 18)
    assert gold.size_increment(fsc, 8) == 9 - 4 + 5
    assert gold.size_increment(fsc, 12) == 12
    assert gold.size_increment(np.ones(9), 3) == 5
