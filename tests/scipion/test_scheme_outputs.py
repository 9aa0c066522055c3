"""What jobs of a scheme leave as Scipion sets: real files of RELION's tutorial, invented maps, a selection with known scores."""

import importlib.util
import os
import unittest
from pathlib import Path

import numpy as np

HAS_SCIPION = importlib.util.find_spec("pwem") is not None
HAS_TORCH = importlib.util.find_spec("torch") is not None
if HAS_SCIPION:
    from ..web.fake3d import PIXEL, make_class3d, make_refine3d
    from .tiny_schemes import rows_of
    from .workplace import new_project, shared_particles

MICROGRAPHS, PARTICLES, OPTIMISER = "MicrographsData.star.relion", "ParticlesData.star.relion", "ProcessData.star.relion.optimiser"
MOTION = ("MotionCorr/job002", "relion.motioncorr", {"corrected_micrographs.star": MICROGRAPHS})
CTF = ("CtfFind/job003", "relion.ctffind", {"micrographs_ctf.star": MICROGRAPHS})
EXTRACT = ("Extract/job007", "relion.extract", {"particles.star": PARTICLES})
CLASS2D = ("Class2D/job008", "relion.class2d", {"run_it025_data.star": PARTICLES, "run_it025_optimiser.star": f"{OPTIMISER}.class2d"})


def state(root, *jobs, status="Succeeded"):
    """Return the state of a project with these jobs."""
    from relion4plugin.schemes.pipeline import Pipeline, Process, Status
    from relion4plugin.schemes.status import JobStatus, ProjectStatus

    pipeline = Pipeline()
    for name, label, files in jobs:
        pipeline = pipeline.with_process(Process(f"{name}/", label, Status(status)))
        pipeline = pipeline.with_outputs(f"{name}/", {f"{name}/{file}": kind for file, kind in files.items()})
    return ProjectStatus(str(root), jobs=tuple(JobStatus(f"{name}/", label, status) for name, label, _ in jobs), pipeline=pipeline)


class TestProducts(unittest.TestCase):
    def test_the_newest_file_of_finished_jobs_and_what_changed(self):
        import tempfile

        from relion4plugin.scipion.scheme_products import news, products

        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        root = Path(folder.name)
        refined = ("Refine3D/job009", "relion.refine3d", {"run_half1_class001_unfil.mrc": "DensityMap.mrc.relion.halfmap"})
        for name, _, files in (MOTION, CTF, refined):
            (root / name).mkdir(parents=True)
            for file in files:
                (root / name / file).touch()
        self.assertEqual(products(state(root, MOTION, status="Running")), {})
        found = products(state(root, MOTION, CTF, EXTRACT, refined))  # the half map is no map, and no file of EXTRACT is there
        self.assertEqual({kind: one.job for kind, one in found.items()}, {"micrographs": "MotionCorr/job002/", "ctfs": "CtfFind/job003/"})
        only_ctf = products(state(root, CTF))  # micrographs that were corrected elsewhere
        self.assertEqual(only_ctf["micrographs"].file, "CtfFind/job003/micrographs_ctf.star")
        self.assertEqual([one.kind for one in news(found, {})], ["micrographs", "ctfs"])
        (root / "CtfFind/job003/micrographs_ctf.star").write_text("\n")
        later = products(state(root, MOTION, CTF))
        self.assertEqual([one.kind for one in news(later, found)], ["ctfs"])
        self.assertEqual(news(later, later), [])


