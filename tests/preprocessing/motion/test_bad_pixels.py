import numpy as np

from relion4plugin.preprocessing.motion.bad_pixels import find_bad_pixels, plan_repair

SHAPE = (96, 80)


def field(seed=1, rate=20.0):
    return np.random.default_rng(seed).poisson(rate, SHAPE).astype(np.float32)


def test_hot_and_dead_pixels_are_found_and_nothing_else():
    total = field()
    total += np.linspace(0, 40, SHAPE[1], dtype=np.float32)  # a gradient of ice is not hot
    total[10, 20], total[50, 3], total[70, 70] = 400, 150, -60
    known = np.zeros(SHAPE, dtype=bool)
    known[0, 5] = True
    found = find_bad_pixels(total, known)
    assert {tuple(place) for place in np.argwhere(found)} == {(0, 5), (10, 20), (50, 3), (70, 70)}
    assert np.array_equal(find_bad_pixels(total, known, search=False), known)


def test_values_come_from_good_neighbours_and_change_from_frame_to_frame():
    bad = np.zeros(SHAPE, dtype=bool)
    bad[10, 20] = bad[0, 0] = bad[10, 21] = True
    repair = plan_repair(bad)
    frame = np.arange(bad.size, dtype=np.float32).reshape(SHAPE)
    values = set()
    for number in range(40):
        mended = frame.copy()
        mended[bad] = 1e6
        repair.apply(mended, number)
        assert mended[~bad].tolist() == frame[~bad].tolist()
        y, x = np.divmod(int(mended[10, 20]), SHAPE[1])
        assert abs(y - 10) <= 2 and abs(x - 20) <= 2 and not bad[y, x]
        values.add(int(mended[10, 20]))
    assert len(values) > 10


def test_wide_defects_are_filled_from_their_edge():
    bad = np.zeros(SHAPE, dtype=bool)
    bad[20:40, 10:60] = True
    frame = field()
    frame[bad] = 0
    plan_repair(bad).apply(frame, 0)
    inside = frame[bad]
    assert abs(inside.mean() - 20) < 1 and 3 < inside.std() < 6


def test_nothing_bad_changes_nothing():
    frame = field()
    plan_repair(np.zeros(SHAPE, dtype=bool)).apply(frame, 3)
    assert np.array_equal(frame, field())
