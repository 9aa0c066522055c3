"""Normalisation of boxes by their background: dust, a plane of grey values, mean and standard deviation."""

import numpy as np

_FLAT = 1e-6  # deviation over grey values below which a background is flat but for rounding


class Background:
    """The pixels of a box outside of a circle about its centre.

    Parameters
    ----------
    box : int
        Side of the box, px, even.
    radius : float
        Radius of the circle, px.

    Raises
    ------
    ValueError
        If fewer than three pixels are outside.
    """

    def __init__(self, box: int, radius: float) -> None:
        steps = np.arange(box) - box // 2
        yy, xx = np.meshgrid(steps, steps, indexing="ij")
        outside = np.flatnonzero(xx**2 + yy**2 > radius**2)
        if len(outside) < 3:
            raise ValueError(f"a circle of radius {radius:g} px leaves no background in a box of {box} px")
        self.pixels = outside
        self._plane = np.stack([np.ones(box * box), xx.ravel(), yy.ravel()]) / [[1], [box], [box]]  # of similar size: well conditioned
        self._fit = np.linalg.pinv(self._plane[:, outside]).astype(np.float32)
        self._plane = self._plane.astype(np.float32)

    def normalise(self, images: np.ndarray, white: float, black: float, rng: np.random.Generator) -> tuple[np.ndarray, int]:
        """Bring the background to mean 0, standard deviation 1 and no slope.

        Dust is replaced first, as in RELION; where a background has no deviation at all, it is not divided.

        Parameters
        ----------
        images : float32 (n, N, N)
            Boxes.
        white, black : float
            Standard deviations of the background above and below its mean beyond which a pixel is dust, and replaced by noise of
            the background's mean and deviation; 0 or less never.
        rng : numpy.random.Generator
            Source of that noise.

        Returns
        -------
        images : float32 (n, N, N)
            Normalised boxes.
        n_flat : int
            Number of boxes whose background has no deviation.
        """
        flat = images.reshape(len(images), -1)
        values = flat.take(self.pixels, axis=1)
        mean = values.mean(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)
        flat, values = flat - mean, values - mean  # small numbers keep float32 sums exact enough
        deviation = np.sqrt(_mean_squares(values))
        size = deviation + np.abs(mean)
        if white > 0 or black > 0:
            _replace_dust(flat, deviation, white, black, rng)
            values = flat.take(self.pixels, axis=1)
        plane = values @ self._fit
        values -= plane @ self._plane[:, self.pixels]
        rest = values.mean(axis=1, keepdims=True)
        deviation = np.sqrt(np.maximum(_mean_squares(values) - rest**2, 0))
        is_flat = deviation <= _FLAT * size
        flat -= plane @ self._plane
        flat -= rest
        flat /= np.where(is_flat, np.float32(1), deviation)
        return flat.reshape(images.shape), int(is_flat.sum())


def _mean_squares(values: np.ndarray) -> np.ndarray:
    return (np.einsum("ij,ij->i", values, values) / np.float32(values.shape[1]))[:, None]


def _replace_dust(flat: np.ndarray, deviation: np.ndarray, white: float, black: float, rng: np.random.Generator) -> None:
    """Replace pixels far from the background, whose mean is 0, in place; where it has no deviation, nothing is far."""
    dust = np.zeros(flat.shape, dtype=bool)
    if white > 0:
        dust |= flat > np.float32(white) * deviation
    if black > 0:
        dust |= flat < np.float32(-black) * deviation
    dust &= deviation > 0
    rows = np.nonzero(dust)[0]
    flat[dust] = rng.standard_normal(len(rows), dtype=np.float32) * deviation[rows, 0]
