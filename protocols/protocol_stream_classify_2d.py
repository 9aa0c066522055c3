"""2D classification of particles while they arrive."""

import dataclasses
import time
from pathlib import Path
from typing import Any

from pwem.objects import Set, SetOfParticles
from pyworkflow.exceptions import PyworkflowException
from pyworkflow.protocol import params

from relion4plugin.errors import UserError
from relion4plugin.scipion.blocks import digest_of
from relion4plugin.scipion.growing import arrivals, reopened
from relion4plugin.scipion.log import LogProgress
from relion4plugin.scipion.set_aside import claim_results

from .protocol_classify_2d import CONDITIONS, STREAMING, Class2DOutputs, ProtR4pClassify2D
from .refinement_run import NO_EFFECT_ON_RESULT

POLL = 5.0  # seconds
GROWTH, PATIENCE = 0.05, 60.0  # classes are brought up to date for so large a share of new particles, or for any after so many seconds
KEPT_SETS = 3  # of classes and of averages; older ones are removed


class ProtR4pStreamClassify2D(ProtR4pClassify2D):
    """Group particles into 2D classes while they arrive, by VDAM mini-batches.

    The classes stay, new particles join them, and the outputs are brought up to date as this happens. When the input closes, all
    particles are visited once more. The run begins when there are enough particles; it may be stopped and continued.
    """

    CONDITIONS = {name: condition for name, condition in CONDITIONS.items() if "do_grad" not in condition}
    KIND = "streaming 2D classification"
    _label = "streaming 2D classification (VDAM)"

    @classmethod
    def worksInStreaming(cls) -> bool:
        """Tell the host that the run may begin while its input grows."""
        return True

    @classmethod
    def notInForm(cls) -> frozenset[str]:
        """Return the parameters that the form does not show."""
        return super().notInForm() - {"stream_first"} | {"do_grad", "nr_iter_em", "do_fast_subsets"}

    def _define_source(self, form: Any) -> None:
        form.addHidden("doContinue", params.BooleanParam, default=False)
        self._define_particles(form)

    def _by_vdam(self) -> bool:
        return True

    def _given(self) -> dict[str, Any]:
        return super()._given() | {"do_grad": True, "do_stream": True}

    # ----------------------------------------------------------------- steps

    def _insertAllSteps(self) -> None:
        # The time makes the host repeat the step whenever the run is continued.
        self._insertFunctionStep(self.streamStep, str(time.time()), needsGPU=True)

    def streamStep(self, time_stamp: str) -> None:
        """Classify what is there and what comes, until the input closes."""
        try:
            claim_results(self.runFolder(), self._stream_digest(), self.hasAttribute(Class2DOutputs.outputClasses.name))
            self._convert_inputs()
            self._stream()
        except UserError as error:
            raise PyworkflowException(str(error)) from error
        self._closeOutputSet()

    def _stream_digest(self) -> str:
        """Return the digest of what determines the result, besides the particles."""
        ignored = NO_EFFECT_ON_RESULT | STREAMING
        values = {name: value for name, value in dataclasses.asdict(self.parameters()).items() if name not in ignored}
        return digest_of(values | {"input": self.particlesPointer().get().getObjId()}, *self._input_files())

    def _stream(self) -> None:
        particles = self.particlesPointer().get()
        done, since = 0, time.monotonic()
        while True:
            found = arrivals(particles.getFileName())
            n = len(found.ids)
            if found.closed:
                return self._end(particles, n)
            if self._is_due(n, done, time.monotonic() - since):
                self._call(particles, last=False)
                done, since = n, time.monotonic()
            state = f"{done} particles classified" if done else f"{n} particles, {self.stream_first.get()} are needed to begin"
            self._tell(f"{state}; waiting for more")
            time.sleep(POLL)

    def _end(self, particles: SetOfParticles, n: int) -> None:
        finished = self._finished_call(n)
        if finished is not None:  # by an execution that was stopped after it
            self._publish(finished)
        else:
            self._call(particles, last=True)
        self._tell(f"{n} particles classified")

    def _is_due(self, n: int, done: int, seconds: float) -> bool:
        """Whether there are enough new particles."""
        if not done:
            return n >= int(self.stream_first.get())
        return n - done >= GROWTH * done or (n > done and seconds > PATIENCE)

    def _finished_call(self, n: int) -> Path | None:
        """Return the optimiser file of the last call where it has visited all n particles, None where it is still to come."""
        from relion4plugin.files.model_star import read_class2d_results
        from relion4plugin.jobs.class2d_stream import newest_call
        from relion4plugin.refinement.streaming import read_stream

        newest = newest_call(self.runFolder())
        if newest is None or read_stream(newest).position < self.iterations():
            return None
        return newest if int(read_class2d_results(newest).classes["n_particles"].sum()) == n else None

    def _call(self, source: SetOfParticles, *, last: bool) -> None:
        """Let the particles that are there now take part; all are visited if it is the last time."""
        from relion4plugin.jobs.class2d_stream import run_stream
        from relion4plugin.scipion.convert import set_info, write_particles_star

        progress, particles = LogProgress(self.info), reopened(source)
        write_particles_star(set_info(particles), self._star(), progress)
        particles.close()
        # The host has waited for enough particles already.
        parameters = dataclasses.replace(self._with_usable_gpu(self.parameters()), stream_first=1, stream_wait=0.0, stream_last=last)
        for remark in self.job().validate(parameters):
            self.warning(remark)
        result = run_stream(parameters, self.job().settings_of(parameters), self.runFolder(), progress)
        self._publish(result.optimiser_star)

    def _publish(self, optimiser: Path) -> None:
        """Make the classes of a call the outputs, in files of their own: readers of the older ones are not disturbed."""
        from relion4plugin.scipion.classes2d import read_result
        from relion4plugin.scipion.outputs import fill_averages, fill_classes2d

        pointer, name = self.particlesPointer(), optimiser.name.removesuffix("_optimiser.star")
        particles, suffix = pointer.get(), name.removeprefix("run")
        result = read_result(self.runFolder(), int(suffix.removeprefix("_it")), particles.getSamplingRate())
        classes = self._createSetOfClasses2D(pointer, suffix=suffix)
        fill_classes2d(classes, result, particles.getSamplingRate())
        averages = self._createSetOfAverages(suffix=suffix)
        fill_averages(averages, result, particles)
        for output, items in ((Class2DOutputs.outputClasses, classes), (Class2DOutputs.outputAverages, averages)):
            is_new = not self.hasAttribute(output.name)
            self._updateOutputSet(output.name, items, Set.STREAM_OPEN)
            if is_new:
                self._defineSourceRelation(pointer, getattr(self, output.name))
        for kind in ("classes2D", "averages"):
            for path in sorted(Path(self._getPath()).glob(f"{kind}_it*.sqlite"), key=lambda path: (len(path.name), path.name))[:-KEPT_SETS]:
                path.unlink()

    # ------------------------------------------------------------ information

    def _number_errors(self, particles: SetOfParticles) -> list[str]:
        if self.stream_first.get() < self._n_classes():
            return [f"{self._n_classes()} classes cannot begin with {self.stream_first.get()} particles: raise 'Particles to begin with'."]
        return [] if particles.isStreamOpen() else super()._number_errors(particles)
