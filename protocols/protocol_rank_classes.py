"""Scores of 2D class averages, and the selection of the good ones."""

import json
from enum import Enum
from pathlib import Path
from typing import Any

from pwem.objects import SetOfAverages, SetOfClasses2D, SetOfParticles
from pwem.protocols import ProtClassify2D
from pyworkflow.exceptions import PyworkflowException
from pyworkflow.protocol import params

from relion4plugin.errors import UserError
from relion4plugin.jobs.parameters import fields_of
from relion4plugin.jobs.rank_parameters import RULES, RankParameters
from relion4plugin.scipion.rank_files import SUMMARY

from .map_run import MapRun

_BY_SCORE, _BY_SHARE = f"select_by == {RULES.index('score')}", f"select_by == {RULES.index('top')}"


class RankOutputs(Enum):
    """Names and types of the outputs."""

    outputClasses = SetOfClasses2D
    outputAverages = SetOfAverages
    outputParticles = SetOfParticles


class ProtR4pRankClasses(MapRun, ProtClassify2D):
    """Score the class averages of a 2D classification with a neural network, and select the good classes with their particles.

    A score is about 0 (useless) to 1 (excellent); it is made from the image of the class and from figures of the classification.
    *Analyze Results* shows all classes by falling score. There a click selects a class or leaves it out, and a new run makes the
    outputs of the corrected selection.
    """

    JOB, PARAMETERS = "rank", RankParameters
    NOT_IN_FORM = frozenset({"fn_model", "do_class_ranker"})
    CONDITIONS = {
        "rank_threshold": _BY_SCORE,
        "max_score": _BY_SCORE,
        "relative_thresholds": _BY_SCORE,
        "top_fraction": _BY_SHARE,
        "nr_groups": "do_regroup",
    }
    _label = "2D class ranker"
    _possibleOutputs = RankOutputs

    def _define_inputs(self, form: Any) -> None:
        declared = next(field for field in fields_of(RankParameters) if field.name == "fn_model")
        form.addParam(
            "fromFile",
            params.BooleanParam,
            default=False,
            label="Classification from a file?",
            help="Yes takes a 2D classification that was not made in this project.",
        )
        form.addParam(
            "inputClasses",
            params.PointerParam,
            pointerClass="SetOfClasses2D",
            condition="not fromFile",
            important=True,
            label="Input classes",
            help="The output of a 2D classification of this plugin or of RELION's. A subset stands for its whole classification.",
        )
        form.addParam("optimiserFile", params.FileParam, condition="fromFile", important=True, label=declared.label, help=declared.help)
        form.addParam(
            "inputParticles",
            params.PointerParam,
            pointerClass="SetOfParticles",
            condition="fromFile",
            important=True,
            label="Its particles",
            help="The particles that were classified, imported into this project; they are known by their images.",
        )

    # ----------------------------------------------------------------- inputs

    def particlesPointer(self) -> Any:
        """Return the pointer to the particles that were classified."""
        return self.inputParticles if self.fromFile.get() else self.inputClasses.get().getImagesPointer()

    def optimiser(self) -> Path:
        """Return the optimiser file of the classification."""
        from relion4plugin.scipion.rank_inputs import optimiser_of

        return Path(self.optimiserFile.get()) if self.fromFile.get() else optimiser_of(self.inputClasses.get())

    def _given(self) -> dict[str, Any]:
        by_hand = bool(self.fn_selection.get())
        return {"fn_model": str(self.optimiser()), "keep_training": (self.keep_training.get() or "") if by_hand else ""}

    def _input_files(self) -> list[Path]:
        from relion4plugin.files.run_files import existing, sibling

        optimiser = self.optimiser()
        beside = [existing(sibling(optimiser, kind)) for kind in ("model", "data")]
        chosen = [Path(path) for path in (self.fn_weights.get(), self.fn_selection.get()) if path]
        return [optimiser, *(path for path in beside if path is not None), *chosen]

    # ----------------------------------------------------------------- outputs

    def _register(self, outputs: Any) -> None:
        from relion4plugin.files.atomic import atomic_write_text
        from relion4plugin.web.rank_report import write_report

        atomic_write_text(self.runFolder() / SUMMARY, json.dumps(outputs.summary(), indent=1) + "\n")
        try:
            write_report(outputs)
        except UserError as error:  # the outputs do not need it
            self.warning(f"No report: {error}")
        self._tell("\n".join([_sentence(outputs), *outputs.remarks]))
        if not outputs.n_selected_particles:
            self.warning("Nothing is selected: the outputs are empty.")
        try:
            self._define_sets(outputs)
        except UserError as error:
            raise PyworkflowException(str(error)) from error

    def _define_sets(self, outputs: Any) -> None:
        from relion4plugin.files.particles import read_particles
        from relion4plugin.scipion import rank_outputs
        from relion4plugin.scipion.rank_inputs import object_ids

        pointer, ranked = self.particlesPointer(), outputs.ranked
        source = pointer.get()
        ids = object_ids(ranked.run.data, source)[ranked.particle_mask]
        kept = read_particles(outputs.particles) if len(ids) else ranked.run.data.select(ranked.particle_mask)
        selection = rank_outputs.read_selection(outputs.class_averages, kept, ids, (ranked.selected + 1).tolist())
        # An empty selection gives empty sets: the host would go on showing the outputs of an earlier execution.
        classes, averages, particles = (
            self._createSetOfClasses2D(pointer),
            self._createSetOfAverages(),
            self._createSetOfParticles(),
        )
        rank_outputs.fill_selected_classes(classes, selection, source.getSamplingRate())
        rank_outputs.fill_selected_averages(averages, selection, source)
        rank_outputs.fill_selected_particles(particles, selection, source)
        self._defineOutputs(outputClasses=classes, outputAverages=averages, outputParticles=particles)
        for output in (classes, averages, particles):
            self._defineSourceRelation(self.inputParticles if self.fromFile.get() else self.inputClasses, output)

    # ------------------------------------------------------------ information

    def _validate(self) -> list[str]:
        if self.fromFile.get():
            if not self.optimiserFile.get():
                return ["Choose the optimiser file of the 2D classification."]
            if self.inputParticles.get() is None:
                return ["Choose the particles of the classification."]
        elif self.inputClasses.get() is None:
            return ["Choose the input classes."]
        from relion4plugin.jobs.rank import validate
        from relion4plugin.ranker.available import require_torch

        try:
            require_torch()
            validate(self.parameters())
        except UserError as error:
            return [f"{str(error)[0].upper()}{str(error)[1:]}."]
        return []

    def _methods(self) -> list[str]:
        if not hasattr(self, RankOutputs.outputClasses.name):
            return []
        chosen = "by hand" if self.fn_selection.get() else f"by the scores of a neural network ({self.getEnumText('select_by')})"
        return [f"{self.outputClasses.getSize()} 2D classes with {self.outputParticles.getSize()} particles were selected {chosen}."]


def _sentence(outputs: Any) -> str:
    kind = "score" if outputs.ranked.deciding is outputs.ranked.scores else "score in this job"
    cut = f", from {kind} {outputs.threshold:.3f}" if outputs.threshold is not None else ""
    share = 100 * outputs.n_selected_particles / outputs.n_particles
    return (
        f"Selected ({outputs.rule}{cut}): {outputs.n_selected} of {outputs.n_classes} classes, "
        f"{outputs.n_selected_particles} of {outputs.n_particles} particles ({share:.1f} %)"
    )
