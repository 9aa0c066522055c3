"""3D classification, auto-refinement and initial model in real Scipion projects, their steps in processes of their own."""

import importlib.util
import os
import unittest
from pathlib import Path

import numpy as np

HAS_SCIPION = importlib.util.find_spec("pwem") is not None
if HAS_SCIPION:
    from ..web.fake3d import make_class3d, make_refine3d, toy_map
    from .workplace import import_map, import_projections, new_project

PIXEL, BOX, N = 4.0, 32, 60


@unittest.skipUnless(HAS_SCIPION, "pwem (scipion-em) is not installed")
class Refinement3D(unittest.TestCase):
    def setUp(self):
        self.addCleanup(os.chdir, os.getcwd())
        self.project = new_project(f"R4p{type(self).__name__}")
        self.volume = toy_map(BOX, 3)

    def new_run(self, name, source, reference=None, **form):
        import pyworkflow

        common = {"do_ctf_correction": False, "particle_diameter": 100.0}
        run = self.project.newProtocol(pyworkflow.Config.getDomain().getProtocols()[name], **(common | form))
        run.inputParticles.set(source)
        run.inputParticles.setExtended("outputParticles")
        if reference is not None:
            run.referenceVolume.set(reference)
            run.referenceVolume.setExtended("outputVolume")
        return run

    def launch(self, run):
        self.assertEqual(run.validate(), [])
        self.project.launchProtocol(run, wait=True)
        run = self.project.getProtocol(run.getObjId())
        if run.getStatus() != "finished":
            self.fail(f"{run.getStatus()}: {run.getErrorMessage()}\n{Path(run._getLogsPath('run.stderr')).read_text()[-3000:]}")
        return run

    def viewer(self, run):
        from matplotlib import pyplot
        from pwem.viewers import EmPlotter

        from relion4plugin.viewers import R4pVolumesViewer

        pyplot.close("all")
        EmPlotter.setBackend("Agg")
        viewer = R4pVolumesViewer(project=self.project, protocol=run)
        viewer.setProtocol(run)
        return viewer


class TestClassify3D(Refinement3D):
    def test_em_goes_on_where_it_stopped(self):
        from pwem.objects import SetOfClasses3D

        from relion4plugin.files.star import read_star

        source = import_projections(self.project, self.volume, N, PIXEL)
        reference = import_map(self.project, self.volume, PIXEL)
        run = self.new_run("ProtR4pClassify3D", source, reference, nr_classes=2, nr_iter=1, sampling=0, ini_high=20.0, offset_range=2.0)
        run = self.launch(run)
        written = (run.runFolder() / "run_it001_data.star").stat().st_mtime_ns
        run.nr_iter.set(2)
        run = self.launch(run)
        self.assertEqual((run.runFolder() / "run_it001_data.star").stat().st_mtime_ns, written)
        data = read_star(run.runFolder() / "run_it002_data.star")["particles"]
        classes = SetOfClasses3D(filename=run.outputClasses.getFileName())
        self.assertEqual(sum(item.getSize() for item in classes.iterItems()), N)
        for item in classes.iterItems():
            self.assertEqual(item.getSize(), int((data["rlnClassNumber"] == item.getObjId()).sum()))
            self.assertTrue(Path(item.getRepresentative().getFileName()).is_file())
        self.assertEqual(run.outputVolumes.getSize(), 2)
        self.assertEqual(run.summary()[0], "Iteration 2 of 2 done")
        views = self.viewer(run)._getVisualizeDict()
        (maps,) = views["displayMaps"]()
        self.assertEqual(len(maps.figure.axes), 12)
        (curves,) = views["displayCurves"]()
        self.assertEqual(len(curves.figure.axes[0].get_lines()[0].get_xdata()), 2)

    def test_mistakes_are_refused_in_the_form(self):
        source = import_projections(self.project, self.volume, 10, PIXEL, aligned=True)
        run = self.new_run("ProtR4pClassify3D", source, nr_classes=2, sym_name="X1")
        errors = run._validate()
        self.assertEqual(errors[0], "Choose the reference map.")
        self.assertIn("X1", errors[1])
        from pwem.objects import VolumeMask

        from relion4plugin.files.mrc import write_volume

        write_volume("mask.mrc", np.ones((16, 16, 16), np.float32), PIXEL)
        mask = VolumeMask(location="mask.mrc")
        mask.setSamplingRate(PIXEL)
        run.referenceMask.set(mask)
        self.assertIn("The mask has 16 px and the particles 32", " ".join(run._validate()))


