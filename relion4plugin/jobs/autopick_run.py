"""One execution of a picking job, whatever finds the particles: files of picks and their lists, picks judged by known ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from relion4plugin.jobs.autopick_files import (
    LIST,
    SUMMARY,
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
from relion4plugin.jobs.log_plots import PICKS
from relion4plugin.jobs.micrograph_job import Ended, JobKind, MicrographJob
from relion4plugin.preprocessing.picking.agreement import Agreement, agreement
from relion4plugin.preprocessing.picking.overlay import draw_overlay, write_picture
from relion4plugin.preprocessing.picking.picks import Picks, read_picks, write_picks

Figures = tuple[float, int]  # mean score and number of picks


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


class PickRun(MicrographJob[Figures]):
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

    KIND = JobKind("Picking", (LIST, SUMMARY), plots=(SUMMARY, "", PICKS))

    def __init__(self, parameters: PickSourceParameters, out_dir: Path, diameter: float, is_continue: bool, overwrite: bool) -> None:
        self.micrographs = read_micrographs(parameters)
        super().__init__(out_dir, [micrograph.name for micrograph in self.micrographs])
        self._parameters, self._diameter = parameters, diameter
        self._truth = read_truth(parameters.fn_truth) if parameters.fn_truth else {}
        self._agreement = Agreement(0, 0, 0)
        # Picks of earlier executions are read again only where they are judged.
        self._told = read_summary(out_dir) if is_continue and not self._truth else {}
        self.prepare(is_continue, overwrite)

    def kept(self, item: int) -> Figures | None:
        """Return the figures of a micrograph that has a file of picks."""
        name, path = self.names[item], self.mark(item)
        if not path.is_file():
            return None
        return self._told[name] if name in self._told else self._judged(item, read_picks(path))

    def mark(self, item: int) -> Path:
        """Return the file of picks of a micrograph."""
        return coordinates_file(self.out_dir, self.names[item])

    def write(self, item: int, picks: Picks) -> Figures:
        """Write the picks of a micrograph, and what else is wanted."""
        micrograph = self.micrographs[item]
        path = self.mark(item)
        if self._parameters.do_overlay:
            truth = known_picks(self._truth, micrograph.name)
            picture = draw_overlay(micrograph.image(), micrograph.pixel_size, picks, self._diameter, truth)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_picture(path.with_suffix(".png"), picture)
        write_picks(path, picks)
        return self._judged(item, picks)

    def write_lists(self, finished: Mapping[int, Figures]) -> None:
        """Write autopick.star and summary.star."""
        figures = {self.names[item]: found for item, found in finished.items()}
        write_list(self.out_dir, list(figures))
        write_summary(self.out_dir, figures)

    def outputs(self, ended: Ended, remarks: tuple[str, ...] = ()) -> PickOutputs:
        """Return what came out; `remarks` are told first."""
        counts = [count for _, count in self.finished.values()]
        empty = counts.count(0)
        return PickOutputs(
            coordinates=self.out_dir / LIST,
            n_micrographs=ended.n_finished,
            n_new=ended.n_new,
            n_set_aside=ended.n_set_aside,
            n_picks=sum(counts),
            precision=self._agreement.precision if self._truth else None,
            recall=self._agreement.recall if self._truth else None,
            remarks=(*remarks, *ended.remarks, *((f"{empty} of {len(counts)} micrographs have no picks",) if empty else ())),
        )

    def _judged(self, item: int, picks: Picks) -> Figures:
        micrograph = self.micrographs[item]
        truth = known_picks(self._truth, micrograph.name)
        if truth is not None:
            self._agreement += agreement(picks.centres, truth.centres, self._diameter / 2 / micrograph.pixel_size)
        return figures_of(picks)
