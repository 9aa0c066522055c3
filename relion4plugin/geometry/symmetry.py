"""Point groups as sets of rotation matrices, in RELION's axis conventions."""

import re
from collections.abc import Sequence

import numpy as np

from relion4plugin.errors import UserError

_GOLDEN = (1 + 5**0.5) / 2

# group -> order, generating axes (fold, direction)
_POLYHEDRAL: dict[str, tuple[int, tuple[tuple[int, tuple[float, float, float]], ...]]] = {
    "T": (12, ((3, (0, 0, 1)), (2, (0, 2**0.5, 1)))),
    "O": (24, ((4, (0, 0, 1)), (3, (1, 1, 1)))),
    "I1": (60, ((2, (1, 0, 0)), (5, (_GOLDEN, 0, -1)))),
    "I2": (60, ((2, (0, 0, 1)), (5, (1, 0, _GOLDEN)))),
    "I3": (60, ((5, (0, 0, 1)), (2, (-1, 0, _GOLDEN)))),
    "I4": (60, ((2, (1, 0, _GOLDEN)), (5, (2, 0, 1)))),
}


def rotation_about(axis: Sequence[float] | np.ndarray, degrees: float) -> np.ndarray:
    """Rotation matrix about an axis (Rodrigues' formula).

    Parameters
    ----------
    axis : sequence of float
        Direction x, y, z of any length but 0.
    degrees : float
        Counter-clockwise, seen against the direction.

    Returns
    -------
    float64 (3, 3)
    """
    x, y, z = np.asarray(axis, dtype=np.float64) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.deg2rad(degrees)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)


def _closure(generators: list[np.ndarray], order: int) -> np.ndarray:
    """All products of the generators, identity first."""
    group = [np.eye(3)]
    for element in group:  # grows while it is walked through
        for generator in generators:
            product = generator @ element
            if all(np.abs(product - known).max() > 1e-6 for known in group):
                group.append(product)
        if len(group) > order:
            break
    if len(group) != order:
        raise ValueError(f"the generators make {len(group)} or more rotations, not {order}")
    return np.array(group)


def point_group(name: str) -> np.ndarray:
    """Rotation matrices of a point group.

    Cn and Dn have their n-fold axis along z and Dn a two-fold axis along x; T has a three-fold and O a four-fold axis along z;
    I is I2 (two-fold axes along x, y and z).

    Parameters
    ----------
    name : str
        C1..C99, D1..D99, T, O, I or I1..I4; upper or lower case.

    Returns
    -------
    float64 (m, 3, 3)
        The identity first.

    Raises
    ------
    UserError
        If there is no such group.
    """
    label = name.strip().upper()
    label = "I2" if label == "I" else label
    if label in _POLYHEDRAL:
        order, axes = _POLYHEDRAL[label]
        return _closure([rotation_about(axis, 360.0 / fold) for fold, axis in axes], order)
    match = re.fullmatch(r"([CD])([1-9][0-9]?)", label)
    if match is None:
        raise UserError(f"symmetry '{name}': expected C1 to C99, D1 to D99, T, O, I or I1 to I4; give one of these")
    fold = int(match[2])
    cyclic = np.array([rotation_about((0, 0, 1), 360.0 * step / fold) for step in range(fold)])
    if match[1] == "C":
        return cyclic
    return np.concatenate([cyclic, cyclic @ rotation_about((1, 0, 0), 180.0)])


def symmetry_axes(operators: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """Rotation axes of a point group.

    Parameters
    ----------
    operators : float (m, 3, 3)
        The whole group, as `point_group` gives it.

    Returns
    -------
    list of (int, float64 (3,))
        Fold and unit direction of each axis (up or down, not both); highest fold first.
    """
    turned_about: list[np.ndarray] = []
    found: list[np.ndarray] = []
    for matrix in operators[1:]:
        vector = np.array([matrix[2, 1] - matrix[1, 2], matrix[0, 2] - matrix[2, 0], matrix[1, 0] - matrix[0, 1]])
        if np.linalg.norm(vector) < 1e-6:  # half a turn: A + 1 = 2 u u^T
            column = matrix + np.eye(3)
            vector = column[:, np.argmax(np.diag(column))]
        turned_about.append(vector / np.linalg.norm(vector))
    # turned_about holds the axis of every operator, found each axis once
    for direction in turned_about:
        if all(abs(abs(direction @ known) - 1) > 1e-6 for known in found):
            found.append(direction)
    axes = [(1 + sum(abs(abs(direction @ other) - 1) < 1e-6 for other in turned_about), direction) for direction in found]
    return sorted(axes, key=lambda axis: -axis[0])
