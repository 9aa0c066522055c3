"""Import of a session into a growing set of movies, from the first movie until no more come.

The output and ``acquisition.json`` are all that is remembered: a run that was killed finds in them which movies it has, and with which
values.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from relion4plugin.acquisition.record import AcquisitionRecord
from relion4plugin.acquisition.session_reading import facts_of
from relion4plugin.errors import UserError
from relion4plugin.scipion import acquisition_movies as items
from relion4plugin.scipion.acquisition_arrivals import Look, ReadyMovie, SessionMovies
from relion4plugin.scipion.acquisition_form import SessionForm
from relion4plugin.scipion.acquisition_groups import clusters_of, group_numbers
from relion4plugin.scipion.acquisition_summary import summary_lines
from relion4plugin.scipion.acquisition_values import MovieValues, Planned, load_values, movie_values, plan_values, save_values
from relion4plugin.scipion.growing import append_to, ids_in
from relion4plugin.scipion.set_aside import write_reasons

OUTPUT = "outputMovies"
STOP_FILE = "STOP_STREAMING.TXT"  # as in Scipion's own import
_INDEX = "metadata.sqlite"
_SET = "movies.sqlite"  # as the host names it
_POLL = 2.0  # s; never more than a fifth of the time goes into scans
_SCAN_SHARE = 4.0
_BATCH = 16  # movies that appear at once


@dataclass
class _Clock:
    """Times of a run, in seconds of a clock that never goes back."""

    begin: float = field(default_factory=time.monotonic)
    last: float = field(default_factory=time.monotonic)  # when something came
    trouble: float | None = None  # since when the session cannot be imported


class SessionImport:
    """Imports the movies of a session.

    Parameters
    ----------
    protocol : protocol
        Has the output, or gets it; also takes the lines of the summary.
    form : SessionForm
        What is wanted.
    started : callable
        Called once, when the first movies are there, with what is known about the session.
    """

    def __init__(self, protocol: Any, form: SessionForm, started: Callable[[Planned], None]) -> None:
        self._protocol, self._form, self._started = protocol, form, started
        self._folder: Path = protocol.runFolder()
        self._source = SessionMovies(form.session, form.movies, form.preset, self._folder / _INDEX, form.settle, form.patience)
        self._numbers: dict[str, int] = {}
        self._values: MovieValues | None = None
        self._like: AcquisitionRecord | None = None
        self._shape: tuple[int, int] | None = None
        self._unusable: dict[str, str] = {}
        self._clock = _Clock()
        self._is_announced = False
        self._reason = "no movie came"

    def run(self) -> None:
        """Import until no more movies come.

        Raises
        ------
        UserError
            If the session cannot be imported, or there was no movie.
        """
        self._remember()
        while True:
            before = time.monotonic()
            end, more = self._pass()
            if end:
                break
            if not more:
                time.sleep(max(_POLL, _SCAN_SHARE * (time.monotonic() - before)))
        if not self._numbers:
            reason = next(iter(self._unusable.values()), self._reason)
            raise UserError(f"nothing was imported from {self._form.session}: {reason}")

    def _remember(self) -> None:
        """Find what an earlier execution has imported."""
        (self._folder / STOP_FILE).unlink(missing_ok=True)
        saved, file = load_values(self._folder), Path(self._protocol._getPath(_SET))
        if not self._protocol.hasAttribute(OUTPUT) and saved is not None and file.is_file() and ids_in(str(file)):
            self._protocol._defineOutputs(**{OUTPUT: items.opened(file)})  # the host was killed before it noted the output
        if not self._protocol.hasAttribute(OUTPUT):
            return
        if saved is None:
            raise UserError(f"the values of the movies are missing in {self._folder}; use Restart")
        self._values, self._like = saved
        movies = getattr(self._protocol, OUTPUT)
        self._numbers = items.imported(movies, self._folder)
        width, height, _ = movies.getDim()
        self._shape = (height, width)
        self._protocol.info(f"{len(self._numbers)} movies are imported already")

    def _pass(self) -> tuple[bool, bool]:
        """Look once; return whether the run ends, and whether there is more to do at once."""
        try:
            look = self._source.look(self._numbers, self._like, self._shape)
            planned = plan_values(facts_of(look.session), self._form.preset, self._form.user)
            over = self._is_over(look)
            new = self._not_held_back(look, over)
            if new:
                self._take(look, new, planned)
            if new or look.waiting:
                self._clock.last = time.monotonic()
            if self._numbers and not self._is_announced:
                self._is_announced = True
                self._started(planned)
            self._clock.trouble = None
        except UserError as error:
            return self._in_trouble(error), False
        self._note_unusable(look)
        waiting = look.waiting + len(look.ready) - len(new)
        self._protocol.tellState(summary_lines(planned, self._values, len(self._numbers), waiting, over, self._unusable))
        return over and look.complete, bool(new) or not look.complete

    def _in_trouble(self, error: UserError) -> bool:
        """Wait a while for what may still come, such as metadata or a gain reference."""
        now = time.monotonic()
        if self._clock.trouble is None:
            self._clock.trouble = now
            self._protocol.warning(str(error))
        waits = self._form.idle > 0 and now - self._clock.trouble < self._form.patience
        if not waits and not self._numbers:
            raise error
        self._reason = str(error)
        self._protocol.tellState([f"{len(self._numbers)} movies; at present nothing can be imported: {error}"])
        return self._time_is_over() or now - self._clock.last >= self._form.idle

    def _is_over(self, look: Look) -> bool:
        if self._time_is_over():
            return True
        return look.waiting == 0 and time.monotonic() - self._clock.last >= self._form.idle

    def _time_is_over(self) -> bool:
        longest = self._form.longest
        return (self._folder / STOP_FILE).exists() or 0 < longest <= time.monotonic() - self._clock.begin

    def _not_held_back(self, look: Look, over: bool) -> Sequence[ReadyMovie]:
        """Return the movies to import now: none as long as optics groups are not clear and shall be waited for."""
        if over or self._numbers or len(look.session.movies) >= self._form.groups_first or clusters_of(look.session)[1]:
            return look.ready
        return ()

    def _take(self, look: Look, new: Sequence[ReadyMovie], planned: Planned) -> None:
        if self._values is None:
            self._settle_values(planned)
        assert self._values is not None
        self._shape = new[0].header.shape
        numbers = group_numbers(clusters_of(look.session)[0], self._numbers, [movie.name for movie in new])
        for start in range(0, len(new), _BATCH):
            batch = self._placed(look, new[start : start + _BATCH])
            if batch:
                self._append(batch, numbers)

    def _settle_values(self, planned: Planned) -> None:
        """Fix the values of all movies, and copy the files that belong to them."""
        values = movie_values(planned, self._form.accepted)
        for source, name in planned.settings.copies.items():
            items.place_movie(source, self._folder / name, is_copy=True)
        save_values(self._folder, values, planned.facts.record, planned.record)
        self._values, self._like = values, planned.facts.record

    def _placed(self, look: Look, new: Sequence[ReadyMovie]) -> list[ReadyMovie]:
        placed = []
        for movie in new:
            try:
                items.place_movie(look.session.movies_dir / movie.name, self._folder / items.MOVIES / movie.name, self._form.is_copy)
                placed.append(movie)
            except UserError as error:  # gone, or the disk is full: it is tried again
                self._protocol.warning(str(error))
        return placed

    def _append(self, batch: Sequence[ReadyMovie], numbers: dict[str, int]) -> None:
        values = self._values
        assert values is not None
        groups = {movie.name: numbers[movie.name] for movie in batch}
        count = max((*self._numbers.values(), *groups.values()))

        def fill(movies: Any, known: set[int]) -> None:
            if not known:
                items.prepare_set(movies, values, batch[0], self._folder)
            items.append_movies(movies, batch, groups, count, values, self._folder)

        append_to(self._protocol, OUTPUT, self._protocol._createSetOfMovies, fill)
        self._numbers |= groups

    def _note_unusable(self, look: Look) -> None:
        for name, reason in look.unusable.items():
            if name not in self._unusable:
                self._protocol.info(f"not used so far: {reason}")
        if dict(look.unusable) != self._unusable:
            self._unusable = dict(look.unusable)
            write_reasons(self._folder, self._unusable)
