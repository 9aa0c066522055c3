"""Figures of maps and poses against constructed answers."""

import numpy as np
import pandas as pd
import pytest
import volume_metrics
from volume_metrics import KnownStructure

from relion4plugin.errors import UserError
from relion4plugin.files.mrc import write_volume
from relion4plugin.files.star import write_star
from relion4plugin.geometry.euler import euler_to_matrix, matrix_to_euler, random_rotations
from relion4plugin.geometry.symmetry import point_group
from relion4plugin.imaging.volumes import mirror_volume, rotate_volume
from relion4plugin.simulation.density import density_of_atoms
from relion4plugin.simulation.projector import Projector
from relion4plugin.simulation.structure import pseudo_protein

PIXEL = 6.5


@pytest.fixture(scope="module")
def molecule():
    return density_of_atoms(pseudo_protein(3), 32, PIXEL)


@pytest.mark.parametrize("mirrored", [False, True])
def test_pose_errors_vanish_in_the_frame_of_the_other_map(molecule, mirrored):
    """A turned (and mirrored) map with the poses at which it shows the true images: alignment and poses fit together."""
    rng = np.random.default_rng(1)
    place, truth = random_rotations(1, rng)[0], random_rotations(20, rng)
    other = mirror_volume(molecule) if mirrored else molecule
    other = rotate_volume(other, place)
    flip = volume_metrics.FLIP_Z if mirrored else np.eye(3)
    found = flip @ truth @ flip @ place.T
    np.testing.assert_allclose(np.linalg.det(found), 1.0)
    images, expected = Projector(other)(found).ravel(), Projector(molecule)(truth).ravel()
    assert np.abs(np.vdot(images, expected)) / np.linalg.norm(images) / np.linalg.norm(expected) > 0.98
    alignment = volume_metrics.agreement(other, molecule, PIXEL, mirror=True).alignment
    assert alignment.mirrored == mirrored
    errors = volume_metrics.pose_errors(found, truth, "C1", alignment.rotation, alignment.mirrored)
    assert errors.max() < 3.0
    assert np.median(volume_metrics.pose_errors(found, truth, "C1")) > 20.0


def test_pose_errors_do_not_tell_symmetric_copies_apart():
    rng = np.random.default_rng(2)
    truth = random_rotations(50, rng)
    operators = point_group("D2")
    found = truth @ operators[rng.integers(4, size=50)]
    assert volume_metrics.pose_errors(found, truth, "D2").max() < 1e-4
    assert (volume_metrics.pose_errors(found, truth, "C1") > 90).any()
    tilted = euler_to_matrix(0.0, 7.0, 0.0) @ found
    np.testing.assert_allclose(volume_metrics.pose_errors(tilted, truth, "D2"), 7.0, atol=1e-6)


def _table(matrices, n, **columns):
    rot, tilt, psi = matrix_to_euler(matrices)
    names = [f"{i + 1:06d}@a/stack.mrcs" for i in range(n)]
    return pd.DataFrame({"rlnImageName": names, "rlnAngleRot": rot, "rlnAngleTilt": tilt, "rlnAnglePsi": psi, **columns})


def test_pose_figures_judge_true_particles_of_the_class(tmp_path):
    """Rows in another order; 6 of 8 true particles in class 2, one of them 12 degrees off, and one piece of junk with them."""
    rng = np.random.default_rng(3)
    truth = random_rotations(10, rng)
    found = truth.copy()
    found[0] = euler_to_matrix(0.0, 12.0, 0.0) @ found[0]
    found[8:] = random_rotations(2, rng)
    classes = np.array([2, 2, 2, 2, 2, 2, 1, 1, 2, 1])
    genuine = np.array([1] * 8 + [0] * 2)
    write_star(tmp_path / "truth.star", {"particles": _table(truth, 10, rlnSimulatedIsParticle=genuine)})
    data = _table(found, 10, rlnClassNumber=classes, rlnMaxValueProbDistribution=np.where(genuine, 0.75, 0.25))
    write_star(tmp_path / "data.star", {"particles": data.iloc[::-1]})
    figures = volume_metrics.pose_figures(tmp_path / "data.star", tmp_path / "truth.star", "C1", None, 2)
    assert figures["true_in_class"] == pytest.approx(6 / 8) and figures["class_purity"] == pytest.approx(6 / 7)
    assert figures["pose_within_10"] == pytest.approx(5 / 6) and figures["pose_within_15"] == 1.0
    assert figures["pose_median"] < 0.1
    assert (figures["junk_pmax"], figures["true_pmax"]) == (0.25, 0.75)


def test_tables_without_angles_are_refused(tmp_path):
    with pytest.raises(UserError, match="rlnAngleRot"):
        volume_metrics.matrices(pd.DataFrame({"rlnImageName": ["1@a"]}))


def test_map_is_compared_in_either_hand_and_frame(molecule, tmp_path):
    turned = rotate_volume(mirror_volume(molecule), random_rotations(1, np.random.default_rng(4))[0])
    write_volume(tmp_path / "truth.mrc", molecule, PIXEL)
    write_volume(tmp_path / "found.mrc", turned, PIXEL)
    figures = volume_metrics.map_figures(volume_metrics.compare_map(tmp_path / "found.mrc", KnownStructure(tmp_path / "truth.mrc")))
    assert figures["mirrored"] and figures["resolution"] < 3 * PIXEL and figures["correlation"] > 0.9
    noise = np.random.default_rng(5).normal(size=molecule.shape).astype(np.float32)
    write_volume(tmp_path / "noise.mrc", noise, PIXEL)
    found = volume_metrics.compare_map(tmp_path / "noise.mrc", KnownStructure(tmp_path / "truth.mrc"))
    assert found.resolution > 8 * PIXEL


def test_maps_of_another_scale_are_refused(molecule, tmp_path):
    write_volume(tmp_path / "truth.mrc", molecule, PIXEL)
    write_volume(tmp_path / "found.mrc", molecule, 2 * PIXEL)
    with pytest.raises(UserError, match="A per voxel"):
        volume_metrics.compare_map(tmp_path / "found.mrc", KnownStructure(tmp_path / "truth.mrc"))


def test_half_maps_are_judged_inside_the_sphere(molecule, tmp_path):
    """Noise outside the sphere does not count."""
    axis = np.arange(32) - 16
    outside = axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2 > 13**2
    rng = np.random.default_rng(6)
    for name in ("a", "b"):
        noisy = molecule + np.where(outside, 10 * molecule.std() * rng.normal(size=molecule.shape), 0.0).astype(np.float32)
        write_volume(tmp_path / f"{name}.mrc", noisy, PIXEL)
    inner, curve = volume_metrics.half_map_resolution(tmp_path / "a.mrc", tmp_path / "b.mrc", 12.0 * PIXEL)
    outer, _ = volume_metrics.half_map_resolution(tmp_path / "a.mrc", tmp_path / "b.mrc", 32.0 * PIXEL)
    assert inner == pytest.approx(2 * PIXEL) and curve.min() > 0.99 and outer > 2.5 * PIXEL