class TestRefine3D(Refinement3D):
    def test_refined_map_particles_and_fsc(self):
        source = import_projections(self.project, self.volume, N, PIXEL)
        reference = import_map(self.project, self.volume, PIXEL)
        run = self.new_run("ProtR4pRefine3D", source, reference, sampling=1, ini_high=20.0, nr_iter=2, offset_range=2.0)
        run = self.launch(run)
        self.assertTrue(run.outputVolume.hasHalfMaps())
        self.assertEqual(run.outputParticles.getSize(), N)
        self.assertTrue(run.outputParticles.hasAlignmentProj())
        self.assertEqual(len(run.outputFSC.getData()[0]), BOX // 2 + 1)
        self.assertRegex(run.summary()[-1], r"Resolution \(FSC 0.143\): [0-9.]+ Å")
        self.assertEqual({item._rlnRandomSubset.get() for item in run.outputParticles.iterItems()}, {1, 2})
        written = (run.runFolder() / "run_it002_data.star").stat().st_mtime_ns
        run.nr_iter.set(3)
        run = self.launch(run)
        self.assertEqual((run.runFolder() / "run_it002_data.star").stat().st_mtime_ns, written)
        self.assertTrue((run.runFolder() / "run_it003_half1_model.star").is_file())


@unittest.skipUnless(importlib.util.find_spec("relion4plugin.refinement.initial_model"), "there is no initial model yet")
class TestInitialModel(Refinement3D):
    def test_model_classes_and_verdict(self):
        from relion4plugin.files.initial_model import read_verdict

        source = import_projections(self.project, self.volume, N, PIXEL)
        run = self.launch(self.new_run("ProtR4pInitialModel", source, nr_iter=6, nr_restarts=2, nr_classes=2, nr_iter_halves=2))
        verdict = read_verdict(run.runFolder())
        self.assertEqual(run.summary(), [verdict.text])
        self.assertEqual(run.outputVolume.getDim(), (BOX, BOX, BOX))
        self.assertEqual(run.outputVolumes.getSize(), 2)
        self.assertEqual(sum(item.getSize() for item in run.outputClasses.iterItems()), N)
        self.assertEqual(len(verdict.restarts), 2)
        halves = run.runFolder() / "halves"
        self.assertTrue((halves / "run_it002_half1_model.star").is_file())
        # at least as many as asked for, at most three times as many
        self.assertFalse((halves / "run_it007_half1_model.star").exists())
        (maps,) = self.viewer(run)._getVisualizeDict()["displayMaps"]()
        self.assertEqual(maps.figure.axes[0].get_ylabel(), "initial model")


class TestViewer(Refinement3D):
    """The viewer on invented runs of every kind, while they run and at their end."""

    def test_running_and_finished(self):
        source = import_projections(self.project, self.volume, 10, PIXEL)
        run = self.new_run("ProtR4pRefine3D", source)
        self.project.saveProtocol(run)
        run.makePathsAndClean()
        messages = []
        viewer = self.viewer(run)
        viewer.infoMessage = lambda *texts: messages.append(texts)
        views = viewer._getVisualizeDict()
        self.assertIsNone(views["displayMaps"]())
        self.assertIn("no iteration yet", messages[0][0])
        make_refine3d(run.runFolder(), 2, final=False)
        (maps,) = views["displayMaps"]()
        self.assertEqual(len(maps.figure.axes), 12)
        self.assertTrue(maps.refresh())
        make_refine3d(run.runFolder(), 2, final=True)
        self.assertFalse(maps.refresh())
        self.assertEqual(len(maps.figure.axes), 18)
        (fsc,) = views["displayFSC"]()
        self.assertEqual(fsc.figure.axes[0].get_lines()[2].get_label(), "final")
        (directions,) = views["displayDirections"]()
        self.assertIn("all particles", directions.figure.axes[0].get_title())

    def test_chosen_classes(self):
        source = import_projections(self.project, self.volume, 10, PIXEL)
        run = self.new_run("ProtR4pInitialModel", source)
        self.project.saveProtocol(run)
        run.makePathsAndClean()
        make_class3d(run.runFolder(), n_classes=3)
        viewer = self.viewer(run)
        viewer.selectedClasses.set("1,3")
        (maps,) = viewer._getVisualizeDict()["displayMaps"]()
        self.assertEqual([maps.figure.axes[i].get_ylabel().split("\n")[0] for i in (0, 6)], ["class 1", "class 3"])
        messages = []
        viewer.infoMessage = lambda *texts: messages.append(texts)
        self.assertIsNone(viewer._getVisualizeDict()["displayFSC"]())
        self.assertIsNone(viewer._getVisualizeDict()["displayChimeraX"]())
        self.assertIn("ChimeraX is not at", messages[1][0])
