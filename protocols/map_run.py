"""What the protocols that work on finished maps have in common."""

import dataclasses
from pathlib import Path
from typing import Any

from pyworkflow.exceptions import PyworkflowException

from relion4plugin.errors import UserError
from relion4plugin.scipion.blocks import digest_of
from relion4plugin.scipion.forms import parameter_set
from relion4plugin.scipion.log import LogProgress

from .job_run import JobRun


class MapRun(JobRun):
    """Mix-in of protocols with one computing step, before the host's class of protocol."""

    def _given(self) -> dict[str, Any]:
        """Return the parameters that are not in the form, here those of one input map; one in another format is written as MRC."""
        from relion4plugin.scipion.volumes import map_path

        volume = self.inputVolume.get()
        return {"fn_in": str(map_path(volume, self.runFolder() / "input.mrc")), "angpix": float(volume.getSamplingRate() or -1)}

    def _input_files(self) -> list[Path]:
        """Return the files of the inputs."""
        from relion4plugin.scipion.volumes import volume_file

        return [volume_file(self.inputVolume.get())]

    def _insertAllSteps(self) -> None:
        form = parameter_set(self, self.PARAMETERS)
        digest = digest_of(dataclasses.asdict(form), *self._input_files())
        self._insertFunctionStep(self.computeStep, digest, needsGPU=False)

    def computeStep(self, digest: str) -> None:
        """Run the job and register its results."""
        try:
            parameters, job = self.parameters(), self.job()
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
