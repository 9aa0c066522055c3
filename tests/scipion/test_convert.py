"""Sets to STAR files: columns, CTF, optics, poses, formats and what the user gets wrong."""

import importlib.util
import os
import sqlite3
import tempfile
import unittest
from pathlib import Path

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.progress import Silent


@unittest.skipUnless(importlib.util.find_spec("pwem"), "pwem (scipion-em) is not installed")
class TestConvert(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(folder.name)
        from relion4plugin.files.mrc import write_stack

        self.images = np.random.default_rng(2).normal(size=(7, 16, 16)).astype(np.float32)
        write_stack("stack.mrcs", self.images, 2.5)

    def make_set(self, change=lambda item, row: None, groups: str = "", prepare=lambda particles: None, file: str = "stack.mrcs"):
        from pwem.objects import Acquisition, Coordinate, CTFModel, Particle, SetOfParticles

        particles = SetOfParticles(filename="set.sqlite")
        acquisition = Acquisition(voltage=200.0, sphericalAberration=1.4, amplitudeContrast=0.1)
        acquisition.opticsGroupInfo.set(groups)
        particles.setAcquisition(acquisition)
        particles.setSamplingRate(2.5)
        particles.setHasCTF(True)
        prepare(particles)
        for row in range(7):
            item = Particle(location=(7 - row, file))
            ctf = CTFModel()
            ctf.setDefocusU(10000.0 + row)
            ctf.setDefocusV(9000.0 + row)
            ctf.setDefocusAngle(3.0 * row)
            item.setCTF(ctf)
            coordinate = Coordinate(x=10 * row, y=5)
            coordinate.setMicName(f"mic{row % 2}.mrc")
            item.setCoordinate(coordinate)
            item.setAcquisition(acquisition)
            change(item, row)
            particles.append(item)
        particles.write()
        self.addCleanup(particles.close)
        return particles

    def convert(self, particles, **how):
        from relion4plugin.files.particles import read_particles
        from relion4plugin.scipion.convert import set_info, write_particles_star

        self.count = write_particles_star(set_info(particles), Path("particles.star"), Silent(), **how)
        return read_particles("particles.star")

    def test_images_ctf_and_names_arrive_where_they_belong(self):
        from relion4plugin.files.particles import ParticleImages

        converted = self.convert(self.make_set())
        self.assertEqual(self.count, 7)
        np.testing.assert_array_equal(ParticleImages(converted).read(np.arange(7)), self.images[::-1])
        table = converted.table
        np.testing.assert_allclose(table["rlnDefocusU"], 10000.0 + np.arange(7))
        np.testing.assert_allclose(table["rlnDefocusV"], 9000.0 + np.arange(7))
        np.testing.assert_allclose(table["rlnDefocusAngle"], 3.0 * np.arange(7))
        np.testing.assert_allclose(table["rlnCoordinateX"], 10 * np.arange(7))
        self.assertEqual(table["rlnMicrographName"].tolist(), [f"mic{row % 2}.mrc" for row in range(7)])
        self.assertEqual(table["rlnImageId"].tolist(), list(range(1, 8)))
        (optics,) = converted.optics
        self.assertEqual((optics.voltage, optics.spherical_aberration, optics.amplitude_contrast), (200.0, 1.4, 0.1))
        self.assertEqual((optics.pixel_size, optics.image_size), (2.5, 16))

    def test_disabled_items_stay_out(self):
        converted = self.convert(self.make_set(lambda item, row: item.setEnabled(row not in (0, 4))))
        self.assertEqual(converted.table["rlnImageId"].tolist(), [2, 3, 4, 6, 7])

    def test_foreign_formats_become_mrc(self):
        from pwem.emlib.image import ImageHandler

        from relion4plugin.files.particles import ParticleImages

        handler = ImageHandler()
        for row, image in enumerate(self.images):
            picture = handler.createImage()
            picture.setData(image)
            picture.write((row + 1, "stack.stk"))
        converted = self.convert(self.make_set(file="stack.stk"))
        self.assertEqual(converted.stack_paths[0].name, "converted_0001.mrcs")
        np.testing.assert_allclose(ParticleImages(converted).read(np.arange(7)), self.images[::-1], atol=1e-6)

    def test_alignments_become_poses(self):
        from pwem.objects import Transform

        from relion4plugin.scipion.geometry import alignment_matrices, projection_matrices

        psi, shifts = np.linspace(-170, 170, 7), np.linspace(-3, 3, 14).reshape(7, 2)
        matrices = alignment_matrices(psi, shifts)
        aligned = self.make_set(lambda item, row: item.setTransform(Transform(matrices[row])), prepare=lambda p: p.setAlignment2D())
        table = self.convert(aligned, need_poses=True).table
        np.testing.assert_allclose(table["rlnAnglePsi"], psi, atol=1e-4)
        np.testing.assert_allclose(table["rlnOriginXAngst"], 2.5 * shifts[:, 0], atol=1e-4)
        np.testing.assert_allclose(table["rlnOriginYAngst"], 2.5 * shifts[:, 1], atol=1e-4)
        os.remove("set.sqlite")
        angles = np.stack([psi, np.linspace(10, 170, 7), psi[::-1]], axis=1)
        matrices = projection_matrices(angles, np.c_[shifts, np.zeros(7)])
        table = self.convert(
            self.make_set(lambda item, row: item.setTransform(Transform(matrices[row])), prepare=lambda p: p.setAlignmentProj())
        ).table
        np.testing.assert_allclose(table[["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]], angles, atol=1e-4)
        np.testing.assert_allclose(table["rlnOriginXAngst"], 2.5 * shifts[:, 0], atol=1e-4)

    def test_mirrors_and_absent_alignments_are_refused_where_poses_are_kept(self):
        from pwem.objects import Transform

        with self.assertRaisesRegex(UserError, "no alignment to keep"):
            self.convert(self.make_set(), need_poses=True)
        os.remove("set.sqlite")
        mirror = np.diag([-1.0, 1.0, 1.0, 1.0])
        mirrored = self.make_set(lambda item, row: item.setTransform(Transform(mirror)), prepare=lambda p: p.setAlignment2D())
        with self.assertRaisesRegex(UserError, "mirrors"):
            self.convert(mirrored, need_poses=True)
        self.assertNotIn("rlnAnglePsi", self.convert(mirrored).table)

    def test_optics_groups_of_an_importer(self):
        from pwem.objects import Integer

        groups = (
            "data_optics\n\nloop_\n_rlnOpticsGroup #1\n_rlnOpticsGroupName #2\n_rlnVoltage #3\n_rlnSphericalAberration #4\n"
            "_rlnAmplitudeContrast #5\n_rlnImagePixelSize #6\n_rlnImageSize #7\n_rlnBeamTiltX #8\n"
            "1 first 300 2.7 0.1 0.8 256 0.1\n2 second 300 2.7 0.1 0.8 256 0.2\n"
        )

        def change(item, row):
            item._rlnOpticsGroup = Integer(1 + row % 2)

        converted = self.convert(self.make_set(change, groups))
        self.assertEqual([group.beam_tilt_x for group in converted.optics], [0.1, 0.2])
        self.assertEqual({(group.pixel_size, group.image_size) for group in converted.optics}, {(2.5, 16)})
        self.assertEqual(converted.table["rlnOpticsGroup"].tolist(), [1, 2, 1, 2, 1, 2, 1])
        os.remove("set.sqlite")
        with self.assertRaisesRegex(UserError, "optics group 3"):
            self.convert(self.make_set(lambda item, row: setattr(item, "_rlnOpticsGroup", Integer(3)), groups))

    def test_missing_ctf_values_and_files_are_named(self):
        with self.assertRaisesRegex(UserError, r"1 particles lack defocusU \(first: item 3\)"):
            self.convert(self.make_set(lambda item, row: item.getCTF()._defocusU.set(None if row == 2 else 1.0)))
        os.remove("set.sqlite")
        with self.assertRaisesRegex(UserError, "box size is unknown"):
            self.convert(self.make_set(file="absent.spi"))

    def test_what_is_not_a_set_is_refused(self):
        from relion4plugin.scipion.sets import read_columns

        Path("text.sqlite").write_text("no database at all, just some text that is long enough")
        with self.assertRaisesRegex(UserError, "not a Scipion set"):
            read_columns("text.sqlite")
        with self.assertRaisesRegex(UserError, "does not exist"):
            read_columns("absent.sqlite")

    def test_classes_inside_a_file_are_read_by_their_prefix(self):
        from relion4plugin.scipion.sets import read_columns

        self.make_set().close()
        with sqlite3.connect("set.sqlite") as connection:
            connection.execute("CREATE TABLE Class002_Classes AS SELECT * FROM Classes")
            connection.execute("CREATE TABLE Class002_Objects AS SELECT * FROM Objects WHERE id > 4")
        self.assertEqual(read_columns("set.sqlite", ["_index"], "Class002").ids, (5, 6, 7))
