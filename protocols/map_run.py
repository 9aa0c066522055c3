"""What the protocols that work on finished maps have in common."""

import dataclasses
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from pyworkflow.constants import NEW
from pyworkflow.exceptions import PyworkflowException
from pyworkflow.protocol.constants import STEPS_SERIAL

from relion4plugin.errors import UserError
from relion4plugin.jobs.parameters import fields_of
from relion4plugin.scipion.blocks import digest_of
from relion4plugin.scipion.forms import add_parameters, parameter_set
from relion4plugin.scipion.log import LogProgress


class MapRun:
    """Mix-in of protocols with one computing step, before the host's class of protocol.

    Attributes
    ----------
    JOB : str
        Module in ``relion4plugin.jobs`` with ``run``.
    PARAMETERS : type
        The job's parameter dataclass.
    NOT_IN_FORM : frozenset
        Parameters that pointers provide.
    CONDITIONS : mapping
        Parameter to the condition under which the form shows it.
    """

    JOB: str
    PARAMETERS: type
    NOT_IN_FORM: frozenset[str]
    CONDITIONS: Mapping[str, str]
    _devStatus = NEW
    stepsExecutionMode = STEPS_SERIAL

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # pyworkflow 3.11 drops label and comment of templates.
        self.setObjLabel(kwargs.get("objLabel") or "")
        self.setObjComment(kwargs.get("objComment") or "")

    def _defineParams(self, form: Any) -> None:
        form.addSection(label="Input")
        self._define_inputs(form)
        add_parameters(form, self.PARAMETERS, skip=self.NOT_IN_FORM, conditions=self.CONDITIONS, host=self._host_section())

    def _define_inputs(self, form: Any) -> None:
        """Add the pointers; hook."""

    def _host_section(self) -> str:
        """Return the section that takes the advanced ones: the first that the form shows."""
        return next(field.section for field in fields_of(self.PARAMETERS) if field.name not in self.NOT_IN_FORM)

    def _given(self) -> dict[str, Any]:
        """Return the parameters that are not in the form, here those of one input map; one in another format is written as MRC."""
        from relion4plugin.scipion.volumes import map_path

        volume = self.inputVolume.get()
        return {"fn_in": str(map_path(volume, self.runFolder() / "input.mrc")), "angpix": float(volume.getSamplingRate() or -1)}

    def _input_files(self) -> list[Path]:
        """Return the files of the inputs."""
        from relion4plugin.scipion.volumes import volume_file

        return [volume_file(self.inputVolume.get())]

    def runFolder(self) -> Path:
        """Return the folder of the results."""
        return Path(self._getExtraPath())

    def _insertAllSteps(self) -> None:
        form = parameter_set(self, self.PARAMETERS)
        digest = digest_of(dataclasses.asdict(form), *self._input_files())
        self._insertFunctionStep(self.computeStep, digest, needsGPU=False)

    def computeStep(self, digest: str) -> None:
        """Run the job and register its results."""
        try:
            parameters = parameter_set(self, self.PARAMETERS, **self._given())
            job = import_module(f"relion4plugin.jobs.{self.JOB}")
            for remark in job.validate(parameters):
                self.warning(remark)
            outputs = job.run(parameters, self.runFolder(), LogProgress(self.info), job_star=False, overwrite=True)
        except UserError as error:
            raise PyworkflowException(str(error)) from error
        for remark in outputs.remarks:
            self.info(remark)
        self._register(outputs)

    def _register(self, outputs: Any) -> None:
        """Define the protocol's outputs from those of the job; hook."""

    def _tell(self, text: str) -> None:
        """Show a line in the summary."""
        self.summaryVar.set(text)
        self._store(self.summaryVar)

    def _summary(self) -> list[str]:
        return [self.summaryVar.get()] if self.summaryVar.hasValue() else ["Not ready yet."]
