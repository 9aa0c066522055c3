"""The frames of one movie, corrected for gain and bad pixels, read as often as they are wanted."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.files.movies import open_movie
from relion4plugin.preprocessing.motion.bad_pixels import Repair, find_bad_pixels, plan_repair

_KEPT_BYTES = 3 << 29  # of counts kept in memory; what is beyond is read from the file again
_MOST_READERS = 4


@dataclass(frozen=True)
class MovieSource:
    """A movie file and what is done to each pixel of it.

    Parameters
    ----------
    path
        MRC, TIFF or EER.
    first, last
        Frames that are used, counted from 0; `last` is one beyond.
    gain : float32 (ny, nx) or None
        Multiplies each frame; pixels where it is 0 are bad.
    defects : bool (ny, nx) or None
        Bad pixels.
    find_bad
        Look for hot and dead pixels.
    eer_grouping, eer_upsampling
        See `open_movie`.
    """

    path: Path
    first: int
    last: int
    gain: np.ndarray | None
    defects: np.ndarray | None
    find_bad: bool
    eer_grouping: int = 32
    eer_upsampling: int = 1


class MovieFrames:
    """Corrected frames of a movie; making it reads the whole file once.

    Attributes
    ----------
    shape
        (ny, nx) of a frame.
    hot : bool (ny, nx)
        Pixels that are replaced, beyond those known from gain and defects.

    Raises
    ------
    UserError
        If the file is damaged or holds pixels that are no numbers.
    """

    def __init__(self, source: MovieSource, n_threads: int = 1) -> None:
        self._source = source
        self._kept: dict[int, np.ndarray] = {}
        n_readers = min(n_threads, _MOST_READERS, len(self))
        with ThreadPoolExecutor(max_workers=n_readers) as pool:
            sums = list(pool.map(lambda start: self._scan(start, n_readers), range(n_readers)))
        total = sum(sums[1:], sums[0])
        if not np.isfinite(total).all():
            count = int(np.count_nonzero(~np.isfinite(total)))
            raise UserError(f"{source.path}: {count} pixels are no numbers (NaN or infinite): write the movie again")
        if not np.ptp(total):
            raise UserError(f"{source.path}: all pixels of the sum of frames are {total[0, 0]:g}: the movie is empty")
        self.shape: tuple[int, int] = (total.shape[0], total.shape[1])
        known = np.zeros(self.shape, dtype=bool) if source.defects is None else source.defects.copy()
        if source.gain is not None:
            known |= source.gain == 0
            total *= source.gain
        if known.all():
            raise UserError(f"{source.path}: gain and defects leave no good pixel: check both files")
        bad = find_bad_pixels(total, known, source.find_bad)
        self.hot = bad & ~known
        self._repair: Repair = plan_repair(bad)

    def __len__(self) -> int:
        return self._source.last - self._source.first

    def _scan(self, start: int, step: int) -> np.ndarray:
        """Sum every `step`-th frame, and keep those that are small whole numbers while there is room."""
        total: np.ndarray | None = None
        source = self._source
        with open_movie(source.path, source.eer_grouping, source.eer_upsampling) as movie:
            room = _KEPT_BYTES // len(self)
            for i in range(start, len(self), step):
                frame = movie.read(source.first + i)
                total = frame.astype(np.float32) if total is None else total + frame
                small = _as_counts(frame)
                if small is not None and small.nbytes <= room:
                    self._kept[i] = small
        assert total is not None
        return total

    def read(self, number: int) -> np.ndarray:
        """Return a corrected frame (from 0 in the selection), float32 (ny, nx)."""
        raw = self._kept.get(number)
        if raw is None:
            source = self._source
            with open_movie(source.path, source.eer_grouping, source.eer_upsampling) as movie:
                raw = movie.read(source.first + number)
        gain = self._source.gain
        frame = raw.astype(np.float32) if gain is None else np.multiply(raw, gain, dtype=np.float32)
        self._repair.apply(frame, number)
        return frame


def _as_counts(frame: np.ndarray) -> np.ndarray | None:
    """Return a frame in 8 bits if that loses nothing."""
    with np.errstate(invalid="ignore"):
        small = frame.astype(np.uint8)
    return small if np.array_equal(small, frame) else None
