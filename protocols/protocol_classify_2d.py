"""2D classification of particles, by VDAM mini-batches or by EM."""

import dataclasses
from enum import Enum
from pathlib import Path
from typing import Any

from pwem.objects import SetOfAverages, SetOfClasses2D, SetOfParticles
from pwem.protocols import ProtClassify2D
from pyworkflow.constants import NEW
from pyworkflow.exceptions import PyworkflowException
from pyworkflow.protocol import params
from pyworkflow.protocol.constants import GPU_LIST, LEVEL_ADVANCED, STEPS_SERIAL, USE_GPU

from relion4plugin.errors import UserError
from relion4plugin.jobs.class2d_parameters import Class2DParameters
from relion4plugin.jobs.parameters import fields_of
from relion4plugin.scipion.blocks import block_ends, claim_folder, copy_records, digest_of, last_state
from relion4plugin.scipion.forms import add_parameters, parameter_set
from relion4plugin.scipion.log import LogProgress

# Provided by pointers, by Scipion's own GPU row and threads entry, or by the input set itself.
NOT_IN_FORM = frozenset({"fn_img", "fn_cont", "fn_ref", "do_em", "ctf_phase_flipped", "use_gpu", "gpu_ids", "nr_threads"})
# They change how fast the result comes, not the result.
NO_EFFECT_ON_RESULT = frozenset({"use_gpu", "gpu_ids", "nr_threads", "memory_limit"})
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


class Class2DOutputs(Enum):
    """Names and types of the outputs."""

    outputClasses = SetOfClasses2D
    outputAverages = SetOfAverages


