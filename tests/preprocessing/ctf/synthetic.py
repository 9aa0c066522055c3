"""Micrographs with known CTF: coloured noise seen through it, counted electrons, and what goes wrong in real ones."""

import numpy as np
from scipy import fft

from relion4plugin.imaging.ctf import CtfParameters, evaluate_ctf
from relion4plugin.preprocessing.ctf.rings import Microscope

TITAN = Microscope(300.0, 2.7, 0.1)


def ctf(defocus_u, defocus_v, angle, microscope=TITAN, phase_shift=0.0, bfactor=0.0):
    one = np.ones(1)
    values = (defocus_u, defocus_v, angle, microscope.voltage, microscope.spherical_aberration, microscope.amplitude_contrast)
    return CtfParameters(*(one * value for value in (*values, phase_shift, bfactor, 1.0)))


def micrograph(truth, n=1024, pixel=1.4, contrast=0.05, dose=40.0, seed=0):
    """Return electrons per pixel, float32 (n, n)."""
    rng = np.random.default_rng(seed)
    ky, kx = np.fft.fftfreq(n, pixel), np.fft.rfftfreq(n, pixel)
    curve = evaluate_ctf(np.tile(kx, n), np.repeat(ky, len(kx)), truth)[0].reshape(n, -1)
    colour = 0.6 + 3.0 / (1 + 40 * np.hypot(ky[:, None], kx[None, :]))
    specimen = fft.irfft2(fft.rfft2(rng.standard_normal((n, n), dtype=np.float32)) * curve * colour, (n, n))
    specimen *= contrast / specimen.std()
    return rng.poisson(np.maximum(dose * (1 - specimen), 0)).astype(np.float32)


def angle_difference(a, b):
    """Return the difference of two axes in degrees, from -90 to 90."""
    return (a - b + 90) % 180 - 90
