"""Class averages of a classification that ignored the CTF up to its first peak, as if it had not."""

import numpy as np

from relion4plugin.imaging.ctf import CtfOptions, CtfParameters, ctf_of_particles, evaluate_ctf
from relion4plugin.imaging.fourier import half_frequencies, half_to_image, image_to_half
from relion4plugin.ranker.class_run import ClassRun

SMALLEST_CTF = 0.07  # the lowest frequencies are not raised beyond 1/0.07


def restore_first_peak(classes: np.ndarray, run: ClassRun) -> np.ndarray:
    """Divide class averages by the CTF up to its first peak, at the mean defocus of all particles.

    Parameters
    ----------
    classes : float (m, N, N)
        Class averages of the run.
    run : ClassRun
        Its particles give the CTF (RELION's ranker takes that of the last particle).

    Returns
    -------
    array (m, N, N) of the same type

    Raises
    ------
    UserError
        If the particles have no CTF.
    """
    n = classes.shape[-1]
    ctf = _mean_ctf(ctf_of_particles(run.data, np.arange(len(run.data))))
    ky, kx = half_frequencies(n)
    scale = 1.0 / (n * run.pixel_size)
    fx, fy = kx.ravel() * scale, ky.ravel() * scale
    plain, intact = (evaluate_ctf(fx, fy, ctf, CtfOptions(intact_first_peak=ignored)) for ignored in (False, True))
    # both agree beyond the first peak, where nothing was ignored
    ignored_part = np.where(plain == intact, 1.0, np.maximum(plain, SMALLEST_CTF)).reshape(n, n // 2 + 1)
    return half_to_image(image_to_half(classes) / ignored_part.astype(classes.dtype), n)


def _mean_ctf(ctf: CtfParameters) -> CtfParameters:
    """One CTF without astigmatism, B-factor and scale at the mean of the others' parameters."""

    def mean(values: np.ndarray) -> np.ndarray:
        return np.array([values.mean()])

    defocus = mean((ctf.defocus_u + ctf.defocus_v) / 2)
    nothing, one = np.zeros(1), np.ones(1)
    return CtfParameters(
        defocus,
        defocus,
        nothing,
        mean(ctf.voltage),
        mean(ctf.spherical_aberration),
        mean(ctf.amplitude_contrast),
        mean(ctf.phase_shift),
        nothing,
        one,
    )
