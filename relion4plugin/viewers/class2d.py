"""Analyze Results of the 2D classification."""

from collections.abc import Callable
from functools import partial
from typing import Any

from pwem.objects import SetOfAverages, SetOfClasses2D
from pwem.viewers import ORDER, RENDER, VISIBLE, EmProtocolViewer
from pwem.viewers.mdviewer.viewer import MDView
from pwem.viewers.viewers_data import RegistryViewerConfig
from pyworkflow.protocol import params
from pyworkflow.viewer import DESKTOP_TKINTER

from relion4plugin.files.own_labels import JOB_SCORE
from relion4plugin.protocols import ProtR4pClassify2D
from relion4plugin.scipion.blocks import last_state
from relion4plugin.scipion.particle_results import CLASS_SCORES
from relion4plugin.scipion.rank_outputs import SCORE
from relion4plugin.viewers.class2d_figures import draw_curves, draw_gallery
from relion4plugin.viewers.live import LiveRunFigure
from relion4plugin.web.class2d_run import read_run

SCORES = " ".join(f"_{label}" for label in (SCORE, JOB_SCORE, *CLASS_SCORES))
AVERAGE_LABELS = f"id enabled _filename _r4pSize {SCORES}"


class R4pClassify2DViewer(EmProtocolViewer):
    """Gallery and curves of a 2D classification, also while it runs, and tables of its outputs."""

    _label = "Class averages and progress"
    _targets = [ProtR4pClassify2D]
    _environments = [DESKTOP_TKINTER]

    def _defineParams(self, form: Any) -> None:
        form.addSection(label="Visualization")
        form.addParam(
            "displayGallery",
            params.LabelParam,
            label="Class averages",
            important=True,
            help="The averages by falling occupancy, with class number, share of the particles and estimated resolution; the number of "
            "particles when the run has ended. While the run goes on, the picture follows the newest iteration on disk.",
        )
        form.addParam(
            "selectedClasses",
            params.NumericRangeParam,
            default="",
            label="Only these classes",
            help="Class numbers such as 1,4,7-9; empty shows all of them.",
        )
        form.addParam(
            "displayCurves",
            params.LabelParam,
            label="Progress of the run",
            help="Class occupancy, resolution, image and mini-batch size, step size and T, log-likelihood, and changes of class, "
            "angle and offset over the iterations.",
        )
        subset = "To sort by size, share or resolution and to make subsets."
        form.addParam("displayClasses", params.LabelParam, label="Table of classes", help=subset)
        form.addParam("displayAverages", params.LabelParam, label="Table of averages", help=subset)

    def _getVisualizeDict(self) -> dict[str, Callable[..., list[Any] | None]]:
        return {
            "displayGallery": self._gallery,
            "displayCurves": self._curves,
            "displayClasses": partial(self._table, "outputClasses"),
            "displayAverages": partial(self._table, "outputAverages"),
        }

    def _gallery(self, _param: str | None = None) -> list[Any] | None:
        chosen = (self.selectedClasses.get() or "").strip()
        classes = {number - 1 for number in self._getListFromRangeString(chosen)} if chosen else None
        if classes is not None and not classes <= set(range(self.protocol.nr_classes.get())):
            self.errorMessage(f"Classes are numbered 1 to {self.protocol.nr_classes.get()}.", "No such class")
            return None
        return self._live(lambda figure, run: draw_gallery(figure, run, None if classes is None else sorted(classes)), "Class averages")

    def _curves(self, _param: str | None = None) -> list[Any] | None:
        return self._live(draw_curves, "Progress")

    def _live(self, draw: Callable[..., None], what: str) -> list[Any] | None:
        folder = self.protocol.runFolder()
        if last_state(folder) is None:
            self.infoMessage("The run has written no iteration yet; look again in a moment.", what)
            return None
        return [LiveRunFigure(folder, read_run, draw, f"{what} - {self.protocol.getRunName()}")]

    def _table(self, name: str, _param: str | None = None) -> list[Any] | None:
        output = getattr(self.protocol, name, None)
        if output is None:
            self.infoMessage("The outputs are registered when the run has ended.", "Not ready yet")
            return None
        return [MDView(output, self.protocol, self._project.port)]


def _register_tables() -> None:
    """Show the scores beside Scipion's own columns; the table ignores those that a set of another program lacks."""
    classes = dict(RegistryViewerConfig.getConfig(SetOfClasses2D) or {})
    for key in (VISIBLE, ORDER):
        classes[key] = f"{classes.get(key, 'id enabled _size _representative._filename')} {SCORES}"
    RegistryViewerConfig.registerConfig(SetOfClasses2D, classes)
    averages = {VISIBLE: AVERAGE_LABELS, ORDER: AVERAGE_LABELS, RENDER: "_filename"}
    RegistryViewerConfig.registerConfig(SetOfAverages, averages)


_register_tables()
