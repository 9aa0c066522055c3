"""Figures in words."""

import math


def number(value: float, digits: int) -> str:
    """Return a figure, or a dash where it was not estimated (999 or not finite)."""
    return f"{value:.{digits}f}" if math.isfinite(value) and value < 999 else "–"


def angstrom(value: float) -> str:
    """Write a resolution.

    Examples
    --------
    >>> angstrom(18.88), angstrom(float("inf"))
    ('18.9 Å', '–')
    """
    text = number(value, 1)
    return f"{text} Å" if text != "–" else text


def duration(seconds: float) -> str:
    """Write a duration in its two largest units.

    Examples
    --------
    >>> duration(3725), duration(75), duration(9.26)
    ('1 h 02 min', '1 min 15 s', '9.3 s')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
