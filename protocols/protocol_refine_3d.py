"""Auto-refinement of one structure from two independent halves of the particles."""

from enum import Enum

from pwem.objects import FSC, SetOfParticles, Volume
from pwem.protocols import ProtRefine3D
from pyworkflow.exceptions import PyworkflowException

from relion4plugin.errors import UserError
from relion4plugin.jobs.refine3d_parameters import Refine3DParameters

from .reference_run import ReferenceRun

CONDITIONS = {
    "ref_correct_greyscale": "not doContinue",
    "trust_ref_size": "not doContinue",
    "ini_high": "not doContinue",
    "ctf_intact_first_peak": "do_ctf_correction",
    "only_flip_phases": "do_ctf_correction",
}


class Refine3DOutputs(Enum):
    """Names and types of the outputs."""

    outputVolume = Volume
    outputParticles = SetOfParticles
    outputFSC = FSC


class ProtR4pRefine3D(ReferenceRun, ProtRefine3D):
    """Refine a map and the poses of its particles to the best resolution that the data support.

    Two halves of the particles are refined independently; their correlation (FSC) tells the resolution, weights the maps, and decides
    when the angular sampling becomes finer and when the run ends. In the last iteration the halves are joined.

    While it runs, *Analyze Results* shows the newest half maps and their FSC. *Continue* goes on after the last finished iteration.
    """

    JOB, PARAMETERS, CONDITIONS, KIND = "refine3d", Refine3DParameters, CONDITIONS, "auto-refinement"
    REFERENCES = "Volume"
    _label = "3D auto-refinement"
    _possibleOutputs = Refine3DOutputs

    # ----------------------------------------------------------------- steps

    def _insertAllSteps(self) -> None:
        digest = self._digest()
        self._insertFunctionStep(self.convertInputStep, digest, needsGPU=False)
        self._insertFunctionStep(self.refineStep, self.iterations(), digest, needsGPU=True)
        self._insertFunctionStep(self.createOutputStep, self.iterations(), digest, needsGPU=False)

    def _may_grow(self) -> frozenset[str]:
        return frozenset({"nr_iter"})

    def refineStep(self, iterations: int, digest: str) -> None:
        """Refine until the run has converged or `iterations` are done, from the newest state on disk."""
        result = self._go_on()
        if result.finished:
            self._tell(f"Converged after {result.iteration} iterations")
        else:
            self._tell(f"Not converged: ended at iteration {result.iteration}, the most that were allowed")

    def createOutputStep(self, iterations: int, digest: str) -> None:
        """Register map with half maps, particles with poses, and the FSC."""
        from relion4plugin.scipion.classes3d import read_result3d
        from relion4plugin.scipion.fsc import make_fsc
        from relion4plugin.scipion.outputs3d import fill_particles
        from relion4plugin.scipion.volumes import make_volume

        pointer = self.particlesPointer()
        particles = pointer.get()
        try:
            result = read_result3d(self.runFolder(), particles.getSamplingRate())
        except UserError as error:
            raise PyworkflowException(str(error)) from error
        volume = make_volume(result.maps[0], result.pixel_size, result.half_maps, label="refined map")
        refined = self._createSetOfParticles()
        fill_particles(refined, particles, result)
        self._defineOutputs(outputVolume=volume, outputParticles=refined, outputFSC=make_fsc(result.fsc, "FSC of the halves"))
        for output in (volume, refined, self.outputFSC):
            self._defineSourceRelation(pointer, output)

    # ------------------------------------------------------------ information

    def _by_vdam(self) -> bool:
        return False

    def _continue_errors(self) -> list[str]:
        errors = super()._continue_errors()
        if not errors and self.doContinue.get() and (self.continueRun.get().runFolder() / "run_model.star").is_file():
            return ["The previous run has converged: there is nothing to continue."]
        return errors

    def _summary(self) -> list[str]:
        summary = [self.summaryVar.get()] if self.summaryVar.hasValue() else []
        if not hasattr(self, Refine3DOutputs.outputFSC.name):
            return [*summary, "The map is not ready yet; *Analyze Results* shows the half maps written so far."]
        return [*summary, f"Resolution (FSC 0.143): {self._resolution():.2f} Å"]

    def _resolution(self) -> float:
        from relion4plugin.scipion.fsc import resolution_of

        return resolution_of(self.outputFSC)

    def _methods(self) -> list[str]:
        if not hasattr(self, Refine3DOutputs.outputFSC.name):
            return []
        return [
            f"Particles {self.getObjectTag(self.particlesPointer())} were refined in two independent halves "
            f"(symmetry {self.sym_name.get()}, mask diameter {self.particle_diameter.get():g} Å), giving "
            f"{self.getObjectTag('outputVolume')} at {self._resolution():.2f} Å (FSC 0.143)."
        ]
