"""Import of a microscope's session: movies with all that its files say about them, while they arrive."""

import time
from enum import Enum
from pathlib import Path
from typing import Any

from pwem.objects import SetOfMovies
from pwem.protocols import ProtImport
from pyworkflow.constants import NEW
from pyworkflow.exceptions import PyworkflowException
from pyworkflow.protocol import params
from pyworkflow.protocol.constants import LEVEL_ADVANCED, STEPS_SERIAL

from relion4plugin.errors import UserError
from relion4plugin.scipion.blocks import digest_of
from relion4plugin.scipion.set_aside import claim_results


class AcquisitionOutputs(Enum):
    """Names and types of the outputs."""

    outputMovies = SetOfMovies


# Parameter, class, label and help of the values that may be given; what is left empty comes from the files of the session.
_VALUES = (
    ("samplingRate", params.FloatParam, "Pixel size of the movies (Å)", "Of the frames as stored."),
    ("dosePerFrame", params.FloatParam, "Dose per frame (e/Å²)", "Of a camera frame for EER movies. 0 goes without dose weighting."),
    ("doseInitial", params.FloatParam, "Dose before the movie (e/Å²)", ""),
    ("voltage", params.FloatParam, "Voltage (kV)", ""),
    ("sphericalAberration", params.FloatParam, "Spherical aberration (mm)", "No file tells it: that of the preset, or 2.7."),
    ("amplitudeContrast", params.FloatParam, "Amplitude contrast", "No file tells it: that of the preset, or 0.1."),
    ("magnification", params.IntParam, "Magnification", ""),
    ("eerGrouping", params.IntParam, "Camera frames in an EER fraction", "Follows from the dose of a fraction in the preset."),
)


