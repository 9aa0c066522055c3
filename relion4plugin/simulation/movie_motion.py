"""How a specimen moves during a movie: as a whole, and differently from place to place."""

from dataclasses import dataclass

import numpy as np

from relion4plugin.simulation.canvas import directions
from relion4plugin.simulation.movie_spec import MovieSpec

EARLY_DOSE = 4.0  # electrons per A^2 in which the fast motion falls to 1/e
EARLY_SHARE = 0.6  # of the drift
JITTER = 0.1  # A, standard deviation of a step of the stage beside its drift
LATE_SHARE = 0.3  # of the local motion, its part that grows towards the end
WAVES = 1.5  # periods of the odd motion across the frame
GRID = np.linspace(-0.5, 0.5, 9)
ALL = slice(None)


@dataclass(frozen=True)
class Motion:
    """Where a movie's content goes: what lies at p in the first frame is seen at p + `at(p)` in frame k; px of the file."""

    width: int
    height: int
    whole: np.ndarray  # float64 (F, 2): x, y
    terms: np.ndarray  # float64 (5, 3, 2): x, x^2, y, y^2, xy with t, t^2, t^3
    wave: np.ndarray  # float64 (2, 2): wave vector in turns across the frame; displacement
    phase: float  # of the wave, rad
    course: np.ndarray  # float64 (F,): of the wave in time, 0 to 1

    def local(self, points: np.ndarray, frames: slice = ALL) -> np.ndarray:
        """Displacement beyond that of the whole frame.

        Parameters
        ----------
        points : numpy.ndarray
            float (m, 2): x, y in the first frame, px.
        frames : slice
            Which of the F frames.

        Returns
        -------
        numpy.ndarray
            float64 (frames, m, 2): px.
        """
        places = np.asarray(points, np.float64) / [self.width, self.height] - 0.5
        t = (np.arange(len(self.whole)) / max(1, len(self.whole) - 1))[frames]
        smooth = np.einsum("mi,ijc,fj->fmc", _terms(places), self.terms, np.stack([t, t**2, t**3], axis=-1))
        swing = np.cos(2 * np.pi * places @ self.wave[0] + self.phase)
        return np.asarray(smooth + self.course[frames, None, None] * swing[:, None] * self.wave[1])

    def at(self, points: np.ndarray, frames: slice = ALL) -> np.ndarray:
        """Displacement at some places, as `local`, with that of the whole frame."""
        return np.asarray(self.whole[frames, None] + self.local(points, frames))

    def origins(self, frame: int, points: np.ndarray) -> np.ndarray:
        """Where the content comes from that is seen at `points` (m, 2) in a frame: float64 (m, 2), px in the first frame."""
        found = points - self.whole[frame]
        for _ in range(3):  # displacement changes by some percent from place to place: each round gains two digits
            found = points - self.at(found, slice(frame, frame + 1))[0]
        return np.asarray(found)

    @property
    def reach(self) -> float:
        """Largest displacement along x or y anywhere in the frame, px."""
        return float(np.abs(self.at((_grid() + 0.5) * [self.width, self.height])).max())


def _terms(places: np.ndarray) -> np.ndarray:
    """Quadratic terms (m, 5) of places from the middle in frame widths; the mean of each over the frame is 0."""
    x, y = places[:, 0], places[:, 1]
    return np.stack([x, x * x - 1 / 12, y, y * y - 1 / 12, x * y], axis=-1)


def _grid() -> np.ndarray:
    return np.stack(np.meshgrid(GRID, GRID), axis=-1).reshape(-1, 2)


def draw_motion(spec: MovieSpec, rng: np.random.Generator) -> Motion:
    """Draw the motion of one movie: fast at first, then slower.

    The local part is a polynomial that RELION's model of motion contains (quadratic in place, cubic in time; Zivanov, Nakane &
    Scheres 2019, IUCrJ 6, 5-17), and a standing wave that it does not.

    Parameters
    ----------
    spec : MovieSpec
        Lengths of the ways, dose.
    rng : numpy.random.Generator
        Source.

    Returns
    -------
    Motion
    """
    frames, pixel = spec.n_frames, spec.file_pixel_size
    t = np.arange(frames) / max(1, frames - 1)
    dose = spec.dose_per_frame * np.arange(frames)
    early = (1.0 - np.exp(-dose / EARLY_DOSE)) / max(1.0 - np.exp(-dose[-1] / EARLY_DOSE), 1e-9)
    fast, slow = directions(rng, 2)
    steps = JITTER * rng.standard_normal((frames, 2)) * (spec.drift > 0)
    steps[0] = 0.0
    whole = spec.drift * (EARLY_SHARE * early[:, None] * fast + (1 - EARLY_SHARE) * t[:, None] * slow) + np.cumsum(steps, axis=0)
    shape, late = rng.standard_normal((2, 5, 2))
    decaying, growing = np.array([3.0, -3.0, 1.0]), np.array([0.0, 1.0, 0.0])
    terms = shape[:, None] * decaying[:, None] + LATE_SHARE * late[:, None] * growing[:, None]
    final = _terms(_grid()) @ terms.sum(axis=1)
    terms *= spec.local_motion / np.sqrt((final**2).sum(axis=1).mean())
    wave = np.stack([WAVES * directions(rng, 1)[0], np.sqrt(2.0) * spec.odd_motion / pixel * directions(rng, 1)[0]])
    return Motion(spec.width, spec.height, whole / pixel, terms / pixel, wave, float(rng.uniform(0, 2 * np.pi)), early)
