"""A matplotlib window in Scipion that follows a run while it writes its files."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pwem.viewers import EmPlotter
from pyworkflow.viewer import View

from relion4plugin.errors import UserError
from relion4plugin.scipion.blocks import last_state

INTERVAL_MS = 4000
logger = logging.getLogger(__name__)


def newest(folder: Path) -> tuple[int, bool] | None:
    """Newest iteration of a run, and whether its final files are there (of an auto-refinement); None before the first."""
    state = last_state(folder)
    return None if state is None else (state[0], (folder / "run_model.star").is_file())


class LiveRunFigure(View):
    """Shows the newest iteration of a run and redraws when a newer one is on disk, until the run is complete.

    Parameters
    ----------
    folder : Path
        Where the run writes.
    read : callable
        Reads the newest state of a run from its folder; the result has `iteration` and `finished`.
    draw : callable
        Draws what was read into a figure.
    window_title : str
        Title of the window.
    size : (float, float)
        Inches.
    """

    def __init__(
        self,
        folder: Path,
        read: Callable[[Path], Any],
        draw: Callable[[Any, Any], None],
        window_title: str,
        size: tuple[float, float] = (11, 7),
    ):
        self._folder, self._read, self._draw = folder, read, draw
        self._shown: tuple[Any, bool] | None = None
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
        state = newest(self._folder)
        if state is None or state == self._shown:
            return True
        try:
            run = self._read(self._folder)
        except UserError as error:
            # The run is between two files of an iteration, or its folder is being cleaned: the next tick looks again.
            logger.debug("not shown yet: %s", error)
            return True
        self._shown = state
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
