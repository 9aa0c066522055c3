"""Particle extraction as a job: micrograph by micrograph, with RELION's files."""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from relion4plugin.errors import UserError
from relion4plugin.files.coordinates import X, Y, write_coordinate_list
from relion4plugin.files.joined_table import JoinedTable
from relion4plugin.files.mrc import StackWriter
from relion4plugin.files.star import write_star
from relion4plugin.jobs.extract_parameters import ExtractParameters, background_radius
from relion4plugin.jobs.extract_sources import Micrographs, Picks, RefinedParticles, Source, optics_of_boxes, read_micrographs
from relion4plugin.jobs.map_jobs import require_file
from relion4plugin.jobs.micrograph_job import JobKind, MicrographJob, naming
from relion4plugin.jobs.parameters import check, from_job_options
from relion4plugin.preprocessing.extraction.boxes import map_micrograph, touching, whole_pixels
from relion4plugin.preprocessing.extraction.extract import Extracted, ExtractionSettings, extract
from relion4plugin.progress import Progress

__all__ = ["PARTICLES", "ExtractOutputs", "ExtractParameters", "from_options", "run", "settings_of", "validate"]

PARTICLES, PICKS = "particles.star", "extractpick.star"
_FINISHED = "_extract.star"  # end of the file whose existence says that a micrograph is finished
_NEEDED_BYTES = 1 << 26
_WRITTEN_TOGETHER = 16  # images


@dataclass(frozen=True)
class ExtractOutputs:
    """The list of particles, and how many it has; micrographs it has, treated now and set aside; where re-extracted, the positions."""

    particles: Path
    n_particles: int
    n_micrographs: int
    n_new: int
    n_set_aside: int
    picks: Path | None
    remarks: tuple[str, ...]


def from_options(options: Mapping[str, str], where: str = "job.star") -> ExtractParameters:
    """Build the parameters from job.star options of RELION 3.1, 4 or 5.

    Raises
    ------
    UserError
        If a value has the wrong type, or filaments are extracted.
    """
    if options.get("do_extract_helix", "No") == "Yes":
        raise UserError(f"{where}: do_extract_helix is Yes, but filaments are not extracted here: use RELION for this job")
    return from_job_options(ExtractParameters, options, where)


def settings_of(parameters: ExtractParameters) -> ExtractionSettings:
    """Translate to what is done to each box; an odd scaled size is made even, as in RELION."""
    p = parameters
    scaled = p.rescale if p.do_rescale else None
    return ExtractionSettings(
        box=p.extract_size,
        size=p.extract_size if scaled is None else scaled + scaled % 2,
        background_radius=background_radius(p.extract_size, p.bg_diameter, scaled) if p.do_norm else None,
        white_dust=p.white_dust,
        black_dust=p.black_dust,
        invert=p.do_invert,
        half_precision=p.do_float16,
    )


def validate(parameters: ExtractParameters) -> tuple[str, ...]:
    """Check what can be known without reading the micrographs.

    Raises
    ------
    UserError
        For the first mistake found.
    """
    p = parameters
    check(p)
    require_file(p.star_mics, "micrographs", "--i")
    if p.extract_size % 2:
        raise UserError(f"extract_size is {p.extract_size} px but must be even: give {p.extract_size + 1}")
    if p.do_rescale and p.rescale > p.extract_size:
        raise UserError(f"rescale is {p.rescale} px, more than the box of {p.extract_size} px: boxes are only made smaller, lower rescale")
    if p.do_norm and p.bg_diameter > p.extract_size:
        raise UserError(f"bg_diameter is {p.bg_diameter:g} px, more than the box of {p.extract_size} px: give less, or -1 for 75% of it")
    if p.do_reextract:
        require_file(p.fndata_reextract, "refined particles", "--reextract_data_star")
        if p.do_reset_offsets and p.do_recenter:
            raise UserError("do_reset_offsets and do_recenter are both Yes: choose one")
    else:
        require_file(p.coords_suffix, "coordinates", "--coord_list")
    if p.do_rescale and p.rescale % 2:
        return (f"rescale is {p.rescale} px, which is odd: {p.rescale + 1} px is taken",)
    return ()


