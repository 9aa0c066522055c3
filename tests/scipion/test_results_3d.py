"""Results of 3D runs as Scipion objects, and maps, FSC and poses back to files."""

import importlib.util
import os
import tempfile
import unittest
from pathlib import Path

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.progress import Silent

HAS_SCIPION = importlib.util.find_spec("pwem") is not None
if HAS_SCIPION:
    from ..web.fake3d import BOX, PIXEL, fsc_curve, make_class3d, make_refine3d, toy_map


@unittest.skipUnless(HAS_SCIPION, "pwem (scipion-em) is not installed")
class TestResults3D(unittest.TestCase):
    N = 90

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(folder.name)

    def source(self, extra: int = 0):
        """A set of the particles that the invented runs have, and some more that they do not know."""
        from pwem.objects import Acquisition, Particle, SetOfParticles

        from relion4plugin.files.mrc import write_stack

        write_stack("stack.mrcs", np.random.default_rng(0).normal(size=(self.N + extra, 8, 8)).astype(np.float32), PIXEL)
        particles = SetOfParticles(filename="set.sqlite")
        particles.setAcquisition(Acquisition(voltage=300.0, sphericalAberration=2.7, amplitudeContrast=0.1))
        particles.setSamplingRate(PIXEL)
        for row in range(self.N + extra):
            item = Particle(location=(row + 1, "stack.mrcs"))
            item.setAcquisition(particles.getAcquisition())
            particles.append(item)
        particles.write()
        return particles

    def check_poses(self, items, table):
        from relion4plugin.geometry.euler import angular_distance, euler_to_matrix
        from relion4plugin.scipion.geometry import projection_poses

        rows = table.set_index("rlnImageId").loc[[item.getObjId() for item in items]]
        angles, origins = projection_poses(np.array([item.getTransform().getMatrix() for item in items]))
        expected = rows[["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]].to_numpy(dtype=np.float64)
        turned = angular_distance(euler_to_matrix(*angles.T), euler_to_matrix(*expected.T))
        self.assertLess(float(np.max(turned)), 1e-3)
        np.testing.assert_allclose(origins[:, 0] * PIXEL, rows["rlnOriginXAngst"], atol=1e-4)
        np.testing.assert_allclose(origins[:, 1] * PIXEL, rows["rlnOriginYAngst"], atol=1e-4)

    def test_classes_and_maps(self):
        from pwem.objects import SetOfClasses3D, SetOfVolumes

        from relion4plugin.files.star import read_star
        from relion4plugin.scipion.classes3d import read_result3d
        from relion4plugin.scipion.outputs3d import fill_classes3d, fill_volumes

        make_class3d(Path("run"), n_classes=3, n=self.N)
        result = read_result3d(Path("run"), PIXEL)
        self.assertEqual((result.half_maps, len(result.fsc[0])), ((), 0))
        classes = SetOfClasses3D(filename="classes.sqlite")
        classes.setImages(self.source(extra=4))
        fill_classes3d(classes, result)
        table = read_star(Path("run/run_it010_data.star"))["particles"]
        self.assertEqual(classes.getSize(), 3)
        for item in classes.iterItems():
            number, members = item.getObjId(), [member.clone() for member in item.iterItems()]
            self.assertEqual({m.getObjId() for m in members}, set(table["rlnImageId"][table["rlnClassNumber"] == number]))
            self.assertTrue(item.hasAlignmentProj())
            self.assertEqual(item.getRepresentative().getFileName(), f"run/run_it010_class{number:03d}.mrc")
            self.assertEqual(item.getRepresentative().getSamplingRate(), PIXEL)
            self.assertAlmostEqual(item._rlnClassDistribution.get(), (4 - number) / 6, places=5)
            self.check_poses(members, table)
        volumes = SetOfVolumes(filename="volumes.sqlite")
        fill_volumes(volumes, result)
        shown = [(v.getObjId(), v.getClassId(), v._r4pSize.get(), Path(v.getFileName()).name) for v in volumes.iterItems()]
        self.assertEqual(shown, [(k, k, 30, f"run_it010_class{k:03d}.mrc") for k in (1, 2, 3)])

    def test_refined_particles_map_and_fsc(self):
        from pwem.objects import SetOfParticles

        from relion4plugin.files.star import read_star
        from relion4plugin.imaging.filters import resolution_at
        from relion4plugin.scipion.classes3d import read_result3d
        from relion4plugin.scipion.convert import set_info, write_particles_star
        from relion4plugin.scipion.fsc import curve_of, make_fsc, resolution_of
        from relion4plugin.scipion.outputs3d import fill_particles
        from relion4plugin.scipion.volumes import make_volume

        make_refine3d(Path("run"), 2, n=self.N)
        result = read_result3d(Path("run"), PIXEL)
        refined = SetOfParticles(filename="refined.sqlite")
        fill_particles(refined, self.source(extra=3), result)
        refined.write()
        table = read_star(Path("run/run_data.star"))["particles"]
        items = [item.clone() for item in refined.iterItems()]
        self.assertEqual([item.getObjId() for item in items], list(range(1, self.N + 1)))
        self.assertEqual([item._rlnRandomSubset.get() for item in items], table["rlnRandomSubset"].tolist())
        self.assertTrue(refined.hasAlignmentProj())
        self.check_poses(items, table)
        volume = make_volume(result.maps[0], result.pixel_size, result.half_maps, "refined")
        self.assertTrue(volume.hasHalfMaps())
        self.assertEqual(list(volume.getHalfMaps(asList=True)), [f"run/run_half{h}_class001_unfil.mrc" for h in (1, 2)])
        self.assertEqual((volume.getDim(), volume.getSamplingRate()), ((BOX, BOX, BOX), PIXEL))
        fsc = make_fsc(result.fsc, "halves")
        frequencies, values = curve_of(fsc)
        np.testing.assert_allclose(values, fsc_curve(BOX, BOX / 2.6), atol=1e-5)
        self.assertAlmostEqual(frequencies[3], 3 / (BOX * PIXEL), places=6)
        self.assertAlmostEqual(resolution_of(fsc), resolution_at(values, 0.143, PIXEL, BOX), places=2)
        # and back: the poses and halves of the set are those of the run
        write_particles_star(set_info(refined), Path("again.star"), Silent(), need_poses=True)
        again = read_star(Path("again.star"))["particles"]
        self.check_poses(items, again)
        self.assertEqual(again["rlnRandomSubset"].tolist(), table["rlnRandomSubset"].tolist())

    def test_running_refinement(self):
        from relion4plugin.scipion.classes3d import read_result3d

        make_refine3d(Path("run"), 3, final=False, n=self.N)
        result = read_result3d(Path("run"), PIXEL)
        self.assertEqual([path.name for path in result.half_maps], ["run_it003_half1_class001.mrc", "run_it003_half2_class001.mrc"])

    def test_particles_of_another_program_are_refused(self):
        from relion4plugin.files.star import read_star, write_star
        from relion4plugin.scipion.classes3d import read_result3d

        make_class3d(Path("run"), n=self.N)
        blocks = read_star(Path("run/run_it010_data.star"))
        write_star(Path("run/run_it010_data.star"), blocks | {"particles": blocks["particles"].drop(columns=["rlnImageId"])})
        with self.assertRaisesRegex(UserError, "no column rlnImageId"):
            read_result3d(Path("run"), PIXEL)

    def test_maps_to_files(self):
        from pwem.emlib.image import ImageHandler
        from pwem.objects import SetOfVolumes, Volume

        from relion4plugin.files.mrc import read_mrc, write_volume
        from relion4plugin.files.star import read_star
        from relion4plugin.scipion.volumes import make_volume, map_path, volume_file, write_references

        first, second = toy_map(16, 1), toy_map(16, 2)
        write_volume(Path("good.mrc"), first, 3.0)
        good = make_volume(Path("good.mrc"), 3.0)
        self.assertEqual(map_path(good, Path("copy.mrc")), Path("good.mrc"))
        xmipp = Volume(location="good.mrc:mrc")
        xmipp.setSamplingRate(3.0)
        self.assertEqual(volume_file(xmipp), Path("good.mrc"))
        other = make_volume(Path("good.mrc"), 2.0)  # Scipion's pixel size counts, not the header's
        self.assertEqual(map_path(other, Path("copy.mrc")), Path("copy.mrc"))
        self.assertAlmostEqual(read_mrc("copy.mrc")[1], 2.0, places=5)
        picture = ImageHandler().createImage()
        picture.setData(second)
        picture.write("spider.vol")
        spider = make_volume(Path("spider.vol"), 3.0)
        np.testing.assert_allclose(read_mrc(map_path(spider, Path("copy2.mrc")))[0], second, atol=1e-6)
        volumes = SetOfVolumes(filename="volumes.sqlite")
        volumes.setSamplingRate(3.0)
        volumes.append(good)
        volumes.append(spider)
        write_references(volumes, Path("references.star"))
        names = read_star(Path("references.star"))["references"]["rlnReferenceImage"].tolist()
        self.assertEqual(names, ["reference_001.mrc", "reference_002.mrc"])
        np.testing.assert_allclose(read_mrc("reference_002.mrc")[0], second, atol=1e-6)
        for missing in ("nowhere.mrc", "nowhere.vol"):
            with self.assertRaisesRegex(UserError, "nowhere"):
                map_path(make_volume(Path(missing), 3.0), Path("copy3.mrc"))
