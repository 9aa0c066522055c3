"""Analyze Results of the protocols on finished maps: symmetry, mask, post-processing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pwem.viewers import EmProtocolViewer
from pyworkflow.protocol import params
from pyworkflow.viewer import DESKTOP_TKINTER

from relion4plugin.errors import UserError
from relion4plugin.protocols import ProtR4pCreateMask, ProtR4pPostprocess, ProtR4pSymmetry
from relion4plugin.scipion.fsc import curve_of
from relion4plugin.scipion.volumes import volume_file
from relion4plugin.viewers import volume_figures as figures
from relion4plugin.viewers.chimerax import chimerax_problem, chimerax_views
from relion4plugin.viewers.figure_view import FigureView

OUTPUTS = {"outputVolume": "result", "outputMask": "mask"}
INPUTS = {"inputVolume": "input", "solventMask": "mask"}


class R4pMapViewer(EmProtocolViewer):
    """Slices and projections of input and result, FSC curves, ChimeraX."""

    _label = "Maps"
    _targets = [ProtR4pSymmetry, ProtR4pCreateMask, ProtR4pPostprocess]
    _environments = [DESKTOP_TKINTER]

    def _defineParams(self, form: Any) -> None:
        form.addSection(label="Visualization")
        form.addParam(
            "displayMaps",
            params.LabelParam,
            label="Slices and projections",
            important=True,
            help="Central slices across z, y and x and projections along them, of the result and of the input.",
        )
        form.addParam("displayFSC", params.LabelParam, label="FSC", help="The curves of a post-processing; the corrected one is thick.")
        form.addParam("displayChimeraX", params.LabelParam, label="Open in ChimeraX", help="The same maps in three dimensions.")

    def _getVisualizeDict(self) -> dict[str, Callable[..., list[Any] | None]]:
        return {"displayMaps": self._maps, "displayFSC": self._fsc, "displayChimeraX": self._chimerax}

    def _files(self) -> dict[str, Path]:
        """Names and files of the maps to show, results first."""
        found = {name: getattr(self.protocol, key) for key, name in OUTPUTS.items() if hasattr(self.protocol, key)}
        if not found:
            return {}
        inputs = {name: getattr(self.protocol, key).get() for key, name in INPUTS.items() if hasattr(self.protocol, key)}
        return {name: volume_file(volume) for name, volume in (found | inputs).items() if volume is not None}

    def _maps(self, _param: str | None = None) -> list[Any] | None:
        files = self._files()
        if not files:
            return self._not_ready()
        try:
            return [FigureView(lambda figure: figures.draw_volumes(figure, files), f"Maps - {self.protocol.getRunName()}")]
        except UserError as error:  # an input in a format other than MRC
            self.errorMessage(str(error), "Maps")
            return None

    def _fsc(self, _param: str | None = None) -> list[Any] | None:
        fscs = getattr(self.protocol, "outputFSC", None)
        if fscs is None:
            return self._not_ready("Only a finished post-processing has FSC curves.")
        curves = {fsc.getObjLabel(): curve_of(fsc) for fsc in fscs.iterItems()}
        frequencies = next(iter(curves.values()))[0]
        last = dict(reversed([(name, values) for name, (_, values) in curves.items()]))  # the corrected curve comes first in the set
        return [FigureView(lambda figure: figures.draw_fsc(figure, frequencies, last), f"FSC - {self.protocol.getRunName()}", (8, 6))]

    def _chimerax(self, _param: str | None = None) -> list[Any] | None:
        problem, files = chimerax_problem(), self._files()
        if problem is not None or not files:
            return self._not_ready(problem)
        return chimerax_views(files.values())

    def _not_ready(self, text: str | None = None) -> None:
        self.infoMessage(text or "The outputs are registered when the run has ended.", "Not ready yet")
