"""Sessions imported in a real Scipion project while they arrive: every movie once, with the values of its files; kill and resume."""

import importlib.util
import json
import os
import shutil
import signal
import time
import unittest
from pathlib import Path

HAS_SCIPION = importlib.util.find_spec("pwem") is not None
if HAS_SCIPION:
    from pyworkflow.protocol import getProtocolFromDb
    from pyworkflow.protocol.constants import MODE_RESUME

    from .microscope import FRAMES, GROUPS, PIXEL, SIZE, Microscope, data_folder, movies_in, prepared_session
    from .workplace import new_project

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "acquisition"
PATIENCE = 60.0  # seconds
FORM = {"workflow": "streaming_log", "particleDiameter": 120.0}


def wait_until(happened):
    """Wait for something; its value."""
    end = time.monotonic() + PATIENCE
    while not (found := happened()):
        if time.monotonic() > end:
            raise AssertionError("it did not happen in time")
        time.sleep(0.1)
    return found


class Sessions(unittest.TestCase):
    """A project, and runs of the protocol in it."""

    def setUp(self):
        self.addCleanup(os.chdir, os.getcwd())
        self.project = new_project(f"R4p{type(self).__name__}")

    def new_run(self, session, **form):
        import pyworkflow

        protocol = pyworkflow.Config.getDomain().getProtocols()["ProtR4pAcquisition"]
        quick = {"idleMinutes": 0.0, "settleSeconds": 0.3, "patienceMinutes": 0.05}
        return self.project.newProtocol(protocol, sessionFolder=str(session), **{**quick, **form})

    def launch(self, run, force=False):
        self.assertEqual(run.validate(), [])
        self.project.launchProtocol(run, wait=True, force=force)
        return self.project.getProtocol(run.getObjId())

    def live(self, run):
        """Return the run as its own process sees it."""
        return next(one for one in self.project.getRuns(refresh=True, checkPids=False) if one.getObjId() == run.getObjId())

    def assert_finished(self, run):
        if run.getStatus() != "finished":
            self.fail(f"{run.getStatus()}: {run.getErrorMessage()}\n{Path(run._getLogsPath('run.stderr')).read_text()[-3000:]}")

    def movies(self, run):
        """Return the set as its file has it, and clones of its items."""
        from pwem.objects import SetOfMovies

        movies = SetOfMovies(filename=run.outputMovies.getFileName())
        movies.loadAllProperties()
        items = [item.clone() for item in movies.iterItems()]
        return movies, items

    def growing_run(self, microscope, **form):
        run = self.new_run(microscope.target, idleMinutes=0.06, patienceMinutes=1.0, **form)
        self.assertEqual(run.validate(), [])
        self.project.launchProtocol(run, wait=False)
        return run

    def microscope(self):
        """Begin a session that stops in its middle."""
        folder = Path("microscope").absolute()
        folder.mkdir()
        microscope = Microscope(prepared_session(), folder).start()
        self.addCleanup(microscope.end)
        return microscope

    def wait_end(self, run):
        wait_until(lambda: self.live(run).getStatus() in ("finished", "failed", "aborted"))
        return self.live(run)

    def assert_whole_session(self, run, session):
        """Every movie is there once, complete, in the group of its position, with numbers without a gap."""
        movies, items = self.movies(run)
        names = [Path(item.getFileName()).name for item in items]
        self.assertEqual(sorted(names), [path.name for path in movies_in(session)])
        self.assertEqual([item.getObjId() for item in items], list(range(1, len(names) + 1)))
        for item in items:
            self.assertEqual(Path(item.getFileName()).read_bytes(), (data_folder(session) / Path(item.getFileName()).name).read_bytes())
        self.assertFalse(movies.isStreamOpen())


