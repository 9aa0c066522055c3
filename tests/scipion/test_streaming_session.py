"""From movies that arrive while it runs to 2D classes: every protocol streams, one is killed and goes on."""

import importlib.util
import os
import signal
import sqlite3
import time
import unittest
from contextlib import closing
from pathlib import Path

HAS_SCIPION = importlib.util.find_spec("pwem") is not None
if HAS_SCIPION:
    from pyworkflow.protocol.constants import MODE_RESUME

    from .movie_session import DIAMETER, PIXEL, Session, items_of

PATIENCE = 150.0  # seconds


def wait_until(happened, what):
    """Wait for something; its value."""
    end = time.monotonic() + PATIENCE
    while not (found := happened()):
        if time.monotonic() > end:
            raise AssertionError(f"{what}: it did not happen in time")
        time.sleep(0.3)
    return found


def kill(run):
    """Kill the process of a run, as a power cut would."""
    import psutil

    folder = f"{Path(run._getPath()).resolve()}/"  # other projects have runs of the same name
    ours = [one for one in psutil.process_iter(["cmdline"]) if folder in " ".join(one.info["cmdline"] or ())]
    if not ours:
        raise AssertionError(f"no process works in {run._getPath()}")
    for one in ours:
        one.send_signal(signal.SIGKILL)


def noted(run, what):
    """Return what a run itself has noted, such as its status or the number of its process (`_pid`)."""
    with closing(sqlite3.connect(run.getDbPath(), timeout=30)) as connection:
        return connection.execute("SELECT value FROM Objects WHERE name = ?", (f"{run.getObjId()}.{what}",)).fetchone()[0]


@unittest.skipUnless(HAS_SCIPION, "pwem (scipion-em) is not installed")
class TestSession(unittest.TestCase):
    def setUp(self):
        self.addCleanup(os.chdir, os.getcwd())
        self.session = Session("R4pStreaming")

    def size(self, run, output):
        run = self.session.live(run)
        if run.getStatus() in ("failed", "aborted"):
            self.fail(f"{run.getErrorMessage()}\n{Path(run._getLogsPath('run.stderr')).read_text()[-3000:]}")
        return getattr(run, output).getSize() if run.hasAttribute(output) else 0

    def start(self, name, output, at_least, **form):
        """Start a run, and wait until its output has some items."""
        run = self.session.launch(self.session.new(name, **form), wait=False)
        wait_until(lambda: self.size(run, output) >= at_least, f"{name}: {at_least} items")
        return run

    def finished(self, *runs):
        for run in runs:  # the host itself takes a run for dead that ends between its two looks, at the status and at the process
            wait_until(lambda run=run: noted(run, "status") in ("finished", "failed"), run.getClassName())
        ended = [self.session.live(run) for run in runs]
        for done in ended:
            self.assertEqual(done.getStatus(), "finished", done.getErrorMessage())
            for _, output in done.iterOutputAttributes():
                self.assertTrue(output.isStreamClosed())
        return ended

    def test_movies_to_classes(self):
        session, movies = self.session, self.session.movies
        session.add(*movies[:2])
        motion = session.launch(session.corrected(), wait=False)
        wait_until(lambda: self.size(motion, "outputMicrographs") == 2, "motion correction")
        ctf = self.start("ProtR4pCtfEstimation", "outputCTF", 2, inputMicrographs=(motion, "outputMicrographs"), box=128, resmax=8.0)
        sizes = {"log_diam_min": 0.9 * DIAMETER, "log_diam_max": 1.1 * DIAMETER}
        picks = self.start("ProtR4pPickLog", "outputCoordinates", 4, inputMicrographs=(motion, "outputMicrographs"), **sizes)
        inputs = {"inputCoordinates": (picks, "outputCoordinates"), "ctfRelations": (ctf, "outputCTF")}
        extract = self.start("ProtR4pExtractParticles", "outputParticles", 4, extract_size=64, do_rescale=True, rescale=32, **inputs)
        form = {"nr_classes": 2, "nr_iter_grad": 20, "particle_diameter": 1.2 * DIAMETER, "stream_first": 4}
        classes = self.start("ProtR4pStreamClassify2D", "outputClasses", 1, inputParticles=(extract, "outputParticles"), **form)
        again, killed = session.live(motion), noted(motion, "_pid")
        kill(motion)
        bad = Path(session.source._getPath("bad.tiff"))
        bad.write_bytes(movies[2].read_bytes()[:5000])
        session.add(movies[2], bad.resolve(), *movies[3:], closed=True)
        again.runMode.set(MODE_RESUME)
        session.launch(again, wait=False)
        wait_until(lambda: noted(again, "_pid") != killed, "start of the new process")  # till then the host would take it for dead
        self.check(*self.finished(again, ctf, picks, extract, classes))

    def check(self, motion, ctf, picks, extract, classes):
        names = {movie.getObjId(): movie.getMicName() for movie in items_of(self.session.source.outputMovies)}
        good = {number: name for number, name in names.items() if name != "bad"}
        micrographs = items_of(motion.outputMicrographs)
        self.assertEqual({one.getObjId(): one.getMicName() for one in micrographs}, good)
        self.assertEqual(len(micrographs), 5)
        self.assertIn("1 movies set aside", "\n".join(motion.summary()))
        self.assertIn("bad.tiff", "\n".join(motion.summary()))
        self.assertEqual([one.getMicrograph().getMicName() for one in items_of(ctf.outputCTF)], list(good.values()))
        positions = {one.getObjId(): one for one in items_of(picks.outputCoordinates)}
        self.assertEqual({one.getMicId() for one in positions.values()}, set(good))
        for output in (picks.outputCoordinates, ctf.outputCTF):
            self.assertEqual(output.getMicrographs().getObjId(), motion.outputMicrographs.getObjId())
        self.check_particles(extract, ctf, positions)
        members = [item.getObjId() for one in classes.outputClasses.iterItems() for item in one.iterItems()]
        self.assertEqual(sorted(members), sorted(positions))
        self.assertEqual(classes.outputAverages.getSize(), classes.outputClasses.getSize())

    def check_particles(self, extract, ctf, positions):
        from relion4plugin.files.mrc import read_header
        from relion4plugin.files.particles import read_particles
        from relion4plugin.progress import Silent
        from relion4plugin.scipion.convert import set_info, write_particles_star

        ctfs = {one.getObjId(): one for one in items_of(ctf.outputCTF)}
        particles = items_of(extract.outputParticles)
        self.assertEqual(sorted(one.getObjId() for one in particles), sorted(positions))
        self.assertEqual(len({(one.getIndex(), one.getFileName()) for one in particles}), len(particles))
        for one in particles:
            picked = positions[one.getObjId()]
            self.assertEqual(one.getCoordinate().getPosition(), picked.getPosition())
            self.assertEqual((one.getMicId(), one.getCoordinate().getMicName()), (picked.getMicId(), picked.getMicName()))
            self.assertEqual(one.getCTF().getDefocusU(), ctfs[picked.getMicId()].getDefocusU())
            self.assertEqual(read_header(Path(one.getFileName())).nx, 32)
        self.assertEqual(extract.outputParticles.getSamplingRate(), 2 * PIXEL)
        write_particles_star(set_info(extract.outputParticles), Path("particles.star"), Silent())
        optics = read_particles("particles.star").optics[0]
        self.assertEqual((optics.pixel_size, optics.image_size, optics.voltage), (2 * PIXEL, 32, 300.0))
