"""Analyze Results of the class ranker."""

import webbrowser
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from pwem.viewers import EmProtocolViewer
from pwem.viewers.mdviewer.viewer import MDView
from pyworkflow.protocol import params
from pyworkflow.viewer import DESKTOP_TKINTER

from relion4plugin.errors import UserError
from relion4plugin.protocols import ProtR4pRankClasses
from relion4plugin.scipion.rank_files import ORDERS, REPORT, RankedFiles, read_ranked, write_by_hand
from relion4plugin.viewers.figure_view import FigureView
from relion4plugin.viewers.rank_figures import draw_histogram
from relion4plugin.viewers.rank_gallery import SelectionView


class R4pRankViewer(EmProtocolViewer):
    """Classes by falling score, which clicks select or leave out; histogram, report and tables."""

    _label = "Scores and selection"
    _targets = [ProtR4pRankClasses]
    _environments = [DESKTOP_TKINTER]

    def _defineParams(self, form: Any) -> None:
        form.addSection(label="Visualization")
        form.addParam(
            "displayGallery",
            params.LabelParam,
            label="Classes by score, to correct",
            important=True,
            help="Best first, with the score and, after a slash, the score in this job; selected classes framed. A click selects a class "
            "or leaves it out. *Save selection* writes a file for *Selection by hand* in the form; *Run with this selection* starts a new "
            "run with it.",
        )
        form.addParam(
            "sortBy",
            params.EnumParam,
            default=0,
            choices=list(ORDERS),
            display=params.EnumParam.DISPLAY_COMBO,
            label="Sort by",
            help="The score in this job decides, unless *Select by* is score or the weights give none.",
        )
        form.addParam(
            "keepTraining",
            params.StringParam,
            default="",
            label="Keep as training data in",
            help="Folder to which *Run with this selection* copies the classification and the corrected selection for train-ranker; "
            "empty keeps nothing, unless the run that is shown names a folder.",
        )
        form.addParam("displayScores", params.LabelParam, label="Histogram of scores", help="Particles per score, and the cut.")
        form.addParam(
            "displayReport",
            params.LabelParam,
            label="Report in the browser",
            help="With what each score was made from: every feature of every class, and how usual it is.",
        )
        subset = "To sort by score, size or resolution and to make subsets; selected classes only."
        form.addParam("displayClasses", params.LabelParam, label="Table of classes", help=subset)
        form.addParam("displayAverages", params.LabelParam, label="Table of averages", help=subset)

    def _getVisualizeDict(self) -> dict[str, Callable[..., list[Any] | None]]:
        return {
            "displayGallery": self._gallery,
            "displayScores": self._scores,
            "displayReport": self._report,
            "displayClasses": partial(self._table, "outputClasses"),
            "displayAverages": partial(self._table, "outputAverages"),
        }

    def _read(self) -> RankedFiles | None:
        try:
            return read_ranked(self.protocol.runFolder())
        except UserError as error:
            self.infoMessage(str(error), "Not ready yet")
            return None

    def _gallery(self, _param: str | None = None) -> list[Any] | None:
        ranked = self._read()
        if ranked is None:
            return None
        by = list(ORDERS)[self.sortBy.get()]
        try:
            order = ranked.order(by)
        except UserError as error:
            self.infoMessage(str(error), "No such order")
            return None
        return [SelectionView(ranked, order, self._save, self.run_by_hand, f"Classes by {by} - {self.protocol.getRunName()}")]

    def _scores(self, _param: str | None = None) -> list[Any] | None:
        ranked = self._read()
        if ranked is None:
            return None
        return [FigureView(lambda figure: draw_histogram(figure, ranked), f"Scores - {self.protocol.getRunName()}", (8, 5))]

    def _report(self, _param: str | None = None) -> list[Any] | None:
        report = self.protocol.runFolder() / REPORT
        if report.is_file():
            webbrowser.open(report.resolve().as_uri())
        else:
            self.infoMessage("The report is written when the run ends.", "Not ready yet")
        return None

    def _save(self, labels: np.ndarray) -> str:
        try:
            return f"Saved as {write_by_hand(self.protocol.runFolder(), labels)}"
        except UserError as error:
            return f"Not saved: {error}"

    def run_by_hand(self, labels: np.ndarray, wait: bool = False) -> str:
        """Start a new run of the protocol with a selection (K,); returns a line that says so."""
        try:
            selection = write_by_hand(self.protocol.runFolder(), labels)
        except UserError as error:
            return f"Not saved: {error}"
        project = self.getProject()
        run = project.copyProtocol(self.protocol)
        run.fn_selection.set(str(selection))
        if (self.keepTraining.get() or "").strip():
            run.keep_training.set(self.keepTraining.get().strip())
        run.setObjLabel(f"{self.protocol.getRunName()} - by hand")
        errors = run.validate()
        if errors:
            return errors[0]
        project.launchProtocol(run, wait=wait)
        return f"Started: {run.getRunName()}"

    def _table(self, name: str, _param: str | None = None) -> list[Any] | None:
        output = getattr(self.protocol, name, None)
        if output is None:
            self.infoMessage("Nothing is selected, or the run has not ended.", "No output")
            return None
        return [MDView(output, self.protocol, self._project.port)]
