"""Poses against pwem's own Euler matrices, and round trips."""

import importlib.util
import unittest

import numpy as np

from relion4plugin.scipion.geometry import alignment_matrices, alignment_poses, mirrored, projection_matrices, projection_poses


class TestGeometry(unittest.TestCase):
    def setUp(self):
        rng = np.random.default_rng(1)
        self.psi = rng.uniform(-180, 180, 50)
        self.shifts = rng.uniform(-9, 9, (50, 2))
        self.angles = np.stack([rng.uniform(-180, 180, 50), rng.uniform(1, 179, 50), rng.uniform(-180, 180, 50)], axis=1)
        self.origins = rng.uniform(-9, 9, (50, 3))

    @unittest.skipUnless(importlib.util.find_spec("pwem"), "pwem (scipion-em) is not installed")
    def test_matrices_are_those_of_pwem(self):
        from pwem.convert.transformations import euler_matrix

        matrices = alignment_matrices(self.psi, self.shifts)
        projections = projection_matrices(self.angles, self.origins)
        for row in range(len(self.psi)):
            expected = euler_matrix(0, 0, np.deg2rad(self.psi[row]), "szyz")
            expected[:2, 3] = self.shifts[row]
            np.testing.assert_allclose(matrices[row], expected, atol=1e-12)
            inverse = euler_matrix(*-np.deg2rad(self.angles[row]), "szyz")
            inverse[:3, 3] = -self.origins[row]
            np.testing.assert_allclose(projections[row], np.linalg.inv(inverse), atol=1e-9)

    def test_alignment_round_trip(self):
        psi, shifts = alignment_poses(alignment_matrices(self.psi, self.shifts))
        np.testing.assert_allclose(psi, self.psi, atol=1e-9)
        np.testing.assert_allclose(shifts, self.shifts, atol=1e-12)

    def test_projection_round_trip(self):
        angles, origins = projection_poses(projection_matrices(self.angles, self.origins))
        rebuilt = projection_matrices(angles, origins)
        np.testing.assert_allclose(rebuilt, projection_matrices(self.angles, self.origins), atol=1e-9)
        np.testing.assert_allclose(origins, self.origins, atol=1e-9)

    def test_projections_along_the_axis_keep_their_matrix(self):
        angles = np.array([[30.0, 0.0, 40.0], [30.0, 180.0, 40.0], [0.0, 0.0, 0.0], [10.0, 180.0, -170.0]])
        matrices = projection_matrices(angles, np.zeros((4, 3)))
        again, _ = projection_poses(matrices)
        np.testing.assert_allclose(projection_matrices(again, np.zeros((4, 3))), matrices, atol=1e-9)

    def test_mirrors_are_seen(self):
        matrices = alignment_matrices(self.psi[:2], self.shifts[:2])
        matrices[1, :, 0] *= -1
        self.assertEqual(mirrored(matrices).tolist(), [False, True])
