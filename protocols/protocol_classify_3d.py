"""3D classification of particles, by EM or by VDAM mini-batches."""

from enum import Enum

from pwem.objects import SetOfClasses3D, SetOfParticles, SetOfVolumes
from pwem.protocols import ProtClassify3D
from pyworkflow.exceptions import PyworkflowException

from relion4plugin.errors import UserError
from relion4plugin.jobs.class3d_parameters import Class3DParameters
from relion4plugin.scipion.blocks import block_ends

from .reference_run import ReferenceRun

CONDITIONS = {
    "ref_correct_greyscale": "not doContinue",
    "trust_ref_size": "not doContinue",
    "ini_high": "not doContinue",
    "nr_iter": "not do_grad",
    "nr_iter_grad": "do_grad",
    "do_fast_subsets": "not do_grad",
    "ctf_intact_first_peak": "do_ctf_correction",
    "only_flip_phases": "do_ctf_correction",
    "sampling": "dont_skip_align",
    "offset_range": "dont_skip_align",
    "offset_step": "dont_skip_align",
    "do_local_ang_searches": "dont_skip_align",
    "sigma_angles": "dont_skip_align and do_local_ang_searches",
    "VDAM schedule": "do_grad",
}


class Class3DOutputs(Enum):
    """Names and types of the outputs."""

    outputClasses = SetOfClasses3D
    outputVolumes = SetOfVolumes


class ProtR4pClassify3D(ReferenceRun, ProtClassify3D):
    """Group particles into 3D classes and reconstruct each class.

    Starts from one map for all classes or from a set of maps, with or without alignment, over all angles or near the input's. EM
    uses all particles in every iteration, VDAM small random mini-batches.

    Results are registered when the run ends; while it runs, *Analyze Results* shows the maps written so far. *Continue* goes on after
    the last finished block of iterations.
    """

    JOB, PARAMETERS, CONDITIONS, KIND = "class3d", Class3DParameters, CONDITIONS, "3D classification"
    REFERENCES = "Volume, SetOfVolumes"
    _label = "3D classification"
    _possibleOutputs = Class3DOutputs

    # ----------------------------------------------------------------- steps

    def _insertAllSteps(self) -> None:
        digest = self._digest()
        first = self._previous_state()[0] if self.doContinue.get() else 0
        self._insertFunctionStep(self.convertInputStep, digest, needsGPU=False)
        for stop in block_ends(self.iterations(), first):
            self._insertFunctionStep(self.classifyStep, stop, digest, needsGPU=True)
        self._insertFunctionStep(self.createOutputStep, self.iterations(), digest, needsGPU=False)

    def _may_grow(self) -> frozenset[str]:
        return frozenset() if self.do_grad.get() else frozenset({"nr_iter"})

    def _needs_poses(self) -> bool:
        return not self.dont_skip_align.get() or self.do_local_ang_searches.get()

    def createOutputStep(self, iteration: int, digest: str) -> None:
        """Register classes and maps of the last iteration."""
        from relion4plugin.scipion.classes3d import read_result3d
        from relion4plugin.scipion.outputs3d import fill_classes3d, fill_volumes

        pointer = self.particlesPointer()
        try:
            result = read_result3d(self.runFolder(), pointer.get().getSamplingRate(), iteration)
        except UserError as error:
            raise PyworkflowException(str(error)) from error
        classes = self._createSetOfClasses3D(pointer)
        fill_classes3d(classes, result)
        volumes = self._createSetOfVolumes()
        fill_volumes(volumes, result)
        self._defineOutputs(outputClasses=classes, outputVolumes=volumes)
        self._defineSourceRelation(pointer, classes)
        self._defineSourceRelation(pointer, volumes)

    # ------------------------------------------------------------ information

    def _more_errors(self, particles: SetOfParticles) -> list[str]:
        errors = super()._more_errors(particles)
        if self._needs_poses() and particles.hasAlignment() and not particles.hasAlignmentProj():
            errors.append("The particles have 2D alignments only: search all angles, or choose particles of a 3D refinement.")
        return errors

    def _summary(self) -> list[str]:
        summary = [self.summaryVar.get()] if self.summaryVar.hasValue() else []
        if not hasattr(self, Class3DOutputs.outputClasses.name):
            return [*summary, "Classes are not ready yet; *Analyze Results* shows the maps written so far."]
        return [*summary, f"Populated classes: {self.outputClasses.getSize()} of {self.nr_classes.get()}"]

    def _methods(self) -> list[str]:
        if not hasattr(self, Class3DOutputs.outputClasses.name):
            return []
        how = f"{self.iterations()} VDAM mini-batches" if self.do_grad.get() else f"{self.iterations()} EM iterations"
        return [
            f"Particles {self.getObjectTag(self.particlesPointer())} were classified into {self.nr_classes.get()} 3D classes by {how} "
            f"(symmetry {self.sym_name.get()}, T = {self.tau_fudge.get():g}, mask diameter {self.particle_diameter.get():g} Å), "
            f"giving {self.getObjectTag('outputClasses')}."
        ]
