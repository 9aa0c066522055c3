"""Motion correction as a job: movie by movie, with RELION's files."""

import argparse
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.files.defects import read_defects
from relion4plugin.files.gain import read_gain
from relion4plugin.files.motion_star import accumulated_motion, read_motion, write_motion
from relion4plugin.files.movies import MovieHeader, read_movie_header
from relion4plugin.jobs.log_plots import MOTION
from relion4plugin.jobs.micrograph_job import JobKind, MicrographJob
from relion4plugin.jobs.motioncorr_files import check_range, files_of, motion_record, write_images, write_micrographs
from relion4plugin.jobs.motioncorr_movies import Movie, read_movies
from relion4plugin.jobs.motioncorr_parameters import FLIPS, ROTATIONS, MotionCorrParameters
from relion4plugin.jobs.parameters import add_arguments, check, from_arguments, from_job_options, to_job_options
from relion4plugin.jobs.refinement_options import gpu_number
from relion4plugin.jobs.star_rows import RowFile
from relion4plugin.preprocessing.motion.correct import MotionSettings, correct_movie
from relion4plugin.preprocessing.motion.frames import MovieSource
from relion4plugin.progress import Progress

__all__ = ["OUTPUT", "MotionCorrOutputs", "MotionCorrParameters", "from_options", "relion_command", "run", "settings_of", "validate"]

OUTPUT = "corrected_micrographs.star"
Motion = tuple[float, float, float]  # total, early and late


@dataclass(frozen=True)
class MotionCorrOutputs:
    """The STAR file, the number of micrographs in it, of those made now, of those set aside and of those left for later."""

    micrographs: Path
    n_micrographs: int
    n_new: int
    n_set_aside: int
    n_left: int
    remarks: tuple[str, ...]


def from_options(options: Mapping[str, str], where: str = "job.star") -> MotionCorrParameters:
    """Build the parameters from job.star options of RELION 3.1, 4 or 5; `other_args` may hold options of RELION's program.

    Raises
    ------
    UserError
        If a value has the wrong type, UCSF MotionCor2 is asked for, or `other_args` has an option that is not known here.
    """
    if options.get("do_own_motioncor", "Yes") == "No":
        raise UserError(f"{where}: do_own_motioncor is No, but UCSF MotionCor2 is not called from here: set it to Yes, or use RELION")
    parameters = from_job_options(MotionCorrParameters, options, where)
    words = shlex.split(options.get("other_args", "").strip().strip('"'))
    if not words:
        return parameters
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    add_arguments(parser, MotionCorrParameters)
    try:
        known, unknown = parser.parse_known_args(words)
    except argparse.ArgumentError as error:
        raise UserError(f"{where}: other_args: {error}") from error
    if unknown:
        raise UserError(f"{where}: other_args has '{unknown[0]}', which is not known here: leave it out, or use RELION for this job")
    return from_arguments(MotionCorrParameters, known, parameters)


def settings_of(parameters: MotionCorrParameters, movie: Movie) -> MotionSettings:
    """Translate to the units of the computation."""
    p = parameters
    group = max(1, int(p.group_for_ps / p.dose_per_frame + 0.5)) if p.do_save_ps else 0
    return MotionSettings(
        pixel_size=movie.pixel_size,
        voltage=movie.voltage,
        bfactor=p.bfactor,
        patches=(p.patch_x, p.patch_y),
        group=p.group_frames,
        bin_factor=p.bin_factor,
        exposure=p.dose_per_frame,
        before=p.pre_exposure,
        weighted=p.do_dose_weighting,
        plain=p.do_save_noDW,
        spectrum_group=group,
        gpu=gpu_number(p),
    )


def validate(parameters: MotionCorrParameters) -> tuple[str, ...]:
    """Check what can be known without reading the movies.

    Raises
    ------
    UserError
        For the first mistake found.
    """
    p = parameters
    check(p)
    if p.do_float16 and not p.do_save_ps:
        raise UserError("do_float16 is Yes, which needs power spectra for the CTF: set do_save_ps to Yes too, or do_float16 to No")
    if p.do_dose_weighting and p.dose_per_frame <= 0:
        raise UserError("dose weighting needs dose_per_frame above 0: give it, or set do_dose_weighting to No")
    if p.do_save_ps and (p.dose_per_frame <= 0 or p.group_for_ps <= 0):
        raise UserError("power spectra need dose_per_frame and group_for_ps above 0: give them, or set do_save_ps to No")
    if 0 < p.last_frame_sum <= p.first_frame_sum:
        raise UserError(f"last_frame_sum {p.last_frame_sum} must be above first_frame_sum {p.first_frame_sum}, or 0 for all frames")
    gpu_number(p)
    for path, what, option in ((p.fn_gain_ref, "gain reference", "--gainref"), (p.fn_defect, "defect file", "--defect_file")):
        if path and not Path(path).is_file():
            raise UserError(f"{what} {path}: no such file; give an existing one with {option}")
    return ()


