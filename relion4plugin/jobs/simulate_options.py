"""What the simulations of particles and of movies have in common: options, and where they write."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from relion4plugin.errors import UserError
from relion4plugin.jobs.parameters import parameter

own = partial(parameter, relion=False)  # RELION has no such jobs
_OPTICS = "Optics"


def shared(name: str, default: Any, **changes: Any) -> Any:
    """Declare an option that both simulations have; `changes` are what differs in this one."""
    return _SHARED[name](default, **changes)


_SHARED: dict[str, Callable[..., Any]] = {
    "pixel_size": partial(own, label="Pixel size", section="What", unit="A", minimum=0.01, short=("--angpix",)),
    "voltage": partial(own, label="Voltage", section=_OPTICS, unit="kV", minimum=1.0, help="Of the gun."),
    "spherical_aberration": partial(own, label="Cs", section=_OPTICS, unit="mm", minimum=0.0, help="Spherical aberration."),
    "amplitude_contrast": partial(own, label="Amplitude contrast", section=_OPTICS, minimum=0.0, maximum=1.0, help="As a fraction."),
    "phase_shift": partial(own, label="Phase shift", section=_OPTICS, unit="deg", help="Of a phase plate; 0 for none."),
    "defocus_min": partial(own, label="Least defocus", section=_OPTICS, unit="A"),
    "defocus_max": partial(own, label="Largest defocus", section=_OPTICS, unit="A"),
    "defocus_scatter": partial(own, label="Defocus scatter", section=_OPTICS, unit="A", minimum=0.0),
    "astigmatism": partial(own, label="Astigmatism", section=_OPTICS, unit="A", minimum=0.0),
    "n_optics_groups": partial(own, label="Optics groups", section=_OPTICS, minimum=1),
    "seed": partial(own, label="Random seed", minimum=0),
    "junk_fraction": partial(own, minimum=0.0, short=("--junk",)),
}


def junk_kinds(kinds: tuple[str, ...], known: tuple[str, ...], section: str) -> Any:
    """Declare the kinds of junk, of those known."""
    return own(",".join(kinds), label="Kinds of junk", section=section, help=f"Of {', '.join(known)}, joined by commas.")


def junk_kinds_of(text: str) -> tuple[str, ...]:
    """Return the kinds of junk in the text of that option."""
    return tuple(kind.strip() for kind in text.split(",") if kind.strip())


def check_output(out_dir: Path, overwrite: bool, what: str) -> None:
    """Check that a simulation may write here; `what` is the plural of what it makes.

    Raises
    ------
    UserError
        If it is a file, or a directory with files that may not be overwritten.
    """
    if out_dir.exists() and not out_dir.is_dir():
        raise UserError(f"output {out_dir} is a file: give a directory with --o")
    if out_dir.is_dir() and any(out_dir.iterdir()) and not overwrite:
        raise UserError(f"{out_dir} is not empty: give another directory with --o, or --overwrite to replace its {what}")
