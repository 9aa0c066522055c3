"""An initial model from particles alone, by VDAM from several seeds."""

from enum import Enum

from pwem.objects import SetOfClasses3D, SetOfParticles, SetOfVolumes, Volume
from pwem.protocols import ProtInitialVolume
from pyworkflow.exceptions import PyworkflowException

from relion4plugin.errors import UserError
from relion4plugin.jobs.initialmodel_parameters import InitialModelParameters
from relion4plugin.scipion.log import LogProgress

from .reference_run import symmetry_errors
from .refinement_run import RefinementRun

CONDITIONS = {
    "ctf_intact_first_peak": "do_ctf_correction",
    "only_flip_phases": "do_ctf_correction",
    "select_class": "nr_classes > 1",
}


class InitialModelOutputs(Enum):
    """Names and types of the outputs."""

    outputVolume = Volume
    outputClasses = SetOfClasses3D
    outputVolumes = SetOfVolumes


class ProtR4pInitialModel(RefinementRun, ProtInitialVolume):
    """Make an initial 3D model from particles alone.

    VDAM (variable-metric gradient descent with adaptive moments) starts from random blobs and sees small mini-batches of particles. It is
    repeated from several seeds; the best map is kept, and how well the others agree with it tells whether it can be trusted. The
    map is turned onto the axes of its point group, which is then applied.

    While it runs, *Analyze Results* shows the maps written so far.
    """

    JOB, PARAMETERS, CONDITIONS, KIND = "initialmodel", InitialModelParameters, CONDITIONS, "3D initial model"
    _label = "3D initial model (VDAM)"
    _possibleOutputs = InitialModelOutputs

    # ----------------------------------------------------------------- steps

    def _insertAllSteps(self) -> None:
        digest = self._digest()
        self._insertFunctionStep(self.convertInputStep, digest, needsGPU=False)
        self._insertFunctionStep(self.makeModelStep, digest, needsGPU=True)
        self._insertFunctionStep(self.createOutputStep, digest, needsGPU=False)

    def makeModelStep(self, digest: str) -> None:
        """Make the model, from the newest state on disk."""
        from relion4plugin.jobs.inputs import read_input_particles
        from relion4plugin.jobs.refinement_checks import symmetry_order
        from relion4plugin.refinement.initial_model import make_initial_model

        resume = self._newest_state()
        try:
            parameters = self._with_usable_gpu(self.parameters())
            result = make_initial_model(
                self.job().settings_of(parameters),
                read_input_particles(self._star()),
                self.runFolder(),
                LogProgress(self.info),
                symmetry=parameters.sym_name,
                restarts=parameters.nr_restarts,
                rounds=parameters.nr_rounds,
                select=parameters.select_class,
                find_symmetry=parameters.find_symmetry and symmetry_order(parameters.sym_name) == 1,
                refine_iterations=parameters.nr_iter_halves,
                resume=resume,
            )
        except UserError as error:
            raise PyworkflowException(str(error)) from error
        (self.info if result.reliable else self.warning)(result.verdict)
        self._tell(result.verdict)

    def createOutputStep(self, digest: str) -> None:
        """Register the model; the classes with their particles and maps lie as they were reconstructed, before the symmetry axes."""
        from relion4plugin.scipion.classes3d import read_result3d
        from relion4plugin.scipion.outputs3d import fill_classes3d, fill_volumes
        from relion4plugin.scipion.volumes import make_volume

        pointer = self.particlesPointer()
        try:
            result = read_result3d(self.runFolder(), pointer.get().getSamplingRate())
        except UserError as error:
            raise PyworkflowException(str(error)) from error
        volume = make_volume(self.runFolder() / "initial_model.mrc", result.pixel_size, label="initial model")
        classes = self._createSetOfClasses3D(pointer)
        fill_classes3d(classes, result)
        volumes = self._createSetOfVolumes()
        fill_volumes(volumes, result)
        self._defineOutputs(outputVolume=volume, outputClasses=classes, outputVolumes=volumes)
        for output in (volume, classes, volumes):
            self._defineSourceRelation(pointer, output)

    # ------------------------------------------------------------ information

    def _by_vdam(self) -> bool:
        return True

    def _more_errors(self, particles: SetOfParticles) -> list[str]:
        return symmetry_errors(self.sym_name.get())

    def _summary(self) -> list[str]:
        summary = [self.summaryVar.get()] if self.summaryVar.hasValue() else []
        if not hasattr(self, InitialModelOutputs.outputVolume.name):
            return [*summary, "The model is not ready yet; *Analyze Results* shows the maps written so far."]
        return summary

    def _methods(self) -> list[str]:
        if not hasattr(self, InitialModelOutputs.outputVolume.name):
            return []
        return [
            f"An initial model was made from particles {self.getObjectTag(self.particlesPointer())} by VDAM with {self.nr_iter.get()} "
            f"mini-batches from {self.nr_restarts.get()} seeds (symmetry {self.sym_name.get()}, T = {self.tau_fudge.get():g}, mask "
            f"diameter {self.particle_diameter.get():g} Å), giving {self.getObjectTag('outputVolume')}."
        ]
