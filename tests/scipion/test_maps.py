"""The protocols on finished maps in real Scipion projects, their steps in processes of their own, and their viewer."""

import importlib.util
import os
import unittest
from pathlib import Path

import numpy as np

HAS_SCIPION = importlib.util.find_spec("pwem") is not None
if HAS_SCIPION:
    from ..web.fake3d import toy_map
    from .workplace import import_map, new_project

PIXEL = 4.0


def four_fold(box: int = 32) -> np.ndarray:
    """A map with a four-fold axis along z."""
    volume = toy_map(box, 4)
    # the origin is voxel N/2: turn about it, not about the middle of the box
    turned = volume
    total = np.zeros_like(volume)
    for _ in range(4):
        total += turned
        turned = np.roll(np.rot90(turned, axes=(1, 2)), 1, axis=1)
    return total / 4


@unittest.skipUnless(HAS_SCIPION, "pwem (scipion-em) is not installed")
class TestMaps(unittest.TestCase):
    def setUp(self):
        self.addCleanup(os.chdir, os.getcwd())
        self.project = new_project("R4pMaps")

    def new_run(self, name, **form):
        import pyworkflow

        return self.project.newProtocol(pyworkflow.Config.getDomain().getProtocols()[name], **form)

    def launch(self, run):
        self.assertEqual(run.validate(), [])
        self.project.launchProtocol(run, wait=True)
        run = self.project.getProtocol(run.getObjId())
        if run.getStatus() != "finished":
            self.fail(f"{run.getStatus()}: {run.getErrorMessage()}\n{Path(run._getLogsPath('run.stderr')).read_text()[-3000:]}")
        return run

    def test_mask_and_post_processing(self):
        from relion4plugin.files.mrc import read_mrc
        from relion4plugin.scipion.fsc import resolution_of

        rng = np.random.default_rng(1)
        volume = toy_map(32, 3)
        halves = tuple(volume + 0.05 * rng.normal(size=volume.shape).astype(np.float32) for _ in range(2))
        source = import_map(self.project, volume, PIXEL, halves)
        mask = self.new_run("ProtR4pCreateMask", do_auto_threshold=True, lowpass_filter=20.0)
        mask.inputVolume.set(source)
        mask.inputVolume.setExtended("outputVolume")
        mask = self.launch(mask)
        values, pixel = read_mrc(mask.outputMask.getFileName())
        self.assertAlmostEqual(pixel, PIXEL, places=4)  # Scipion's, not the header's
        self.assertTrue(0 <= values.min() and values.max() <= 1 and 0.01 < values.mean() < 0.9)
        self.assertRegex(mask.summary()[0], r"% of the box")
        post = self.new_run("ProtR4pPostprocess", do_auto_bfac=False)
        post.inputVolume.set(source)
        post.inputVolume.setExtended("outputVolume")
        post.solventMask.set(mask)
        post.solventMask.setExtended("outputMask")
        post = self.launch(post)
        self.assertAlmostEqual(post.outputVolume.getSamplingRate(), PIXEL)
        self.assertTrue(post.outputVolume.hasHalfMaps())
        curves = {fsc.getObjLabel(): fsc.clone() for fsc in post.outputFSC.iterItems()}
        self.assertEqual(list(curves), ["corrected", "unmasked", "masked", "masked, random phases"])
        self.assertRegex(post.summary()[0], rf"Resolution {resolution_of(curves['corrected']):.1f}")
        self.check_viewer(post, maps=3, curves=4)
        self.check_viewer(mask, maps=2)

    def check_viewer(self, run, maps, curves=0):
        from matplotlib import pyplot
        from pwem.viewers import EmPlotter

        from relion4plugin.viewers import R4pMapViewer

        pyplot.close("all")
        EmPlotter.setBackend("Agg")
        viewer = R4pMapViewer(project=self.project, protocol=run)
        viewer.setProtocol(run)
        views = viewer._getVisualizeDict()
        (shown,) = views["displayMaps"]()
        self.assertEqual(len(shown.figure.axes), 6 * maps)
        if curves:
            (shown,) = views["displayFSC"]()
            lines = shown.figure.axes[0].get_lines()
            self.assertEqual(len(lines), curves + 2)  # and the levels 0.143 and 0.5
            self.assertEqual(max(lines[:curves], key=lambda line: line.get_linewidth()).get_label(), "corrected")

    def test_symmetry(self):
        source = import_map(self.project, four_fold(), PIXEL)
        run = self.new_run("ProtR4pSymmetry", sym_name="C4", apply_sym=True, keep_centre=True)
        run.inputVolume.set(source)
        run.inputVolume.setExtended("outputVolume")
        run = self.launch(run)
        self.assertRegex(run.summary()[0], r"Symmetry C4, score")
        self.assertGreater(float(run.summary()[0].split()[-1]), 0.5)
        self.assertAlmostEqual(run.outputVolume.getSamplingRate(), PIXEL)

    def test_mistakes_are_refused_in_the_form(self):
        source = import_map(self.project, toy_map(16), PIXEL)
        post = self.new_run("ProtR4pPostprocess")
        post.inputVolume.set(source)
        post.inputVolume.setExtended("outputVolume")
        self.assertIn("no half maps", post._validate()[0])
        run = self.new_run("ProtR4pSymmetry", sym_name="Q7")
        run.inputVolume.set(source)
        run.inputVolume.setExtended("outputVolume")
        self.assertIn("Q7", run._validate()[0])
        run.sym_name.set("")
        self.assertIn("Give the point group", run._validate()[0])
