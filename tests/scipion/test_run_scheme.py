"""Schemes in a real Scipion project: outputs while they run, end, failure, stop and resume."""

import importlib.util
import os
import time
import unittest
from pathlib import Path

HAS_SCIPION = importlib.util.find_spec("pwem") is not None
if HAS_SCIPION:
    from pyworkflow.protocol.constants import MODE_RESUME

    from .tiny_schemes import PASSES, write_data, write_tiny_scheme
    from .workplace import new_project

PATIENCE = 40.0  # seconds


def wait_until(happened):
    """Wait for something; its value."""
    end = time.monotonic() + PATIENCE
    while not (found := happened()):
        if time.monotonic() > end:
            raise AssertionError("it did not happen in time")
        time.sleep(0.1)
    return found


@unittest.skipUnless(HAS_SCIPION, "pwem (scipion-em) is not installed")
class TestRunScheme(unittest.TestCase):
    def setUp(self):
        self.addCleanup(os.chdir, os.getcwd())
        self.project = new_project("R4pRunScheme")
        write_data(Path("data"))

    def new_run(self, **form):
        import pyworkflow

        protocol = pyworkflow.Config.getDomain().getProtocols()["ProtR4pRunScheme"]
        return self.project.newProtocol(protocol, **form)

    def tiny(self, **scheme):
        folder = write_tiny_scheme(Path("tiny"), **scheme)
        return self.new_run(fromFolder=True, schemeFolder=str(folder), dataFolder="data")

    def launch(self, run):
        self.assertEqual(run.validate(), [])
        self.project.launchProtocol(run, wait=True)
        return self.again(run)

    def again(self, run):
        return self.project.getProtocol(run.getObjId())

    def live(self, run):
        """Return the run as its own process sees it."""
        return next(one for one in self.project.getRuns(refresh=True, checkPids=False) if one.getObjId() == run.getObjId())

    def assert_finished(self, run):
        if run.getStatus() != "finished":
            self.fail(f"{run.getStatus()}: {run.getErrorMessage()}\n{Path(run._getLogsPath('run.stderr')).read_text()[-3000:]}")

    def jobs(self, run):
        from relion4plugin.schemes.project import Project
        from relion4plugin.schemes.status import project_status

        return {job.name: job.status for job in project_status(Project(run.projectFolder())).jobs}

    def test_a_scheme_of_ones_own_to_its_end(self):
        run = self.launch(self.tiny())
        self.assert_finished(run)
        classifications = [job for job in self.jobs(run) if job.startswith("Class2D/")]
        self.assertEqual(len(classifications), PASSES)
        self.check_classes(run, classifications[-1])
        self.assertIn("tiny: finished: an exit node was reached", run.summary()[0])
        for _, output in run.iterOutputAttributes():
            self.assertFalse(output.isStreamOpen())

    def check_classes(self, run, job):
        from pwem.objects import SetOfClasses2D, SetOfParticles

        from relion4plugin.files.star import read_star

        particles = SetOfParticles(filename=run.outputParticles.getFileName())
        particles.loadAllProperties()
        self.assertEqual((particles.getSize(), particles.getSamplingRate()), (40, 4.0))
        images = {item.getObjId(): item.getLocation() for item in particles.iterItems()}
        self.assertTrue(all(Path(stack).is_file() for _, stack in images.values()))
        data = read_star(run.projectFolder() / job / "run_it001_data.star")["particles"]
        numbers = {int(name.split("@")[0]): number for name, number in zip(data["rlnImageName"], data["rlnClassNumber"], strict=True)}
        seen = {}
        for one in SetOfClasses2D(filename=run.outputClasses.getFileName()).iterItems():
            self.assertTrue(Path(one.getRepresentative().getFileName()).samefile(run.projectFolder() / job / "run_it001_classes.mrcs"))
            seen |= {images[item.getObjId()][0]: one.getObjId() for item in one.iterItems()}
        self.assertEqual(seen, numbers)
        self.assertEqual(run.outputClasses.getImages().getObjId(), run.outputParticles.getObjId())
        self.assertEqual(run.outputAverages.getSize(), len(set(numbers.values())))

    def test_a_failed_job_is_named_with_its_last_words_and_continue_repeats_it(self):
        run, images = self.tiny(), Path("data/Toys/toys.mrcs")
        images.rename("toys.mrcs")
        run = self.launch(run)
        self.assertEqual(run.getStatus(), "failed")
        self.assertRegex(run.getErrorMessage(), r"Scheme tiny failed: job Class2D/job002/ of class2d failed: .*toys\.mrcs")
        log = Path(run._getLogsPath("run.stdout")).read_text() + Path(run._getLogsPath("run.stderr")).read_text()
        self.assertIn("Class2D/job002/run.err", log)
        self.assertNotIn("Traceback", log)
        Path("toys.mrcs").rename(images)
        run.runMode.set(MODE_RESUME)
        run = self.launch(run)
        self.assert_finished(run)
        self.check_classes(run, [job for job in self.jobs(run) if job.startswith("Class2D/")][-1])

    def test_stop_aborts_the_scheme_and_continue_goes_on(self):
        from relion4plugin.schemes.locks import running_owner
        from relion4plugin.schemes.project import Project

        run = self.tiny(wait=30.0)
        self.project.launchProtocol(run, wait=False)
        # The operator waits before the second pass; the first one is shown by then.
        project = Project(run.projectFolder())
        wait_until(lambda: hasattr(self.live(run), "outputAverages"))
        live = self.live(run)
        self.assertTrue(live.outputClasses.isStreamOpen() and live.outputParticles.isStreamOpen())
        self.project.stopProtocol(live)
        wait_until(lambda: not running_owner(project, "tiny")[0])
        stopped = self.again(run)
        self.assertEqual(stopped.getStatus(), "aborted")
        self.assertTrue((project.scheme_directory("tiny") / "RELION_JOB_EXIT_ABORTED").exists())
        before = self.jobs(run)
        from relion4plugin.schemes.control import Change, request_change

        self.assertTrue(request_change(project, "tiny", Change("variable", "wait_sec", "0")))
        stopped.runMode.set(MODE_RESUME)
        finished = self.launch(stopped)
        self.assert_finished(finished)
        after = self.jobs(run)
        self.assertEqual({name: after[name] for name in before}, before)
        self.assertEqual(len([job for job in after if job.startswith("Class2D/")]), PASSES)
        self.check_classes(finished, "Class2D/job003")

    def test_stop_in_the_middle_of_a_job(self):
        run = self.tiny(iterations=200)
        self.project.launchProtocol(run, wait=False)
        folder = run.projectFolder() / "Class2D" / "job002"
        wait_until(lambda: (folder / "run_it001_optimiser.star").exists())
        self.project.stopProtocol(self.live(run))
        wait_until(lambda: (folder / "RELION_JOB_EXIT_ABORTED").exists())
        wait_until(lambda: self.jobs(run)["Class2D/job002/"] == "Aborted")
        wait_until((run.projectFolder() / "Schemes" / "tiny" / "host_end.json").exists)  # nothing writes there any more

    def test_a_runner_that_was_killed(self):
        import signal

        from relion4plugin.errors import UserError
        from relion4plugin.schemes.locks import running_owner
        from relion4plugin.schemes.project import Project
        from relion4plugin.scipion.scheme_runner import start_scheme
        from relion4plugin.scipion.scheme_setup import OwnScheme, prepare_own

        root = Path("alone")
        self.assertEqual(prepare_own(root, OwnScheme(write_tiny_scheme(Path("tiny"), wait=60.0), Path("data"))), ["tiny"])
        project = Project(root)
        runner = start_scheme(project, "tiny", "native")
        self.assertIsNone(runner.end())
        wait_until(lambda: running_owner(project, "tiny")[0])
        with self.assertRaisesRegex(UserError, "scheme tiny is run by process"):
            start_scheme(project, "tiny", "native", patience=0.0)
        os.kill(runner.owner.pid, signal.SIGKILL)
        end = wait_until(runner.end)
        self.assertEqual(end.outcome, "killed")
        self.assertIn("run.err", end.reason)

    def test_the_longest_time(self):
        run = self.tiny(wait=60.0)
        run.maxHours.set(0.001)
        run = self.launch(run)
        self.assert_finished(run)
        self.assertIn("tiny: aborted", run.summary()[0])

    def test_the_shipped_schemes_are_filled_with_the_form_and_updated(self):
        from relion4plugin.files.star import read_star
        from relion4plugin.schemes.project import Project

        form = {"fn_in_raw": "data/*.tiff", "angpix": 0.885, "dose_per_frame": 1.28, "particle_diameter": 180.0, "picker": 1}
        run = self.new_run(settings="proc__class2d__nr_iter_grad=77", **form)
        self.project.saveProtocol(run)
        run.makePathsAndClean()
        run.prepareStep("")
        project = Project(run.projectFolder())
        self.assertEqual(project.scheme_names(), ["prep", "proc"])
        self.assertTrue((project.root / "Movies").samefile("data"))

        def option(scheme, job, name):
            table = read_star(project.template(scheme, job))["joboptions_values"].set_index("rlnJobOptionVariable")
            return str(table.loc[name, "rlnJobOptionValue"])

        self.assertEqual(option("prep", "importmovies", "fn_in_raw"), "Movies/*.tiff")
        self.assertEqual(float(option("prep", "importmovies", "angpix")), 0.885)
        self.assertEqual(option("proc", "class2d", "nr_iter_grad"), "77")
        run.angpix.set(0.5)
        run.prepareStep("")
        self.assertEqual(float(option("prep", "importmovies", "angpix")), 0.5)

    def test_mistakes_are_refused_in_the_form(self):
        self.assertEqual(self.new_run(fromFolder=True)._validate(), ["Choose the folder of the scheme."])
        self.assertRegex(self.new_run(fromFolder=True, schemeFolder="data")._validate()[0], r"data holds no scheme\.star")
        self.assertRegex(self.new_run()._validate()[0], r"angpix is not given")
        session = {"angpix": 1.0, "dose_per_frame": 1.0, "particle_diameter": 150.0}
        self.assertRegex(self.new_run(**session)._validate()[0], r"there is no folder .*Movies")
        session["fn_in_raw"] = "data/*.tiff"
        self.assertEqual(self.new_run(**session).validate(), [])
        self.assertRegex(self.new_run(settings="proc__class2d", **session)._validate()[0], r"is no setting")
        own = self.tiny()
        own.settings.set("class2d__nr_clases=3")
        self.assertRegex(own._validate()[0], r"did you mean nr_classes")
