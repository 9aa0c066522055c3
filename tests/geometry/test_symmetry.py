"""Point groups: group axioms, orders and the positions of their axes."""

import numpy as np
import pytest

from relion4plugin.errors import UserError
from relion4plugin.geometry.symmetry import point_group, rotation_about, symmetry_axes

NAMES = ["C1", "C2", "C3", "C7", "C10", "C13", "C19", "C60", "C99", "D1", "D2", "D7", "D12", "T", "O", "I", "I1", "I2", "I3", "I4"]


def order(name):
    if name[0] in "CD":
        return int(name[1:]) * (2 if name[0] == "D" else 1)
    return {"T": 12, "O": 24, "I": 60}[name[0]]


def contains(group, matrix):
    return np.abs(group - matrix).max(axis=(1, 2)).min() < 1e-6


def has_axis(group, fold, direction):
    """Whether a turn by 360/fold about the direction is in the group."""
    d = np.asarray(direction, float) / np.linalg.norm(direction)
    fixed = np.abs(group @ d - d).max(axis=1) < 1e-5
    return int(fixed.sum()) == fold


@pytest.mark.parametrize("name", NAMES)
def test_group_axioms(name):
    group = point_group(name)
    assert len(group) == order(name)
    np.testing.assert_array_equal(group[0], np.eye(3))
    np.testing.assert_allclose(np.linalg.det(group), 1, atol=1e-9)
    np.testing.assert_allclose(group @ group.transpose(0, 2, 1), np.broadcast_to(np.eye(3), group.shape), atol=1e-9)
    for a in group[:: max(1, len(group) // 10)]:
        assert contains(group, a.T)
        for b in group[:: max(1, len(group) // 12)]:
            assert contains(group, a @ b)
    distances = np.abs(group[:, None] - group[None]).max(axis=(2, 3)) + 9 * np.eye(len(group))
    assert distances.min() > 1e-3


@pytest.mark.parametrize(
    ("name", "fold", "direction"),
    [
        ("C11", 11, (0, 0, 1)),
        ("D5", 5, (0, 0, 1)),
        ("D5", 2, (1, 0, 0)),
        ("T", 3, (0, 0, 1)),
        ("T", 2, (0, 0.816496, 0.577350)),
        ("O", 4, (0, 0, 1)),
        ("O", 3, (1, 1, 1)),
        ("O", 4, (1, 0, 0)),
        ("I1", 2, (1, 0, 0)),
        ("I1", 5, (0.850651, 0, -0.525731)),
        ("I1", 3, (0.934172, 0.356822, 0)),
        ("I2", 2, (0, 0, 1)),
        ("I2", 5, (0.525731, 0, 0.850651)),
        ("I2", 3, (0, 0.356822, 0.934172)),
        ("I3", 5, (0, 0, 1)),
        ("I3", 2, (-0.525731, 0, 0.850651)),
        ("I3", 3, (-0.491123, 0.356822, 0.794654)),
        ("I4", 2, (0.525731, 0, 0.850651)),
        ("I4", 5, (0.894427, 0, 0.447214)),
        ("I4", 3, (0.491123, 0.356822, 0.794654)),
    ],
)
def test_axes(name, fold, direction):
    assert has_axis(point_group(name), fold, direction)


def test_names_are_forgiving_about_case_and_space():
    np.testing.assert_array_equal(point_group(" d3 "), point_group("D3"))
    np.testing.assert_array_equal(point_group("i"), point_group("I2"))


@pytest.mark.parametrize("name", ["", "C0", "C100", "D", "X3", "I5", "C-1", "C1.5", "C01"])
def test_unknown_groups_are_user_errors(name):
    with pytest.raises(UserError, match="expected C1 to C99"):
        point_group(name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("C1", {}),
        ("C5", {5: 1}),
        ("D2", {2: 3}),
        ("D7", {7: 1, 2: 7}),
        ("T", {3: 4, 2: 3}),
        ("O", {4: 3, 3: 4, 2: 6}),
        ("I", {5: 6, 3: 10, 2: 15}),
    ],
)
def test_axes_of_each_fold(name, expected):
    axes = symmetry_axes(point_group(name))
    folds = [fold for fold, _ in axes]
    assert {fold: folds.count(fold) for fold in folds} == expected
    assert folds == sorted(folds, reverse=True)
    for fold, axis in axes:
        assert contains(point_group(name), rotation_about(axis, 360 / fold))


def test_turns_are_counter_clockwise():
    np.testing.assert_allclose(rotation_about((0, 0, 2), 90) @ [1, 0, 0], [0, 1, 0], atol=1e-12)
