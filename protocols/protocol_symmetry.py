"""Finding the point group of a map and turning the map onto its symmetry axes."""

from enum import Enum
from typing import Any

from pwem.objects import Volume
from pwem.protocols import ProtAlignVolume
from pyworkflow.protocol import params

from relion4plugin.jobs.alignsymmetry_parameters import AlignSymmetryParameters

from .map_run import MapRun
from .reference_run import symmetry_errors


class SymmetryOutputs(Enum):
    """Names and types of the outputs."""

    outputVolume = Volume


class ProtR4pSymmetry(MapRun, ProtAlignVolume):
    """Turn a map onto the axes of its point group, which is given or found, and average over the group if asked.

    The score (0 to 1, clear from 0.5) is the evidence for the symmetry.
    """

    JOB, PARAMETERS = "alignsymmetry", AlignSymmetryParameters
    NOT_IN_FORM = frozenset({"fn_in", "angpix", "select_largest_class", "select_best_class"})
    CONDITIONS = {"candidates": "find"}
    _label = "symmetry of a map"
    _possibleOutputs = SymmetryOutputs

    def _define_inputs(self, form: Any) -> None:
        form.addParam(
            "inputVolume", params.PointerParam, pointerClass="Volume", important=True, label="Input map", help="Such as an initial model."
        )

    def _register(self, outputs: Any) -> None:
        from relion4plugin.scipion.volumes import make_volume

        volume = make_volume(outputs.map, self.inputVolume.get().getSamplingRate(), label=f"on the axes of {outputs.symmetry}")
        self._tell(f"Symmetry {outputs.symmetry}, score {outputs.score:.2f}")
        self._defineOutputs(outputVolume=volume)
        self._defineSourceRelation(self.inputVolume, volume)

    def _validate(self) -> list[str]:
        if self.inputVolume.get() is None:
            return ["Choose the input map."]
        name = (self.sym_name.get() or "").strip()
        if not name:
            return [] if self.find.get() else ["Give the point group, or set 'Find the point group?' to Yes."]
        return symmetry_errors(name)
