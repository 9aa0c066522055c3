"""The power spectrum of a movie as CTF programs take it: square, amplitudes, zero frequency in the middle."""

import numpy as np
import scipy.fft

_SIZE = 512  # px
_FINEST = 1.4  # A per px: finer spectra are cut, as their edge says nothing on the CTF


def finish_power_spectrum(amplitudes: np.ndarray, nx: int, pixel_size: float) -> tuple[np.ndarray, float]:
    """Return a square image of a spectrum, and the pixel size (A) that belongs to it: size and layout of RELION's.

    Parameters
    ----------
    amplitudes : float32 (ny, nx // 2 + 1)
        Sum of |F|.
    nx : int
        Columns of the images that were transformed.
    pixel_size : float
        A; of those images.

    Returns
    -------
    image : float32 (512, 512)
        Zero frequency at (256, 256). The outermost frequency along an axis is 1 / (2 x the pixel size returned).
    pixel_size : float
        A.
    """
    image = _centred(amplitudes, nx)
    side = min(image.shape)
    image = resample(image, (side, side))  # now a pixel is the same step of frequency along both axes
    kept = side
    if pixel_size < _FINEST:
        kept = int(np.ceil(side * pixel_size / _FINEST))
        kept += kept % 2
        begin = side // 2 - kept // 2
        image = image[begin : begin + kept, begin : begin + kept]
    return resample(image, (_SIZE, _SIZE)).astype(np.float32), pixel_size * side / kept


def _centred(half: np.ndarray, nx: int) -> np.ndarray:
    """Return the whole plane of a symmetric half plane with the zero frequency in the middle."""
    rest = np.roll(half[::-1], 1, axis=0)[:, 1 : nx // 2][:, ::-1]
    return np.fft.fftshift(np.concatenate([half, rest], axis=1))


def resample(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return an image at another even size by cropping or padding its transform; its middle pixel and its mean stay.

    Parameters
    ----------
    image : float (ny, nx)
        Sides even; the middle is (ny // 2, nx // 2).
    shape
        New (ny, nx).
    """
    for axis, new in enumerate(shape):
        old = image.shape[axis]
        if new == old:
            continue
        half = scipy.fft.rfft(np.fft.ifftshift(image, axes=axis), axis=axis)
        kept = min(old, new) // 2 + 1
        half = half[:kept] if axis == 0 else half[:, :kept]
        image = np.fft.fftshift(scipy.fft.irfft(half, n=new, axis=axis), axes=axis) * (new / old)
    return image
