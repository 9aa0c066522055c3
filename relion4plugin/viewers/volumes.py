"""Analyze Results of initial models, 3D classifications and auto-refinements."""

from collections.abc import Callable
from functools import partial
from typing import Any

from pwem.objects import SetOfClasses3D, SetOfVolumes
from pwem.viewers import ORDER, RENDER, VISIBLE, EmProtocolViewer
from pwem.viewers.mdviewer.viewer import MDView
from pwem.viewers.viewers_data import RegistryViewerConfig
from pyworkflow.protocol import params
from pyworkflow.viewer import DESKTOP_TKINTER

from relion4plugin.errors import UserError
from relion4plugin.protocols import ProtR4pClassify3D, ProtR4pInitialModel, ProtR4pRefine3D
from relion4plugin.scipion.particle_results import CLASS_SCORES
from relion4plugin.viewers import volume_figures as figures
from relion4plugin.viewers.chimerax import chimerax_problem, chimerax_views
from relion4plugin.viewers.live import LiveRunFigure, newest
from relion4plugin.web.report3d_run import read_3d_run

SCORES = " ".join(f"_{label}" for label in CLASS_SCORES)
TABLES = ("outputClasses", "outputVolumes", "outputParticles")


class R4pVolumesViewer(EmProtocolViewer):
    """Maps, directions, FSC and curves of a 3D run, also while it runs, and tables of its outputs."""

    _label = "Maps and progress"
    _targets = [ProtR4pInitialModel, ProtR4pClassify3D, ProtR4pRefine3D]
    _environments = [DESKTOP_TKINTER]

    def _defineParams(self, form: Any) -> None:
        form.addSection(label="Visualization")
        form.addParam(
            "displayMaps",
            params.LabelParam,
            label="Slices and projections",
            important=True,
            help="Central slices across z, y and x and projections along them, of the classes by falling occupancy, or of the refined map "
            "and its halves. While the run goes on, the picture follows the newest iteration on disk.",
        )
        form.addParam(
            "selectedClasses",
            params.NumericRangeParam,
            default="",
            label="Only these classes",
            help="Class numbers such as 1,3-5; empty shows the six largest.",
        )
        form.addParam("displayFSC", params.LabelParam, label="FSC", help="Between the halves, or between restarts of an initial model.")
        form.addParam(
            "displayDirections",
            params.LabelParam,
            label="Directions of view",
            help="How often each direction is seen, in an equal-area map of the sphere.",
        )
        form.addParam("displayClassSizes", params.LabelParam, label="Populations of the classes", help="Share, particles and resolution.")
        form.addParam(
            "displayCurves",
            params.LabelParam,
            label="Progress of the run",
            help="Resolution, image size, angular and offset steps with their accuracy, likelihood and changes over the iterations.",
        )
        form.addParam(
            "displayTables", params.LabelParam, label="Tables of the outputs", help="To sort by size or resolution and to make subsets."
        )
        form.addParam("displayChimeraX", params.LabelParam, label="Open in ChimeraX", help="The same maps in three dimensions.")

    def _getVisualizeDict(self) -> dict[str, Callable[..., list[Any] | None]]:
        return {
            "displayMaps": self._maps,
            "displayFSC": self._fsc,
            "displayDirections": self._directions,
            "displayClassSizes": partial(self._live, figures.draw_classes, "Populations"),
            "displayCurves": partial(self._live, figures.draw_progress, "Progress"),
            "displayTables": self._tables,
            "displayChimeraX": self._chimerax,
        }

    def _maps(self, _param: str | None = None) -> list[Any] | None:
        classes = self._classes()
        return self._live(lambda figure, run: figures.draw_volumes(figure, figures.run_maps(run, classes)), "Maps")

    def _directions(self, _param: str | None = None) -> list[Any] | None:
        classes = self._classes()
        return self._live(lambda figure, run: figures.draw_directions(figure, run, classes), "Directions of view")

    def _fsc(self, _param: str | None = None) -> list[Any] | None:
        if newest(self.protocol.runFolder()) is not None and not figures.fsc_curves(read_3d_run(self.protocol.runFolder())):
            self.infoMessage("There is no FSC: neither two halves nor restarts are compared (yet).", "FSC")
            return None
        return self._live(lambda figure, run: figures.draw_fsc(figure, run.frequencies, figures.fsc_curves(run)), "FSC")

    def _classes(self) -> list[int] | None:
        chosen = (self.selectedClasses.get() or "").strip()
        return sorted(number - 1 for number in self._getListFromRangeString(chosen)) if chosen else None

    def _live(self, draw: Callable[..., None], what: str, _param: str | None = None) -> list[Any] | None:
        folder = self.protocol.runFolder()
        if newest(folder) is None:
            self.infoMessage("The run has written no iteration yet; look again in a moment.", what)
            return None
        return [LiveRunFigure(folder, read_3d_run, draw, f"{what} - {self.protocol.getRunName()}")]

    def _tables(self, _param: str | None = None) -> list[Any] | None:
        outputs = [getattr(self.protocol, name) for name in TABLES if hasattr(self.protocol, name)]
        if not outputs:
            self.infoMessage("The outputs are registered when the run has ended.", "Not ready yet")
            return None
        return [MDView(output, self.protocol, self._project.port) for output in outputs]

    def _chimerax(self, _param: str | None = None) -> list[Any] | None:
        problem = chimerax_problem()
        if problem is not None:
            self.infoMessage(problem, "ChimeraX")
            return None
        try:
            maps = figures.run_maps(read_3d_run(self.protocol.runFolder()), self._classes())
        except UserError as error:
            self.errorMessage(str(error), "ChimeraX")
            return None
        return chimerax_views(maps.values())


def _register_tables() -> None:
    """Show the scores beside Scipion's own columns; the table ignores those that a set of another program lacks."""
    classes = dict(RegistryViewerConfig.getConfig(SetOfClasses3D) or {})
    for key in (VISIBLE, ORDER):
        classes[key] = f"{classes.get(key, 'id enabled _size _representative._filename')} {SCORES}"
    RegistryViewerConfig.registerConfig(SetOfClasses3D, classes)
    labels = f"id enabled _filename _r4pSize {SCORES}"
    RegistryViewerConfig.registerConfig(SetOfVolumes, {VISIBLE: labels, ORDER: labels, RENDER: "_filename"})


_register_tables()