class ProtR4pAcquisition(ProtImport):
    """Import the movies of a session of EPU or SerialEM while they arrive, with what its metadata say.

    Voltage, pixel size, dose, frames, gain reference and optics groups come from all metadata files of the session, a preset of the
    microscope, and the form, which counts most. The summary tells the source of each value, and what does not fit together. A movie is
    imported once, when it is finished. *Continue* goes on with a session; a file STOP_STREAMING.TXT in the run's extra folder ends it.
    """

    _label = "acquisition (MDCatch)"
    _devStatus = NEW
    _possibleOutputs = {one.name: one.value for one in AcquisitionOutputs}
    stepsExecutionMode = STEPS_SERIAL

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # pyworkflow 3.11 drops label and comment of templates.
        self.setObjLabel(kwargs.get("objLabel") or "")
        self.setObjComment(kwargs.get("objComment") or "")

    @classmethod
    def worksInStreaming(cls) -> bool:
        """Tell the host that the output grows while the protocol runs."""
        return True

    def runFolder(self) -> Path:
        """Return the folder of the results."""
        return Path(self._getExtraPath())

    # ------------------------------------------------------------------ form

    def _defineParams(self, form: Any) -> None:
        form.addSection(label="Session")
        form.addParam(
            "sessionFolder",
            params.FolderParam,
            important=True,
            label="Folder of the session",
            help="With the metadata of EPU or SerialEM, or with a single session below it. It may still be empty.",
        )
        form.addParam(
            "moviesFolder",
            params.FolderParam,
            allowsNull=True,
            label="Folder of the movies",
            help="Where movies do not lie with their metadata. Empty: that of the preset, else the folder of the session.",
        )
        form.addParam(
            "preset",
            params.StringParam,
            default="",
            label="Preset",
            help="What is the same for all sessions of a microscope: a TOML file, or the name of a shipped one "
            "(krios_k3, krios_falcon4i, glacios_falcon4i, talos_falcon3, facility_scipion). May be empty.",
        )
        form.addParam(
            "copyFiles",
            params.BooleanParam,
            default=False,
            expertLevel=LEVEL_ADVANCED,
            label="Copy the movies?",
            help="No makes links.",
        )
        self._define_values(form)
        self._define_streaming(form)
        self._define_workflow(form)

    def _define_values(self, form: Any) -> None:
        form.addSection(label="Values")
        for name, kind, label, text in _VALUES:
            form.addParam(name, kind, default=None, allowsNull=True, label=label, help=f"{text} Empty: what the files say.".strip())
        form.addParam(
            "gainFile",
            params.FileParam,
            allowsNull=True,
            label="Gain reference",
            help="Empty: what the metadata name, or the newest beside the movies, by the rule of the preset.",
        )
        form.addParam(
            "moreValues",
            params.StringParam,
            default="",
            expertLevel=LEVEL_ADVANCED,
            label="Further values",
            help="NAME=VALUE, separated by blanks: fields of the record, or options of the processing for the workflow, such as "
            "symmetry=D2. gain_path= takes no gain reference.",
        )
        form.addParam(
            "acceptErrors",
            params.StringParam,
            default="",
            expertLevel=LEVEL_ADVANCED,
            label="Errors to accept",
            help="Rules whose errors do not forbid the import, such as V03 V08. The message of an error names its rule.",
        )

    def _define_streaming(self, form: Any) -> None:
        form.addSection(label="Streaming")
        for name, kind, default, label, text in (
            ("idleMinutes", params.FloatParam, 120.0, "End without new movies (min)", "0 imports what is there."),
            ("longestHours", params.FloatParam, 0.0, "Longest time (h)", "0: no limit."),
            ("settleSeconds", params.FloatParam, 30.0, "Finished when unchanged (s)", "Size and time of a movie must stay the same."),
            (
                "patienceMinutes",
                params.FloatParam,
                5.0,
                "Patience (min)",
                "So long a movie waits for its metadata, and the first one for values or a gain reference that are missing.",
            ),
            (
                "groupsFirst",
                params.IntParam,
                0,
                "Movies to wait for optics groups",
                "Positions of the beam can only be told apart when each was visited about three times. 0 begins at once: movies before "
                "that share a group of their own. Otherwise nothing is imported until groups are clear, or there are so many movies.",
            ),
        ):
            level = {"expertLevel": LEVEL_ADVANCED} if name in ("settleSeconds", "patienceMinutes", "groupsFirst") else {}
            form.addParam(name, kind, default=default, label=label, help=text, validators=[params.GE(0)], **level)

    def _define_workflow(self, form: Any) -> None:
        form.addSection(label="Workflow")
        form.addParam(
            "workflow",
            params.StringParam,
            default="",
            label="Workflow to fill",
            help="A Scipion workflow or template with one import of movies, which is replaced by this run: a file, or streaming_log, "
            "streaming_topaz (protocols of this plugin), acquisition_relion (those of the official RELION plugin). "
            "It is written to extra/workflow.json when the first movies are there.",
        )
        form.addParam(
            "particleDiameter",
            params.FloatParam,
            default=None,
            allowsNull=True,
            condition="workflow",
            label="Particle diameter (Å)",
            help="The longest one. Empty: that of the preset.",
        )
        form.addParam(
            "startWorkflow",
            params.BooleanParam,
            default=False,
            condition="workflow",
            label="Schedule it in this project?",
            help="Its runs start when their inputs are there. No writes the file only; the summary tells the command that schedules it.",
        )

    def _form(self) -> Any:
        from relion4plugin.scipion.acquisition_form import read_form

        return read_form({name: getattr(self, name).get() for name, _ in self.iterDefinitionAttributes()})

    # ----------------------------------------------------------------- steps

    def _insertAllSteps(self) -> None:
        # The time makes the host repeat the step whenever the run is continued.
        self._insertFunctionStep(self.importStep, str(time.time()), needsGPU=False)

    def importStep(self, time_stamp: str) -> None:
        """Import movies until no more come."""
        from relion4plugin.scipion.acquisition_import import SessionImport
        from relion4plugin.scipion.acquisition_launch import WorkflowLaunch

        try:
            form = self._form()
            claim_results(self.runFolder(), digest_of(form.decisive), self.hasAttribute(AcquisitionOutputs.outputMovies.name))
            self._launch = WorkflowLaunch(self, form)
            SessionImport(self, form, self._launch.start).run()
        except UserError as error:
            raise PyworkflowException(str(error)) from error
        self._closeOutputSet()

    # ------------------------------------------------------------ information

    def tellState(self, lines: list[str]) -> None:
        """Show lines in the summary, also while the run goes on."""
        text = "\n".join([*lines, *self._launch.lines])
        if text != self.summaryVar.get():
            self.summaryVar.set(text)
            self._store(self.summaryVar)

    def _validate(self) -> list[str]:
        try:
            self._form()
        except UserError as error:
            return [f"{str(error)[0].upper()}{str(error)[1:]}."]
        return []

    def _summary(self) -> list[str]:
        return self.summaryVar.get().split("\n") if self.summaryVar.hasValue() else ["Not ready yet."]

    def _methods(self) -> list[str]:
        if not self.hasAttribute(AcquisitionOutputs.outputMovies.name):
            return []
        return [f"{self.outputMovies.getSize()} movies were imported with the values of the microscope's metadata."]
