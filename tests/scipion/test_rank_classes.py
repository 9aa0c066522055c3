"""The class ranker in a real Scipion project: inputs, outputs against known scores, corrections by hand."""

import importlib.util
import os
import unittest
from pathlib import Path

import numpy as np

HAS_SCIPION = importlib.util.find_spec("pwem") is not None and importlib.util.find_spec("torch") is not None
if HAS_SCIPION:
    from ..ranker.linear_ranker import JOB_SCORES, SCORES, stage, write_linear_weights
    from .ranked_project import TOTAL, classified, import_particles, write_classification
    from .workplace import new_project

SCORE = "_rlnPredictedClassScore"
JOB_SCORE = "_r4pJobScore"


@unittest.skipUnless(HAS_SCIPION, "pwem (scipion-em) or torch is not installed")
class TestRankClasses(unittest.TestCase):
    def setUp(self):
        self.addCleanup(os.chdir, os.getcwd())
        self.project = new_project("R4pRankClasses")
        write_linear_weights(Path("net.safetensors"))
        self.source = import_particles(self.project)

    def new_run(self, classification=None, **form):
        import pyworkflow

        protocol = pyworkflow.Config.getDomain().getProtocols()["ProtR4pRankClasses"]
        run = self.project.newProtocol(protocol, fn_weights="net.safetensors", **form)
        if classification is not None:
            run.inputClasses.set(classification)
            run.inputClasses.setExtended("outputClasses")
        return run

    def launch(self, run):
        self.assertEqual(run.validate(), [])
        self.project.launchProtocol(run, wait=True)
        return self.finished(run.getObjId())

    def finished(self, number):
        run = self.project.getProtocol(number)
        if run.getStatus() != "finished":
            self.fail(f"{run.getStatus()}: {run.getErrorMessage()}\n{Path(run._getLogsPath('run.stderr')).read_text()[-3000:]}")
        return run

    def check(self, run, numbers):
        """Compare all outputs with the classes that must be selected."""
        from pwem.objects import SetOfAverages, SetOfClasses2D, SetOfParticles

        classes = {item.getObjId(): item.clone() for item in SetOfClasses2D(filename=run.outputClasses.getFileName()).iterItems()}
        self.assertEqual(sorted(classes), sorted(numbers))
        averages = [item.clone() for item in SetOfAverages(filename=run.outputAverages.getFileName()).iterItems()]
        self.assertEqual(sorted(a.getObjId() for a in averages), sorted(numbers))
        for item in (*classes.values(), *averages):
            self.assertAlmostEqual(getattr(item, SCORE).get(), SCORES[item.getObjId() - 1], places=4)
        self.assertAlmostEqual(classes[1]._rlnEstimatedResolution.get(), 9.0)
        self.assertEqual([a._r4pSize.get() for a in averages], [TOTAL // 5] * len(numbers))
        members = {item.getObjId(): item.getClassId() for item in SetOfParticles(filename=run.outputParticles.getFileName()).iterItems()}
        self.assertEqual(members, {i + 1: i % 5 + 1 for i in range(TOTAL) if i % 5 + 1 in numbers})
        return classes, averages

    def test_scores_selection_and_another_rule(self):
        classification = classified(self.project, self.source)
        run = self.launch(self.new_run(classification, select_by=1, rank_threshold=0.5))
        classes, averages = self.check(run, [1, 3])
        stack = str(classification.runFolder() / "run_it025_classes.mrcs")
        self.assertEqual(classes[3].getRepresentative().getLocation(), (3, stack))
        self.assertEqual([a.getLocation() for a in averages], [(1, stack), (3, stack)])
        self.assertTrue(run.outputParticles.hasAlignment2D())
        self.assertIn("2 of 5 classes, 160 of 400 particles (40.0 %)", run.summary()[0])
        self.assertIn("1 of 5 classes have no score", run.summary()[1])
        self.assertTrue((run.runFolder() / "report.html").is_file())
        run.rank_threshold.set(2.0)  # the same run again: what it selected before must not stay
        run = self.launch(run)
        self.assertEqual([output.getSize() for _, output in run.iterOutputAttributes()], [0, 0, 0])
        self.assertIn("nothing is selected", " ".join(run.summary()))

    def test_both_scores_stand_in_the_sets_and_order_the_gallery(self):
        from relion4plugin.files.star import read_star
        from relion4plugin.scipion.rank_files import ORDERS
        from relion4plugin.viewers import R4pRankViewer
        from relion4plugin.viewers.class2d import AVERAGE_LABELS

        write_linear_weights(Path("net.safetensors"), stage())
        run = self.launch(self.new_run(classified(self.project, self.source)))
        classes, averages = self.check(run, [1, 2, 3, 4])
        for item in (*classes.values(), *averages):
            self.assertAlmostEqual(getattr(item, JOB_SCORE).get(), JOB_SCORES[item.getObjId() - 1], places=4)
        self.assertIn(JOB_SCORE, AVERAGE_LABELS.split())
        self.assertIn("calibrated, from score in this job 0.", run.summary()[0])
        self.assertIn("r4pJobScore", read_star(run.runFolder() / "rank_model.star")["model_classes"])
        from emtable import Table  # the reader of STAR files of Scipion's RELION plugin

        rows = Table(fileName=str(run.runFolder() / "class_averages.star"))
        self.assertEqual([round(row.r4pJobScore, 4) for row in rows], [round(score, 4) for score in JOB_SCORES.tolist()])
        self.draw_without_a_window()
        viewer = R4pRankViewer(project=self.project, protocol=run)
        viewer.setProtocol(run)
        for by, first in (("the score that decided", "3: 0.61 / 0.82"), ("score", "1: 0.79 / 0.38")):
            viewer.sortBy.set(list(ORDERS).index(by))
            (window,) = viewer._getVisualizeDict()["displayGallery"]()
            self.assertEqual(window.figure.axes[0].texts[0].get_text().splitlines()[0], first)

    def draw_without_a_window(self):
        from matplotlib import pyplot
        from pwem.viewers import EmPlotter

        pyplot.close("all")
        self.addCleanup(pyplot.close, "all")  # a test that changes the backend warns of figures that are still open
        EmPlotter.setBackend("Agg")

    def test_recentred_averages_and_origins(self):
        from relion4plugin.files.star import read_star
        from relion4plugin.scipion.geometry import alignment_poses

        run = self.launch(self.new_run(classified(self.project, self.source), select_by=1, rank_threshold=0.5, do_recenter=True))
        classes, _ = self.check(run, [1, 3])
        stack = str(run.runFolder() / "class_averages.mrcs")
        self.assertEqual(classes[3].getRepresentative().getLocation(), (2, stack))
        rows = read_star(run.runFolder() / "particles.star")["particles"].set_index("rlnImageId")
        self.assertGreater(np.abs(rows["rlnOriginXAngst"]).min(), 1.0)
        for item in run.outputParticles.iterItems():
            _, shift = alignment_poses(item.getTransform().getMatrix()[None])
            self.assertAlmostEqual(shift[0, 0] * 3.1, rows["rlnOriginXAngst"][item.getObjId()], places=4)

    def test_a_file_and_its_particles_without_ids(self):
        folder = Path("elsewhere")
        folder.mkdir()
        link = folder / "linked.mrcs"
        link.symlink_to(Path(self.source._getExtraPath("particles.mrcs")).resolve())
        optimiser = write_classification(folder, image_ids=False, stack=link)
        run = self.new_run(fromFile=True, optimiserFile=str(optimiser), select_by=1, rank_threshold=0.5)
        self.assertEqual(run._validate(), ["Choose the particles of the classification."])
        run.inputParticles.set(self.source)
        run.inputParticles.setExtended("outputParticles")
        self.check(self.launch(run), [1, 3])
        write_classification(folder, image_ids=False, stack=folder / "others.mrcs")
        run = self.new_run(fromFile=True, optimiserFile=str(optimiser), select_by=1, rank_threshold=0.5)
        run.inputParticles.set(self.source)
        run.inputParticles.setExtended("outputParticles")
        self.project.launchProtocol(run, wait=True)
        run = self.project.getProtocol(run.getObjId())
        self.assertRegex(run.getErrorMessage(), r"400 of 400 particles .* choose the particles that were classified")
        self.assertNotIn("Traceback", Path(run._getLogsPath("run.stderr")).read_text())

    def test_a_correction_in_the_viewer_becomes_a_run_and_training_data(self):
        from matplotlib.backend_bases import MouseEvent

        from relion4plugin.viewers import R4pRankViewer

        run = self.launch(self.new_run(classified(self.project, self.source), select_by=1, rank_threshold=0.5))
        self.draw_without_a_window()
        viewer = R4pRankViewer(project=self.project, protocol=run)
        viewer.setProtocol(run)
        views = viewer._getVisualizeDict()
        (window,) = views["displayGallery"]()
        axes = window.figure.axes[0]
        self.assertEqual([text.get_text().split(":")[0] for text in axes.texts], ["1", "3", "2", "4", "5"])
        for number in (0, 1):  # leave out class 1, select class 2
            tile = next(t for t in window._tiles if t.number == number)
            x, y = axes.transData.transform((tile.x + 0.5, tile.y + 0.5))
            canvas = window.figure.canvas
            canvas.callbacks.process("button_press_event", MouseEvent("button_press_event", canvas, x, y, 1))
        self.assertEqual(window.labels.tolist(), [0, 1, 1, 0, 0])
        self.assertIn("2 of 5 classes, 160 of 400 particles (40.0 %); 2 changed", window.figure._suptitle.get_text())
        window.press("Save selection")
        self.assertIn("selection_by_hand.star", window._line.get_text())
        (histogram,) = views["displayScores"]()
        bars = [patch.get_height() for patch in histogram.figure.axes[0].patches]
        self.assertEqual(max(bars), TOTAL // 5)
        viewer.keepTraining.set("training")
        self.assertIn("by hand", viewer.run_by_hand(window.labels, wait=True))
        second = self.finished(max(run.getObjId() for run in self.project.getRuns()))
        self.check_by_hand(second)
        window.press("Undo all changes")
        self.assertEqual(window.labels.tolist(), [1, 0, 1, 0, 0])

    def check_by_hand(self, run):
        self.assertEqual(sorted(item.getObjId() for item in run.outputClasses.iterItems()), [2, 3])
        self.assertIn("selection_by_hand.star", run.summary()[0])
        (kept,) = Path("training").iterdir()
        self.assertTrue((kept / "backup_selection.star").is_file() and (kept / "run_class.mrcs").is_file())

    def test_mistakes_are_refused_in_the_form(self):
        self.assertEqual(self.new_run()._validate(), ["Choose the input classes."])
        classification = classified(self.project, self.source)
        run = self.new_run(classification, select_by=3)
        self.assertRegex(run._validate()[0], r"needs a number")
        run = self.new_run(classification, keep_training="training")  # waits for a selection by hand
        self.assertEqual(run.validate(), [])
        (classification.runFolder() / "run_it025_optimiser.star").unlink()
        self.assertRegex(self.new_run(classification)._validate()[0], r"no optimiser file beside these class averages")