def relion_command(parameters: MotionCorrParameters, out_dir: Path, is_continue: bool) -> list[str]:
    """Return the words of RELION's own command for the same job."""
    from relion4plugin.jobs.registry import job_type

    p = parameters
    extra = ["--eer_upsampling", str(p.eer_upsampling)] if p.eer_upsampling != 1 else []
    extra += ["--skip_defect"] if p.skip_defect else []
    extra += ["--do_at_most", str(p.do_at_most)] if p.do_at_most >= 0 else []
    options = {**to_job_options(p), "other_args": " ".join(extra)}
    return job_type("relion.motioncorr").relion_command(options, out_dir, is_continue)[0]


def run(
    parameters: MotionCorrParameters, out_dir: Path, progress: Progress, is_continue: bool = False, overwrite: bool = False
) -> MotionCorrOutputs:
    """Correct the motion in every movie; arguments and errors are those of all jobs in `micrograph_job`."""
    validate(parameters)
    rows, movies = read_movies(parameters)
    job = _Job(parameters, out_dir, rows, movies)
    job.prepare(is_continue, overwrite)
    ended = job.treat(job.compute, progress, at_most=parameters.do_at_most)
    return MotionCorrOutputs(out_dir / OUTPUT, ended.n_finished, ended.n_new, ended.n_set_aside, ended.n_left, ended.remarks)


class _Job(MicrographJob[Motion]):
    KIND = JobKind("Motion correction", (OUTPUT,), "movies", "rlnMicrographMovieName", (OUTPUT, "micrographs", MOTION))

    def __init__(self, parameters: MotionCorrParameters, out_dir: Path, rows: RowFile, movies: list[Movie]) -> None:
        super().__init__(out_dir, [movie.name for movie in movies])
        self._parameters, self._rows, self._movies = parameters, rows, movies
        self._gains: dict[tuple[tuple[int, int], str], np.ndarray] = {}
        self._defects: dict[tuple[int, int], np.ndarray] = {}

    def kept(self, item: int) -> Motion | None:
        files = files_of(self._movies[item], self._parameters, self.out_dir)
        return accumulated_motion(read_motion(files.motion)) if files.complete() else None

    def mark(self, item: int) -> Path:
        return files_of(self._movies[item], self._parameters, self.out_dir).motion

    def compute(self, item: int) -> Callable[[], Motion]:
        """Correct one movie; return what writes its files."""
        p, movie = self._parameters, self._movies[item]
        header = read_movie_header(movie.name, p.eer_grouping, p.eer_upsampling)
        first, last = _frame_range(p, header)
        source = MovieSource(
            path=Path(movie.name), first=first, last=last, gain=self._gain(header), defects=self._defect_map(header),
            find_bad=not p.skip_defect, eer_grouping=p.eer_grouping, eer_upsampling=p.eer_upsampling,
        )  # fmt: skip
        corrected = correct_movie(source, settings_of(p, movie), p.nr_threads)
        if p.do_float16:
            check_range(corrected, movie)
        record = motion_record(p, movie, header, first, corrected)

        def write() -> Motion:
            files = files_of(movie, p, self.out_dir)
            write_images(files, corrected, 12 if p.do_float16 else 2)
            write_motion(files.motion, record)
            return accumulated_motion(read_motion(files.motion))  # the same digits, whichever execution lists it

        return write

    def write_lists(self, finished: Mapping[int, Motion]) -> None:
        movies = [self._movies[i] for i in finished]
        files = [files_of(movie, self._parameters, self.out_dir) for movie in movies]
        write_micrographs(self.out_dir / OUTPUT, self._rows, movies, files, list(finished.values()), self._parameters.bin_factor)

    def _gain(self, header: MovieHeader) -> np.ndarray | None:
        """Return the gain reference for movies of this size and format, read once."""
        p, key = self._parameters, (header.shape, header.kind)
        if not p.fn_gain_ref:
            return None
        if key not in self._gains:
            rotation, flip = ROTATIONS.index(p.gain_rot), FLIPS.index(p.gain_flip)
            self._gains[key] = read_gain(p.fn_gain_ref, rotation, flip, header)
        return self._gains[key]

    def _defect_map(self, header: MovieHeader) -> np.ndarray | None:
        if not self._parameters.fn_defect:
            return None
        if header.shape not in self._defects:
            self._defects[header.shape] = read_defects(self._parameters.fn_defect, header.shape)
        return self._defects[header.shape]


def _frame_range(p: MotionCorrParameters, header: MovieHeader) -> tuple[int, int]:
    """Return first and last frame, counted from 0, the last one beyond."""
    last = p.last_frame_sum if p.last_frame_sum > 0 else header.n_frames
    if last > header.n_frames or p.first_frame_sum > header.n_frames:
        raise UserError(
            f"{header.path}: {header.n_frames} frames, but frames {p.first_frame_sum} to {max(last, p.first_frame_sum)} are wanted: "
            "lower first_frame_sum or last_frame_sum, or leave this movie out"
        )
    return p.first_frame_sum - 1, last
