"""The protocol in real Scipion projects, its steps in processes of their own as in the window."""

import importlib.util
import os
import unittest
from pathlib import Path

import numpy as np

HAS_SCIPION = importlib.util.find_spec("pwem") is not None
if HAS_SCIPION:
    from .workplace import import_star, import_toys, new_project, shared_particles


@unittest.skipUnless(HAS_SCIPION, "pwem (scipion-em) is not installed")
class ProjectCase(unittest.TestCase):
    def setUp(self):
        self.addCleanup(os.chdir, os.getcwd())
        self.project = new_project(f"R4p{type(self).__name__}")

    def new_run(self, source, **form):
        import pyworkflow

        protocol = pyworkflow.Config.getDomain().getProtocols()["ProtR4pClassify2D"]
        run = self.project.newProtocol(protocol, **form)
        run.inputParticles.set(source)
        run.inputParticles.setExtended("outputParticles")
        return run

    def launch(self, run):
        self.project.launchProtocol(run, wait=True)
        run = self.project.getProtocol(run.getObjId())
        if run.getStatus() != "finished":
            self.fail(f"{run.getStatus()}: {run.getErrorMessage()}\n{Path(run._getLogsPath('run.stderr')).read_text()[-3000:]}")
        return run

    def check_against_files(self, run, iteration):
        """Compare the registered sets with the STAR files, particle by particle."""
        from pwem.objects import SetOfAverages, SetOfClasses2D

        from relion4plugin.files.star import read_star
        from relion4plugin.scipion.geometry import alignment_poses

        particles = run.particlesPointer().get()
        data = read_star(run.runFolder() / f"run_it{iteration:03d}_data.star")["particles"].set_index("rlnImageId")
        model = read_star(run.runFolder() / f"run_it{iteration:03d}_model.star")["model_classes"]
        # Opened anew: the run's own objects may still hold the files of an earlier execution.
        classes, averages = (
            kind(filename=old.getFileName()) for kind, old in ((SetOfClasses2D, run.outputClasses), (SetOfAverages, run.outputAverages))
        )
        seen = 0
        for item in classes.iterItems():
            number = item.getObjId()
            self.assertEqual(item.getRepresentative().getIndex(), number)
            self.assertAlmostEqual(item._rlnClassDistribution.get(), model["rlnClassDistribution"][number - 1], places=5)
            members = [member.clone() for member in item.iterItems()]
            self.assertEqual(item.getSize(), len(members))
            self.assertEqual({m.getObjId() for m in members}, set(data.index[data["rlnClassNumber"] == number]))
            rows = data.loc[[m.getObjId() for m in members]]
            psi, shifts = alignment_poses(np.array([m.getTransform().getMatrix() for m in members]))
            np.testing.assert_allclose(np.exp(1j * np.deg2rad(psi)), np.exp(1j * np.deg2rad(rows["rlnAnglePsi"])), atol=1e-6)
            np.testing.assert_allclose(shifts[:, 0] * particles.getSamplingRate(), rows["rlnOriginXAngst"], atol=1e-5)
            seen += len(members)
        self.assertEqual(seen, len(data))
        sizes = {a.getObjId(): (a._r4pSize.get(), a.getIndex()) for a in averages.iterItems()}
        counts = data["rlnClassNumber"].value_counts()
        self.assertEqual(sizes, {number: (counts[number], number) for number in counts.index})


