"""A matplotlib window in Scipion that shows one drawing."""

from collections.abc import Callable
from typing import Any

from pwem.viewers import EmPlotter
from pyworkflow.viewer import View


class FigureView(View):
    """Draws once.

    Parameters
    ----------
    draw : callable
        Draws into a figure.
    window_title : str
        Title of the window.
    size : (float, float)
        Inches.
    """

    def __init__(self, draw: Callable[[Any], None], window_title: str, size: tuple[float, float] = (11, 7)):
        self._plotter = EmPlotter(windowTitle=window_title, figsize=size)
        # The plotter would rearrange the axes of its own grid, which this window does not use.
        self._plotter.tightLayoutOn = False
        draw(self.figure)

    @property
    def figure(self) -> Any:
        """The matplotlib figure."""
        return self._plotter.getFigure()

    def show(self) -> None:
        """Open the window."""
        self._plotter.show()
