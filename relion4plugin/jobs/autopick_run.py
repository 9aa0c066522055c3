"""One execution of a picking job, whatever finds the particles: what is finished is kept, files are written, picks are judged."""

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from relion4plugin.errors import UserError
from relion4plugin.jobs.autopick_files import (
    LIST,
    SUMMARY,
    Micrograph,
    coordinates_file,
    figures_of,
    known_picks,
    read_micrographs,
    read_summary,
    read_truth,
    write_list,
    write_summary,
)
from relion4plugin.jobs.autopick_parameters import PickSourceParameters
from relion4plugin.jobs.log_plots import PICKS, write_plots
from relion4plugin.jobs.map_jobs import prepare_map_output
from relion4plugin.jobs.one_by_one import Treated, require_some, write_set_aside
from relion4plugin.preprocessing.picking.agreement import Agreement, agreement
from relion4plugin.preprocessing.picking.overlay import draw_overlay, write_picture
from relion4plugin.preprocessing.picking.picks import Picks, read_picks, write_picks

_STAR_EVERY = 30.0  # seconds


@dataclass(frozen=True)
class PickOutputs:
    """The list of coordinate files, numbers of micrographs, of picks, and how the picks agree with known ones (None: not asked)."""

    coordinates: Path
    n_micrographs: int
    n_new: int
    n_set_aside: int
    n_picks: int
    precision: float | None
    recall: float | None
    remarks: tuple[str, ...]


class PickRun:
    """Micrographs of a job and what is finished of them.

    Parameters
    ----------
    parameters
        What is picked from.
    out_dir
        Job directory; made if it does not exist.
    diameter
        Of a particle in A: for circles, and half of it for matching known particles.
    is_continue, overwrite
        Keep what is finished; do everything again instead of refusing a directory that was used before.

    Raises
    ------
    UserError
        If there are no micrographs or the directory cannot be used.
    """

    def __init__(self, parameters: PickSourceParameters, out_dir: Path, diameter: float, is_continue: bool, overwrite: bool) -> None:
        self._parameters, self._out_dir, self._diameter = parameters, out_dir, diameter
        self.micrographs = read_micrographs(parameters)
        self._truth = read_truth(parameters.fn_truth) if parameters.fn_truth else {}
        prepare_map_output(out_dir, [] if is_continue else [LIST, SUMMARY], 0, overwrite)
        self._figures: dict[str, tuple[float, int]] = {}
        self._agreement = Agreement(0, 0, 0)
        self._written = time.monotonic()
        if is_continue:
            self._keep_finished()

    def unfinished(self) -> list[int]:
        """Return the micrographs that have no picks yet."""
        return [i for i, micrograph in enumerate(self.micrographs) if micrograph.name not in self._figures]

    def write(self, micrograph: Micrograph, picks: Picks) -> None:
        """Write the picks of a micrograph, and what else is wanted."""
        path = coordinates_file(self._out_dir, micrograph.name)
        if self._parameters.do_overlay:
            truth = known_picks(self._truth, micrograph.name)
            picture = draw_overlay(micrograph.image(), micrograph.pixel_size, picks, self._diameter, truth)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_picture(path.with_suffix(".png"), picture)
        write_picks(path, picks)
        self._add(micrograph, picks)
        if time.monotonic() - self._written > _STAR_EVERY:
            self._write_stars()

    def finish(self, treated: Treated, remarks: tuple[str, ...] = ()) -> PickOutputs:
        """Write the lists of all finished micrographs, old and new.

        Raises
        ------
        UserError
            If nothing at all could be picked from.
        """
        failed = ((self.micrographs[i].name, reason) for i, reason in treated.failed.items())
        write_set_aside(self._out_dir, "rlnMicrographName", failed)
        self._write_stars()
        require_some(len(self._figures), treated, "micrographs")
        write_plots(self._out_dir, SUMMARY, "", PICKS)
        known = bool(self._truth)
        return PickOutputs(
            coordinates=self._out_dir / LIST,
            n_micrographs=len(self._figures),
            n_new=len(treated.done),
            n_set_aside=len(treated.failed),
            n_picks=sum(count for _, count in self._figures.values()),
            precision=self._agreement.precision if known else None,
            recall=self._agreement.recall if known else None,
            remarks=(*remarks, *treated.remarks("micrographs"), *self._empty()),
        )

    def _empty(self) -> tuple[str, ...]:
        empty = sum(count == 0 for _, count in self._figures.values())
        return (f"{empty} of {len(self._figures)} micrographs have no picks",) if empty else ()

    def _keep_finished(self) -> None:
        told = {} if self._truth else read_summary(self._out_dir)
        for micrograph in self.micrographs:
            path = coordinates_file(self._out_dir, micrograph.name)
            if not path.is_file():
                continue
            if micrograph.name in told:
                self._figures[micrograph.name] = told[micrograph.name]
                continue
            with suppress(UserError):  # a damaged file is made again
                self._add(micrograph, read_picks(path))

    def _add(self, micrograph: Micrograph, picks: Picks) -> None:
        self._figures[micrograph.name] = figures_of(picks)
        truth = known_picks(self._truth, micrograph.name)
        if truth is not None:
            self._agreement += agreement(picks.centres, truth.centres, self._diameter / 2 / micrograph.pixel_size)

    def _write_stars(self) -> None:
        """Write what is finished by now, in the order of the input."""
        ordered = {m.name: self._figures[m.name] for m in self.micrographs if m.name in self._figures}
        if ordered:
            write_list(self._out_dir, list(ordered))
            write_summary(self._out_dir, ordered)
        self._written = time.monotonic()