@unittest.skipUnless(HAS_SCIPION, "pwem (scipion-em) is not installed")
class TestArrivingSession(Sessions):
    def test_movies_come_once_while_they_arrive_with_all_values(self):
        microscope = self.microscope()
        run = self.growing_run(microscope)
        wait_until(lambda: self.live(run).hasAttribute("outputMovies"))
        self.assertTrue(self.live(run).outputMovies.isStreamOpen())
        microscope.gate.set()
        run = self.wait_end(run)
        self.assert_finished(run)
        self.assert_whole_session(run, prepared_session())
        movies, items = self.movies(run)
        acquisition = movies.getAcquisition()
        self.assertEqual(
            (acquisition.getVoltage(), acquisition.getSphericalAberration(), acquisition.getAmplitudeContrast()), (300, 2.7, 0.1)
        )
        self.assertAlmostEqual(acquisition.getDosePerFrame(), 4.0, 3)
        self.assertEqual((acquisition.getDoseInitial(), acquisition.getMagnification()), (0.0, 105000))
        self.assertAlmostEqual(movies.getSamplingRate(), PIXEL, 4)
        self.assertEqual((movies.getDim(), list(movies.getFramesRange())), ((SIZE, SIZE, FRAMES), [1, FRAMES, 1]))
        self.assertTrue(all(item.getAcquisition().getVoltage() == 300 for item in items))
        source = next(data_folder(prepared_session()).glob("*_gain.tiff"))
        self.assertEqual(Path(movies.getGain()).read_bytes(), source.read_bytes())
        summary = "\n".join(run.summary())
        self.assertIn("12 movies", summary)
        self.assertIn("voltage: 300 kV (image XML)", summary)
        self.assertIn("spherical aberration: 2.7 mm (default)", summary)

    def test_a_killed_run_goes_on_without_double_or_lost_movies(self):
        self.check_kill(self.noticed)

    def test_a_killed_run_whose_output_the_host_did_not_note(self):
        self.check_kill(self.unnoticed)

    def noticed(self, run):
        run = next(one for one in self.project.getRuns(refresh=True, checkPids=True) if one.getObjId() == run.getObjId())
        self.assertEqual(run.getStatus(), "failed")
        self.assertTrue(run.hasAttribute("outputMovies"))
        return run

    def unnoticed(self, run):
        run = self.project.getProtocol(run.getObjId())
        self.assertFalse(run.hasAttribute("outputMovies"))
        run.setStatus("failed")
        return run

    def check_kill(self, found):
        microscope = self.microscope()
        run = self.growing_run(microscope)
        file = run._getPath("movies.sqlite")
        wait_until(lambda: Path(file).is_file() and self.groups(file))
        os.kill(getProtocolFromDb(self.project.path, run.getDbPath(), run.getObjId()).getPid(), signal.SIGKILL)
        time.sleep(0.3)
        before = self.groups(file)
        run = found(run)
        microscope.gate.set()
        run.runMode.set(MODE_RESUME)
        run = self.launch(run)
        self.assert_finished(run)
        self.assert_whole_session(run, prepared_session())
        after = self.groups(file)
        self.assertEqual({number: after[number] for number in before}, before)

    def groups(self, file):
        """Return file and optics group of each movie of a set by its id."""
        import sqlite3

        from relion4plugin.errors import UserError
        from relion4plugin.scipion.sets import read_columns

        try:
            columns = read_columns(file, ("_filename", "_rlnOpticsGroup"))
        except (UserError, sqlite3.Error):  # being made
            return {}
        return dict(zip(columns.ids, zip(columns.get("_filename"), columns.get("_rlnOpticsGroup"), strict=True), strict=True))

    def test_a_stop_file_ends_the_run_and_continue_takes_the_rest(self):
        microscope = self.microscope()
        run = self.growing_run(microscope)
        wait_until(lambda: self.live(run).hasAttribute("outputMovies"))
        Path(run._getExtraPath("STOP_STREAMING.TXT")).touch()
        run = self.wait_end(run)
        self.assert_finished(run)
        self.assertLess(run.outputMovies.getSize(), 12)
        microscope.gate.set()
        run.runMode.set(MODE_RESUME)
        run = self.launch(run)
        self.assert_finished(run)
        self.assert_whole_session(run, prepared_session())


