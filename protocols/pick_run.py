"""What the protocols of picking have in common."""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from pwem.objects import SetOfCoordinates
from pyworkflow.protocol import params

from .streaming_run import StreamingRun

_BOX_PER_DIAMETER = 1.5


class PickOutputs(Enum):
    """Names and types of the outputs."""

    outputCoordinates = SetOfCoordinates


class PickRun(StreamingRun):
    """Mix-in before the host's class of protocol.

    Attributes
    ----------
    DIAMETER : str
        Parameter with the diameter of a particle in A, from which the box is proposed.
    """

    DIAMETER: str
    OUTPUTS = (PickOutputs.outputCoordinates.name,)

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
        return super()._given() | {"fn_input_autopick": str(self.runFolder() / "micrographs.star"), "angpix": -1.0}

    def _finished(self) -> set[int]:
        """Return the micrographs with picks; one in which there are none is looked up in the job's files again."""
        from relion4plugin.scipion.picks import picked_micrographs

        name = PickOutputs.outputCoordinates.name
        return set(picked_micrographs(getattr(self, name).getFileName())) if self.hasAttribute(name) else set()

    def _write_batch(self, batch: Sequence[int]) -> Mapping[str, Any]:
        from relion4plugin.scipion.job_inputs import write_micrographs

        return write_micrographs(self._fresh_source(), batch, self.runFolder() / "micrographs.star", self._links)

    def _register(self, items: Mapping[str, Any]) -> None:
        from relion4plugin.jobs.autopick_files import LIST
        from relion4plugin.preprocessing.picking.picks import read_picks
        from relion4plugin.scipion.micrograph_items import read_job_table
        from relion4plugin.scipion.picks import append_picks

        done = self._finished()
        rows = read_job_table(self.runFolder() / LIST, "coordinate_files")
        files = {row["rlnMicrographName"]: row["rlnMicrographCoordinates"] for row in rows}

        def fill(coordinates: SetOfCoordinates, known: set[int]) -> None:
            if not known:
                coordinates.setMicrographs(self._pointer())
                coordinates.setBoxSize(self._box())
            for name, micrograph in items.items():
                if name in files and micrograph.getObjId() not in done:
                    append_picks(coordinates, micrograph, read_picks(files[name]))

        self._append(PickOutputs.outputCoordinates.name, lambda: self._createSetOfCoordinates(self._pointer()), fill)

    def _box(self) -> int:
        """Return the box that is proposed for extraction, px, even."""
        return 2 * round(_BOX_PER_DIAMETER * float(getattr(self, self.DIAMETER).get()) / self._source().getSamplingRate() / 2)

    # ------------------------------------------------------------ information

    def _progress(self) -> str:
        name = PickOutputs.outputCoordinates.name
        count = getattr(self, name).getSize() if self.hasAttribute(name) else 0
        return f"{count} particles in {len(self._finished())} {self.ITEMS}"
