import numpy as np

from relion4plugin.postprocessing.shells import by_shell, shell_index, shell_means


def test_a_curve_goes_to_its_shells_and_back(rng):
    curve = rng.random(9)
    shells = shell_index(16)
    spread = by_shell(curve, shells)
    np.testing.assert_allclose(shell_means(spread, shells, 9), curve, rtol=1e-6)
    assert (spread[shells > 8] == 0).all()
    slow = [np.rint(np.sqrt(float(k) ** 2 + 1)) for k in range(8)]
    assert shells[1, 0, :8].tolist() == slow
