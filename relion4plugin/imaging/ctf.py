"""The contrast transfer function of a transmission electron microscope."""

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from relion4plugin.arrays import array_namespace
from relion4plugin.errors import UserError

if TYPE_CHECKING:
    from relion4plugin.files.particles import ParticleSet


@dataclass(frozen=True)
class CtfParameters:
    """CTF parameters of n images, each an array (n,).

    Underfocus is positive; the astigmatism angle is from the x axis to the direction of `defocus_u`.
    """

    defocus_u: Any  # A
    defocus_v: Any  # A
    defocus_angle: Any  # degrees
    voltage: Any  # kV
    spherical_aberration: Any  # mm
    amplitude_contrast: Any
    phase_shift: Any  # degrees
    bfactor: Any  # A^2
    scale: Any

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.defocus_u)

    def select(self, rows: Any) -> "CtfParameters":
        """Return the parameters of some images.

        Parameters
        ----------
        rows : int array, bool array or slice
            Which images.

        Returns
        -------
        CtfParameters
        """
        return CtfParameters(*(getattr(self, field.name)[rows] for field in fields(self)))


@dataclass(frozen=True)
class CtfOptions:
    """How the CTF is modified before use."""

    intact_first_peak: bool = False  # 1 up to the first peak: low frequencies are left as they are
    phase_flipped: bool = False  # the images were phase-flipped: the modulus
    only_flip: bool = False  # correct phases only: the sign


PLAIN_CTF = CtfOptions()


def wavelength(voltage: Any) -> Any:
    """Relativistic electron wavelength in A.

    Parameters
    ----------
    voltage : float or array
        Acceleration voltage in kV.

    Returns
    -------
    float or array
        Wavelength in A (0.0197 at 300 kV).
    """
    volts = voltage * 1000.0
    return 12.2643247 / (volts * (1 + 0.978466e-6 * volts)) ** 0.5


def _coefficients(ctf: CtfParameters) -> Any:
    """Weights (n, 5) of the basis fx^2, 2 fx fy, fy^2, |f|^4, 1 in the phase divided by 2 pi; float64."""
    xp = array_namespace(ctf.defocus_u)
    p = {field.name: xp.asarray(getattr(ctf, field.name), dtype=xp.float64) for field in fields(ctf)}
    wave = wavelength(p["voltage"])
    azimuth = xp.deg2rad(p["defocus_angle"])
    mean = 0.5 * (p["defocus_u"] + p["defocus_v"])
    difference = 0.5 * (p["defocus_u"] - p["defocus_v"])
    along, across = difference * xp.cos(2 * azimuth), difference * xp.sin(2 * azimuth)
    contrast = p["amplitude_contrast"]
    constant = -xp.deg2rad(p["phase_shift"]) - xp.arcsin(contrast)
    return xp.stack(
        [
            -0.5 * wave * (mean + along),
            -0.5 * wave * across,
            -0.5 * wave * (mean - along),
            0.25 * p["spherical_aberration"] * 1e7 * wave**3,
            constant / (2 * np.pi),
        ],
        axis=-1,
    )


def _before_turn(coefficients: Any, radius_squared: Any, xp: Any) -> Any:
    """Where the phase has not yet been turned back by the spherical aberration (n, P).

    At high frequency the phase comes back through zero; that part is not the first peak, unless the phase never reached it.
    """
    defocus = 0.5 * (coefficients[:, 0] + coefficients[:, 2])
    quartic = xp.maximum(coefficients[:, 3], 1e-30)
    turn = xp.maximum(-0.5 * defocus / quartic, 0.0)
    deepest = defocus * turn + quartic * turn * turn + coefficients[:, 4]
    limit = xp.where(deepest < -0.25, turn, np.inf).astype(xp.float32)
    return radius_squared[None, :] < limit[:, None]


