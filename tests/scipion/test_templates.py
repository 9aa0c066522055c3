"""The workflow templates in Scipion's own mechanism."""

import importlib.util
import json
import os
import unittest

HAS_SCIPION = importlib.util.find_spec("pwem") is not None
if HAS_SCIPION:
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
        names = ("classes_ranked", "classes_to_map", "initial_model_refine", "streaming_log", "streaming_topaz")
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

    def test_ranked_classes(self):
        by_class = self.loaded("classes_ranked", fewest="5")
        rank, model = by_class["ProtR4pRankClasses"], by_class["ProtR4pInitialModel"]
        self.assertEqual((len(by_class), rank.select_nr_classes.get(), rank.getEnumText("select_by")), (3, 5, "calibrated"))
        self.assertEqual(rank.inputClasses.getObjValue().getObjId(), by_class["ProtR4pClassify2D"].getObjId())
        self.assertEqual((rank.inputClasses.getExtended(), model.inputParticles.getExtended()), ("outputClasses", "outputParticles"))
        self.assertEqual(model.inputParticles.getObjValue().getObjId(), rank.getObjId())
