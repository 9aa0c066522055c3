"""Single protocols of the pre-processing: what they hand on, repeat, refuse and set aside. Their steps run in this process."""

import importlib.util
import os
import unittest
from pathlib import Path

import numpy as np

HAS_SCIPION = importlib.util.find_spec("pwem") is not None
if HAS_SCIPION:
    from .movie_session import DIAMETER, PIXEL, Session, items_of

SIZES = {"log_diam_min": 0.9 * 120.0, "log_diam_max": 1.1 * 120.0}


@unittest.skipUnless(HAS_SCIPION, "pwem (scipion-em) is not installed")
class TestRuns(unittest.TestCase):
    def setUp(self):
        self.addCleanup(os.chdir, os.getcwd())
        self.session = Session("R4pStreamingRuns")

    def run_here(self, run):
        """Prepare a run and do its step."""
        self.session.project.saveProtocol(run)
        run.makePathsAndClean()
        run.streamStep("")
        run.status.set("finished")
        self.session.project._storeProtocol(run)
        return run

    def motion(self, n=2, **form):
        self.session.add(*self.session.movies[:n], closed=True)
        return self.run_here(self.session.corrected(**form))

    def after(self, name, key, producer, output, **form):
        run = self.session.new(name, **form)
        getattr(run, key).set(producer)
        getattr(run, key).setExtended(output)
        return run

    def test_motion_correction_hands_on_names_files_and_optics_groups(self):
        from pyworkflow.object import Integer

        from relion4plugin.files.mrc import read_mrc
        from relion4plugin.files.star import read_star

        add = self.session.set.append
        self.session.set.append = lambda movie: (setattr(movie, "_rlnOpticsGroup", Integer(2)), add(movie))
        run = self.motion(do_save_noDW=True, do_float16=False, bin_factor=2.0)
        micrographs, plain = items_of(run.outputMicrographs), items_of(run.outputMicrographsNoDW)
        self.assertEqual([one.getMicName() for one in micrographs], ["movie_00001", "movie_00002"])
        self.assertEqual(run.outputMicrographs.getSamplingRate(), 2 * PIXEL)
        self.assertEqual(run.outputMicrographs.getAcquisition().getDosePerFrame(), 4.0)
        table = read_star(run.runFolder() / "corrected_micrographs.star")["micrographs"]
        motions = dict(zip(table["rlnMicrographName"], table["rlnAccumMotionTotal"], strict=True))
        for weighted, other in zip(micrographs, plain, strict=True):
            images = [read_mrc(one.getFileName())[0][0] for one in (weighted, other)]
            self.assertEqual(images[0].shape, (128, 128))
            self.assertFalse(np.allclose(*images))
            self.assertEqual(Path(weighted.getFileName()).parent, run.runFolder())
            self.assertEqual((weighted.getObjId(), weighted._rlnOpticsGroup.get()), (other.getObjId(), 2))
            self.assertEqual(weighted._rlnAccumMotionTotal.get(), motions[weighted.getFileName()])
        ctf = self.run_here(self.after("ProtR4pCtfEstimation", "inputMicrographs", run, "outputMicrographs", box=128, resmax=13.0))
        star = (ctf.runFolder() / "micrographs.star").read_text()
        for found in ("movie_00002_PS.mrc", "movie_00002_noDW.mrc", "opticsGroup2"):
            self.assertIn(found, star)

    def test_only_what_is_new_is_done_again(self):
        run = self.motion()
        before = {one.getObjId(): Path(one.getFileName()).stat().st_mtime_ns for one in items_of(run.outputMicrographs)}
        self.session.add(self.session.movies[2], closed=True)
        run.streamStep("again")
        after = {one.getObjId(): Path(one.getFileName()).stat().st_mtime_ns for one in items_of(run.outputMicrographs)}
        self.assertEqual(sorted(after), [1, 2, 3])
        self.assertEqual({number: after[number] for number in before}, before)
        self.assertEqual(run.summary(), ["3 movies"])

    def test_optics_groups_that_join_later_reach_the_micrographs(self):
        from relion4plugin.scipion.growing import reopened

        row = "opticsGroup{0} {0} 300.0 2.7 0.1 " + f"{PIXEL}\n"
        labels = ("OpticsGroupName", "OpticsGroup", "Voltage", "SphericalAberration", "AmplitudeContrast", "MicrographOriginalPixelSize")
        text = "data_optics\n\nloop_\n" + "".join(f"_rln{label}\n" for label in labels) + row.format(1) + row.format(2)
        run = self.motion()
        self.session.add(self.session.movies[2], closed=True)
        movies = reopened(self.session.set)
        movies.getAcquisition().opticsGroupInfo.set(text)
        movies.write()
        movies.close()
        run.streamStep("again")
        self.assertEqual(reopened(run.outputMicrographs).getAcquisition().opticsGroupInfo.get(), text)

    def test_what_a_killed_run_computed_is_registered_and_not_computed_again(self):
        run = self.motion()
        times = {path.name: path.stat().st_mtime_ns for path in run.runFolder().glob("*.mrc")}
        delattr(run, "outputMicrographs")
        run.streamStep("again")
        self.assertEqual(len(items_of(run.outputMicrographs)), 2)
        self.assertEqual({path.name: path.stat().st_mtime_ns for path in run.runFolder().glob("*.mrc")}, times)

    def test_other_parameters_are_not_mixed_with_results_that_are_there(self):
        from pyworkflow.exceptions import PyworkflowException

        run = self.motion()
        with self.assertRaisesRegex(PyworkflowException, "parameters differ .* use Restart"):
            run.bfactor.set(300.0)
            run.streamStep("again")
        delattr(run, "outputMicrographs")
        run.streamStep("again")
        self.assertEqual(len(items_of(run.outputMicrographs)), 2)

    def test_if_nothing_can_be_used_the_run_says_why_and_ends(self):
        Path("bad.tiff").write_bytes(self.session.movies[0].read_bytes()[:20000])
        self.session.add(Path("bad.tiff").resolve(), closed=True)
        run = self.run_here(self.session.corrected())
        self.assertFalse(run.hasAttribute("outputMicrographs"))
        self.assertIn("1 movies set aside", run.summary()[1])
        self.assertIn("bad.tiff", (run.runFolder() / "set_aside.star").read_text())

    def test_a_full_disk_is_not_the_fault_of_the_movies(self):
        from unittest import mock

        from pyworkflow.exceptions import PyworkflowException

        from relion4plugin.errors import UserError

        with (
            mock.patch("relion4plugin.jobs.motioncorr.write_images", side_effect=UserError("no space left")),
            self.assertRaisesRegex(PyworkflowException, "no space left"),
        ):
            self.motion()

    def test_scores_ctfs_and_thresholds_of_an_extraction(self):
        motion = self.motion(n=3)
        picks = self.run_here(self.after("ProtR4pPickLog", "inputMicrographs", motion, "outputMicrographs", **SIZES))
        positions = items_of(picks.outputCoordinates)
        self.assertEqual((picks.outputCoordinates.getBoxSize(), len(picks.outputCoordinates)), (66, len(positions)))
        least = float(np.median([one._rlnAutopickFigureOfMerit.get() for one in positions]))
        form = {"extract_size": 64, "do_fom_threshold": True, "minimum_pick_fom": least}
        extract = self.after("ProtR4pExtractParticles", "inputCoordinates", picks, "outputCoordinates", **form)
        self.assertEqual(extract._validate(), [])
        self.assertEqual(len(extract._warnings()), 1)  # no CTF
        self.run_here(extract)
        kept = {one.getObjId() for one in positions if one._rlnAutopickFigureOfMerit.get() >= least}
        self.assertEqual({one.getObjId() for one in items_of(extract.outputParticles)}, kept)
        self.assertFalse(extract.outputParticles.hasCTF())
        self.assertTrue(0 < len(kept) < len(positions))

    def test_a_micrograph_without_ctf_is_told_of(self):
        motion = self.motion()
        picks = self.run_here(self.after("ProtR4pPickLog", "inputMicrographs", motion, "outputMicrographs", **SIZES))
        second = items_of(motion.outputMicrographs)[1]
        Path(second._rlnCtfPowerSpectrum.get()).write_bytes(b"nothing")
        ctf = self.run_here(self.after("ProtR4pCtfEstimation", "inputMicrographs", motion, "outputMicrographs", box=128, resmax=8.0))
        self.assertEqual([one.getObjId() for one in items_of(ctf.outputCTF)], [1])
        extract = self.after("ProtR4pExtractParticles", "inputCoordinates", picks, "outputCoordinates", extract_size=64)
        extract.ctfRelations.set(ctf)
        extract.ctfRelations.setExtended("outputCTF")
        self.run_here(extract)
        self.assertEqual({one.getMicId() for one in items_of(extract.outputParticles)}, {1})
        self.assertIn("1 micrographs with coordinates have no CTF", extract.summary())

    def test_topaz(self):
        from tests.preprocessing.picking.imitated_topaz import imitated_topaz

        motion = self.motion()
        form = {"fn_topaz_exec": imitated_topaz(Path.cwd())[0], "topaz_particle_diameter": DIAMETER}
        picks = self.run_here(self.after("ProtR4pPickTopaz", "inputMicrographs", motion, "outputMicrographs", **form))
        found = items_of(picks.outputCoordinates)
        self.assertEqual([(one.getMicId(), one._rlnAutopickFigureOfMerit.get()) for one in found], [(1, 2.5), (2, 2.5)])

    def test_a_stream_of_particles_that_is_over_is_not_visited_again(self):
        motion = self.motion(n=2)
        picks = self.run_here(self.after("ProtR4pPickLog", "inputMicrographs", motion, "outputMicrographs", **SIZES))
        extract = self.run_here(self.after("ProtR4pExtractParticles", "inputCoordinates", picks, "outputCoordinates", extract_size=64))
        form = {"nr_classes": 2, "nr_iter_grad": 10, "particle_diameter": 140.0, "stream_first": 1000, "do_ctf_correction": False}
        run = self.after("ProtR4pStreamClassify2D", "inputParticles", extract, "outputParticles", **form)
        self.assertRegex(
            self.after("ProtR4pStreamClassify2D", "inputParticles", extract, "outputParticles", stream_first=3)._validate()[0],
            "cannot begin",
        )
        self.assertEqual(run._validate(), [])
        self.run_here(run)
        written = sorted(path.name for path in run.runFolder().glob("run_it*"))
        run.streamStep("again")
        self.assertEqual(sorted(path.name for path in run.runFolder().glob("run_it*")), written)
        self.assertEqual(sum(one.getSize() for one in run.outputClasses.iterItems()), extract.outputParticles.getSize())
        from relion4plugin.scipion.rank_inputs import optimiser_of

        self.assertEqual(optimiser_of(run.outputClasses).parent, run.runFolder())
