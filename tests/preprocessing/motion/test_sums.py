import numpy as np
import pytest
import scipy.fft

from relion4plugin.preprocessing.motion.dose import N_TABLE, dose_tables, table_index
from relion4plugin.preprocessing.motion.power_spectrum import finish_power_spectrum, resample
from relion4plugin.preprocessing.motion.sums import FrameSums, SumsPlan

SHAPE = (36, 48)
SHIFTS = np.array([[0.0, 0.0], [1.0, -2.0], [0.4, 0.3], [-1.7, 2.2], [0.1, 0.2]])


def frames():
    return np.random.default_rng(1).normal(size=(5, *SHAPE)).astype(np.float32) + 3


def summed(plan, n_threads=1):
    sums = FrameSums(plan, n_threads)
    for frame, shift in zip(frames(), SHIFTS, strict=True):
        sums.add(scipy.fft.rfft2(frame), SHAPE, shift)
    return sums


def moved():
    fy, fx = np.fft.fftfreq(SHAPE[0])[:, None], np.fft.rfftfreq(SHAPE[1])
    return np.stack([scipy.fft.rfft2(f) * np.exp(-2j * np.pi * (s[0] * fx + s[1] * fy)) for f, s in zip(frames(), SHIFTS, strict=True)])


@pytest.mark.parametrize("n_threads", [1, 2])
def test_sums_are_those_of_a_slow_reference(n_threads):
    tables = dose_tables(np.arange(1, 6) * 3.0, 1.0, 300.0)
    sums = summed(SumsPlan(SHAPE, tables, 2, True), n_threads)
    assert sums.plain() == pytest.approx(scipy.fft.irfft2(moved().sum(axis=0), s=SHAPE), abs=1e-4)
    weighted = (moved() * tables[:, table_index(*SHAPE)]).sum(axis=0)
    assert sums.weighted() == pytest.approx(scipy.fft.irfft2(weighted, s=SHAPE), abs=1e-3)
    groups = [moved()[0:2], moved()[2:4], moved()[4:5]]
    expected = sum(np.abs(group.sum(axis=0)) for group in groups) / (SHAPE[0] * SHAPE[1])
    assert sums.spectrum() == pytest.approx(expected, abs=1e-5)


def test_array_operations_give_the_same_sums(monkeypatch):
    tables = dose_tables(np.arange(1, 6) * 3.0, 1.0, 300.0)
    plan = SumsPlan((18, 24), tables, 2, True)
    compiled = summed(plan)
    monkeypatch.setattr(FrameSums, "_add_compiled", FrameSums._add_arrays)
    arrays = summed(plan)
    for name in ("plain", "weighted", "spectrum"):
        assert getattr(arrays, name)() == pytest.approx(getattr(compiled, name)(), abs=1e-4)


def test_a_binned_sum_keeps_the_mean_and_the_slow_waves():
    sums = summed(SumsPlan((18, 24), None, 0, True))
    whole = summed(SumsPlan(SHAPE, None, 0, True)).plain()
    binned = sums.plain()
    assert binned.shape == (18, 24)
    assert binned.mean() == pytest.approx(whole.mean(), rel=1e-5)
    ratio = scipy.fft.rfft2(binned)[2, 3] / scipy.fft.rfft2(whole)[2, 3]
    assert ratio == pytest.approx(0.25, rel=1e-3)
    one = np.ones((5, N_TABLE), dtype=np.float32)
    assert summed(SumsPlan((18, 24), one, 0, False)).weighted() == pytest.approx(binned, abs=1e-4)


def test_a_spectrum_is_square_centred_and_cut_at_the_finest_pixel():
    ny, nx, pixel = 600, 800, 0.7
    fy, fx = np.abs(np.fft.fftfreq(ny))[:, None], np.fft.rfftfreq(nx)[None]
    amplitudes = 1 + np.exp(-((np.sqrt(fy**2 + fx**2) - 0.15) ** 2) / 2e-4)  # a ring at 0.15 cycles per px
    image, size = finish_power_spectrum(amplitudes.astype(np.float32), nx, pixel)
    assert image.shape == (512, 512) and size == pytest.approx(1.4)
    radius = 0.15 / pixel * size * 512
    for dy, dx in ((1, 0), (-1, 0), (0, 1), (0, -1), (0.6, 0.8)):
        line = [image[round(256 + dy * r), round(256 + dx * r)] for r in range(10, 240)]
        assert 10 + int(np.argmax(line)) == pytest.approx(radius, abs=1.5)
    assert image.mean() == pytest.approx(amplitudes[: ny // 4].mean(), rel=0.2)


def test_resampling_keeps_middle_and_mean():
    y, x = np.mgrid[-32:32, -40:40]
    blob = np.exp(-(x**2 + y**2) / 60.0)
    for shape in ((32, 40), (128, 100)):
        changed = resample(blob, shape)
        assert changed.mean() == pytest.approx(blob.mean(), rel=1e-6)
        assert np.unravel_index(np.argmax(changed), shape) == (shape[0] // 2, shape[1] // 2)
