import numpy as np
import scipy.fft

from relion4plugin.postprocessing.shells import by_shell, radii, randomise_phases, shell_index, shell_means


def test_random_phases_keep_amplitudes_and_low_frequencies(rng):
    volume = rng.standard_normal((24, 24, 24)).astype(np.float32)
    changed = randomise_phases(volume, 5, np.random.default_rng(0))
    before, after = scipy.fft.rfftn(volume), scipy.fft.rfftn(changed)
    np.testing.assert_allclose(np.abs(after), np.abs(before), rtol=2e-3, atol=1e-2)
    low = radii(24) < 5
    np.testing.assert_allclose(after[low], before[low], atol=1e-2)
    product = after[~low] * np.conj(before[~low])
    assert abs(product.sum()) / np.abs(product).sum() < 0.05


def test_random_phases_follow_the_seed(rng):
    volume = rng.standard_normal((16, 16, 16)).astype(np.float32)
    one, same, other = (randomise_phases(volume, 3, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0.1


def test_a_curve_goes_to_its_shells_and_back(rng):
    curve = rng.random(9)
    shells = shell_index(16)
    spread = by_shell(curve, shells)
    np.testing.assert_allclose(shell_means(spread, shells, 9), curve, rtol=1e-6)
    assert (spread[shells > 8] == 0).all()
    slow = [np.rint(np.sqrt(float(k) ** 2 + 1)) for k in range(8)]
    assert shells[1, 0, :8].tolist() == slow