class TestToys(ProjectCase):
    def test_em_goes_on_where_it_stopped_and_starts_over_when_asked_otherwise(self):
        source = import_toys(self.project, disabled=(2, 60))
        run = self.new_run(source, nr_classes=2, do_grad=False, nr_iter_em=3, do_ctf_correction=False, particle_diameter=100.0)
        run = self.launch(run)
        self.assertEqual(run.outputClasses.getSamplingRate(), 4.0)
        self.check_against_files(run, 3)
        written = (run.runFolder() / "run_it003_data.star").stat().st_mtime_ns
        run.nr_iter_em.set(5)
        run = self.launch(run)
        self.assertEqual((run.runFolder() / "run_it003_data.star").stat().st_mtime_ns, written)
        self.assertTrue((run.runFolder() / "run_it005_data.star").exists())
        self.check_against_files(run, 5)
        run.tau_fudge.set(1.0)
        run = self.launch(run)
        self.assertGreater((run.runFolder() / "run_it003_data.star").stat().st_mtime_ns, written)
        self.check_against_files(run, 5)

    def test_a_vdam_run_in_blocks_equals_the_engine_in_one_go(self):
        from relion4plugin.files.particles import read_particles
        from relion4plugin.files.star import read_star
        from relion4plugin.jobs.class2d import settings_of
        from relion4plugin.refinement.engine import refine

        source = import_toys(self.project, suffix=".stk")
        run = self.new_run(source, nr_classes=3, nr_iter_grad=24, do_ctf_correction=False, particle_diameter=100.0)
        run = self.launch(run)
        self.check_against_files(run, 24)
        whole = Path(run._getTmpPath("whole"))
        refine(settings_of(run.parameters()), read_particles(run.runFolder() / "particles.star"), whole)
        blocks, once = (read_star(folder / "run_it024_data.star")["particles"] for folder in (run.runFolder(), whole))
        self.assertEqual(blocks["rlnClassNumber"].tolist(), once["rlnClassNumber"].tolist())
        np.testing.assert_allclose(blocks["rlnAnglePsi"], once["rlnAnglePsi"], atol=1e-3)

    def test_another_run_takes_over_classes_and_records(self):
        from relion4plugin.files.iterations import read_iterations

        source = import_toys(self.project)
        first = self.launch(
            self.new_run(source, nr_classes=2, do_grad=False, nr_iter_em=2, do_ctf_correction=False, particle_diameter=100.0)
        )
        second = self.new_run(source, nr_classes=2, do_grad=False, nr_iter_em=2, do_ctf_correction=False, particle_diameter=100.0)
        second.inputParticles.set(None)
        second.doContinue.set(True)
        second.continueRun.set(first)
        self.assertEqual(len(second._validate()), 1)
        second.nr_iter_em.set(4)
        self.assertEqual(second.validate(), [])
        second = self.launch(second)
        self.check_against_files(second, 4)
        numbers = [record["iteration"] for record in read_iterations(second.runFolder() / "run_iterations.jsonl")]
        self.assertEqual(numbers, [1, 2, 3, 4])
        averages = self.new_run(source, nr_classes=2, do_grad=False, nr_iter_em=1, do_ctf_correction=False, particle_diameter=100.0)
        averages.initialAverages.set(first)
        averages.initialAverages.setExtended("outputAverages")
        self.check_against_files(self.launch(averages), 1)

    def test_mistakes_are_refused_in_the_form(self):
        source = import_toys(self.project)
        self.assertIn("no CTF", " ".join(self.new_run(source, nr_classes=2, particle_diameter=100.0)._validate()))
        run = self.new_run(source, nr_classes=61, do_ctf_correction=False, particle_diameter=200.0, dont_skip_align=False)
        errors = " ".join(run._validate())
        for words in ("61 classes for 60 particles", "larger than the box (128", "no alignment to keep"):
            self.assertIn(words, errors)
        run = self.new_run(source, nr_classes=2, do_ctf_correction=False, particle_diameter=100.0)
        self.assertEqual(run.validate(), [])

    @unittest.skipIf(importlib.util.find_spec("cupy"), "cupy is installed: the GPU may be usable")
    def test_without_a_gpu_the_run_warns_and_takes_the_cpu(self):
        source = import_toys(self.project)
        run = self.new_run(source, nr_classes=2, do_grad=False, nr_iter_em=1, do_ctf_correction=False, particle_diameter=100.0, useGpu=True)
        self.assertIn("will use the CPU", " ".join(run._warnings()))
        run = self.launch(run)
        self.assertIn("Computing on the CPU", Path(run._getLogsPath("run.stdout")).read_text())

    def test_a_truncated_stack_is_one_line(self):
        source = import_toys(self.project)
        run = self.new_run(source, nr_classes=2, do_grad=False, nr_iter_em=1, do_ctf_correction=False, particle_diameter=100.0)
        with open(source._getExtraPath("toys.mrcs"), "r+b") as stack:
            stack.truncate(100_000)
        self.project.launchProtocol(run, wait=True)
        run = self.project.getProtocol(run.getObjId())
        self.assertEqual(run.getStatus(), "failed")
        self.assertRegex(run.getErrorMessage(), r"toys\.mrcs is truncated")
        self.assertNotIn("Traceback", Path(run._getLogsPath("run.stderr")).read_text())

    def test_viewer_and_wizard_have_something_to_show(self):
        from pwem.viewers import EmPlotter

        from relion4plugin.viewers import R4pClassify2DViewer
        from relion4plugin.wizards import preview_items

        source = import_toys(self.project)
        items = preview_items(source.outputParticles, Path(self.project.getTmpPath()))
        self.assertEqual(items[0].getObjLabel(), "average of 60 particles")
        self.assertEqual(items[0].getDim()[:2], (32, 32))
        self.assertGreater(len(items), 10)
        run = self.launch(self.new_run(source, nr_classes=2, do_grad=False, nr_iter_em=2, do_ctf_correction=False, particle_diameter=100.0))
        EmPlotter.setBackend("Agg")
        viewer = R4pClassify2DViewer(project=self.project, protocol=run)
        viewer.setProtocol(run)
        views = viewer._getVisualizeDict()
        (gallery,) = views["displayGallery"]("displayGallery")
        texts = [text.get_text() for text in gallery.figure.axes[0].texts]
        sizes = sorted((item.getSize() for item in run.outputClasses.iterItems()), reverse=True)
        self.assertEqual([int(text.split("\n")[1].split(" ")[0]) for text in texts], sizes)
        (curves,) = views["displayCurves"]("displayCurves")
        self.assertEqual(len(curves.figure.axes[1].get_lines()[0].get_xdata()), 2)
        self.assertTrue(gallery.refresh())  # nothing newer: not drawn again
        viewer.selectedClasses.set("2")
        (one,) = views["displayGallery"]("displayGallery")
        self.assertEqual(len(one.figure.axes[0].texts), 1)


class TestRealParticles(ProjectCase):
    def test_beta_galactosidase(self):
        star = shared_particles() / "bgal_empiar10204" / "particles.star"
        source = import_star(self.project, star)
        run = self.launch(self.new_run(source, nr_classes=10, nr_iter_grad=20, numberOfThreads=2))
        self.check_against_files(run, 20)
        self.assertEqual(run.summary()[0], "Mini-batch 20 of 20 done")
        self.assertEqual(sum(item.getSize() for item in run.outputClasses.iterItems()), 2374)