def run(
    parameters: ExtractParameters, out_dir: Path, progress: Progress, is_continue: bool = False, overwrite: bool = False
) -> ExtractOutputs:
    """Extract particles from every micrograph; arguments and errors are those of all jobs in `micrograph_job`."""
    p = parameters
    validate(p)
    micrographs = read_micrographs(p.star_mics, out_dir)
    source: Source = RefinedParticles(p, micrographs) if p.do_reextract else Picks(p, micrographs)
    job = _Job(settings_of(p), out_dir, micrographs, source)
    job.prepare(is_continue, overwrite, _NEEDED_BYTES)
    ended = job.treat(job.compute, progress, p.nr_mpi)
    if not ended.n_finished:
        reasons = "; ".join((*source.remarks, "pick particles first"))
        raise UserError(f"no particles: none of {len(micrographs.names)} micrographs has positions inside; {reasons}")
    return ExtractOutputs(
        particles=out_dir / PARTICLES,
        n_particles=job.n_particles,
        n_micrographs=ended.n_finished,
        n_new=ended.n_new,
        n_set_aside=ended.n_set_aside,
        picks=job.write_picks() if p.do_reextract else None,
        remarks=(*source.remarks, *job.remarks(), *ended.remarks),
    )


class _Job(MicrographJob[Path]):
    """One execution: the result of a micrograph is the file with its particles."""

    KIND = JobKind("Extraction", (PARTICLES, PICKS))

    def __init__(self, settings: ExtractionSettings, out_dir: Path, micrographs: Micrographs, source: Source) -> None:
        super().__init__(out_dir, micrographs.names)
        self._settings, self._micrographs, self._source = settings, micrographs, source
        self._optics = optics_of_boxes(source.optics, settings.box / settings.size, settings.size)
        self._n_outside = self._n_flat = self._n_empty = self.n_particles = 0

    @cached_property
    def _list(self) -> JoinedTable:
        """The list of particles, which is read when the directory is ready."""
        return JoinedTable(self.out_dir / PARTICLES, "particles")

    def kept(self, item: int) -> Path | None:
        star = self.mark(item)
        return star if star.is_file() else None

    def mark(self, item: int) -> Path:
        root = self._micrographs.roots[item]
        return root.with_name(root.name + _FINISHED)

    def compute(self, item: int) -> Callable[[], Path | None]:
        """Extract the particles of one micrograph; return what writes them."""
        name = self.names[item]
        rows = self._source.rows(item)
        if rows is None or not len(rows):
            return self._count_empty
        with naming(name):
            pixels = map_micrograph(Path(name))
            x, y = whole_pixels(rows[X].to_numpy()), whole_pixels(rows[Y].to_numpy())
            kept = touching(x, y, self._settings.box, pixels.shape)
            images = extract(pixels, x[kept], y[kept], self._settings, zlib.crc32(name.encode()))
        table = self._table(item, rows[kept])

        def write() -> Path | None:
            self._n_outside += int(len(kept) - kept.sum())
            self._n_flat += images.n_flat
            return self._write(item, images, table) if len(table) else None

        return write

    def _count_empty(self) -> None:
        self._n_empty += 1

    def _table(self, item: int, rows: pd.DataFrame) -> pd.DataFrame:
        root = self._micrographs.roots[item]
        stack = root.with_name(f"{root.name}.mrcs").as_posix()
        images = np.array([f"{number:06d}@{stack}" for number in range(1, len(rows) + 1)], dtype=object)
        return rows.assign(rlnImageName=images, **self._source.columns(item))

    def _write(self, item: int, images: Extracted, table: pd.DataFrame) -> Path:
        root, star, s = self._micrographs.roots[item], self.mark(item), self._settings
        root.parent.mkdir(parents=True, exist_ok=True)
        pixel_size = float(self._micrographs.pixel_sizes[item]) * s.box / s.size
        mode = 12 if s.half_precision else 2
        with StackWriter(root.with_name(f"{root.name}.mrcs"), len(images.images), s.size, pixel_size, mode=mode) as stack:
            for start in range(0, len(images.images), _WRITTEN_TOGETHER):
                stack.append(images.images[start : start + _WRITTEN_TOGETHER])
        write_star(star, {"images": table})
        self._list.forget(self.names[item])
        return star

    def write_lists(self, finished: Mapping[int, Path]) -> None:
        self.n_particles = self._list.write({"optics": self._optics}, {self.names[i]: star for i, star in finished.items()})

    def write_picks(self) -> Path:
        """Write the list of the files with positions that were extracted again."""
        path, done = self.out_dir / PICKS, sorted(self.finished)
        write_coordinate_list(path, [self.names[i] for i in done], [self.finished[i].as_posix() for i in done])
        return path

    def remarks(self) -> tuple[str, ...]:
        """Return what may surprise."""
        found = {
            f"{self._n_empty} micrographs have no particles to extract": self._n_empty,
            f"{self._n_outside} positions lie outside of their micrograph by more than half a box: left out": self._n_outside,
            f"{self._n_flat} boxes have a background without any noise: not divided by its deviation": self._n_flat,
        }
        return tuple(text for text, count in found.items() if count)
