"""Estimation of the contrast transfer function of micrographs."""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from pwem.objects import SetOfCTF
from pwem.protocols import EMProtocol
from pyworkflow.protocol import params

from relion4plugin.jobs.ctffind_parameters import CtfFindParameters

from .streaming_run import StreamingRun


class CtfOutputs(Enum):
    """Names and types of the outputs."""

    outputCTF = SetOfCTF


class ProtR4pCtfEstimation(StreamingRun, EMProtocol):
    """Estimate defocus, astigmatism and phase shift of micrographs from the rings in their power spectra.

    Micrographs are taken as they come. Where the motion correction of this plugin has left power spectra of the frames, these are
    fitted. A micrograph that cannot be used is set aside, and the rest goes on.
    """

    JOB, PARAMETERS = "ctffind", CtfFindParameters
    NOT_IN_FORM = frozenset({"input_star_mics", "nr_mpi"})
    CONDITIONS: Mapping[str, str] = dict.fromkeys(("phase_min", "phase_max", "phase_step"), "do_phaseshift")
    OUTPUTS = (CtfOutputs.outputCTF.name,)
    _label = "CTF estimation"
    _possibleOutputs = CtfOutputs

    def _define_inputs(self, form: Any) -> None:
        form.addParam(
            "inputMicrographs",
            params.PointerParam,
            pointerClass="SetOfMicrographs",
            important=True,
            label="Input micrographs",
            help="Sums of movies after motion correction.",
        )

    def _given(self) -> dict[str, Any]:
        return super()._given() | {"input_star_mics": str(self.runFolder() / "micrographs.star")}

    def _write_batch(self, batch: Sequence[int]) -> Mapping[str, Any]:
        from relion4plugin.scipion.job_inputs import write_micrographs

        return write_micrographs(self._fresh_source(), batch, self.runFolder() / "micrographs.star", self._links)

    def _register(self, items: Mapping[str, Any]) -> None:
        from relion4plugin.jobs.ctffind import OUTPUT
        from relion4plugin.scipion.micrograph_items import estimated_ctf, read_job_table

        rows = read_job_table(self.runFolder() / OUTPUT, "micrographs")

        def fill(ctfs: SetOfCTF, known: set[int]) -> None:
            ctfs.setMicrographs(self._pointer())
            for row in rows:
                micrograph = items.get(row["rlnMicrographName"])
                if micrograph is not None and micrograph.getObjId() not in known:
                    ctfs.append(estimated_ctf(micrograph, row))

        self._append(CtfOutputs.outputCTF.name, self._createSetOfCTF, fill)

    def _relate(self, output: Any) -> None:
        self._defineCtfRelation(self._pointer(), output)

    # ------------------------------------------------------------ information

    def _methods(self) -> list[str]:
        if not self.hasAttribute(CtfOutputs.outputCTF.name):
            return []
        return [f"The CTF of {self.getObjectTag('inputMicrographs')} was estimated from {self.resmin.get():g} to {self.resmax.get():g} Å."]

    def _citations(self) -> list[str]:
        return ["Rohou2015"]
