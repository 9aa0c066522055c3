"""The forms are the declarations, no more and no less."""

import dataclasses
import importlib.util
import unittest

from relion4plugin.jobs.parameters import fields_of

REFINEMENTS = ("ProtR4pClassify2D", "ProtR4pInitialModel", "ProtR4pClassify3D", "ProtR4pRefine3D")
STREAMS = ("ProtR4pMotionCorrection", "ProtR4pCtfEstimation", "ProtR4pPickLog", "ProtR4pPickTopaz", "ProtR4pExtractParticles")
STREAM_2D = "ProtR4pStreamClassify2D"
MAPS = ("ProtR4pSymmetry", "ProtR4pCreateMask", "ProtR4pPostprocess", "ProtR4pRankClasses")


@unittest.skipUnless(importlib.util.find_spec("pwem"), "pwem (scipion-em) is not installed")
class TestForm(unittest.TestCase):
    def setUp(self):
        import pyworkflow

        known = pyworkflow.Config.getDomain().getProtocols()
        self.protocols = {name: known[name]() for name in (*REFINEMENTS, *MAPS, *STREAMS, STREAM_2D)}

    def each(self, names=(*REFINEMENTS, *MAPS, *STREAMS, STREAM_2D)):
        """Protocols with what their forms leave out."""
        for name in names:
            protocol = self.protocols[name]
            yield protocol, protocol.notInForm() if name in (*REFINEMENTS, STREAM_2D) else protocol.NOT_IN_FORM

    def test_every_declared_parameter_is_in_the_form_once(self):
        for protocol, left_out in self.each():
            for field in fields_of(protocol.PARAMETERS):
                param = protocol.getParam(field.name)
                if field.name in left_out:
                    self.assertIsNone(param, field.name)
                    continue
                value = getattr(protocol, field.name).get()
                self.assertEqual(field.choices[value] if field.choices else value, field.default, field.name)
                self.assertTrue(param.label.get().startswith(field.label), field.name)
                self.assertEqual(param.help.get(), field.help)
                self.assertEqual(param.isExpert(), field.advanced, field.name)

    def test_no_parameter_hides_a_member_of_the_protocol_class(self):
        for protocol, left_out in self.each():
            for field in fields_of(protocol.PARAMETERS):
                if field.name not in left_out:
                    self.assertFalse(hasattr(type(protocol), field.name), field.name)

    def test_bounds_are_the_declared_ones(self):
        for protocol, _ in self.each():
            for field in fields_of(protocol.PARAMETERS):
                param = protocol.getParam(field.name)
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

        for protocol, left_out in self.each():
            default = protocol.PARAMETERS()
            given = {name: getattr(default, name) for name in left_out}
            self.assertEqual(parameter_set(protocol, protocol.PARAMETERS, **given), default)

    def test_values_of_the_form_reach_the_parameter_set(self):
        protocol = self.protocols["ProtR4pClassify2D"]
        protocol.nr_classes.set(7)
        protocol.do_grad.set(False)
        protocol.psi_sampling.set(3)
        protocol.numberOfThreads.set(4)
        parameters = protocol.parameters()
        expected = {"nr_classes": 7, "do_grad": False, "do_em": True, "psi_sampling": 3.0, "nr_threads": 4, "use_gpu": False}
        self.assertEqual({name: dataclasses.asdict(parameters)[name] for name in expected}, expected)
        self.assertIsInstance(parameters.psi_sampling, float)
        refine = self.protocols["ProtR4pRefine3D"]
        refine.sampling.set(3)
        refine.sym_name.set("D2")
        parameters = refine.parameters()
        self.assertEqual((parameters.sampling, parameters.sym_name, parameters.fn_mask), ("3.7 degrees", "D2", ""))

    def test_conditions_name_parameters_or_sections(self):
        for protocol, _ in self.each():
            fields = fields_of(protocol.PARAMETERS)
            names = {field.name for field in fields} | {field.section for field in fields}
            self.assertLessEqual(set(protocol.CONDITIONS), names)
            for name in set(protocol.CONDITIONS) & {field.name for field in fields}:
                self.assertIn(protocol.evalParamCondition(name), (True, False), name)
        for name, shown, hidden in (
            ("ProtR4pClassify2D", "nr_iter_em", ("nr_iter_grad", "mu", "init_blobs")),
            ("ProtR4pClassify3D", "nr_iter", ("nr_iter_grad", "mu", "sigma_angles")),
        ):
            protocol = self.protocols[name]
            protocol.do_grad.set(False)
            self.assertTrue(protocol.evalParamCondition(shown))
            for one in hidden:
                self.assertFalse(protocol.evalParamCondition(one), one)

    def test_what_streams_says_so(self):
        for name, protocol in self.protocols.items():
            self.assertEqual(protocol.worksInStreaming(), name in (*STREAMS, STREAM_2D), name)

    def test_labels_of_templates_are_kept(self):
        for protocol, _ in self.each():
            one = type(protocol)(objLabel="first look", objComment="a remark")
            self.assertEqual((one.getObjLabel(), one.getObjComment()), ("first look", "a remark"))

    def test_an_empty_form_is_refused_without_an_exception(self):
        for protocol, _ in self.each(REFINEMENTS):
            self.assertEqual(protocol._validate(), ["Choose the input particles."])
            protocol.doContinue.set(True)
            self.assertEqual(protocol._validate(), ["Choose the previous run to continue."])
            self.assertEqual(protocol._warnings(), [])
        self.assertEqual(self.protocols[STREAM_2D]._validate(), ["Choose the input particles."])
        for protocol, _ in self.each((*MAPS, *STREAMS)):
            self.assertEqual(len(protocol._validate()), 1)
            self.assertTrue(protocol._validate()[0].startswith("Choose the "))
            self.assertEqual(len(protocol._summary()), 1)