@unittest.skipUnless(HAS_SCIPION, "pwem (scipion-em) is not installed")
class TestFinishedSession(Sessions):
    def session(self):
        """A copy of the prepared session that a test may spoil."""
        folder = Path("session").absolute()
        shutil.copytree(prepared_session(), folder)
        return folder

    def test_values_of_the_form_win_and_are_told(self):
        session = self.session()
        gain = Path("mine.tiff").absolute()
        shutil.copy(next(data_folder(session).glob("*_gain.tiff")), gain)
        run = self.launch(
            self.new_run(
                session,
                samplingRate=2.5,
                dosePerFrame=0.5,
                voltage=200.0,
                sphericalAberration=1.4,
                gainFile=str(gain),
                moreValues="amplitude_contrast=0.07",
                copyFiles=True,
                acceptErrors="v03",
            )
        )
        self.assert_finished(run)
        movies, items = self.movies(run)
        acquisition = movies.getAcquisition()
        self.assertEqual((movies.getSamplingRate(), acquisition.getVoltage(), acquisition.getSphericalAberration()), (2.5, 200.0, 1.4))
        self.assertEqual((acquisition.getDosePerFrame(), acquisition.getAmplitudeContrast()), (0.5, 0.07))
        self.assertEqual(Path(movies.getGain()).name, "mine.tiff")
        self.assertFalse(any(Path(item.getFileName()).is_symlink() for item in items))
        summary = "\n".join(run.summary())
        self.assertIn("pixel of the movie: 2.5 A (user)", summary)
        self.assertRegex(summary, r"\*Conflict\* voltage_kV: 200 kV \(user\) is used, but there is also 300 kV \(image XML\)")

    def test_groups_are_those_of_the_beam_shift(self):
        import pandas as pd

        from relion4plugin.files.star import read_star
        from relion4plugin.scipion.optics import optics_groups, optics_values

        run = self.launch(self.new_run(prepared_session()))
        self.assert_finished(run)
        movies, items = self.movies(run)
        truth = read_star(prepared_session() / "movies.star")["movies"]
        true = {Path(name).name: group for name, group in zip(truth["rlnMicrographMovieName"], truth["rlnOpticsGroup"], strict=True)}
        pairs = {(true[Path(item.getFileName()).name], item._rlnOpticsGroup.get()) for item in items}
        self.assertEqual((len(pairs), len({mine for _, mine in pairs})), (GROUPS, GROUPS))
        table = optics_groups(optics_values(movies), [item._rlnOpticsGroup.get() for item in items])
        self.assertIsInstance(table, pd.DataFrame)
        self.assertEqual(list(table["rlnOpticsGroupName"]), ["opticsGroup1", "opticsGroup2", "opticsGroup3"])
        self.assertEqual(set(table["rlnVoltage"].astype(float)), {300.0})
        self.check_refusal_of_other_values(run)

    def test_damaged_and_strange_movies_are_left_out_with_reasons(self):
        from relion4plugin.files.movie_write import write_movie
        from relion4plugin.files.star import read_star

        session = self.session()
        cut, strange, other = movies_in(session)[3:6]
        cut.write_bytes(cut.read_bytes()[:-500])
        import numpy as np

        write_movie(strange, [np.ones((64, 64), np.uint8)] * FRAMES, PIXEL)
        xml = other.with_name(other.name.replace("_fractions.tiff", ".xml"))
        xml.write_text(xml.read_text().replace(">105000<", ">81000<"))
        run = self.launch(self.new_run(session))
        self.assert_finished(run)
        self.assertEqual(run.outputMovies.getSize(), 9)
        table = read_star(Path(run._getExtraPath("set_aside.star")))["set_aside"]
        reasons = {Path(name).name: reason for name, reason in table.to_numpy().tolist()}
        self.assertEqual(set(reasons), {cut.name, strange.name, other.name})
        self.assertIn("64 x 64 px", reasons[strange.name])
        self.assertIn("magnification is 81000", reasons[other.name])
        self.assertIn("3 movies cannot be used", "\n".join(run.summary()))

    def check_refusal_of_other_values(self, run):
        run.samplingRate.set(1.0)
        run.runMode.set(MODE_RESUME)
        self.project.launchProtocol(run, wait=True)
        run = self.project.getProtocol(run.getObjId())
        self.assertEqual(run.getStatus(), "failed")
        self.assertIn("use Restart", run.getErrorMessage())

    def test_mistakes_of_the_form(self):
        for form, words in (
            ({"preset": "nonsense"}, "no preset nonsense"),
            ({"moviesFolder": "/nowhere"}, "no folder /nowhere"),
            ({"moreValues": "pixelsize=3"}, "no setting 'pixelsize'"),
            ({"moreValues": "session='a"}, "quotation"),
            ({"workflow": "streaming_log"}, "particle diameter"),
            ({"workflow": "nonsense"}, "no workflow"),
        ):
            errors = self.new_run(prepared_session(), **form).validate()
            self.assertEqual(len(errors), 1, form)
            self.assertIn(words, errors[0])
        self.assertIn("no folder", self.new_run("/nowhere").validate()[0])
        self.assertIn("choose the folder", self.new_run("").validate()[0].lower())

    def test_a_session_without_a_movie_fails_with_one_line(self):
        Path("empty").mkdir()
        run = self.new_run("empty")
        self.project.launchProtocol(run, wait=True)
        run = self.project.getProtocol(run.getObjId())
        self.assertEqual(run.getStatus(), "failed")
        self.assertRegex(run.getErrorMessage(), "nothing was imported from .*/empty: no movie came")


