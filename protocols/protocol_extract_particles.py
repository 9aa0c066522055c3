"""Extraction of particles at picked positions."""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from pwem.constants import RELATION_CTF
from pwem.objects import SetOfParticles
from pwem.protocols import EMProtocol
from pyworkflow.protocol import params

from relion4plugin.files.file_cache import stamp_of
from relion4plugin.jobs.extract_parameters import ExtractParameters
from relion4plugin.scipion.growing import Arrivals, reopened
from relion4plugin.scipion.sets import is_growing, read_columns, read_labels

from .streaming_run import StreamingRun

LOOK_AGAIN = 30.0  # seconds, for changes that a file's time does not show
_REEXTRACTION = frozenset({"do_reextract", "fndata_reextract", "do_reset_offsets", "do_recenter", "recenter_x", "recenter_y", "recenter_z"})


class ExtractOutputs(Enum):
    """Names and types of the outputs."""

    outputParticles = SetOfParticles


class ProtR4pExtractParticles(StreamingRun, EMProtocol):
    """Cut boxes about picked positions out of micrographs, scale them down if asked, and normalise them.

    A micrograph is treated as soon as it has coordinates and a CTF. Particles have the ids of their coordinates, and CTF and
    optics group of their micrograph.
    """

    JOB, PARAMETERS = "extract", ExtractParameters
    NOT_IN_FORM = _REEXTRACTION | {"star_mics", "coords_suffix", "nr_mpi"}
    CONDITIONS: Mapping[str, str] = {"bg_diameter": "do_norm", "rescale": "do_rescale", "minimum_pick_fom": "do_fom_threshold"}
    INPUT, OUTPUTS = "inputCoordinates", (ExtractOutputs.outputParticles.name,)
    _label = "extract particles"
    _possibleOutputs = ExtractOutputs

    def _define_inputs(self, form: Any) -> None:
        form.addParam(
            "inputCoordinates",
            params.PointerParam,
            pointerClass="SetOfCoordinates",
            important=True,
            label="Input coordinates",
            help="Picked in the micrographs from which the particles are taken.",
        )
        form.addParam(
            "ctfRelations",
            params.RelationParam,
            relationName=RELATION_CTF,
            attributeName="getInputMicrographs",
            allowsNull=True,
            label="CTF estimation",
            help="Of these micrographs. Without it the particles have no CTF.",
        )

    def getInputMicrographs(self) -> Any:
        """Return the micrographs of the coordinates; the host looks for their CTFs."""
        coordinates = self._source()
        return coordinates.getMicrographs() if coordinates is not None else None

    def _given(self) -> dict[str, Any]:
        folder = self.runFolder()
        return super()._given() | {
            "star_mics": str(folder / "micrographs.star"),
            "coords_suffix": str(folder / "coordinates" / "coordinates.star"),
        }

    def _digest(self) -> str:
        ctfs = self.ctfRelations.get()
        return f"{super()._digest()}-{ctfs.getObjId() if ctfs is not None else 0}"

    # ----------------------------------------------------------------- steps

    def _begin(self) -> None:
        super()._begin()
        self._stamps: tuple[Any, ...] = ()
        self._look_again = 0.0
        self._found, self._n_waiting = Arrivals((), False), 0

    def _arrivals(self) -> Arrivals:
        from relion4plugin.scipion.extracted import ctf_ids
        from relion4plugin.scipion.picks import picked_micrographs

        picks, ctfs = self._source().getFileName(), self.ctfRelations.get()
        files = [picks] if ctfs is None else [picks, ctfs.getFileName()]
        stamps = tuple(stamp_of(Path(file)) for file in files)
        if stamps != self._stamps or time.monotonic() > self._look_again:  # large sets are not read for nothing
            self._look_again = time.monotonic() + LOOK_AGAIN
            closed = not any(is_growing(file) for file in files)
            picked = picked_micrographs(picks)
            names = self._names() if ctfs is not None else {}
            having = ctf_ids(files[-1]) if ctfs is not None else {}
            ready = tuple(item for item in picked if ctfs is None or names.get(item) in having)
            self._n_waiting = len(picked) - len(ready)
            self._found, self._stamps = Arrivals(ready, closed), stamps
        return self._found

    def _finished(self) -> set[int]:
        name = ExtractOutputs.outputParticles.name
        if not self.hasAttribute(name):
            return set()
        return set(read_columns(getattr(self, name).getFileName(), ("_micId",)).get("_micId"))

    def _write_batch(self, batch: Sequence[int]) -> Mapping[str, Any]:
        from relion4plugin.scipion.extracted import ctf_columns, with_particles
        from relion4plugin.scipion.job_inputs import MICROGRAPHS, items_of, write_input
        from relion4plugin.scipion.optics import optics_values
        from relion4plugin.scipion.picks import read_positions, write_positions

        micrographs = reopened(self.getInputMicrographs())
        items = items_of(micrographs, batch)
        if not items:
            return {}
        self._ctfs = self._read_ctfs(items)
        columns = ctf_columns([self._ctfs[item.getMicName()] for item in items]) if self._ctfs else {}
        star = Path(self._parameters.star_mics)
        named = write_input(star, MICROGRAPHS, items, optics_values(micrographs), self._links, columns)
        self._positions = read_positions(self._source().getFileName(), batch)
        numbers = with_particles(self._positions, {name: item.getObjId() for name, item in named.items()}, self._parameters)
        write_positions(self.runFolder() / "coordinates", self._positions, numbers)
        return {name: named[name] for name in numbers}

    def _read_ctfs(self, micrographs: Sequence[Any]) -> dict[str, Any]:
        """Return the CTF of each micrograph by its name, nothing where there are none."""
        from relion4plugin.scipion.extracted import ctf_ids, particle_ctf
        from relion4plugin.scipion.job_inputs import items_of

        ctfs = self.ctfRelations.get()
        if ctfs is None:
            return {}
        ids = ctf_ids(ctfs.getFileName())
        found = {ctf.getObjId(): particle_ctf(ctf) for ctf in items_of(reopened(ctfs), [ids[one.getMicName()] for one in micrographs])}
        return {one.getMicName(): found[ids[one.getMicName()]] for one in micrographs}

    def _register(self, items: Mapping[str, Any]) -> None:
        from relion4plugin.jobs.extract import PARTICLES, settings_of
        from relion4plugin.scipion.extracted import append_extracted
        from relion4plugin.scipion.micrograph_items import read_job_table
        from relion4plugin.scipion.optics import carry_groups

        rows, settings = read_job_table(self.runFolder() / PARTICLES, "particles"), settings_of(self._parameters)
        micrographs = self.getInputMicrographs()

        def fill(particles: SetOfParticles, known: set[int]) -> None:
            if not known:
                particles.copyInfo(micrographs)
                particles.setSamplingRate(micrographs.getSamplingRate() * settings.box / settings.size)
                particles.setHasCTF(bool(self._ctfs))
            carry_groups(particles, reopened(micrographs))
            append_extracted(particles, rows, items, self._positions, self._ctfs, known)

        self._append(ExtractOutputs.outputParticles.name, self._createSetOfParticles, fill)

    # ------------------------------------------------------------ information

    def _names(self) -> dict[int, str]:
        """Return the names of the micrographs by their ids."""
        columns = read_columns(self.getInputMicrographs().getFileName(), ("_micName",))
        return dict(zip(columns.ids, columns.get("_micName"), strict=True))

    def _to_check(self, parameters: Any) -> Any:
        # The job's own files are written with each batch; here its check only asks whether they exist.
        there = self._source().getFileName()
        return dataclasses.replace(parameters, star_mics=there, coords_suffix=there)

    def _validate(self) -> list[str]:
        errors = super()._validate()
        if errors or not self.do_fom_threshold.get():
            return errors
        if "_rlnAutopickFigureOfMerit" not in read_labels(self._source().getFileName()):
            return ["The coordinates have no scores: set 'Use a threshold of picks?' to No."]
        return []

    def _warnings(self) -> list[str]:
        if self.ctfRelations.get() is None:
            return [*super()._warnings(), "Without CTFs the particles can only be classified with 'Do CTF correction?' set to No."]
        return super()._warnings()

    def _progress(self) -> str:
        name = ExtractOutputs.outputParticles.name
        count = getattr(self, name).getSize() if self.hasAttribute(name) else 0
        return f"{count} particles of {len(self._finished())} {self.ITEMS}"

    def _remarks(self) -> list[str]:
        return [f"{self._n_waiting} {self.ITEMS} with coordinates have no CTF"] if self._n_waiting else []

    def _methods(self) -> list[str]:
        if not self.hasAttribute(ExtractOutputs.outputParticles.name):
            return []
        return [f"Boxes of {self.extract_size.get()} px were extracted at {self.getObjectTag('inputCoordinates')}."]
