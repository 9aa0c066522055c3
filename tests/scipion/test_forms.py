"""The form is the declaration, no more and no less."""

import dataclasses
import importlib.util
import unittest

from relion4plugin.jobs.class2d_parameters import Class2DParameters
from relion4plugin.jobs.parameters import fields_of


@unittest.skipUnless(importlib.util.find_spec("pwem"), "pwem (scipion-em) is not installed")
class TestForm(unittest.TestCase):
    def setUp(self):
        import pyworkflow

        protocols = pyworkflow.Config.getDomain().getProtocols()
        self.assertIn("ProtR4pClassify2D", protocols)
        self.protocol = protocols["ProtR4pClassify2D"]()
        from relion4plugin.protocols import protocol_classify_2d as module

        self.module = module

    def test_every_declared_parameter_is_in_the_form_once(self):
        for field in fields_of(Class2DParameters):
            param = self.protocol.getParam(field.name)
            if field.name in self.module.NOT_IN_FORM:
                self.assertIsNone(param, field.name)
                continue
            self.assertEqual(getattr(self.protocol, field.name).get(), field.default, field.name)
            self.assertTrue(param.label.get().startswith(field.label), field.name)
            self.assertEqual(param.help.get(), field.help)
            self.assertEqual(param.isExpert(), field.advanced, field.name)

    def test_no_parameter_hides_a_member_of_the_protocol_class(self):
        from pwem.protocols import EMProtocol

        for field in fields_of(Class2DParameters):
            self.assertFalse(hasattr(EMProtocol, field.name), field.name)

    def test_bounds_are_the_declared_ones(self):
        for field in fields_of(Class2DParameters):
            param = self.protocol.getParam(field.name)
            if param is None:
                continue
            if field.minimum is not None:
                self.assertEqual(param.validate(field.minimum), [])
                self.assertEqual(len(param.validate(field.minimum - 1)), 1, field.name)
            if field.maximum is not None:
                self.assertEqual(param.validate(field.maximum), [])
                self.assertEqual(len(param.validate(field.maximum + 1)), 1, field.name)

    def test_an_untouched_form_is_the_default_parameter_set(self):
        from relion4plugin.scipion.forms import parameter_set

        given = {name: getattr(Class2DParameters(), name) for name in self.module.NOT_IN_FORM}
        self.assertEqual(parameter_set(self.protocol, Class2DParameters, **given), Class2DParameters())

    def test_values_of_the_form_reach_the_parameter_set(self):
        self.protocol.nr_classes.set(7)
        self.protocol.do_grad.set(False)
        self.protocol.psi_sampling.set(3)
        self.protocol.numberOfThreads.set(4)
        parameters = self.protocol.parameters()
        expected = {"nr_classes": 7, "do_grad": False, "do_em": True, "psi_sampling": 3.0, "nr_threads": 4, "use_gpu": False}
        self.assertEqual({name: dataclasses.asdict(parameters)[name] for name in expected}, expected)
        self.assertIsInstance(parameters.psi_sampling, float)

    def test_conditions_name_parameters_or_sections(self):
        names = {field.name for field in fields_of(Class2DParameters)} | {field.section for field in fields_of(Class2DParameters)}
        self.assertLessEqual(set(self.module.CONDITIONS), names)
        self.protocol.do_grad.set(False)
        self.assertTrue(self.protocol.evalParamCondition("nr_iter_em"))
        for hidden in ("nr_iter_grad", "mu", "init_blobs"):
            self.assertFalse(self.protocol.evalParamCondition(hidden), hidden)

    def test_labels_of_templates_are_kept(self):
        protocol = type(self.protocol)(objLabel="first look", objComment="a remark")
        self.assertEqual((protocol.getObjLabel(), protocol.getObjComment()), ("first look", "a remark"))

    def test_an_empty_form_is_refused_without_an_exception(self):
        self.assertEqual(self.protocol._validate(), ["Choose the input particles."])
        self.protocol.doContinue.set(True)
        self.assertEqual(self.protocol._validate(), ["Choose the previous run to continue."])
        self.assertEqual(self.protocol._warnings(), [])
