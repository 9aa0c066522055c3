"""A matplotlib window in Scipion that follows a run while it writes its files."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pwem.viewers import EmPlotter
from pyworkflow.viewer import View

from relion4plugin.errors import UserError
from relion4plugin.scipion.blocks import last_state
from relion4plugin.web.class2d_run import Class2DRun, read_run

INTERVAL_MS = 4000
logger = logging.getLogger(__name__)


class LiveRunFigure(View):
    """Shows the newest iteration of a run and redraws when a newer one is on disk, until the run is complete.

    Parameters
    ----------
    folder : Path
        Where the run writes.
    draw : callable
        Draws a run into a figure.
    window_title : str
        Title of the window.
    size : (float, float)
        Inches.
    """

    def __init__(self, folder: Path, draw: Callable[[Any, Class2DRun], None], window_title: str, size: tuple[float, float] = (11, 7)):
        self._folder, self._draw = folder, draw
        self._shown: int | None = None
        self._timer: Any = None
        self._plotter = EmPlotter(windowTitle=window_title, figsize=size)
        # The plotter would rearrange the axes of its own grid, which this window does not use.
        self._plotter.tightLayoutOn = False
        self.refresh()

    @property
    def figure(self) -> Any:
        """The matplotlib figure."""
        return self._plotter.getFigure()

    def refresh(self) -> bool:
        """Redraw if there is something newer; return whether the run may still go on."""
        state = last_state(self._folder)
        if state is None or state[0] == self._shown:
            return True
        try:
            run = read_run(self._folder)
        except UserError as error:
            # The run is between two files of an iteration, or its folder is being cleaned: the next tick looks again.
            logger.debug("not shown yet: %s", error)
            return True
        self._shown = run.iteration
        self._draw(self.figure, run)
        self.figure.canvas.draw_idle()
        return not run.finished

    def show(self) -> None:
        """Open the window and follow the run."""
        self._plotter.show()
        self._timer = self.figure.canvas.new_timer(interval=INTERVAL_MS)
        self._timer.add_callback(self._tick)
        self._timer.start()

    def _tick(self) -> None:
        if self._plotter.isClosed() or not self.refresh():
            self._timer.stop()
