"""Resolution and sharpening of a refined map from its two half maps."""

from enum import Enum
from pathlib import Path
from typing import Any

from pwem.objects import SetOfFSCs, Volume
from pwem.protocols import ProtAnalysis3D
from pyworkflow.protocol import params

from relion4plugin.jobs.postprocess_parameters import PostprocessParameters

from .map_run import MapRun

CONDITIONS = {
    "autob_lowres": "do_auto_bfac",
    "autob_highres": "do_auto_bfac",
    "adhoc_bfac": "do_adhoc_bfac",
    "mtf_angpix": "fn_mtf != ''",
    "low_pass": "do_skip_fsc_weighting",
}


class PostprocessOutputs(Enum):
    """Names and types of the outputs."""

    outputVolume = Volume
    outputFSC = SetOfFSCs


class ProtR4pPostprocess(MapRun, ProtAnalysis3D):
    """Estimate the resolution of a refined map from its half maps, sharpen it and filter it by the FSC.

    The FSC of the masked halves is corrected for what the mask itself adds, by a comparison with random phases.
    """

    JOB, PARAMETERS = "postprocess", PostprocessParameters
    NOT_IN_FORM = frozenset({"fn_in", "fn_in2", "fn_mask", "angpix"})
    CONDITIONS = CONDITIONS
    _label = "post-processing"
    _possibleOutputs = PostprocessOutputs

    def _define_inputs(self, form: Any) -> None:
        form.addParam(
            "inputVolume",
            params.PointerParam,
            pointerClass="Volume",
            pointerCondition="hasHalfMaps",
            important=True,
            label="Refined map",
            help="A map that knows its two unfiltered half maps, such as the result of an auto-refinement.",
        )
        form.addParam(
            "solventMask",
            params.PointerParam,
            pointerClass="VolumeMask",
            allowsNull=True,
            label="Solvent mask",
            help="Soft mask, 1 in the protein and 0 in the solvent; without it the unmasked FSC is quoted.",
        )

    def _halves(self) -> list[Any]:
        """Return the half maps as objects."""
        source = self.inputVolume.get()
        halves = []
        for name in source.getHalfMaps(asList=True):
            half = Volume(location=str(name))
            half.setSamplingRate(source.getSamplingRate())
            halves.append(half)
        return halves

    def _given(self) -> dict[str, Any]:
        from relion4plugin.scipion.volumes import map_path

        first, second = (map_path(half, self.runFolder() / f"half{i}_unfil.mrc") for i, half in enumerate(self._halves(), start=1))
        mask = self.solventMask.get()
        return {
            "fn_in": str(first),
            "fn_in2": str(second),
            "fn_mask": "" if mask is None else str(map_path(mask, self.runFolder() / "mask.mrc")),
            "angpix": float(self.inputVolume.get().getSamplingRate() or -1),
        }

    def _input_files(self) -> list[Path]:
        from relion4plugin.scipion.volumes import volume_file

        mask = self.solventMask.get()
        return [volume_file(one) for one in (*self._halves(), *([] if mask is None else [mask]))]

    def _register(self, outputs: Any) -> None:
        from relion4plugin.scipion.fsc import fill_fscs, read_postprocess_curves
        from relion4plugin.scipion.volumes import make_volume

        source = self.inputVolume.get()
        halves = [Path(str(name)) for name in source.getHalfMaps(asList=True)]
        volume = make_volume(outputs.map, source.getSamplingRate(), halves, label="post-processed map")
        fscs = self._createSetOfFSCs()
        fill_fscs(fscs, read_postprocess_curves(outputs.star))
        self._tell(f"Resolution {outputs.resolution:.2f} Å, B-factor {outputs.bfactor:.0f} Å²")
        self._defineOutputs(outputVolume=volume, outputFSC=fscs)
        self._defineSourceRelation(self.inputVolume, volume)
        self._defineSourceRelation(self.inputVolume, fscs)

    def _validate(self) -> list[str]:
        source = self.inputVolume.get()
        if source is None:
            return ["Choose the refined map."]
        if len(list(source.getHalfMaps(asList=True))) != 2:
            return ["The map has no half maps: choose the result of an auto-refinement."]
        errors = []
        if self.do_auto_bfac.get() and self.do_adhoc_bfac.get():
            errors.append("Choose one: the estimated B-factor or your own.")
        return errors
