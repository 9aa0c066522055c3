"""What the protocols of all refinements have in common: form, conversion of the particles, resumable steps, checks."""

import dataclasses
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from pyworkflow.constants import NEW
from pyworkflow.exceptions import PyworkflowException
from pyworkflow.protocol import params
from pyworkflow.protocol.constants import GPU_LIST, STEPS_SERIAL, USE_GPU

from relion4plugin.errors import UserError
from relion4plugin.jobs.parameters import ParameterField, fields_of
from relion4plugin.scipion.blocks import claim_folder, copy_records, digest_of, last_state
from relion4plugin.scipion.forms import add_parameters, parameter_set
from relion4plugin.scipion.log import LogProgress

from .refinement_checks import RefinementChecks, gpu_problem

# Provided by pointers, by Scipion's own GPU row and threads entry, or by the input set itself.
HOST_PARAMETERS = frozenset({"fn_img", "fn_cont", "fn_ref", "fn_mask", "ctf_phase_flipped", "use_gpu", "gpu_ids", "nr_threads"})
# They change how fast the result comes, not the result.
NO_EFFECT_ON_RESULT = frozenset({"use_gpu", "gpu_ids", "nr_threads", "memory_limit"})


class RefinementRun(RefinementChecks):
    """Mix-in of the refinement protocols, before the host's class of protocol.

    Attributes
    ----------
    JOB : str
        Module in ``relion4plugin.jobs`` with ``validate``, ``settings_of`` and ``n_iterations``.
    PARAMETERS : type
        The job's parameter dataclass.
    CONDITIONS : mapping
        Parameter or section to the condition under which the form shows it.
    KIND : str
        What a run is called in the texts of the form.
    """

    JOB: str
    PARAMETERS: type
    CONDITIONS: Mapping[str, str]
    KIND: str
    _devStatus = NEW
    stepsExecutionMode = STEPS_SERIAL

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # pyworkflow 3.11 drops label and comment of templates.
        self.setObjLabel(kwargs.get("objLabel") or "")
        self.setObjComment(kwargs.get("objComment") or "")

    # ------------------------------------------------------------------ form

    def _defineParams(self, form: Any) -> None:
        declared = {field.name: field for field in fields_of(self.PARAMETERS)}
        use, which = declared["use_gpu"], declared["gpu_ids"]
        form.addHidden(USE_GPU, params.BooleanParam, default=use.default, label=f"{use.label}?", help=use.help)
        form.addHidden(GPU_LIST, params.StringParam, default="0", label=which.label, help=which.help)
        form.addSection(label="Input")
        self._define_source(form)
        self._define_inputs(form, declared)
        add_parameters(form, self.PARAMETERS, skip=self.notInForm(), conditions=self.CONDITIONS, host="Optimisation")
        form.addParallelSection(threads=declared["nr_threads"].default, mpi=0)

    def _define_source(self, form: Any) -> None:
        """Add the particles, and the run that may be continued instead."""
        form.addParam(
            "doContinue",
            params.BooleanParam,
            default=False,
            label="Continue from a previous run?",
            help="Go on with the state of a finished or stopped run, for more iterations.",
        )
        self._define_particles(form)
        form.addParam(
            "continueRun",
            params.PointerParam,
            pointerClass=self.getClassName(),
            condition="doContinue",
            important=True,
            label="Previous run",
            help=f"A {self.KIND} of this plugin. Its particles and last written iteration are taken.",
        )

    def _define_particles(self, form: Any) -> None:
        form.addParam(
            "inputParticles",
            params.PointerParam,
            pointerClass="SetOfParticles",
            condition="not doContinue",
            important=True,
            label="Input particles",
            help="Particles with the same box and pixel size; their CTF is used if CTF correction is on.",
        )

    def _define_inputs(self, form: Any, declared: Mapping[str, ParameterField]) -> None:
        """Add further inputs; hook."""

    @classmethod
    def notInForm(cls) -> frozenset[str]:
        """Return the parameters that the form does not show."""
        return HOST_PARAMETERS & {field.name for field in fields_of(cls.PARAMETERS)}

    def parameters(self) -> Any:
        """Return the form's values as the job's parameter set, with the files of this run."""
        return parameter_set(self, self.PARAMETERS, **self._given())

    def _given(self) -> dict[str, Any]:
        """Return the parameters that are not in the form."""
        particles = self.particlesPointer().get()
        state = self._state_to_continue()
        return {
            "fn_img": str(self._star()),
            "fn_cont": str(state[1]) if state is not None else "",
            "ctf_phase_flipped": bool(particles is not None and particles.isPhaseFlipped()),
            "use_gpu": self.usesGpu(),
            "gpu_ids": ",".join(str(gpu) for gpu in self.getGpuList()) if self.usesGpu() else "",
            "nr_threads": self.numberOfThreads.get(),
        }

    def job(self) -> Any:
        """Return the job's module (imported late: it needs more than a form)."""
        return import_module(f"relion4plugin.jobs.{self.JOB}")

    def iterations(self) -> int:
        """Return the number of iterations or mini-batches asked for, or at most allowed."""
        return int(self.job().n_iterations(self.parameters()))

    def particlesPointer(self) -> Any:
        """Return the pointer to the particles: the input, or that of the run which is continued."""
        if not self.doContinue.get():
            return self.inputParticles
        previous = self.continueRun.get()
        return previous.particlesPointer() if previous is not None else self.continueRun

    def runFolder(self) -> Path:
        """Return the folder of the RELION files, which appear there while the run goes on."""
        return Path(self._getExtraPath())

    # ----------------------------------------------------------------- steps

    def _digest(self) -> str:
        """Return the digest of everything that determines the result."""
        ignored = NO_EFFECT_ON_RESULT | self._may_grow()
        values = {name: value for name, value in dataclasses.asdict(self.parameters()).items() if name not in ignored}
        particles = self.particlesPointer().get()
        files = [Path(particles.getFileName())]
        if self.doContinue.get():
            values["previous"] = self.continueRun.get().getObjId()
            files.append(self._previous_state()[1])
        else:
            files += self._input_files()
        return digest_of(values | {"input": particles.getObjId(), "prefix": particles.getPrefix()}, *files)

    def _may_grow(self) -> frozenset[str]:
        """Return the parameters whose increase lets a run just go on (EM has no schedule); hook."""
        return frozenset()

    def _input_files(self) -> list[Path]:
        """Return the files of inputs besides the particles; hook."""
        return []

    def convertInputStep(self, digest: str) -> list[str]:
        """Write the particles as a STAR file, and the other inputs as files."""
        from relion4plugin.scipion.convert import set_info, write_particles_star

        progress = LogProgress(self.info)
        particles = self.particlesPointer().get()
        try:
            claim_folder(self.runFolder(), digest)
            count = write_particles_star(set_info(particles), self._star(), progress, need_poses=self._needs_poses())
            self._convert_inputs()
            for remark in self.job().validate(self.parameters()):
                self.warning(remark)
            self._check_converted()
        except UserError as error:
            raise PyworkflowException(str(error)) from error
        self.info(f"{count} particles written to {self._star()}")
        return [str(self._star())]

    def _needs_poses(self) -> bool:
        """Whether the poses of the input are used as they are; hook."""
        return False

    def _convert_inputs(self) -> None:
        """Write the inputs besides the particles; hook."""

    def _check_converted(self) -> None:
        """Check the written inputs against each other; hook.

        Raises
        ------
        UserError
            If they do not fit.
        """

    def _go_on(self, stop: int | None = None) -> Any:
        """Refine from the newest state on disk up to iteration `stop`, or to the end; return the engine's result."""
        from relion4plugin.jobs.inputs import read_input_particles
        from relion4plugin.refinement.engine import refine

        resume = self._newest_state(stop)
        try:
            settings = self.job().settings_of(self._with_usable_gpu(self.parameters()))
            particles = read_input_particles(self._star())
            return refine(settings, particles, self.runFolder(), LogProgress(self.info), resume=resume, stop_after=stop)
        except UserError as error:
            raise PyworkflowException(str(error)) from error

    def _newest_state(self, at_most: int | None = None) -> Path | None:
        """Return the optimiser file to resume from: of this run, else of the one that is continued."""
        state = last_state(self.runFolder(), at_most)
        if state is None and self.doContinue.get():
            state = self._previous_state()
            copy_records(state[1].parent, self.runFolder())
        return state[1] if state is not None else None

    def classifyStep(self, stop: int, digest: str) -> None:
        """Run the classification up to and with iteration `stop`, from the newest state on disk."""
        state = last_state(self.runFolder(), at_most=stop)
        if state is not None and state[0] >= stop:
            self.info(f"Iteration {stop} is on disk already")
            return
        self._go_on(stop)
        self._tell_state(stop)

    # ------------------------------------------------------------ information

    def _citations(self) -> list[str]:
        return ["Scheres2012"]  # the plugin adds its own reference

    # ----------------------------------------------------------------- helpers

    def _star(self) -> Path:
        return self.runFolder() / "particles.star"

    def _state_to_continue(self) -> tuple[int, Path] | None:
        previous = self.continueRun.get() if self.doContinue.get() else None
        return last_state(previous.runFolder()) if previous is not None else None

    def _previous_state(self) -> tuple[int, Path]:
        state = self._state_to_continue()
        if state is None:
            raise PyworkflowException("The previous run has written no iteration; choose another run to continue.")
        return state

    def _with_usable_gpu(self, parameters: Any) -> Any:
        if not parameters.use_gpu:
            return parameters
        problem = gpu_problem(self.getGpuList())
        if problem is None:
            self.info(f"Computing on GPU {parameters.gpu_ids}")
            return parameters
        self.warning(f"Computing on the CPU: {problem}")
        return dataclasses.replace(parameters, use_gpu=False, gpu_ids="")

    def _tell_state(self, iteration: int) -> None:
        kind = "Mini-batch" if self._by_vdam() else "Iteration"
        self._tell(f"{kind} {iteration} of {self.iterations()} done")

    def _by_vdam(self) -> bool:
        return bool(self.do_grad.get())

    def _tell(self, text: str) -> None:
        """Show a line in the summary, also while the run goes on."""
        self.summaryVar.set(text)
        self._store(self.summaryVar)
