"""Runs schemes: graphs of jobs that process data while they are collected."""

import dataclasses
import time
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from pwem.objects import (
    SetOfAverages,
    SetOfClasses2D,
    SetOfClasses3D,
    SetOfCTF,
    SetOfMicrographs,
    SetOfParticles,
    SetOfVolumes,
    Volume,
)
from pwem.protocols import EMProtocol
from pyworkflow.constants import NEW
from pyworkflow.exceptions import PyworkflowException
from pyworkflow.protocol import params
from pyworkflow.protocol.constants import LEVEL_ADVANCED, STEPS_SERIAL

from relion4plugin.errors import UserError
from relion4plugin.jobs.parameters import fields_of
from relion4plugin.schemes.it.options import ItOptions
from relion4plugin.scipion.blocks import digest_of
from relion4plugin.scipion.forms import add_parameters, parameter_set

EXECUTORS = ("auto", "native", "relion")
_SHIPPED = "not fromFolder"
_POLL = 2.0  # seconds
_TAIL = 20  # lines of a failed job's run.err


class SchemeSets(Enum):
    """Names and types of the outputs."""

    outputMicrographs = SetOfMicrographs
    outputCTF = SetOfCTF
    outputParticles = SetOfParticles
    outputClasses = SetOfClasses2D
    outputAverages = SetOfAverages
    outputSelectedClasses = SetOfClasses2D
    outputSelectedAverages = SetOfAverages
    outputSelectedParticles = SetOfParticles
    outputInitialModel = Volume
    outputClasses3D = SetOfClasses3D
    outputVolumes = SetOfVolumes
    outputVolume = Volume
    outputRefinedParticles = SetOfParticles


