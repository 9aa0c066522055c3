"""Smaller boxes by leaving out high frequencies."""

import numpy as np
import scipy.fft


def crop_frequencies(images: np.ndarray, size: int) -> np.ndarray:
    """Sample images on a coarser grid by Fourier cropping; grey values and the first pixel stay where they are.

    Of the two coefficients at the new Nyquist frequency along y the one of positive frequency is kept, as RELION does.

    Parameters
    ----------
    images : float32 (n, N, N)
        Images of even side.
    size : int
        Side of the result, px, even, at most N.

    Returns
    -------
    float32 (n, size, size)
    """
    box = images.shape[-1]
    if size == box:
        return images
    half = size // 2
    # Columns that are dropped need no second transform.
    columns = scipy.fft.rfft(images, axis=-1)[..., : half + 1]
    spectrum = scipy.fft.fft(columns, axis=-2)
    kept = np.concatenate([spectrum[:, : half + 1], spectrum[:, box - half + 1 :]], axis=1)
    kept *= np.float32((size / box) ** 2)
    return scipy.fft.irfft2(kept, s=(size, size), overwrite_x=True)
