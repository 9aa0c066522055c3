"""The text log and summary of an estimate, in the words and places where RELION looks for them in the output of CTFFIND."""

import math
import re
from collections.abc import Mapping
from pathlib import Path

from relion4plugin.errors import UserError
from relion4plugin.files.atomic import atomic_write_text
from relion4plugin.preprocessing.ctf.estimate import CtfEstimate
from relion4plugin.preprocessing.ctf.rings import Microscope

_NUMBER = r"([-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|nan))"
_LINES = {
    "defocus": rf"^Estimated defocus values\s*:\s*{_NUMBER}\s*,\s*{_NUMBER}",
    "angle": rf"^Estimated azimuth of astigmatism\s*:\s*{_NUMBER}",
    "phase": rf"^Estimated phase shift\s*:\s*{_NUMBER}",
    "score": rf"^Score\s*:\s*{_NUMBER}",
    "resolution": rf"^Thon rings with good fit up to\s*:\s*{_NUMBER}",
    "ice": rf"^Ice ring density\s*:\s*{_NUMBER}",
}
_COLUMNS = (
    "# Columns: #1 - micrograph number; #2 - defocus 1 [Angstroms]; #3 - defocus 2; #4 - azimuth of astigmatism; "
    "#5 - additional phase shift [radians]; #6 - cross correlation; #7 - spacing (in Angstroms) up to which CTF rings were fit successfully"
)
_NEEDED = ("defocus", "angle", "score", "resolution")


def write_log(root: Path, estimate: CtfEstimate, microscope: Microscope, pixel_size: float, settings: Mapping[str, str]) -> None:
    """Write the log of a micrograph (what was set, and what was found) and its summary, one line of numbers.

    Words and order are those of CTFFIND, so that RELION's program can go on in the same directory.

    Parameters
    ----------
    root
        The files are ``ROOT_ctffind4.log`` and ``ROOT.txt``.
    estimate
        What was found.
    microscope
        Constants of the instrument.
    pixel_size
        Of the spectrum, A.
    settings
        Name -> value, for people.
    """
    e = estimate
    constants = {
        "Acceleration voltage": f"{microscope.voltage:g}",
        "Spherical aberration": f"{microscope.spherical_aberration:g}",
        "Amplitude contrast": f"{microscope.amplitude_contrast:g}",
    }
    found = {
        "Estimated defocus values": f"{e.defocus_u:.6f} , {e.defocus_v:.6f} Angstroms",
        "Estimated azimuth of astigmatism": f"{e.defocus_angle:.6f} degrees",
        "Estimated phase shift": f"{e.phase_shift:.6f} degrees",
        "Score": f"{e.figure_of_merit:.6f}",
        "Thon rings with good fit up to": f"{e.max_resolution:.6f} Angstroms",
        "Ice ring density": f"{e.ice_density:.6f}",
    }
    lines = ["CTF estimation by relion4plugin", ""]
    lines += [f"{name:<51s}: {value}" for name, value in {**settings, **constants}.items()]
    lines += [""] + [f"{name:<32s}: {value}" for name, value in found.items()]
    summary = root.with_name(f"{root.name}.txt")
    lines += ["", f"{'Summary of results':<44s}: {summary.as_posix()}"]
    numbers = (1.0, e.defocus_u, e.defocus_v, e.defocus_angle, math.radians(e.phase_shift), e.figure_of_merit, e.max_resolution)
    optics = (
        f"# Pixel size: {pixel_size:.4f} Angstroms ; acceleration voltage: {microscope.voltage:.1f} keV ; "
        f"spherical aberration: {microscope.spherical_aberration:.2f} mm ; amplitude contrast: {microscope.amplitude_contrast:.2f}"
    )
    atomic_write_text(summary, f"{optics}\n{_COLUMNS}\n{' '.join(f'{number:.6f}' for number in numbers)}\n")
    atomic_write_text(log_path(root), "\n".join(lines) + "\n")


def log_path(root: Path) -> Path:
    """Return where the log of a micrograph is."""
    return root.with_name(f"{root.name}_ctffind4.log")


def read_log(path: Path) -> CtfEstimate:
    """Read what was found; logs of CTFFIND 4 are understood too.

    Raises
    ------
    UserError
        If the file cannot be read or is not complete.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); remove it to estimate again") from error
    found = {name: re.search(pattern, text, re.MULTILINE) for name, pattern in _LINES.items()}
    if any(found[name] is None for name in _NEEDED):
        raise UserError(f"{path}: not a complete log of a CTF estimation; remove it to estimate again")

    def number(name: str, default: float, group: int = 1) -> float:
        match = found[name]
        return float(match[group]) if match is not None else default

    return CtfEstimate(
        defocus_u=number("defocus", math.nan),
        defocus_v=number("defocus", math.nan, 2),
        defocus_angle=number("angle", math.nan),
        phase_shift=number("phase", 0.0),
        figure_of_merit=number("score", math.nan),
        max_resolution=number("resolution", math.nan),
        ice_density=number("ice", math.nan),
    )
