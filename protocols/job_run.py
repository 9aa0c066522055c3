"""What the protocols that call one job have in common: the form made from the job's declaration, and the line of the summary."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from pyworkflow.constants import NEW
from pyworkflow.protocol.constants import STEPS_SERIAL

from relion4plugin.jobs.parameters import fields_of
from relion4plugin.scipion.forms import add_parameters, parameter_set


class JobRun:
    """Mix-in before the host's class of protocol.

    Attributes
    ----------
    JOB : str
        Module in ``relion4plugin.jobs`` with ``validate`` and ``run``.
    PARAMETERS : type
        The job's parameter dataclass.
    NOT_IN_FORM : frozenset
        Parameters that pointers or the host provide.
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
        """Return the parameters that are not in the form; hook."""
        return {}

    def parameters(self) -> Any:
        """Return the form's values as the job's parameter set."""
        return parameter_set(self, self.PARAMETERS, **self._given())

    def job(self) -> Any:
        """Return the job's module (imported late: it needs more than a form)."""
        return import_module(f"relion4plugin.jobs.{self.JOB}")

    def runFolder(self) -> Path:
        """Return the folder of the results."""
        return Path(self._getExtraPath())

    def _tell(self, text: str) -> None:
        """Show lines in the summary, also while the run goes on."""
        if text != self.summaryVar.get():
            self.summaryVar.set(text)
            self._store(self.summaryVar)

    def _summary(self) -> list[str]:
        return self.summaryVar.get().split("\n") if self.summaryVar.hasValue() else ["Not ready yet."]
