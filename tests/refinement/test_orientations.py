"""Grids of orientations: cover SO(3), agree with their variants, and children surround their parents."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from relion4plugin.geometry.euler import angular_distance, euler_to_matrix, random_rotations
from relion4plugin.geometry.symmetry import point_group
from relion4plugin.refinement.orientations import (
    VARIANTS,
    angles_of,
    angular_step,
    make_global_grid,
    make_local_lattice,
    rotation_vectors_to_matrices,
    unique_directions,
)


def all_orientations(grid):
    """Matrices of all coarse slices and variants, (4 F, 3, 3)."""
    return (VARIANTS[:, None] @ grid.slice_matrices()).reshape(-1, 3, 3)


def nearest(rotations, grid_matrices, operators):
    """Angle from each rotation to the nearest grid orientation up to symmetry, deg."""
    traces = np.full(len(rotations), -1.0)
    for operator in operators:  # A R describes the same view of a symmetric map as A
        products = (rotations @ operator).reshape(len(rotations), 9) @ grid_matrices.reshape(-1, 9).T
        traces = np.maximum(traces, products.max(axis=1))
    return np.rad2deg(np.arccos(np.clip((traces - 1) / 2, -1, 1)))


GROUPS = ["C1", "C4", "D2", "D7", "T", "O", "I"]


@pytest.mark.parametrize("symmetry", GROUPS)
@pytest.mark.parametrize("order", [1, 2, 3])
def test_grid_covers_all_rotations(rng, symmetry, order):
    grid = make_global_grid(order, symmetry, 0.0)
    rotations = random_rotations(500 if order < 3 else 150, rng)
    # the corner of a cell: about 0.7 of a step in direction and half a step in plane; distorted cells are a little wider
    assert nearest(rotations, all_orientations(grid), point_group(symmetry)).max() < 1.15 * angular_step(order)


@pytest.mark.parametrize("symmetry", GROUPS)
@pytest.mark.parametrize("perturbation", [-0.5, 0.2, 0.5])
def test_perturbed_grid_covers_all_rotations(rng, symmetry, perturbation):
    grid = make_global_grid(2, symmetry, perturbation)
    away = nearest(random_rotations(500, rng), all_orientations(grid), point_group(symmetry)) / angular_step(2)
    assert away.max() < 1.15


@pytest.mark.parametrize("symmetry", GROUPS)
def test_weights_are_spread_over_symmetric_views(rng, symmetry):
    grid = make_global_grid(3, symmetry, 0.4)
    views = euler_to_matrix(*grid.direction_angles().T, 0.0)[:, 2] @ grid.turn
    axis = rng.normal(size=3)
    density = np.exp(3 * (views @ point_group(symmetry) @ (axis / np.linalg.norm(axis))).max(axis=0))  # shares the symmetry
    found = np.zeros((2, grid.n_directions))
    found[0, grid.listed] = density[grid.listed]
    spread = grid.spread(found)
    np.testing.assert_allclose(spread.sum(axis=1), found.sum(axis=1))
    assert not spread[1].any()
    assert np.corrcoef(spread[0], density)[0, 1] > 0.9
    if symmetry == "C1":
        np.testing.assert_array_equal(spread, found)


@pytest.mark.parametrize(("symmetry", "order"), [("C1", 2), ("C4", 3), ("D2", 3), ("D7", 3), ("T", 3), ("O", 3), ("I", 4)])
def test_symmetry_leaves_its_share_of_directions(symmetry, order):
    kept = len(unique_directions(order, symmetry))
    share = 12 * 4**order / (2 * len(point_group(symmetry)))
    assert share * 0.95 <= kept < 2.0 * share  # more than the share: pixels at the border, and the margin of large groups


def test_without_symmetry_one_of_each_opposite_pair_is_kept():
    grid = make_global_grid(2, "C1", 0.0)
    assert len(grid.pixel) == 12 * 4**2 // 2
    rot, tilt = grid.direction_angles().T
    views = euler_to_matrix(rot, tilt, 0.0)[:, 2]
    distance = np.linalg.norm(views[:, None] - views, axis=2) + 10 * np.eye(len(views))
    assert distance.min() > 0.1  # both of each pair make up the sphere, none twice
    np.testing.assert_array_equal(np.sort(grid.listed.ravel()), np.arange(len(views)))
    np.testing.assert_allclose(views[grid.behind], -views[grid.pixel], atol=1e-9)


def test_directions_of_slices_are_their_views():
    grid = make_global_grid(1, "C2", 0.0)
    views = euler_to_matrix(*grid.direction_angles().T, 0.0)[:, 2]
    for variant in range(4):
        matrices = VARIANTS[variant] @ grid.slice_matrices()
        direction = grid.direction_of(np.arange(grid.n_slices), np.full(grid.n_slices, variant))
        np.testing.assert_allclose(matrices[:, 2], views[direction], atol=1e-9)


def test_variants_are_rotations():
    np.testing.assert_allclose(VARIANTS @ VARIANTS.transpose(0, 2, 1), np.broadcast_to(np.eye(3), (4, 3, 3)))
    np.testing.assert_allclose(np.linalg.det(VARIANTS), 1.0)
    np.testing.assert_allclose(VARIANTS[3], VARIANTS[1] @ VARIANTS[2])


def test_variants_turn_in_plane_and_look_from_behind():
    rot, tilt, psi = 31.0, 52.0, 77.0
    matrix = euler_to_matrix(rot, tilt, psi)
    np.testing.assert_allclose(VARIANTS[1] @ matrix, euler_to_matrix(rot, tilt, psi + 180), atol=1e-12)
    np.testing.assert_allclose((VARIANTS[2] @ matrix)[2], -matrix[2], atol=1e-12)


def test_all_coarse_orientations_differ():
    matrices = all_orientations(make_global_grid(1, "C1", 0.0))
    assert len(matrices) == 12 * 4 * 12  # directions times angles of 30 degrees
    turned = angular_distance(matrices[:, None], matrices) + 360 * np.eye(len(matrices))
    assert turned.min() > 0.5 * angular_step(1)


def test_perturbation_turns_the_whole_grid():
    still, moved = (make_global_grid(2, "C1", p) for p in (0.0, 0.4))
    turn = euler_to_matrix(*[0.4 * 15.0] * 3)
    np.testing.assert_allclose(moved.slice_matrices(), still.slice_matrices() @ turn, atol=1e-12)
    child = np.arange(0, 8 * still.n_slices, 7)
    np.testing.assert_allclose(moved.child_matrices(child), still.child_matrices(child) @ turn, atol=1e-12)
    np.testing.assert_array_equal(moved.direction_angles(), still.direction_angles())


@pytest.mark.parametrize("perturbation", [0.0, -0.4])
def test_children_surround_their_parent(perturbation):
    grid = make_global_grid(2, "C1", perturbation)
    parents = grid.slice_matrices()
    children = grid.child_matrices(np.arange(8 * grid.n_slices)).reshape(-1, 8, 3, 3)
    step = angular_step(2)
    away = angular_distance(children, parents[:, None])
    # the rotation between views at different directions also turns in plane near the poles: bound the views, then the whole
    views = np.rad2deg(np.arccos(np.clip(np.einsum("fcj,fj->fc", children[:, :, 2], parents[:, 2]), -1, 1)))
    assert views.min() > 0.1 * step
    assert views.max() < 0.6 * step
    assert np.median(away) < 0.6 * step
    middle = children[:, :, 2].mean(axis=1)
    middle /= np.linalg.norm(middle, axis=1, keepdims=True)
    assert np.rad2deg(np.arccos(np.clip(np.sum(middle * parents[:, 2], axis=1), -1, 1))).max() < 0.15 * step
    first, second = children[:, 0::2], children[:, 1::2]
    np.testing.assert_allclose(angular_distance(first, second), step / 2, atol=1e-6)  # in-plane pairs are half a step apart


@pytest.mark.parametrize("order", [1, 2])
def test_children_cover_all_rotations_at_half_the_step(rng, order):
    grid = make_global_grid(order, "C1", 0.2)
    fine = (VARIANTS[:, None] @ grid.child_matrices(np.arange(8 * grid.n_slices))).reshape(-1, 3, 3)
    assert nearest(random_rotations(300, rng), fine, np.eye(3)[None]).max() < 1.05 * angular_step(order + 1)


def test_without_oversampling_children_are_the_slices():
    grid = make_global_grid(1, "D2", 0.3, oversampling=0)
    assert grid.children == 1
    np.testing.assert_allclose(grid.child_matrices(np.arange(grid.n_slices)), grid.slice_matrices(), atol=1e-12)


def test_rotation_vectors(rng):
    vectors = rng.normal(0, 60, (50, 3))
    vectors[0], vectors[1] = 0.0, [1e-13, 0, 0]
    expected = Rotation.from_rotvec(vectors, degrees=True).as_matrix()
    np.testing.assert_allclose(rotation_vectors_to_matrices(vectors), expected, atol=1e-12)


def test_angles_come_back(rng):
    matrices = random_rotations(50, rng)
    np.testing.assert_allclose(euler_to_matrix(*angles_of(matrices).T), matrices, atol=1e-9)


@pytest.mark.parametrize("perturbation", [0.0, 0.3, -0.5])
def test_lattice_covers_a_ball_of_three_sigmas(rng, perturbation):
    lattice = make_local_lattice(4.0, 4.0, perturbation)
    length = np.linalg.norm(lattice.vectors, axis=1)
    assert length.max() <= 12.0
    points = rng.normal(size=(500, 3))
    points *= (rng.uniform(0, 1, 500) ** (1 / 3) * 8)[:, None] / np.linalg.norm(points, axis=1, keepdims=True)
    gap = np.linalg.norm(points[:, None] - lattice.vectors, axis=2).min(axis=1)
    assert gap.max() <= 4.0 * np.sqrt(3) / 2 + 1e-9  # half the diagonal of a cell
    steps = (lattice.vectors / 4.0 - perturbation).round(9)
    np.testing.assert_allclose(steps, steps.round(), atol=1e-6)


def test_lattice_children_surround_their_point():
    lattice = make_local_lattice(4.0, 4.0, 0.2)
    assert lattice.children == 8
    children = lattice.child_vectors.reshape(-1, 8, 3)
    np.testing.assert_allclose(children.mean(axis=1), lattice.vectors, atol=1e-12)
    np.testing.assert_allclose(np.abs(children - lattice.vectors[:, None]), 1.0)


def test_lattice_prior_is_gaussian():
    lattice = make_local_lattice(2.0, 3.0, 0.0)
    prior = lattice.log_prior()
    np.testing.assert_allclose(prior, -((lattice.vectors**2).sum(axis=1)) / 18.0, rtol=1e-6)
    assert prior.dtype == np.float32
    assert prior.max() == 0.0  # the pose itself is on the lattice


def test_lattice_coarser_than_its_reach_keeps_the_nearest_point():
    lattice = make_local_lattice(30.0, 1.0, 0.4)
    np.testing.assert_allclose(lattice.vectors, [[12.0, 12.0, 12.0]])


def test_lattice_of_one_point_is_the_pose():
    lattice = make_local_lattice(8.0, 0.0, 0.4)
    np.testing.assert_array_equal(lattice.vectors, [[0, 0, 0]])
    assert lattice.children == 1
    np.testing.assert_array_equal(lattice.log_prior(), [0])


def test_lattice_distances_are_angles():
    lattice = make_local_lattice(5.0, 5.0, 0.0, oversampling=0)
    assert lattice.children == 1
    turned = angular_distance(rotation_vectors_to_matrices(lattice.vectors), np.eye(3))
    np.testing.assert_allclose(turned, np.linalg.norm(lattice.vectors, axis=1), atol=1e-6)
