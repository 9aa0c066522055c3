"""A window in which clicks correct a selection of classes."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from relion4plugin.scipion.rank_files import RankedFiles
from relion4plugin.viewers.figure_view import FigureView
from relion4plugin.viewers.rank_figures import draw_gallery, told

_PLACES = {"Undo all changes": 0.56, "Save selection": 0.705, "Run with this selection": 0.85}  # left edges of the buttons
_WIDTH, _HEIGHT = 0.138, 0.042


class SelectionView(FigureView):
    """All classes, best first; a click on one selects it or leaves it out.

    Parameters
    ----------
    ranked : RankedFiles
        The selection to begin with.
    order : int array (K,)
        Classes in the order in which they are shown.
    save, run : callables
        Take the labels (K,); return a line that says what was done.
    window_title : str
        Title of the window.
    """

    def __init__(
        self,
        ranked: RankedFiles,
        order: np.ndarray,
        save: Callable[[np.ndarray], str],
        run: Callable[[np.ndarray], str],
        window_title: str,
    ):
        self.labels = ranked.labels.copy()
        self._ranked, self._order = ranked, order
        self._actions: dict[str, Callable[[], str | None]] = {
            "Undo all changes": self._undo,
            "Save selection": lambda: save(self.labels),
            "Run with this selection": lambda: run(self.labels),
        }
        super().__init__(self._draw, window_title)

    def toggle(self, number: int) -> None:
        """Select a class (0-based), or leave it out."""
        self.labels[number] = 0 if self.labels[number] > 0 else 1
        self._show()

    def press(self, name: str) -> None:
        """Do what a button says, and tell it in the window."""
        self._show(self._actions[name]())

    def _draw(self, figure: Any) -> None:
        from matplotlib.widgets import Button

        self._tiles = draw_gallery(figure, self._ranked, self.labels, self._order)
        self._line = figure.text(0.012, 0.028, "", va="center", fontsize=9)
        self._title = figure.suptitle("", fontsize=11)
        self._buttons = {}  # matplotlib forgets buttons that nobody holds
        for name, left in _PLACES.items():
            button = Button(figure.add_axes((left, 0.008, _WIDTH, _HEIGHT)), name)
            button.label.set_fontsize(8)
            button.on_clicked(partial(self._pressed, name))
            self._buttons[name] = button
        figure.canvas.mpl_connect("button_press_event", self._clicked)
        self._show()

    def _pressed(self, name: str, _event: Any) -> None:
        self.press(name)

    def _clicked(self, event: Any) -> None:
        toolbar = event.canvas.toolbar
        if event.inaxes is not self._tiles[0].picture.axes or (toolbar is not None and toolbar.mode):  # a zoom, not a choice
            return
        for tile in self._tiles:
            if tile.holds(event.xdata, event.ydata):
                self.toggle(tile.number)

    def _undo(self) -> None:
        self.labels[:] = self._ranked.labels

    def _show(self, line: str | None = None) -> None:
        for tile in self._tiles:
            tile.show(bool(self.labels[tile.number] > 0))
        self._title.set_text(f"Selected: {told(self._ranked, self.labels)}")
        self._line.set_text(line or "Click a class to select it or to leave it out.")
        self._title.figure.canvas.draw_idle()
