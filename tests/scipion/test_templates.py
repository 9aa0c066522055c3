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
        self.assertEqual(sorted(found), ["relion4plugin-classes_to_map", "relion4plugin-initial_model_refine"])
        for template in found.values():
            self.assertTrue(template.description.startswith("From "))

    def test_every_field_can_be_given_and_reaches_the_runs(self):
        for name, runs in (("classes_to_map", 6), ("initial_model_refine", 4)):
            template = self.templates()[f"relion4plugin-{name}"]
            template.replaceEnvVariables()
            template.parseContent()
            aliases = {param.getAlias() for param in template.params.values()}
            self.assertNotIn(None, aliases)
            for alias, value in (("diameter", "170.0"), ("symmetry", "D2"), ("threads", "2")):
                template.setParamValue(alias, value)
            for param in template.params.values():
                self.assertIsNone(param.validate(), param.getTitle())  # of the host: nothing is wrong
            template._replaceFields()
            text = "".join(template.content)
            self.assertEqual(len(json.loads(text)), runs)
            loaded = self.project.loadProtocols(jsonStr=text)
            self.assertEqual(len(loaded), runs)
            by_class = {run.getClassName(): run for run in loaded.values()}
            model, refine = by_class["ProtR4pInitialModel"], by_class["ProtR4pRefine3D"]
            self.assertEqual((model.particle_diameter.get(), refine.particle_diameter.get()), (170.0, 170.0))
            self.assertEqual((model.sym_name.get(), refine.sym_name.get(), refine.numberOfThreads.get()), ("D2", "D2", 2))
            self.assertEqual(refine.referenceVolume.getObjValue().getObjId(), model.getObjId())
            self.assertEqual(refine.referenceVolume.getExtended(), "outputVolume")
            self.assertEqual(by_class["ProtR4pPostprocess"].solventMask.getExtended(), "outputMask")
            self.assertEqual(model.getObjLabel(), "initial model")
