import numpy as np
import pytest

from relion4plugin.errors import UserError
from relion4plugin.preprocessing.motion.dose import N_TABLE, TABLE_MAX, critical_exposure, dose_tables, table_index


def test_known_values_of_the_paper():
    # 0.245 k^-1.665 + 2.81 e/A^2 at 300 kV; four fifths of it at 200 kV.
    assert critical_exposure(np.array(0.1), 300.0) == pytest.approx(0.24499 * 0.1**-1.6649 + 2.8141)
    assert critical_exposure(np.array(1 / 3), 300.0) == pytest.approx(4.34, abs=0.02)
    assert critical_exposure(np.array(0.1), 200.0) == pytest.approx(0.8 * critical_exposure(np.array(0.1), 300.0))


def test_weights_keep_noise_white_and_prefer_early_frames():
    tables = dose_tables(np.arange(1, 41), 1.0, 300.0)
    assert tables.shape == (40, N_TABLE)
    assert np.sum(tables.astype(float) ** 2, axis=0) == pytest.approx(np.ones(N_TABLE), abs=1e-5)
    assert tables[:, 0] == pytest.approx(np.full(40, 40**-0.5), abs=1e-3)  # slow waves survive
    assert (np.diff(tables[:, N_TABLE // 2]) < 0).all()


def test_the_table_is_looked_up_at_the_right_place():
    index = table_index(8, 8)
    assert (index[0, 0], index[4, 4]) == (0, N_TABLE - 1)
    assert index[0, 2] == pytest.approx(0.25 / TABLE_MAX * (N_TABLE - 1), abs=1)


def test_other_voltages_are_refused():
    with pytest.raises(UserError, match="from 100 to 300 kV, not for 80 kV"):
        critical_exposure(np.array(0.1), 80.0)
