"""A simulated session on disk: movies, gain reference, metadata, and the truth beside them."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.fft

from relion4plugin.errors import UserError
from relion4plugin.files.atomic import atomic_write_text
from relion4plugin.files.movie_write import write_eer, write_movie
from relion4plugin.files.mrc import write_volume
from relion4plugin.files.star import write_star
from relion4plugin.progress import Progress
from relion4plugin.simulation import movie_truth
from relion4plugin.simulation.mixture_maps import MixtureMaps, make_maps, source_diameter
from relion4plugin.simulation.movie_detector import Camera, defect_boxes, make_camera
from relion4plugin.simulation.movie_field import Molecules3D, make_field, prepare_molecules
from relion4plugin.simulation.movie_frames import FrameMaker, prepare_frames
from relion4plugin.simulation.movie_layout import SessionLayout, deliver, write_image_file, write_session_file
from relion4plugin.simulation.movie_plan import MoviePlan, make_movie_plan
from relion4plugin.simulation.movie_spec import MovieSpec

BOX_MARGIN = 1.15  # of a particle's patch, of its diameter
DELIVERY_SHARE = 0.5  # of the time between movies, in which one is written
SHORTEST_DELIVERY = 0.2  # s
INCOMING = ".incoming"  # folder of whole movies that are still to appear


@dataclass(frozen=True)
class MovieSession:
    """Everything that the movies of a session share; makes any one of them."""

    spec: MovieSpec
    maps: MixtureMaps
    molecules: Molecules3D
    camera: Camera

    def plan(self, index: int) -> MoviePlan:
        """Draw the truth of movie `index` (from 0)."""
        return make_movie_plan(self.spec, self.maps, index)

    def frames(self, plan: MoviePlan) -> FrameMaker:
        """Prepare the frames of a movie."""
        return prepare_frames(self.spec, plan, make_field(self.spec, plan, self.molecules), self.camera)


@dataclass(frozen=True)
class MoviesResult:
    """Files of a simulated session."""

    movies: tuple[Path, ...]  # by number
    movies_star: Path  # as RELION's import writes it
    truth_star: Path  # defocus of all movies, all particles
    truths: tuple[Path, ...]  # of each movie, with its motion
    gain: Path
    defects: Path
    diameter: float  # A, of the largest particle


def prepare_session(spec: MovieSpec) -> MovieSession:
    """Make what the movies of a session share.

    Raises
    ------
    UserError
        If the spec is not valid or a source cannot be used.
    """
    spec.validate()
    diameter = max(source_diameter(source) for source, _ in spec.sources)
    box = scipy.fft.next_fast_len(int(np.ceil(BOX_MARGIN * diameter / spec.pixel_size / 2)) + 2, real=True) * 2
    maps = make_maps(spec.mixture(max(16, box)))
    return MovieSession(spec, maps, prepare_molecules(spec, maps), make_camera(spec))


def simulate_movies(spec: MovieSpec, out_dir: Path | str, progress: Progress, wait: Callable[[float], None] = time.sleep) -> MoviesResult:
    """Simulate a session.

    The same spec gives the same files; movie i does not depend on how many there are or in which order they arrive.

    Parameters
    ----------
    spec : MovieSpec
        What is asked for.
    out_dir : path
        Folder to write into; made if need be. Names in the STAR files are relative to it.
    progress : Progress
        Told of every movie.
    wait : callable
        Lets a number of seconds pass, between movies and while one is half written.

    Returns
    -------
    MoviesResult

    Raises
    ------
    UserError
        If the spec is not valid, a source cannot be used, or the folder cannot be written.
    """
    session, layout, out = prepare_session(spec), SessionLayout(spec), Path(out_dir)
    every = range(spec.n_movies)
    _make_folders(out, {layout.folder(index) for index in every} | {"Truth"} | ({INCOMING} if spec.half_written else set()))
    _write_shared(session, layout, out)
    if spec.layout == "epu":
        write_session_file(layout, out)
    rows: dict[int, tuple[MoviePlan, str]] = {}
    progress.start("simulating movies", spec.n_movies)
    for number, index in enumerate(layout.order()):
        started = time.monotonic()
        plan = session.plan(index)
        _write_truth(spec, plan, layout, out)
        _write_movie(session, plan, layout, out, wait)
        rows[index] = (plan, layout.movie(index))
        progress.advance(1, layout.stem(index))
        if spec.interval > 0 and number + 1 < spec.n_movies:
            wait(max(0.0, spec.interval - (time.monotonic() - started)))
    progress.finish()
    if spec.half_written:
        (out / INCOMING).rmdir()
    return _write_summary(session, layout, out, [rows[index] for index in every])


def _make_folders(out: Path, names: set[str]) -> None:
    for name in sorted(names):
        try:
            (out / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot make the folder {out / name} ({error.strerror}); choose another output folder") from error


def _write_shared(session: MovieSession, layout: SessionLayout, out: Path) -> None:
    """Write gain reference, defects and maps."""
    spec, camera = session.spec, session.camera
    path = out / layout.gain
    if spec.file_format == "eer":
        # a TIFF file under another name; rows of EER frames and of their gain reference keep their order
        plain = path.with_suffix(".tiff")
        write_movie(plain, [camera.gain[::-1]], spec.file_pixel_size)
        plain.replace(path)
    else:
        write_movie(path, [camera.gain], spec.file_pixel_size)
    atomic_write_text(out / "defects.txt", "".join("{} {} {} {}\n".format(*box) for box in defect_boxes(camera.dead)))
    for number, volume in enumerate(session.maps.volumes[: session.maps.n_maps], 1):
        write_volume(out / f"Truth/map{number:03d}.mrc", volume, spec.pixel_size)
    if spec.mtf_nyquist < 1:
        _write_mtf(spec, out / "mtf.star")


def _write_mtf(spec: MovieSpec, path: Path) -> None:
    """Write the transfer of the camera against the frequency in 1/px of the file, as RELION reads it."""
    import pandas as pd

    frequency = np.linspace(0.0, 0.5, 51)
    transfer = spec.mtf_nyquist ** ((2.0 * spec.upsampling * frequency) ** 2)
    write_star(path, {"mtf": pd.DataFrame({"rlnResolutionInversePixel": frequency, "rlnMtfValue": transfer})})


def _write_truth(spec: MovieSpec, plan: MoviePlan, layout: SessionLayout, out: Path) -> None:
    name = layout.movie(plan.index)
    blocks: dict[str, Any] = {
        "general": movie_truth.movie_row(spec, plan, name),
        "whole_motion": movie_truth.whole_motion(plan),
        "particles": movie_truth.particle_table(spec, plan, name),
        "local_motion": movie_truth.local_motion(plan),
    }
    write_star(out / layout.truth(plan.index), blocks)


def _write_movie(session: MovieSession, plan: MoviePlan, layout: SessionLayout, out: Path, wait: Callable[[float], None]) -> None:
    """Write a movie and its metadata; the metadata come first, as EPU has it."""
    spec, target = session.spec, out / layout.movie(plan.index)
    if spec.layout == "epu":
        write_image_file(layout, plan, out)
    path = out / INCOMING / target.name if spec.half_written else target
    maker = session.frames(plan)
    if spec.file_format == "eer":
        write_eer(path, maker.frames(spec.eer_frames), spec.file_pixel_size)
    else:
        write_movie(path, maker.frames(), spec.file_pixel_size)
    if spec.half_written:
        deliver(path, target, max(SHORTEST_DELIVERY, DELIVERY_SHARE * spec.interval), wait)


def _write_summary(session: MovieSession, layout: SessionLayout, out: Path, rows: list[tuple[MoviePlan, str]]) -> MoviesResult:
    import pandas as pd

    spec = session.spec
    movies = pd.DataFrame([movie_truth.movie_row(spec, plan, name) for plan, name in rows])
    particles = pd.concat([movie_truth.particle_table(spec, plan, name) for plan, name in rows], ignore_index=True)
    result = MoviesResult(
        movies=tuple(out / name for _, name in rows),
        movies_star=out / "movies.star",
        truth_star=out / "truth.star",
        truths=tuple(out / layout.truth(plan.index) for plan, _ in rows),
        gain=out / layout.gain,
        defects=out / "defects.txt",
        diameter=max(session.maps.diameters),
    )
    tables = movie_truth.import_tables(spec, [name for _, name in rows], [plan.optics_group for plan, _ in rows])
    write_star(result.movies_star, tables)
    write_star(result.truth_star, {"optics": tables["optics"], "movies": movies, "particles": particles})
    return result