def evaluate_ctf(fx: Any, fy: Any, ctf: CtfParameters, options: CtfOptions = PLAIN_CTF, extra_phase: Any = None) -> Any:
    """CTF of n images at P frequencies.

    ``C = -sin(gamma) exp(-B |f|^2 / 4) scale`` with
    ``gamma = -pi lambda (defocus quadratic form) + pi/2 Cs lambda^3 |f|^4 - phase shift - asin(Q0)``;
    white particles have a positive CTF at low frequency.

    Parameters
    ----------
    fx, fy : float (P,)
        Spatial frequencies in 1/A.
    ctf : CtfParameters
        Parameters of n images; may be host arrays when the frequencies are on a GPU.
    options : CtfOptions
        Modifications: intact first peak, modulus, sign.
    extra_phase : float (P,), optional
        Radians added to gamma (symmetric aberrations).

    Returns
    -------
    float32 (n, P)
    """
    xp = array_namespace(fx, fy)
    x, y = xp.asarray(fx, dtype=xp.float64), xp.asarray(fy, dtype=xp.float64)
    radius_squared = x * x + y * y
    basis = xp.stack([x * x, 2 * x * y, y * y, radius_squared**2, xp.ones_like(x)])
    coefficients = xp.asarray(_coefficients(ctf))
    # in turns, so that whole turns are dropped exactly before the sine is taken in float32
    turns = coefficients.astype(xp.float32) @ basis.astype(xp.float32)
    if extra_phase is not None:
        turns += (xp.asarray(extra_phase, dtype=xp.float64) / (2 * np.pi)).astype(xp.float32)
    intact = (xp.abs(turns) < 0.25) & _before_turn(coefficients, radius_squared, xp) if options.intact_first_peak else None
    turns -= xp.rint(turns)
    turns *= xp.float32(-2 * np.pi)
    out = xp.sin(turns, out=turns)
    if intact is not None:
        out[intact] = 1
    if bool((ctf.bfactor != 0).any()):
        bfactor = xp.asarray(ctf.bfactor, dtype=xp.float32)
        out *= xp.exp((-0.25 * bfactor)[:, None] * radius_squared.astype(xp.float32)[None, :])
    if options.phase_flipped:
        xp.abs(out, out=out)
    elif options.only_flip:
        out = xp.where(out < 0, xp.float32(-1), xp.float32(1))
    if bool((ctf.scale != 1).any()):
        out *= xp.asarray(ctf.scale, dtype=xp.float32)[:, None]
    return out


def ctf_of_particles(particles: "ParticleSet", rows: Any) -> CtfParameters:
    """Collect the CTF parameters of some particles from their table and optics groups.

    Parameters
    ----------
    particles : ParticleSet
        Particles with rlnDefocusU, rlnDefocusV and rlnDefocusAngle; rlnPhaseShift and rlnCtfBfactor default to 0,
        rlnCtfScalefactor to 1.
    rows : int array, bool array or slice
        Which particles.

    Returns
    -------
    CtfParameters
        float64 arrays on the host.

    Raises
    ------
    UserError
        If a defocus column is missing or holds no number.
    """
    table = particles.table
    for label in ("rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle"):
        if label not in table.columns:
            raise UserError(
                f"{particles.source}: no column {label} in data_particles, expected the CTF of every particle; "
                "estimate the CTF first or switch CTF correction off"
            )

    def column(label: str, default: float) -> np.ndarray:
        values = np.asarray(particles.column(label, default), dtype=np.float64)[rows]
        if not np.isfinite(values).all():
            raise UserError(f"{particles.source}: {label} holds values that are not numbers; remove these particles or repair the column")
        return values

    def of_group(name: str) -> np.ndarray:
        values = np.array([getattr(group, name) for group in particles.optics], dtype=np.float64)
        return values[np.asarray(particles.optics_index)[rows]]

    return CtfParameters(
        defocus_u=column("rlnDefocusU", 0.0),
        defocus_v=column("rlnDefocusV", 0.0),
        defocus_angle=column("rlnDefocusAngle", 0.0),
        voltage=of_group("voltage"),
        spherical_aberration=of_group("spherical_aberration"),
        amplitude_contrast=of_group("amplitude_contrast"),
        phase_shift=column("rlnPhaseShift", 0.0),
        bfactor=column("rlnCtfBfactor", 0.0),
        scale=column("rlnCtfScalefactor", 1.0),
    )
