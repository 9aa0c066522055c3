"""A soft mask around the density of a map."""

from enum import Enum
from typing import Any

from pwem.objects import VolumeMask
from pwem.protocols import ProtCreateMask3D
from pyworkflow.protocol import params

from relion4plugin.jobs.maskcreate_parameters import MaskCreateParameters

from .map_run import MapRun


class MaskOutputs(Enum):
    """Names and types of the outputs."""

    outputMask = VolumeMask


class ProtR4pCreateMask(MapRun, ProtCreateMask3D):
    """Make a soft solvent mask: filter the map, threshold it, grow the result and give it a soft edge."""

    JOB, PARAMETERS = "maskcreate", MaskCreateParameters
    NOT_IN_FORM = frozenset({"fn_in", "angpix"})
    CONDITIONS = {"inimask_threshold": "not do_auto_threshold"}
    _label = "create 3D mask"
    _possibleOutputs = MaskOutputs

    def _define_inputs(self, form: Any) -> None:
        form.addParam(
            "inputVolume",
            params.PointerParam,
            pointerClass="Volume",
            important=True,
            label="Input map",
            help="With bright density, for example the result of a refinement.",
        )

    def _register(self, outputs: Any) -> None:
        mask = VolumeMask(location=str(outputs.mask), objLabel="solvent mask")
        mask.setSamplingRate(self.inputVolume.get().getSamplingRate())
        self._tell(f"{100 * outputs.fraction:.1f} % of the box, threshold {outputs.threshold:.4g}")
        self._defineOutputs(outputMask=mask)
        self._defineSourceRelation(self.inputVolume, mask)

    def _validate(self) -> list[str]:
        return ["Choose the input map."] if self.inputVolume.get() is None else []