@unittest.skipUnless(HAS_SCIPION, "pwem (scipion-em) is not installed")
class TestWorkflow(Sessions):
    def test_it_is_written_with_this_run_in_the_place_of_the_import(self):
        run = self.launch(self.new_run(prepared_session(), **FORM))
        self.assert_finished(run)
        protocols = json.loads(Path(run._getExtraPath("workflow.json")).read_text())
        classes = {item["object.className"]: item for item in protocols}
        self.assertNotIn("ProtImportMovies", classes)
        motion = classes["ProtR4pMotionCorrection"]
        self.assertEqual(motion["inputMovies"], f"{run.getObjId()}.outputMovies")
        self.assertEqual(classes["ProtR4pCtfEstimation"]["inputMicrographs"], f"{motion['object.id']}.outputMicrographs")
        self.assertEqual(classes["ProtR4pPickLog"]["log_diam_max"], 120.0)
        self.assertIn("relion4plugin.scipion.start_workflow", "\n".join(run.summary()))
        self.assertEqual(len(self.project.getRuns()), 1)

    def test_it_is_scheduled_in_the_project_once(self):
        run = self.launch(self.new_run(prepared_session(), startWorkflow=True, **FORM))
        self.addCleanup(self.stop_schedulers)
        self.assert_finished(run)
        runs = {one.getClassName(): one for one in self.project.getRuns(refresh=True)}
        self.assertEqual(len(runs), 9, run.summary())
        motion = runs["ProtR4pMotionCorrection"]
        self.assertEqual(motion.inputMovies.getObjValue().getObjId(), run.getObjId())
        self.assertEqual(motion.inputMovies.getExtended(), "outputMovies")
        self.assertIn(motion.getStatus(), ("scheduled", "launched", "running", "finished"))
        self.assertIn(f"scheduled as runs {motion.getObjId()}, ", "\n".join(run.summary()))
        run.runMode.set(MODE_RESUME)
        self.assert_finished(self.launch(run, force=True))  # as Scipion's scheduler does: its first run may be at work by now
        self.assertEqual(len(self.project.getRuns(refresh=True)), 9)

    def stop_schedulers(self):
        """Stop all runs; one may have gone from scheduled to running between."""

        def none_active():
            active = [one for one in self.project.getRuns(refresh=True) if one.isActive()]
            for one in active:
                self.project.stopProtocol(one)
            return not active

        wait_until(none_active)


@unittest.skipUnless(HAS_SCIPION, "pwem (scipion-em) is not installed")
class TestRealMetadata(Sessions):
    def faked(self, name, ending, size, frames):
        """Return a copy of a real session in which every movie is there, small."""
        import numpy as np

        from relion4plugin.files.movie_write import write_movie

        if not SHARED.is_dir():
            self.skipTest(f"no real data at {SHARED}")
        session = Path(name).absolute()
        shutil.copytree(SHARED / name, session)
        first = Path("first" + Path(ending).suffix)
        write_movie(first, [np.ones(size, np.uint8)] * frames, 1.0)
        for xml in sorted(session.glob("Images-Disc1/*/Data/FoilHole_*.xml")):
            if not xml.stem.lower().endswith("_fractions"):
                shutil.copy(first, xml.with_name(xml.stem + ending))
        return session

    def test_a_session_with_afis_has_27_groups_of_3(self):
        session = self.faked("epu_falcon3_afis", "_Fractions.mrc", (16, 16), 4)
        run = self.launch(self.new_run(session, acceptErrors="V06 V07 V08"))
        self.assert_finished(run)
        movies, items = self.movies(run)
        groups = [item._rlnOpticsGroup.get() for item in items]
        self.assertEqual((len(items), sorted({groups.count(group) for group in groups})), (81, [3]))
        self.assertEqual(sorted(set(groups)), list(range(1, 28)))
        expected = json.loads((SHARED / "expected.json").read_text())
        self.assertIn("epu_falcon3_afis", json.dumps(expected))
        self.assertEqual(movies.getAcquisition().getVoltage(), 300.0)

    def test_an_error_names_its_rule_and_stops_the_import(self):
        session = self.faked("epu_falcon3_afis", "_Fractions.mrc", (16, 16), 4)
        run = self.new_run(session)
        self.project.launchProtocol(run, wait=True)
        run = self.project.getProtocol(run.getObjId())
        self.assertEqual(run.getStatus(), "failed")
        self.assertRegex(run.getErrorMessage(), r"\(V0[678]\); give the right values in the form, or accept the error")
        self.assertNotIn("Traceback", Path(run._getLogsPath("run.stderr")).read_text())


if __name__ == "__main__":
    unittest.main()
