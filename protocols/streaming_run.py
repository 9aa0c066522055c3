"""What the protocols have in common that treat movies or micrographs one after the other, while more of them come.

One long step looks at the input again and again, hands what is new to the job in small batches, and appends the results to the outputs,
which close when the input does. Outputs and the job's own files are all that is remembered: a run that was killed finds in them what is
finished.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pyworkflow.exceptions import PyworkflowException
from pyworkflow.protocol import params
from pyworkflow.protocol.constants import GPU_LIST, USE_GPU

from relion4plugin.errors import UserError
from relion4plugin.jobs.parameters import ParameterField, fields_of
from relion4plugin.scipion.blocks import digest_of
from relion4plugin.scipion.growing import Arrivals, append_to, arrivals, ids_in, reopened
from relion4plugin.scipion.links import Links
from relion4plugin.scipion.log import LogProgress
from relion4plugin.scipion.set_aside import claim_results, clear_reasons, read_reasons, write_reasons

from .job_run import JobRun
from .refinement_checks import gpu_problem

POLL = 2.0  # seconds
_GPU = frozenset({"use_gpu", "gpu_ids"})
_THREADS = ("nr_threads", "nr_mpi")  # whichever the job has
HOST_PARAMETERS = _GPU | frozenset(_THREADS)


class StreamingRun(JobRun):
    """Mix-in of protocols whose job goes on with what is not finished (``is_continue``), before the host's class of protocol.

    Attributes
    ----------
    INPUT : str
        Pointer to the set that grows.
    OUTPUTS : tuple of str
        Outputs; an item is finished when all that exist have it.
    ITEMS : str
        What the items are called.
    BATCH : int
        Most items of one call of the job, after which the outputs are brought up to date.
    """

    INPUT = "inputMicrographs"
    OUTPUTS: tuple[str, ...]
    ITEMS = "micrographs"
    BATCH = 16

    @classmethod
    def worksInStreaming(cls) -> bool:
        """Tell the host that the run may begin while its input grows."""
        return True

    # ------------------------------------------------------------------ form

    def _defineParams(self, form: Any) -> None:
        declared = {field.name: field for field in fields_of(self.PARAMETERS)}
        if _GPU <= set(declared):
            use, which = declared["use_gpu"], declared["gpu_ids"]
            form.addHidden(USE_GPU, params.BooleanParam, default=use.default, label=f"{use.label}?", help=use.help)
            form.addHidden(GPU_LIST, params.StringParam, default="0", label=which.label, help=which.help)
        super()._defineParams(form)
        form.addParallelSection(threads=self._threads_field().default, mpi=0)

    def _threads_field(self) -> ParameterField:
        return next(field for field in fields_of(self.PARAMETERS) if field.name in _THREADS)

    def _given(self) -> dict[str, Any]:
        given: dict[str, Any] = {self._threads_field().name: self.numberOfThreads.get()}
        if self.hasAttribute(USE_GPU):
            given |= {"use_gpu": self.usesGpu(), "gpu_ids": ",".join(str(gpu) for gpu in self.getGpuList()) if self.usesGpu() else ""}
        return given

    # ----------------------------------------------------------------- steps

    def _insertAllSteps(self) -> None:
        # The time makes the host repeat the step whenever the run is continued.
        self._insertFunctionStep(self.streamStep, str(time.time()), needsGPU=self.hasAttribute(USE_GPU))

    def streamStep(self, time_stamp: str) -> None:
        """Treat what is there and what comes, until the input closes."""
        try:
            claim_results(self.runFolder(), self._digest(), any(self.hasAttribute(name) for name in self.OUTPUTS))
            self._begin()
            self._stream()
        except UserError as error:
            raise PyworkflowException(str(error)) from error
        self._closeOutputSet()

    def _digest(self) -> str:
        """Return the digest of everything that determines the results."""
        values = {name: value for name, value in dataclasses.asdict(self.parameters()).items() if name not in HOST_PARAMETERS}
        return digest_of(values | {"input": self._source().getObjId()})

    def _begin(self) -> None:
        """Prepare what the whole execution needs."""
        self._links = Links(self.runFolder())
        self._parameters = self._with_usable_gpu(self.parameters())
        self._reasons: dict[str, str] = {}
        for remark in self.job().validate(self._to_check(self._parameters)):
            self.warning(remark)

    def _stream(self) -> None:
        seen = self._finished()
        if seen:
            self.info(f"{len(seen)} {self.ITEMS} are finished already")
        while True:
            found = self._arrivals()
            new = [item for item in found.ids if item not in seen]
            for batch in _batches(new, self.BATCH):
                self._treat(batch)
                seen.update(batch)
                self._tell_state(found)
            if found.closed and not new:
                return self._tell_state(found)
            if not new:
                time.sleep(POLL)

    def _arrivals(self) -> Arrivals:
        """Return what can be treated by now."""
        return arrivals(self._source().getFileName())

    def _finished(self) -> set[int]:
        """Return the items that all outputs have."""
        known = [set(ids_in(getattr(self, name).getFileName())) for name in self.OUTPUTS if self.hasAttribute(name)]
        return set.intersection(*known) if known else set()

    def _treat(self, batch: Sequence[int]) -> None:
        """Run the job on a batch and register what it made."""
        items = self._write_batch(batch)
        if not items:
            return
        clear_reasons(self.runFolder())
        try:
            outputs = self.job().run(self._parameters, self.runFolder(), LogProgress(self.info), is_continue=True)
        except UserError:
            if set(read_reasons(self.runFolder())) != set(items):  # not the items' fault
                raise
        else:
            for remark in outputs.remarks:
                self.info(remark)
            self._register(items)
        reasons = read_reasons(self.runFolder())
        for name, reason in reasons.items():
            self.warning(f"set aside: {reason}")
            self._reasons[self._title(items[name])] = reason
        write_reasons(self.runFolder(), self._reasons)

    def _write_batch(self, batch: Sequence[int]) -> Mapping[str, Any]:
        """Write the inputs of the job; return the items by the names that the job knows them by. Hook."""
        raise NotImplementedError

    def _register(self, items: Mapping[str, Any]) -> None:
        """Append to the outputs what the job made of some items; hook."""
        raise NotImplementedError

    def _to_check(self, parameters: Any) -> Any:
        """Return the parameters as the job can check them before there is anything; hook."""
        return parameters

    def _append(self, name: str, create: Callable[[], Any], fill: Callable[[Any, set[int]], None]) -> None:
        """Append to an output, which is made where there is none; `fill` is given the set and the ids that it has."""
        is_new = not self.hasAttribute(name)
        append_to(self, name, create, fill)
        if is_new:
            self._relate(getattr(self, name))

    def _relate(self, output: Any) -> None:
        """Tell the host what a new output comes from; hook."""
        self._defineSourceRelation(self._pointer(), output)

    # ------------------------------------------------------------ information

    def _validate(self) -> list[str]:
        if self._source() is None:
            return [f"Choose the input {self.INPUT.removeprefix('input').lower()}."]
        try:
            self.job().validate(self._to_check(self.parameters()))
        except UserError as error:
            return [f"{str(error)[0].upper()}{str(error)[1:]}."]
        return []

    def _warnings(self) -> list[str]:
        if self.hasAttribute(USE_GPU) and self.usesGpu() and gpu_problem(self.getGpuList()) is not None:
            return ["No GPU can be used here (is cupy installed?): the run will use the CPU."]
        return []

    def _tell_state(self, found: Arrivals) -> None:
        lines = [f"{self._progress()}{'' if found.closed else '; waiting for more'}", *self._remarks()]
        if self._reasons:
            first = next(iter(self._reasons.values()))
            lines.append(
                f"{len(self._reasons)} {self.ITEMS} set aside (extra/set_aside.star), to be tried again by Continue. First: {first}"
            )
        self._tell("\n".join(lines))

    def _progress(self) -> str:
        """Return how many items are done."""
        return f"{len(self._finished())} {self.ITEMS}"

    def _remarks(self) -> list[str]:
        """Return further lines of the summary; hook."""
        return []

    # ----------------------------------------------------------------- helpers

    def _pointer(self) -> Any:
        return getattr(self, self.INPUT)

    def _source(self) -> Any:
        return self._pointer().get()

    def _fresh_source(self) -> Any:
        return reopened(self._source())

    def _title(self, item: Any) -> str:
        """Return what users call an item."""
        return str(item.getMicName())

    def _with_usable_gpu(self, parameters: Any) -> Any:
        problem = gpu_problem(self.getGpuList()) if getattr(parameters, "use_gpu", False) else None
        if problem is None:
            return parameters
        self.warning(f"Computing on the CPU: {problem}")
        return dataclasses.replace(parameters, use_gpu=False, gpu_ids="")


def _batches(items: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    return (items[start : start + size] for start in range(0, len(items), size))
