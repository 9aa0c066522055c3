"""Files of a motion correction: their names, the images and motion of a movie, the table of all micrographs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from relion4plugin.errors import UserError
from relion4plugin.files.job_names import output_root
from relion4plugin.files.motion_star import MotionRecord, PatchShifts
from relion4plugin.files.movies import MovieHeader
from relion4plugin.files.mrc import StackWriter
from relion4plugin.files.star import Block, write_star
from relion4plugin.jobs.motioncorr_movies import ORIGINAL_PIXEL, Movie
from relion4plugin.jobs.motioncorr_parameters import MotionCorrParameters
from relion4plugin.jobs.star_rows import RowFile
from relion4plugin.preprocessing.motion.correct import CorrectedMovie

_LARGEST_HALF = 65504.0


@dataclass(frozen=True)
class MovieFiles:
    """What is written for a movie; the last two only where they are wanted."""

    sum: Path
    motion: Path
    spectrum: Path | None
    plain: Path | None

    def complete(self) -> bool:
        """Whether all of them are there."""
        return all(path.is_file() for path in (self.sum, self.motion, self.spectrum, self.plain) if path is not None)


def files_of(movie: Movie, parameters: MotionCorrParameters, out_dir: Path) -> MovieFiles:
    """Return the files of a movie in RELION's names: the directories in front of it are kept."""
    root = output_root(out_dir, movie.name)
    unweighted = parameters.do_dose_weighting and parameters.do_save_noDW
    return MovieFiles(
        root.with_name(f"{root.name}.mrc"),
        root.with_name(f"{root.name}.star"),
        root.with_name(f"{root.name}_PS.mrc") if parameters.do_save_ps else None,
        root.with_name(f"{root.name}_noDW.mrc") if unweighted else None,
    )


def write_micrographs(
    path: Path,
    source: RowFile,
    movies: Sequence[Movie],
    files: Sequence[MovieFiles],
    motions: Sequence[tuple[float, float, float]],
    bin_factor: float,
) -> None:
    """Write corrected_micrographs.star: one row for each finished movie, and optics with the pixel size of the sums.

    `motions` are total, early and late motion of each movie.
    """
    optics = source.others["optics"].copy()
    optics["rlnMicrographPixelSize"] = bin_factor * optics[ORIGINAL_PIXEL].astype(float)
    columns: dict[str, Sequence[object]] = {}
    if files[0].plain is not None:
        columns["rlnMicrographNameNoDW"] = [str(file.plain) for file in files]
    if files[0].spectrum is not None:
        columns["rlnCtfPowerSpectrum"] = [str(file.spectrum) for file in files]
    columns["rlnMicrographName"] = [file.sum.as_posix() for file in files]
    columns["rlnMicrographMetadata"] = [file.motion.as_posix() for file in files]
    columns["rlnOpticsGroup"] = [movie.group for movie in movies]
    for place, part in enumerate(("Total", "Early", "Late")):
        columns[f"rlnAccumMotion{part}"] = [motion[place] for motion in motions]
    blocks: dict[str, Block] = {"optics": optics, "micrographs": pd.DataFrame(columns)}
    write_star(path, blocks)


def check_range(corrected: CorrectedMovie, movie: Movie) -> None:
    """Check that the sums can be written in 16 bits.

    Raises
    ------
    UserError
        If a value is too large.
    """
    for image in (corrected.weighted, corrected.plain):
        if image is not None and np.abs(image).max() > _LARGEST_HALF:
            raise UserError(f"{movie.name}: the sum has values above {_LARGEST_HALF:g}, too large for 16 bits: set do_float16 to No")


def motion_record(p: MotionCorrParameters, movie: Movie, header: MovieHeader, first: int, corrected: CorrectedMovie) -> MotionRecord:
    """Return what the motion STAR file of a movie says; `first` is the first frame of the sum, counted from 0."""
    shifts = np.full((header.n_frames, 2), np.nan)
    shifts[first : first + len(corrected.shifts)] = corrected.shifts
    is_eer = header.kind == "eer"
    y, x = np.nonzero(corrected.hot)
    return MotionRecord(
        movie=movie.name,
        shape=corrected.shape,
        pixel_size=movie.pixel_size,
        voltage=movie.voltage,
        shifts=shifts,
        gain=p.fn_gain_ref,
        defects=p.fn_defect,
        binning=p.bin_factor,
        dose_rate=p.dose_per_frame,
        pre_exposure=p.pre_exposure,
        first_frame=first + 1,
        coefficients=None if corrected.local is None else corrected.local.model.to_list(),
        patches=_patch_shifts(corrected, first),
        hot_pixels=np.stack([x, y], axis=1),
        eer_grouping=p.eer_grouping if is_eer else 0,
        eer_upsampling=p.eer_upsampling if is_eer else 0,
    )


def _patch_shifts(corrected: CorrectedMovie, first: int) -> PatchShifts | None:
    if corrected.local is None:
        return None
    patches = corrected.local.patches
    n_patches, n_times = patches.shifts.shape[:2]
    frames = np.floor(corrected.times + 0.5).astype(np.int64) + first + 1
    return PatchShifts(np.tile(frames, n_patches), np.repeat(patches.centres, n_times, axis=0), patches.shifts.reshape(-1, 2))


def write_images(files: MovieFiles, corrected: CorrectedMovie, mode: int) -> None:
    """Write the sums and the power spectrum as MRC files of a mode: 2 for 32 bits, 12 for 16."""
    files.sum.parent.mkdir(parents=True, exist_ok=True)
    best = corrected.plain if corrected.weighted is None else corrected.weighted
    size = corrected.pixel_size
    images = (
        (files.sum, best, size),
        (files.plain, corrected.plain, size),
        (files.spectrum, corrected.spectrum, corrected.spectrum_pixel_size),
    )
    for path, image, pixel_size in images:
        if path is None or image is None:
            continue
        with StackWriter(path, 1, image.shape[0], pixel_size, width=image.shape[1], mode=mode) as stack:
            stack.append(image)
