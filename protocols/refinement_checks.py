"""What the forms of refinements refuse or warn of before a run."""

from pwem.objects import SetOfAverages, SetOfParticles

from relion4plugin.errors import UserError
from relion4plugin.scipion.blocks import last_state


class RefinementChecks:
    """Part of `RefinementRun`: checks of particles, continued run and GPU."""

    def _validate(self) -> list[str]:
        if self.doContinue.get() and self.continueRun.get() is None:
            return ["Choose the previous run to continue."]
        particles = self.particlesPointer().get()
        if particles is None:
            return ["Choose the input particles."]
        if isinstance(particles, SetOfAverages):
            return ["The input is a set of class averages; choose the particles themselves."]
        if not particles.getSize() or not particles.getDimensions():
            return ["The input has no particles, or their images cannot be read."]
        return self._input_errors(particles) + self._more_errors(particles) + self._continue_errors()

    def _more_errors(self, particles: SetOfParticles) -> list[str]:
        """Return what is wrong with the inputs besides the particles; hook."""
        return []

    def _n_classes(self) -> int:
        return int(self.nr_classes.get()) if hasattr(self, "nr_classes") else 1

    def _input_errors(self, particles: SetOfParticles) -> list[str]:
        errors, box = self._number_errors(particles), particles.getDimensions()[0]
        width, diameter = box * particles.getSamplingRate(), self.particle_diameter.get()
        if diameter > width:
            errors.append(f"The mask diameter ({diameter:g} Å) is larger than the box ({width:.0f} Å): use the wizard beside it.")
        if box % 2:
            errors.append(f"The box is {box} px, an odd number: crop or extract the particles with an even box.")
        if self.do_ctf_correction.get() and not particles.hasCTF():
            errors.append("The particles have no CTF: estimate and assign it, or set 'Do CTF correction?' to No.")
        if self._needs_poses() and not particles.hasAlignment():
            errors.append("The particles have no alignment to keep: set 'Perform image alignment?' to Yes.")
        return errors

    def _number_errors(self, particles: SetOfParticles) -> list[str]:
        size, classes = particles.getSize(), self._n_classes()
        if size >= classes:
            return []
        return [f"{classes} classes for {size} particles: the number of classes must not exceed the number of particles."]

    def _continue_errors(self) -> list[str]:
        if not self.doContinue.get():
            return []
        previous = self.continueRun.get()
        state = last_state(previous.runFolder())
        if previous.isActive():
            return ["The previous run is still running: wait for it or stop it."]
        if state is None:
            return ["The previous run has written no iteration: choose another."]
        if state[0] >= self.iterations():
            return [f"The previous run is at iteration {state[0]}: ask for more than {state[0]} iterations to continue it."]
        if previous._n_classes() != self._n_classes():
            return [f"The previous run has {previous._n_classes()} classes: ask for the same number to continue it."]
        return []

    def _warnings(self) -> list[str]:
        warnings = []
        if self.usesGpu() and gpu_problem(self.getGpuList()) is not None:
            warnings.append("No GPU can be used here (is cupy installed?): the run will use the CPU.")
        particles = self.particlesPointer().get()
        if particles is not None and particles.isStreamOpen() and not self.worksInStreaming():
            warnings.append("The input is still growing: only the particles that are there now are used.")
        return warnings


def gpu_problem(gpus: list[int]) -> str | None:
    """Say why no GPU can be used; None if one can."""
    from relion4plugin.arrays import device_namespace

    try:
        device_namespace(gpus[0] if gpus else 0)
    except UserError as error:
        return str(error)
    return None