class ProtR4pClassify2D(ProtClassify2D):
    """Group particles into 2D classes and average each class.

    VDAM (variable-metric gradient descent with adaptive moments) works on small random mini-batches and ends with a pass over all
    particles; EM (expectation-maximisation) uses all particles in every iteration. VDAM is several times faster on large sets.

    The particles' CTF, box and pixel size come from the input set. Results are registered when the run ends; while it runs,
    *Analyze Results* shows the class averages written so far. *Continue* goes on after the last finished block of iterations.
    """

    _label = "2D classification (VDAM / EM)"
    _devStatus = NEW
    _possibleOutputs = Class2DOutputs
    stepsExecutionMode = STEPS_SERIAL

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # pyworkflow 3.11 drops label and comment of templates.
        self.setObjLabel(kwargs.get("objLabel") or "")
        self.setObjComment(kwargs.get("objComment") or "")

    # ------------------------------------------------------------------ form

    def _defineParams(self, form: Any) -> None:
        declared = {field.name: field for field in fields_of(Class2DParameters)}
        use, which = declared["use_gpu"], declared["gpu_ids"]
        form.addHidden(USE_GPU, params.BooleanParam, default=use.default, label=f"{use.label}?", help=use.help)
        form.addHidden(GPU_LIST, params.StringParam, default="0", label=which.label, help=which.help)
        form.addSection(label="Input")
        form.addParam(
            "doContinue",
            params.BooleanParam,
            default=False,
            label="Continue from a previous run?",
            help="Go on with the classes and poses of a finished or stopped run, for more iterations.",
        )
        form.addParam(
            "inputParticles",
            params.PointerParam,
            pointerClass="SetOfParticles",
            condition="not doContinue",
            important=True,
            label="Input particles",
            help="Particles with the same box and pixel size; their CTF is used if CTF correction is on.",
        )
        form.addParam(
            "continueRun",
            params.PointerParam,
            pointerClass=self.getClassName(),
            condition="doContinue",
            important=True,
            label="Previous run",
            help="A 2D classification of this plugin. Its particles and last written iteration are taken.",
        )
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
        add_parameters(form, Class2DParameters, skip=NOT_IN_FORM, conditions=CONDITIONS, host="Optimisation")
        form.addParallelSection(threads=declared["nr_threads"].default, mpi=0)

    def parameters(self) -> Class2DParameters:
        """Return the form's values as the job's parameter set, with the files of this run."""
        particles = self.particlesPointer().get()
        return parameter_set(
            self,
            Class2DParameters,
            fn_img=str(self._star()),
            fn_ref=str(self._references()) if self._initialAverages() is not None else "",
            do_em=not self.do_grad.get(),
            ctf_phase_flipped=bool(particles is not None and particles.isPhaseFlipped()),
            use_gpu=self.usesGpu(),
            gpu_ids=",".join(str(gpu) for gpu in self.getGpuList()) if self.usesGpu() else "",
            nr_threads=self.numberOfThreads.get(),
        )

    def iterations(self) -> int:
        """Return the number of iterations or mini-batches asked for."""
        return int(self.nr_iter_grad.get() if self.do_grad.get() else self.nr_iter_em.get())

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

    def _insertAllSteps(self) -> None:
        digest = self._digest()
        first = self._previous_state()[0] if self.doContinue.get() else 0
        self._insertFunctionStep(self.convertInputStep, digest, needsGPU=False)
        for stop in block_ends(self.iterations(), first):
            self._insertFunctionStep(self.classifyStep, stop, digest, needsGPU=True)
        self._insertFunctionStep(self.createOutputStep, self.iterations(), digest, needsGPU=False)

    def _digest(self) -> str:
        parameters = dataclasses.asdict(self.parameters())
        ignored = set(NO_EFFECT_ON_RESULT)
        if not self.do_grad.get():
            ignored.add("nr_iter_em")  # EM has no schedule: more iterations just go on
        values = {name: value for name, value in parameters.items() if name not in ignored}
        particles = self.particlesPointer().get()
        files = [Path(particles.getFileName())]
        if self.doContinue.get():
            values["previous"] = self.continueRun.get().getObjId()
            files.append(self._previous_state()[1])
        elif self._initialAverages() is not None:
            files.append(Path(self._initialAverages().getFileName()))
        return digest_of(values | {"input": particles.getObjId(), "prefix": particles.getPrefix()}, *files)

    def convertInputStep(self, digest: str) -> list[str]:
        """Write the particles as a STAR file, and the starting averages as a stack."""
        from relion4plugin.jobs.class2d import validate
        from relion4plugin.scipion.convert import set_info, write_averages, write_particles_star

        progress = LogProgress(self.info)
        particles = self.particlesPointer().get()
        try:
            claim_folder(self.runFolder(), digest)
            count = write_particles_star(set_info(particles), self._star(), progress, need_poses=not self.dont_skip_align.get())
            if self._initialAverages() is not None:
                write_averages(self._initialAverages(), self._references())
            for remark in validate(self.parameters()):
                self.warning(remark)
        except UserError as error:
            raise PyworkflowException(str(error)) from error
        self.info(f"{count} particles written to {self._star()}")
        return [str(self._star())]

    def classifyStep(self, stop: int, digest: str) -> None:
        """Run the classification up to and with iteration `stop`, from the newest state on disk."""
        from relion4plugin.jobs.class2d import settings_of
        from relion4plugin.jobs.inputs import read_input_particles
        from relion4plugin.refinement.engine import refine

        state = last_state(self.runFolder(), at_most=stop)
        if state is None and self.doContinue.get():
            state = self._previous_state()
            copy_records(state[1].parent, self.runFolder())
        if state is not None and state[0] >= stop and state[1].parent == self.runFolder():
            self.info(f"Iteration {stop} is on disk already")
            return
        try:
            parameters = self._with_usable_gpu(self.parameters())
            settings = settings_of(parameters)
            particles = read_input_particles(self._star())
            resume = state[1] if state is not None else None
            refine(settings, particles, self.runFolder(), LogProgress(self.info), resume=resume, stop_after=stop)
        except UserError as error:
            raise PyworkflowException(str(error)) from error
        self._tell_state(stop)

    def createOutputStep(self, iteration: int, digest: str) -> None:
        """Register classes and averages of the last iteration."""
        from relion4plugin.scipion.classes2d import read_result
        from relion4plugin.scipion.outputs import fill_averages, fill_classes

        pointer = self.particlesPointer()
        particles = pointer.get()
        try:
            result = read_result(self.runFolder(), iteration, particles.getSamplingRate())
        except UserError as error:
            raise PyworkflowException(str(error)) from error
        classes = self._createSetOfClasses2D(pointer)
        fill_classes(classes, result, particles.getSamplingRate())
        averages = self._createSetOfAverages()
        fill_averages(averages, result, particles)
        self._defineOutputs(outputClasses=classes, outputAverages=averages)
        self._defineSourceRelation(pointer, classes)
        self._defineSourceRelation(pointer, averages)

    # ------------------------------------------------------------ information

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
        return self._input_errors(particles) + self._reference_errors(particles) + self._continue_errors()

    def _input_errors(self, particles: SetOfParticles) -> list[str]:
        errors = []
        size, classes, box = particles.getSize(), self.nr_classes.get(), particles.getDimensions()[0]
        width, diameter = box * particles.getSamplingRate(), self.particle_diameter.get()
        if size < classes:
            errors.append(f"{classes} classes for {size} particles: the number of classes must not exceed the number of particles.")
        if diameter > width:
            errors.append(f"The mask diameter ({diameter:g} Å) is larger than the box ({width:.0f} Å): use the wizard beside it.")
        if box % 2:
            errors.append(f"The box is {box} px, an odd number: crop or extract the particles with an even box.")
        if self.do_ctf_correction.get() and not particles.hasCTF():
            errors.append("The particles have no CTF: estimate and assign it, or set 'Do CTF correction?' to No.")
        if not self.dont_skip_align.get() and not particles.hasAlignment():
            errors.append("The particles have no alignment to keep: set 'Perform image alignment?' to Yes.")
        return errors

    def _reference_errors(self, particles: SetOfParticles) -> list[str]:
        averages, classes, errors = self._initialAverages(), self.nr_classes.get(), []
        if averages is not None and averages.getSize() != classes:
            errors.append(f"{averages.getSize()} starting averages for {classes} classes: the numbers must be equal.")
        if averages is not None and averages.getDimensions()[0] != particles.getDimensions()[0]:
            errors.append("The starting averages and the particles differ in box size: resize the averages.")
        return errors

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
        if previous.nr_classes.get() != self.nr_classes.get():
            return [f"The previous run has {previous.nr_classes.get()} classes: ask for the same number to continue it."]
        return []

    def _warnings(self) -> list[str]:
        warnings = []
        if self.usesGpu() and _gpu_problem(self.getGpuList()) is not None:
            warnings.append("No GPU can be used here (is cupy installed?): the run will use the CPU.")
        particles = self.particlesPointer().get()
        if particles is not None and particles.isStreamOpen():
            warnings.append("The input is still growing: only the particles that are there now are classified.")
        return warnings

    def _summary(self) -> list[str]:
        summary = [self.summaryVar.get()] if self.summaryVar.hasValue() else []
        if not hasattr(self, Class2DOutputs.outputClasses.name):
            return [*summary, "Classes are not ready yet; *Analyze Results* shows the averages written so far."]
        return [*summary, f"Populated classes: {self.outputClasses.getSize()} of {self.nr_classes.get()}"]

    def _methods(self) -> list[str]:
        if not hasattr(self, Class2DOutputs.outputClasses.name):
            return []
        how = f"{self.iterations()} VDAM mini-batches" if self.do_grad.get() else f"{self.iterations()} EM iterations"
        return [
            f"Particles {self.getObjectTag(self.particlesPointer())} were classified into {self.nr_classes.get()} 2D classes by {how} "
            f"(T = {self.tau_fudge.get():g}, mask diameter {self.particle_diameter.get():g} Å), "
            f"giving {self.getObjectTag('outputClasses')}."
        ]

    def _citations(self) -> list[str]:
        return ["Scheres2012"]  # the plugin adds its own reference

    # ----------------------------------------------------------------- helpers

    def _star(self) -> Path:
        return self.runFolder() / "particles.star"

    def _references(self) -> Path:
        return self.runFolder() / "starting_averages.mrcs"

    def _initialAverages(self) -> Any:
        return None if self.doContinue.get() else self.initialAverages.get()

    def _previous_state(self) -> tuple[int, Path]:
        state = last_state(self.continueRun.get().runFolder())
        if state is None:
            raise PyworkflowException("The previous run has written no iteration; choose another run to continue.")
        return state

    def _with_usable_gpu(self, parameters: Class2DParameters) -> Class2DParameters:
        if not parameters.use_gpu:
            return parameters
        problem = _gpu_problem(self.getGpuList())
        if problem is None:
            self.info(f"Computing on GPU {parameters.gpu_ids}")
            return parameters
        self.warning(f"Computing on the CPU: {problem}")
        return dataclasses.replace(parameters, use_gpu=False, gpu_ids="")

    def _tell_state(self, iteration: int) -> None:
        kind = "Mini-batch" if self.do_grad.get() else "Iteration"
        self.summaryVar.set(f"{kind} {iteration} of {self.iterations()} done")
        self._store(self.summaryVar)


def _gpu_problem(gpus: list[int]) -> str | None:
    from relion4plugin.arrays import device_namespace

    try:
        device_namespace(gpus[0] if gpus else 0)
    except UserError as error:
        return str(error)
    return None
