"""Picking of particles by a Laplacian of Gaussian."""

from collections.abc import Mapping

from pwem.protocols import EMProtocol

from relion4plugin.jobs.autopick_parameters import LogPickParameters

from .pick_run import PickOutputs, PickRun


class ProtR4pPickLog(PickRun, EMProtocol):
    """Pick blobs of the size of particles with a Laplacian of Gaussian: no references, no training.

    Micrographs are taken as they come. One that cannot be used is set aside, and the rest goes on.
    """

    JOB, PARAMETERS, DIAMETER = "autopick_log", LogPickParameters, "log_diam_max"
    NOT_IN_FORM = frozenset({"fn_input_autopick", "angpix", "nr_mpi"})
    CONDITIONS: Mapping[str, str] = {}
    _label = "LoG picking"
    _possibleOutputs = PickOutputs

    def _methods(self) -> list[str]:
        sizes = f"{self.log_diam_min.get():g} to {self.log_diam_max.get():g} Å"
        return [f"Particles of {sizes} were picked in {self.getObjectTag('inputMicrographs')} by a Laplacian of Gaussian."]

    def _citations(self) -> list[str]:
        return ["Zivanov2018"]