@unittest.skipUnless(HAS_SCIPION, "pwem (scipion-em) is not installed")
class TestSchemeOutputs(unittest.TestCase):
    def setUp(self):
        import pyworkflow

        self.addCleanup(os.chdir, os.getcwd())
        self.project = new_project("R4pSchemeOutputs")
        self.run_ = self.project.newProtocol(pyworkflow.Config.getDomain().getProtocols()["ProtR4pRunScheme"])
        self.project.saveProtocol(self.run_)
        self.run_.makePathsAndClean()
        self.root = self.run_.projectFolder()
        self.root.mkdir()
        self.outputs = self.new_outputs()

    def new_outputs(self):
        from relion4plugin.scipion.scheme_outputs import SchemeOutputs

        return SchemeOutputs(self.run_, self.root)

    def items(self, name):
        output = getattr(self.run_, name)
        items = type(output)(filename=output.getFileName())
        items.loadAllProperties()
        self.assertEqual(items.getSize(), output.getSize())
        self.assertTrue(items.isStreamOpen())
        return {item.getObjId(): item.clone() for item in items.iterItems()}

    def put(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def tutorial(self):
        """Return the folder of RELION's tutorial; the first image of each kind is made, as sets look at its size."""
        from relion4plugin.files.mrc import write_stack

        tutorial = shared_particles().parent / "star" / "relion31_tutorial_bgal"
        if not tutorial.is_dir():
            self.skipTest(f"no files of RELION's tutorial at {tutorial}")
        movie, averages = "Movies/20170629_00021_frameImage", "Class2D/job008/run_it025_classes.mrcs"
        for name, size in ((f"MotionCorr/job002/{movie}.mrc", 16), (f"Extract/job007/{movie}.mrcs", 64), (averages, 64)):
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            write_stack(self.root / name, np.zeros((1, size, size), np.float32), 0.885)
        return tutorial

    def test_micrographs_and_ctfs_grow_with_the_files_of_the_tutorial(self):
        from relion4plugin.files.star import read_star

        tutorial = self.tutorial()
        motion, ctf = tutorial / "MotionCorr/job002/corrected_micrographs.star", tutorial / "CtfFind/job003/micrographs_ctf.star"
        now = state(self.root, MOTION, CTF)
        self.put("MotionCorr/job002/corrected_micrographs.star", rows_of(motion, 10))
        self.put("CtfFind/job003/micrographs_ctf.star", rows_of(ctf, 8))
        self.assertEqual(self.outputs.update(now), [])
        self.assertEqual((len(self.items("outputMicrographs")), len(self.items("outputCTF"))), (10, 8))
        before = {number: item.getFileName() for number, item in self.items("outputMicrographs").items()}
        self.put("MotionCorr/job002/corrected_micrographs.star", motion.read_text())
        self.put("CtfFind/job003/micrographs_ctf.star", ctf.read_text())
        self.assertEqual(self.new_outputs().update(now), [])  # as after Continue
        micrographs, ctfs = self.items("outputMicrographs"), self.items("outputCTF")
        self.assertEqual({number: micrographs[number].getFileName() for number in before}, before)
        table = read_star(ctf)["micrographs"]
        self.assertEqual((len(micrographs), len(ctfs)), (len(table), len(table)))
        names = {item.getFileName(): number for number, item in micrographs.items()}
        for row in table.to_dict("records"):
            model = ctfs[names[str(self.root / row["rlnMicrographName"])]]
            self.assertAlmostEqual(model.getDefocusU(), row["rlnDefocusU"], places=3)
            self.assertAlmostEqual(model.getDefocusV(), row["rlnDefocusV"], places=3)
            self.assertAlmostEqual(model.getDefocusAngle(), row["rlnDefocusAngle"], places=4)
            self.assertAlmostEqual(model.getResolution(), row["rlnCtfMaxResolution"], places=4)
            self.assertEqual(model.getMicrograph().getMicName(), Path(row["rlnMicrographName"]).name)
        one = micrographs[1].getAcquisition()
        self.assertEqual((one.getVoltage(), one.getSphericalAberration(), one.getAmplitudeContrast()), (200, 1.4, 0.1))
        self.assertEqual(self.run_.outputMicrographs.getSamplingRate(), 0.885)
        self.run_._closeOutputSet()  # as the host does with a run that is stopped
        self.assertEqual(self.new_outputs().update(now), [])
        self.assertEqual((len(self.items("outputMicrographs")), len(self.items("outputCTF"))), (len(table), len(table)))
        self.assertEqual(self.run_.outputCTF.getMicrographs().getObjId(), self.run_.outputMicrographs.getObjId())

    def test_particles_and_classes_of_the_tutorial(self):
        from relion4plugin.files.star import read_star
        from relion4plugin.scipion.geometry import alignment_poses

        tutorial = self.tutorial()
        for name in ("CtfFind/job003/micrographs_ctf.star", "Class2D/job008/run_it025_data.star", "Class2D/job008/run_it025_model.star"):
            self.put(name, (tutorial / name).read_text())
        self.put("Class2D/job008/run_it025_optimiser.star", "")
        extracted = tutorial / "Extract/job007/particles.star"
        self.put("Extract/job007/particles.star", rows_of(extracted, 100))
        (problem,) = self.outputs.update(state(self.root, CTF, EXTRACT, CLASS2D))
        self.assertRegex(problem, r"are not in .*particles_job007\.sqlite")
        self.assertEqual(len(self.items("outputParticles")), 100)
        self.put("Extract/job007/particles.star", extracted.read_text())
        self.assertEqual(self.new_outputs().update(state(self.root, CTF, EXTRACT, CLASS2D)), [])
        particles, micrographs = self.items("outputParticles"), self.items("outputMicrographs")
        rows = read_star(self.root / "Class2D/job008/run_it025_data.star")["particles"]
        by_image = {f"{item.getIndex():06d}@{item.getFileName()}": item for item in particles.values()}
        classes = type(self.run_.outputClasses)(filename=self.run_.outputClasses.getFileName())
        members = {member.getObjId(): member.clone() for one in classes.iterItems() for member in one.iterItems()}
        self.assertEqual((len(particles), len(members)), (len(rows), len(rows)))
        for row in rows.iloc[::37].to_dict("records"):
            number, _, stack = row["rlnImageName"].partition("@")
            item = by_image[f"{number}@{self.root / stack}"]
            self.assertAlmostEqual(item.getCTF().getDefocusU(), row["rlnDefocusU"], places=2)
            self.assertEqual(item.getCoordinate().getX(), round(row["rlnCoordinateX"]))
            self.assertEqual(micrographs[item.getMicId()].getFileName(), str(self.root / row["rlnMicrographName"]))
            member = members[item.getObjId()]
            self.assertEqual(member.getClassId(), row["rlnClassNumber"])
            psi, shift = alignment_poses(member.getTransform().getMatrix()[None])
            self.assertAlmostEqual((psi[0] - row["rlnAnglePsi"] + 180) % 360, 180, places=3)
            np.testing.assert_allclose(shift[0, :2] * 3.54, [row["rlnOriginXAngst"], row["rlnOriginYAngst"]], atol=1e-3)

    def test_maps_classes_and_poses_in_3d(self):
        class3d, refined = self.root / "Class3D/job010", self.root / "Refine3D/job011"
        model = self.root / "InitialModel/job009/initial_model.mrc"
        make_class3d(class3d, n_classes=3, n=90)
        make_refine3d(refined)
        from relion4plugin.files.mrc import write_volume

        model.parent.mkdir(parents=True)
        write_volume(model, np.ones((8, 8, 8), np.float32), PIXEL)
        particles = ("Import/job001", "relion.import", {"particles.star": PARTICLES})
        self.put("Import/job001/particles.star", (class3d / "run_it010_data.star").read_text())
        maps = (
            ("InitialModel/job009", "relion.initialmodel", {"initial_model.mrc": "DensityMap.mrc.relion.initialmodel"}),
            ("Class3D/job010", "relion.class3d", {"run_it010_optimiser.star": OPTIMISER}),
            ("Refine3D/job011", "relion.refine3d", {"run_class001.mrc": "DensityMap.mrc.relion.refine3d"}),
        )
        self.assertEqual(self.outputs.update(state(self.root, particles, *maps)), [])
        self.assertEqual(self.run_.outputInitialModel.getFileName(), str(model))
        self.assertAlmostEqual(self.run_.outputInitialModel.getSamplingRate(), PIXEL, places=4)
        volumes = [one.getFileName() for one in self.items("outputVolumes").values()]
        self.assertEqual(volumes, [str(class3d / f"run_it010_class00{k}.mrc") for k in (1, 2, 3)])
        halves = self.run_.outputVolume.getHalfMaps(asList=True)
        self.assertEqual(halves, [str(refined / f"run_half{k}_class001_unfil.mrc") for k in (1, 2)])
        self.assertTrue(self.run_.outputRefinedParticles.hasAlignmentProj())

    @unittest.skipUnless(HAS_TORCH, "torch is not installed")
    def test_a_selection_by_scores(self):
        from relion4plugin.files.mrc import write_stack
        from relion4plugin.jobs import rank
        from relion4plugin.progress import Silent

        from ..ranker.linear_ranker import SCORES, write_linear_weights
        from .ranked_project import TOTAL, write_classification

        home = Path.cwd()
        os.chdir(self.root)
        Path("Class2D/job004").mkdir(parents=True)
        write_stack("toys.mrcs", np.zeros((TOTAL, 70, 70), np.float32), 3.1)
        optimiser = write_classification(Path("Class2D/job004"), image_ids=False, stack=Path("toys.mrcs"))
        write_linear_weights(Path("net.safetensors"))
        Path("Select/job005").mkdir(parents=True)
        # The rule selects class 1; class 3 comes for the minimum. Recentred averages are numbered anew.
        rule = {"select_by": "score", "rank_threshold": 0.7, "select_nr_classes": 2}
        parameters = rank.RankParameters(fn_model=str(optimiser), fn_weights="net.safetensors", do_recenter=True, **rule)
        rank.run(parameters, Path("Select/job005"), Silent(), job_star=False, overwrite=True)
        os.chdir(home)
        classified = ("Class2D/job004", "relion.class2d", {"run_it025_data.star": PARTICLES})
        selected = ("Select/job005", "relion.select.class2dauto", {"class_averages.star": "ImagesData.star.relion.classaverages"})
        self.assertEqual(self.outputs.update(state(self.root, classified, selected)), [])
        averages = self.items("outputSelectedAverages")
        self.assertEqual(sorted(averages), [1, 3])
        for number, average in averages.items():
            self.assertAlmostEqual(average._rlnPredictedClassScore.get(), SCORES[number - 1], places=4)
            self.assertEqual(average.getLocation()[1], str(self.root / "Select/job005/class_averages.mrcs"))
        numbers = {number: item.getClassId() for number, item in self.items("outputSelectedParticles").items()}
        self.assertEqual(numbers, {i + 1: i % 5 + 1 for i in range(TOTAL) if i % 5 + 1 in (1, 3)})
        self.assertEqual(sorted(self.items("outputSelectedClasses")), [1, 3])
        self.assertEqual(len(self.items("outputParticles")), TOTAL)
