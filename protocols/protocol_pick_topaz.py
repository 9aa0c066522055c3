"""Picking of particles by the neural network Topaz."""

from collections.abc import Mapping

from pwem.protocols import EMProtocol

from relion4plugin.jobs.autopick_parameters import TopazPickParameters

from .pick_run import PickOutputs, PickRun


class ProtR4pPickTopaz(PickRun, EMProtocol):
    """Pick particles with Topaz, by the network that comes with it or one of your own. Topaz must be installed.

    Micrographs are taken as they come. One that cannot be used is set aside, and the rest goes on.
    """

    JOB, PARAMETERS, DIAMETER = "autopick_topaz", TopazPickParameters, "topaz_particle_diameter"
    NOT_IN_FORM = frozenset({"fn_input_autopick", "angpix", "nr_mpi", "use_gpu", "gpu_ids"})
    CONDITIONS: Mapping[str, str] = {}
    _label = "Topaz picking"
    _possibleOutputs = PickOutputs

    def _methods(self) -> list[str]:
        return [f"Particles were picked in {self.getObjectTag('inputMicrographs')} by Topaz."]

    def _citations(self) -> list[str]:
        return ["Bepler2019"]
