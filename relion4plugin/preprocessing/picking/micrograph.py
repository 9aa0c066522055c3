"""A micrograph as pickers see it: checked, without hot pixels, and down-scaled."""

from dataclasses import dataclass

import numpy as np
import scipy.fft

from relion4plugin.errors import UserError

# Grey values further from the median than so many standard deviations are X-rays, hot pixels or padding.
_OUTLIER = 6.0
_SAMPLE = 1 << 20  # pixels from which median and spread are taken
_MAD_TO_SIGMA = 1.4826


@dataclass(frozen=True)
class ScaledMicrograph:
    """A down-scaled micrograph, float32 (ny, nx); `scale` is px of the micrograph per px here along y and x, `pixel_size` in A."""

    image: np.ndarray
    scale: tuple[float, float]
    pixel_size: float

    def to_micrograph(self, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Turn positions here into positions (y, x) in the micrograph: Fourier cropping keeps the first pixel in its place."""
        return y * self.scale[0], x * self.scale[1]


def centre_and_spread(values: np.ndarray) -> tuple[float, float]:
    """Return the median and the standard deviation that the median absolute deviation stands for; few outliers change neither."""
    middle = float(np.median(values))
    return middle, _MAD_TO_SIGMA * float(np.median(np.abs(values - middle)))


def check_pixels(image: np.ndarray, name: str) -> None:
    """Check that a micrograph can be searched.

    Raises
    ------
    UserError
        If pixels are not numbers or all are the same.
    """
    bad = image.size - int(np.count_nonzero(np.isfinite(image)))
    if bad:
        raise UserError(f"{name}: {bad} of {image.size} pixels are not numbers; motion-correct this micrograph again or leave it out")
    if image.min() == image.max():
        raise UserError(f"{name}: all pixels are {image.flat[0]:g}; expected an image, leave this micrograph out")


def without_outliers(image: np.ndarray) -> np.ndarray:
    """Clip grey values at six standard deviations from the median, float32 (ny, nx)."""
    step = max(1, int(np.sqrt(image.size / _SAMPLE)))
    middle, spread = centre_and_spread(image[::step, ::step])
    spread = spread or float(image.std())  # more than half of the pixels are the same
    return np.clip(image, middle - _OUTLIER * spread, middle + _OUTLIER * spread, dtype=np.float32)


def scaled(image: np.ndarray, pixel_size: float, target: float) -> ScaledMicrograph:
    """Down-scale a micrograph by Fourier cropping; grey values are kept.

    Parameters
    ----------
    image : float32 (ny, nx)
        Any even or odd size.
    pixel_size, target : float
        A; the result is near `target`, at a size whose transform is quick. Nothing is scaled up.

    Returns
    -------
    ScaledMicrograph
    """
    factor = target / pixel_size
    if factor <= 1.01:
        return ScaledMicrograph(np.asarray(image, dtype=np.float32), (1.0, 1.0), pixel_size)
    ny, nx = image.shape
    my, mx = (min(n, _even_fast(n / factor)) for n in (ny, nx))
    whole = scipy.fft.rfft2(image - image.mean(), norm="forward")
    low, high = my // 2, my - my // 2
    part = np.concatenate([whole[:high, : mx // 2 + 1], whole[ny - low :, : mx // 2 + 1]])
    small = scipy.fft.irfft2(part, s=(my, mx), norm="forward").astype(np.float32)
    return ScaledMicrograph(small, (ny / my, nx / mx), pixel_size * float(np.sqrt(ny / my * nx / mx)))


def _even_fast(wanted: float) -> int:
    n = max(8, round(wanted))
    while True:
        n = int(scipy.fft.next_fast_len(n, real=True))
        if n % 2 == 0:
            return n
        n += 1
