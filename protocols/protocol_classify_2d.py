"""2D classification of particles, by VDAM mini-batches or by EM."""

from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from pwem.objects import SetOfAverages, SetOfClasses2D, SetOfParticles
from pwem.protocols import ProtClassify2D
from pyworkflow.exceptions import PyworkflowException
from pyworkflow.protocol import params
from pyworkflow.protocol.constants import LEVEL_ADVANCED

from relion4plugin.errors import UserError
from relion4plugin.jobs.class2d_parameters import STREAM, Class2DParameters
from relion4plugin.jobs.parameters import ParameterField, sections_of
from relion4plugin.scipion.blocks import block_ends

from .refinement_run import RefinementRun

CONDITIONS = {
    "nr_iter_grad": "do_grad",
    "nr_iter_em": "not do_grad",
    "do_fast_subsets": "not do_grad",
    "ctf_intact_first_peak": "do_ctf_correction",
    "only_flip_phases": "do_ctf_correction",
    "psi_sampling": "dont_skip_align",
    "offset_range": "dont_skip_align",
    "offset_step": "dont_skip_align",
    "skip_rotate": "dont_skip_align",
    "sigma_psi": "dont_skip_align",
    "VDAM schedule": "do_grad",
    "init_blobs": "do_grad",
}
STREAMING = frozenset(field.name for field in sections_of(Class2DParameters)[STREAM])


class Class2DOutputs(Enum):
    """Names and types of the outputs."""

    outputClasses = SetOfClasses2D
    outputAverages = SetOfAverages


class ProtR4pClassify2D(RefinementRun, ProtClassify2D):
    """Group particles into 2D classes and average each class.

    VDAM (variable-metric gradient descent with adaptive moments) works on small random mini-batches and ends with a pass over all
    particles; EM (expectation-maximisation) uses all particles in every iteration. VDAM is several times faster on large sets.

    The particles' CTF, box and pixel size come from the input set. Results are registered when the run ends; while it runs,
    *Analyze Results* shows the class averages written so far. *Continue* goes on after the last finished block of iterations.
    """

    JOB, PARAMETERS, CONDITIONS, KIND = "class2d", Class2DParameters, CONDITIONS, "2D classification"
    _label = "2D classification (VDAM / EM)"
    _possibleOutputs = Class2DOutputs

    def _define_inputs(self, form: Any, declared: Mapping[str, ParameterField]) -> None:
        form.addParam(
            "initialAverages",
            params.PointerParam,
            pointerClass="SetOfAverages",
            condition="not doContinue",
            allowsNull=True,
            expertLevel=LEVEL_ADVANCED,
            label=declared["fn_ref"].label,
            help=f"{declared['fn_ref'].help} Box and pixel size must be the particles'.",
        )

    @classmethod
    def notInForm(cls) -> frozenset[str]:
        """Return the parameters that the form does not show."""
        return super().notInForm() | {"do_em", *STREAMING}

    def _given(self) -> dict[str, Any]:
        reference = str(self._references()) if self._initialAverages() is not None else ""
        return super()._given() | {"fn_ref": reference, "do_em": not self._by_vdam()}

    # ----------------------------------------------------------------- steps

    def _insertAllSteps(self) -> None:
        digest = self._digest()
        first = self._previous_state()[0] if self.doContinue.get() else 0
        self._insertFunctionStep(self.convertInputStep, digest, needsGPU=False)
        for stop in block_ends(self.iterations(), first):
            self._insertFunctionStep(self.classifyStep, stop, digest, needsGPU=True)
        self._insertFunctionStep(self.createOutputStep, self.iterations(), digest, needsGPU=False)

    def _may_grow(self) -> frozenset[str]:
        return frozenset() if self._by_vdam() else frozenset({"nr_iter_em"})

    def _input_files(self) -> list[Path]:
        averages = self._initialAverages()
        return [] if averages is None else [Path(averages.getFileName())]

    def _needs_poses(self) -> bool:
        return not self.dont_skip_align.get()

    def _convert_inputs(self) -> None:
        from relion4plugin.scipion.convert import write_averages

        if self._initialAverages() is not None:
            write_averages(self._initialAverages(), self._references())

    def createOutputStep(self, iteration: int, digest: str) -> None:
        """Register classes and averages of the last iteration."""
        from relion4plugin.scipion.classes2d import read_result
        from relion4plugin.scipion.outputs import fill_averages, fill_classes2d

        pointer = self.particlesPointer()
        particles = pointer.get()
        try:
            result = read_result(self.runFolder(), iteration, particles.getSamplingRate())
        except UserError as error:
            raise PyworkflowException(str(error)) from error
        classes = self._createSetOfClasses2D(pointer)
        fill_classes2d(classes, result, particles.getSamplingRate())
        averages = self._createSetOfAverages()
        fill_averages(averages, result, particles)
        self._defineOutputs(outputClasses=classes, outputAverages=averages)
        self._defineSourceRelation(pointer, classes)
        self._defineSourceRelation(pointer, averages)

    # ------------------------------------------------------------ information

    def _more_errors(self, particles: SetOfParticles) -> list[str]:
        averages, classes, errors = self._initialAverages(), self.nr_classes.get(), []
        if averages is not None and averages.getSize() != classes:
            errors.append(f"{averages.getSize()} starting averages for {classes} classes: the numbers must be equal.")
        if averages is not None and averages.getDimensions()[0] != particles.getDimensions()[0]:
            errors.append("The starting averages and the particles differ in box size: resize the averages.")
        return errors

    def _summary(self) -> list[str]:
        summary = [self.summaryVar.get()] if self.summaryVar.hasValue() else []
        if not hasattr(self, Class2DOutputs.outputClasses.name):
            return [*summary, "Classes are not ready yet; *Analyze Results* shows the averages written so far."]
        return [*summary, f"Populated classes: {self.outputClasses.getSize()} of {self.nr_classes.get()}"]

    def _methods(self) -> list[str]:
        if not hasattr(self, Class2DOutputs.outputClasses.name):
            return []
        how = f"{self.iterations()} VDAM mini-batches" if self._by_vdam() else f"{self.iterations()} EM iterations"
        return [
            f"Particles {self.getObjectTag(self.particlesPointer())} were classified into {self.nr_classes.get()} 2D classes by {how} "
            f"(T = {self.tau_fudge.get():g}, mask diameter {self.particle_diameter.get():g} Å), "
            f"giving {self.getObjectTag('outputClasses')}."
        ]

    # ----------------------------------------------------------------- helpers

    def _references(self) -> Path:
        return self.runFolder() / "starting_averages.mrcs"

    def _initialAverages(self) -> Any:
        return None if self.doContinue.get() else self.initialAverages.get()
