"""The workflow templates in Scipion's own mechanism."""

import contextlib
import importlib.util
import io
import json
import os
import unittest
from pathlib import Path

HAS_SCIPION = importlib.util.find_spec("pwem") is not None
if HAS_SCIPION:
    from .ranked_project import TOTAL, import_particles
    from .workplace import new_project


@unittest.skipUnless(HAS_SCIPION, "pwem (scipion-em) is not installed")
class TestTemplates(unittest.TestCase):
    def setUp(self):
        self.addCleanup(os.chdir, os.getcwd())
        self.project = new_project("R4pTemplates")

    def templates(self):
        from pyworkflow.template import TemplateList

        found = TemplateList()
        found.addPluginTemplates()
        return {t.getObjId(): t for t in found.templates if t.getObjId().startswith("relion4plugin-")}

    def test_all_are_found_and_described(self):
        found = self.templates()
        names = ("classes_ranked", "classes_to_map", "initial_model_refine", "particles_streaming", "streaming_log", "streaming_topaz")
        self.assertEqual(sorted(found), [f"relion4plugin-{name}" for name in names])
        for template in found.values():
            self.assertTrue(template.description.startswith("From "))

    def loaded(self, name, **given):
        """Runs of a template by their class, with all its fields given or at their default."""
        template = self.templates()[f"relion4plugin-{name}"]
        template.replaceEnvVariables()
        template.parseContent()
        self.assertNotIn(None, {param.getAlias() for param in template.params.values()})
        for alias, value in given.items():
            template.setParamValue(alias, value)
        for param in template.params.values():
            self.assertIsNone(param.validate(), param.getTitle())  # of the host: nothing is wrong
        template._replaceFields()
        text = "".join(template.content)
        loaded = self.project.loadProtocols(jsonStr=text)
        self.assertEqual(len(loaded), len(json.loads(text)))
        return {run.getClassName(): run for run in loaded.values()}

    def test_every_field_can_be_given_and_reaches_the_runs(self):
        for name, runs in (("classes_to_map", 6), ("initial_model_refine", 4)):
            by_class = self.loaded(name, diameter="170.0", symmetry="D2", threads="2")
            self.assertEqual(len(by_class), runs)
            model, refine = by_class["ProtR4pInitialModel"], by_class["ProtR4pRefine3D"]
            self.assertEqual((model.particle_diameter.get(), refine.particle_diameter.get()), (170.0, 170.0))
            self.assertEqual((model.sym_name.get(), refine.sym_name.get(), refine.numberOfThreads.get()), ("D2", "D2", 2))
            self.assertEqual(refine.referenceVolume.getObjValue().getObjId(), model.getObjId())
            self.assertEqual(refine.referenceVolume.getExtended(), "outputVolume")
            self.assertEqual(by_class["ProtR4pPostprocess"].solventMask.getExtended(), "outputMask")
            self.assertEqual(model.getObjLabel(), "initial model")

    def test_a_streaming_session(self):
        runs = self.loaded(
            "streaming_log", movies_path=".", pixel="0.8", dose="1.3", diameter="170.0", box="300", stream_first="500", threads="2"
        )
        motion, extract = runs["ProtR4pMotionCorrection"], runs["ProtR4pExtractParticles"]
        self.assertEqual(
            (len(runs), runs["ProtImportMovies"].dosePerFrame.get(), runs["ProtR4pPickLog"].log_diam_max.get()), (9, 1.3, 170.0)
        )
        self.assertTrue(runs["ProtImportMovies"].dataStreaming.get())
        self.assertEqual((motion.inputMovies.getExtended(), motion.numberOfThreads.get()), ("outputMovies", 2))
        self.assertEqual((extract.extract_size.get(), extract.do_rescale.get()), (300, True))
        self.assertEqual(extract.ctfRelations.getObjValue().getObjId(), runs["ProtR4pCtfEstimation"].getObjId())
        classes = runs["ProtR4pStreamClassify2D"]
        self.assertEqual((classes.stream_first.get(), classes.inputParticles.getExtended()), (500, "outputParticles"))

    def scheduled(self, *words):
        """Run the command that adds a template to this project; its exit code and what would be scheduled."""
        from unittest import mock

        from pyworkflow.project import Project

        from relion4plugin.scipion.start_template import main

        with mock.patch.object(Project, "scheduleProtocol") as schedule:
            code = main([str(Path.cwd()), *words])
        return code, [call.args[0] for call in schedule.call_args_list]

    def test_streaming_from_particles_of_this_project(self):
        source = import_particles(self.project)
        words = (f"particles={source.getObjId()}.outputParticles", "mask=90.0", "symmetry=O", "stream_first=40", "classes2d=5")
        code, runs = self.scheduled("particles_streaming", *words)
        by_class = {run.getClassName(): run for run in runs}
        classes, refine = by_class["ProtR4pStreamClassify2D"], by_class["ProtR4pRefine3D"]
        self.assertEqual((code, len(runs), classes.nr_classes.get(), classes.stream_first.get()), (0, 4, 5, 40))
        self.assertEqual(classes.inputParticles.getObjValue().getObjId(), source.getObjId())
        self.assertEqual(classes.inputParticles.get().getSize(), TOTAL)
        self.assertEqual(by_class["ProtR4pRankClasses"].inputClasses.getObjValue().getObjId(), classes.getObjId())
        self.assertEqual((refine.sym_name.get(), refine.particle_diameter.get()), ("O", 90.0))
        self.assertEqual(refine.inputParticles.getObjValue().getClassName(), "ProtR4pRankClasses")
        _, again = self.scheduled("particles_streaming", *words)
        self.assertEqual([run.getObjId() for run in again], [run.getObjId() for run in runs])  # none is loaded twice

    def test_mistakes_in_the_command_are_one_line_and_load_nothing(self):
        run = import_particles(self.project).getObjId()
        for words, message in (
            (("nothing",), "there is no template nothing: choose one of classes_ranked, "),
            (("particles_streaming", "colour=red"), "has no field colour: its fields are particles, classes2d, mask, "),
            (("particles_streaming", "mask=wide"), "template particles_streaming: wide is not compatible with Mask diameter"),
            (("particles_streaming", "particles=77.outputParticles"), "the project has no run 77"),
            (("particles_streaming", "particles=100002.outputParticles"), "the project has no run 100002"),
            (("particles_streaming", f"particles={run}"), f"particles is {run}: expected an output of a run, such as 6.outputParticles"),
            (("particles_streaming", f"particles={run}.outputPart"), f"run {run} has finished without it: its outputs are outputParticles"),
            (("particles_streaming", "mask"), "usage: python -m "),
        ):
            error = io.StringIO()
            with contextlib.redirect_stderr(error):
                code, runs = self.scheduled(*words)
            self.assertTrue(code == 2 and not runs)
            self.assertRegex(error.getvalue(), message)
            self.assertEqual(error.getvalue().count("\n"), 1)

    def test_a_scheduled_run_that_does_not_accept_its_input_is_told(self):
        """Scipion asks such a run again and again; the same command later tells of inputs that have come since."""
        source = import_particles(self.project)
        words = [f"particles={source.getObjId()}.outputParticles", "mask=9000.0"]
        error = io.StringIO()
        for _ in range(2):
            with contextlib.redirect_stderr(error):
                code, runs = self.scheduled("particles_streaming", *words)
            self.assertEqual((code, len(runs)), (0, 4))
        first, second = error.getvalue().splitlines()
        self.assertEqual(first, second)
        classes = next(run for run in runs if run.getClassName() == "ProtR4pStreamClassify2D")
        self.assertTrue(first.startswith(f"warning: run {classes.getObjId()} ("), first)
        self.assertIn("stays scheduled until this is put right in its form: ", first)

    def test_the_other_command_refuses_mistakes_alike(self):
        from relion4plugin.scipion.start_workflow import main

        workflow = Path("workflow.json").resolve()
        workflow.write_text('[{"object.className": "ProtR4pRankClasses", "object.id": "2"}]')
        here = str(Path.cwd())
        cases = [
            (["x"], "usage: python -m "),
            ([here, "nowhere.json", "mark"], "nowhere.json"),
            ([str(Path.cwd() / "nowhere"), str(workflow), "mark"], "path doesn't exist"),
        ]
        for text in ("{", "{}", "[]", "[3]", '[{"name": "x"}]', '[{"object.className": "ProtR4pRankClasses"}]'):
            path = Path(f"broken{len(cases)}.json")
            path.write_text(text)
            cases.append(([here, str(path), "mark"], f"{path} is no "))
        for words, message in cases:
            error = io.StringIO()
            with contextlib.redirect_stderr(error):
                self.assertEqual(main(words), 2)
            self.assertIn(message, error.getvalue())
            self.assertEqual(error.getvalue().count("\n"), 1)

    def test_ranked_classes(self):
        by_class = self.loaded("classes_ranked", fewest="5")
        rank, model = by_class["ProtR4pRankClasses"], by_class["ProtR4pInitialModel"]
        self.assertEqual((len(by_class), rank.select_nr_classes.get(), rank.getEnumText("select_by")), (3, 5, "calibrated"))
        self.assertEqual(rank.inputClasses.getObjValue().getObjId(), by_class["ProtR4pClassify2D"].getObjId())
        self.assertEqual((rank.inputClasses.getExtended(), model.inputParticles.getExtended()), ("outputClasses", "outputParticles"))
        self.assertEqual(model.inputParticles.getObjValue().getObjId(), rank.getObjId())
