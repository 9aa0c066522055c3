"""The camera: sensitivity of its pixels, those that fail, and counting."""

from dataclasses import dataclass

import numpy as np

from relion4plugin.simulation.movie_shots import shots
from relion4plugin.simulation.movie_spec import MovieSpec

CAMERA_STREAM = 0x63616D
TILES, TILE_SPREAD = 8, 0.3  # sensor tiles along a side; spread of their sensitivity, of gain_spread
SUBPIXEL_SPREAD = 1.0  # of the quarters of a physical pixel, of gain_spread
HOT_RATE = (20.0, 200.0)  # counts per frame of a hot pixel, beyond the electrons
LEAST_SENSITIVITY = 0.3


@dataclass(frozen=True)
class Camera:
    """Pixels of the file, (H, W) each; frames times `gain` are electrons."""

    gain: np.ndarray  # float32; 0 where a pixel is dead
    sensitivity: np.ndarray  # float32: counts for each electron, 1 / gain, 0 where dead
    hot: np.ndarray  # int64 (n, 2): y, x of hot pixels
    hot_rate: np.ndarray  # float64 (n,): their counts per frame
    dead: np.ndarray  # bool
    dtype: type  # of a count
    largest: int

    def count(self, electrons: np.ndarray, rng: np.random.Generator, share: float = 1.0) -> np.ndarray:
        """Count one frame.

        Parameters
        ----------
        electrons : numpy.ndarray
            float32 (H, W): expected number for each pixel.
        rng : numpy.random.Generator
            Source of the shot noise.
        share : float
            Length of the exposure, in frames of the movie.

        Returns
        -------
        numpy.ndarray
            uint8 or uint16 (H, W), not multiplied by the gain; cut off at the largest number.
        """
        counts = shots(electrons * self.sensitivity, rng)
        counts[self.hot[:, 0], self.hot[:, 1]] += rng.poisson(self.hot_rate * share)
        return np.minimum(counts, self.largest, out=counts).astype(self.dtype)


def make_camera(spec: MovieSpec) -> Camera:
    """Make the camera of a session.

    Parameters
    ----------
    spec : MovieSpec
        Size, spread of the gain, shares of bad pixels.

    Returns
    -------
    Camera
    """
    rng, bad = (np.random.default_rng(np.random.SeedSequence((spec.seed, CAMERA_STREAM, part))) for part in range(2))
    shape = (spec.height, spec.width)
    pattern = 1.0 + spec.gain_spread * rng.standard_normal(shape, dtype=np.float32)
    if spec.super_resolution:  # electrons fall into the quarters of a pixel unevenly, the same way in all pixels
        quarters = 1.0 + SUBPIXEL_SPREAD * spec.gain_spread * rng.standard_normal((2, 2))
        pattern *= np.tile(quarters, (spec.height // 2, spec.width // 2)).astype(np.float32)
    tiles = 1.0 + TILE_SPREAD * spec.gain_spread * rng.standard_normal((TILES, TILES))
    zoom = [np.arange(n) * TILES // n for n in shape]
    pattern *= tiles[np.ix_(*zoom)].astype(np.float32)
    sensitivity = np.maximum(pattern, LEAST_SENSITIVITY).astype(np.float32)
    sensitivity *= np.float32((1.0 / sensitivity).mean(dtype=np.float64))  # the mean of the gain is 1
    n_hot, n_dead = (round(share * shape[0] * shape[1]) for share in (spec.hot_pixels, spec.dead_pixels))
    hot = np.stack([bad.integers(n, size=n_hot) for n in shape], axis=-1)
    dead = np.zeros(shape, bool)
    dead[bad.integers(shape[0], size=n_dead), bad.integers(shape[1], size=n_dead)] = True
    dead[:, bad.choice(spec.width, spec.dead_columns, replace=False)] = True
    dead[hot[:, 0], hot[:, 1]] = False
    sensitivity[dead] = 0.0
    gain = np.zeros(shape, np.float32)
    np.divide(1.0, sensitivity, out=gain, where=~dead)
    dtype = np.uint8 if spec.bits == 8 else np.uint16
    # MRC knows signed bytes only
    largest = 127 if spec.bits == 8 and spec.file_format == "mrc" else int(np.iinfo(dtype).max)
    return Camera(gain, sensitivity, hot, bad.uniform(*HOT_RATE, n_hot), dead, dtype, largest)


def defect_boxes(dead: np.ndarray) -> list[tuple[int, int, int, int]]:
    """Cover dead pixels (H, W) by boxes x, y, width, height: whole columns first, then pixel by pixel."""
    columns = np.flatnonzero(dead.all(axis=0))
    single = dead.copy()
    single[:, columns] = False
    boxes = [(int(x), 0, 1, dead.shape[0]) for x in columns]
    return boxes + [(int(x), int(y), 1, 1) for y, x in np.argwhere(single)]