class ProtR4pRunScheme(EMProtocol):
    """Process data while they are collected: from movies to a map, by a graph of jobs that is executed again and again.

    The shipped schemes import movies, correct motion and estimate CTFs (prep), then pick, extract, classify in 2D, select classes by
    score and make a map (proc). A scheme of one's own is taken from its folder. What the jobs make appears as outputs while the scheme
    runs. *Stop* aborts the scheme cleanly, and *Continue* goes on where it was.
    """

    _label = "run scheme"
    _devStatus = NEW
    _possibleOutputs = {one.name: one.value for one in SchemeSets}
    stepsExecutionMode = STEPS_SERIAL

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # pyworkflow 3.11 drops label and comment of templates.
        self.setObjLabel(kwargs.get("objLabel") or "")
        self.setObjComment(kwargs.get("objComment") or "")

    def _defineParams(self, form: Any) -> None:
        form.addSection(label="Scheme")
        form.addParam(
            "fromFolder",
            params.BooleanParam,
            default=False,
            label="Scheme from a folder?",
            help="No runs the shipped schemes prep and proc with the options of the other tabs.",
        )
        folder = {"condition": "fromFolder"}
        form.addParam(
            "schemeFolder",
            params.FolderParam,
            label="Folder of the scheme",
            help="With scheme.star and one folder for each job. It is copied into the run; later changes in it have no effect there.",
            **folder,
        )
        form.addParam(
            "dataFolder",
            params.FolderParam,
            label="Folder of the data",
            help="What lies in it is linked into the run, where the paths of the scheme begin. May be empty.",
            **folder,
        )
        form.addParam(
            "maxHours",
            params.FloatParam,
            default=0.0,
            label="Longest time (h)",
            help="After it the scheme is aborted, and the run is finished; it may be continued. 0: no limit.",
            **folder,
        )
        form.addParam(
            "executor",
            params.EnumParam,
            choices=list(EXECUTORS),
            default=0,
            label="Jobs are run by",
            help="auto: this plugin where it has an engine for the job, else RELION's programs, which must be on PATH then.",
        )
        form.addParam(
            "settings",
            params.StringParam,
            default="",
            expertLevel=LEVEL_ADVANCED,
            label="Further settings",
            help="KEY=VALUE, separated by blanks. For the shipped schemes keys are SCHEME__VARIABLE or SCHEME__JOB__OPTION, such as "
            "proc__class2d__nr_iter_grad=100; for a scheme from a folder its name is left out.",
        )
        add_parameters(form, ItOptions, conditions={field.name: _SHIPPED for field in fields_of(ItOptions)})

    @classmethod
    def worksInStreaming(cls) -> bool:
        """Tell the host that outputs grow while the protocol runs."""
        return True

    def projectFolder(self) -> Path:
        """Return the folder of the schemes' project, in which RELION's window can be opened too."""
        return Path(self._getExtraPath("project"))

    # ----------------------------------------------------------------- steps

    def _insertAllSteps(self) -> None:
        self._insertFunctionStep(self.prepareStep, self._digest(), needsGPU=False)
        # The time makes the host repeat the step whenever the run is continued.
        self._insertFunctionStep(self.runStep, str(time.time()), needsGPU=False)

    def _digest(self) -> str:
        own = self._own()
        return digest_of(dataclasses.asdict(own) if own else {**self._options(), "settings": self._settings()})

    def prepareStep(self, digest: str) -> None:
        """Write the schemes into the run's project."""
        from relion4plugin.scipion.scheme_setup import prepare_own, prepare_session, session_choices

        own, root = self._own(), self.projectFolder()
        try:
            if own is not None:
                prepare_own(root, own)
            else:
                prepare_session(root, session_choices(parameter_set(self, ItOptions), self._settings()))
        except UserError as error:
            raise PyworkflowException(str(error)) from error

    def runStep(self, time_stamp: str) -> None:
        """Run the schemes to their ends and show what they make."""
        from relion4plugin.schemes.project import Project
        from relion4plugin.schemes.status import ProjectReader
        from relion4plugin.scipion.scheme_outputs import SchemeOutputs
        from relion4plugin.scipion.scheme_runner import start_scheme

        project = Project(self.projectFolder())
        reader, outputs = ProjectReader(project), SchemeOutputs(self, self.projectFolder())
        try:
            runners = [start_scheme(project, name, EXECUTORS[self.executor.get()]) for name in self._names()]
            aborted = self._follow(runners, lambda: self._show(outputs, reader))
        except UserError as error:
            raise PyworkflowException(str(error)) from error
        self._conclude(runners, aborted, reader.read())
        self._closeOutputSet()

    def _follow(self, runners: Sequence[Any], show: Any) -> bool:
        """Wait for all runners; where one fails or time is over, the others are aborted. Returns whether time was over."""
        from relion4plugin.schemes.control import abort

        deadline = time.monotonic() + 3600 * self.maxHours.get() if self._own() and self.maxHours.get() > 0 else float("inf")
        asked = over = False
        while True:
            ends = [runner.end() for runner in runners]  # before the outputs: the last ones must not be missed
            show()
            if all(ends):
                return over
            over = over or time.monotonic() > deadline
            if not asked and (over or any(end is not None and end.outcome != "finished" for end in ends)):
                asked = True
                for runner, end in zip(runners, ends, strict=True):
                    if end is None:
                        abort(runner.project, runner.scheme)
            time.sleep(_POLL)

    def _show(self, outputs: Any, reader: Any) -> None:
        status = reader.read()
        for problem in outputs.update(status):
            self.warning(problem)
        lines = [f"{one.name}: {one.summary}" for one in status.schemes]
        lines += [f"{one.title}: {one.value:g}{' Å' if one.is_resolution else ''}" for one in status.quantities if one.value is not None]
        self._tell("\n".join(lines))

    def _conclude(self, runners: Sequence[Any], over: bool, status: Any) -> None:
        """Fail where a scheme did, with the job and what it said."""
        for runner in runners:
            end = runner.end()
            if end.outcome == "finished" or (over and end.outcome == "aborted"):
                self.info(f"Scheme {runner.scheme} {end.outcome}: {end.reason}")
                continue
            node = next((node for node in status.scheme(runner.scheme).nodes if node.name == end.node), None)
            message = f"Scheme {runner.scheme} {end.outcome}: {end.reason}"
            if node is not None and node.job:
                errors = self.projectFolder() / node.job / "run.err"
                lines = errors.read_text(errors="replace").splitlines()[-_TAIL:] if errors.is_file() else []
                self.error("\n".join([message, f"Last lines of {errors}:", *lines]))
            raise PyworkflowException(message)

    # ------------------------------------------------------------ information

    def _validate(self) -> list[str]:
        from relion4plugin.scipion.scheme_setup import check_own, check_session, session_choices

        if self.fromFolder.get() and not self.schemeFolder.get():
            return ["Choose the folder of the scheme."]
        own = self._own()
        try:
            if own is not None:
                check_own(own)
            else:
                check_session(self.projectFolder(), session_choices(parameter_set(self, ItOptions), self._settings()))
        except UserError as error:
            return [f"{error}."]
        return []

    def _warnings(self) -> list[str]:
        from relion4plugin.schemes.it.checks import doubts
        from relion4plugin.scipion.scheme_setup import absolute_options

        return [] if self.fromFolder.get() else list(doubts(absolute_options(parameter_set(self, ItOptions)), self.projectFolder()))

    def _summary(self) -> list[str]:
        return self.summaryVar.get().split("\n") if self.summaryVar.hasValue() else ["Not started yet."]

    def _methods(self) -> list[str]:
        return [f"Data were processed by the scheme(s) {', '.join(self._names())}."]

    # ----------------------------------------------------------------- helpers

    def _own(self) -> Any:
        from relion4plugin.scipion.scheme_setup import OwnScheme

        if not self.fromFolder.get() or not self.schemeFolder.get():
            return None
        data = Path(self.dataFolder.get()) if self.dataFolder.get() else None
        return OwnScheme(Path(self.schemeFolder.get()), data, tuple(self._settings()))

    def _names(self) -> list[str]:
        own = self._own()
        if own is not None:
            return [own.name]
        return [name for name, wanted in (("prep", self.do_prep.get()), ("proc", self.do_proc.get())) if wanted]

    def _options(self) -> dict[str, Any]:
        return dataclasses.asdict(parameter_set(self, ItOptions))

    def _settings(self) -> list[str]:
        return (self.settings.get() or "").split()

    def _tell(self, text: str) -> None:
        """Show lines in the summary, also while the run goes on."""
        if text != self.summaryVar.get():
            self.summaryVar.set(text)
            self._store(self.summaryVar)
