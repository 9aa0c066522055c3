"""Where the ticks of a chart axis go and how their numbers are written."""

import math
from collections.abc import Iterable

TICK_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
LENGTHS = (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0)  # labels of a reciprocal axis, times a power of ten


def finite_range(values: Iterable[float | None]) -> tuple[float, float] | None:
    """Smallest and largest finite value, or None when there is none."""
    known = [v for v in values if v is not None and math.isfinite(v)]
    return (min(known), max(known)) if known else None


def ticks(low: float, high: float, count: int = 5, integers: bool = False) -> list[float]:
    """Round numbers that cover the interval ``low..high``.

    Parameters
    ----------
    low, high : float
        Interval to cover, ``low <= high``; an empty interval is widened.
    count : int
        About how many ticks.
    integers : bool
        Only whole numbers, for counts.

    Returns
    -------
    list of float
        Ascending, at least two; the first is <= low and the last >= high.

    Examples
    --------
    >>> ticks(0, 10)
    [0.0, 2.5, 5.0, 7.5, 10.0]
    """
    if high <= low:
        margin = max(abs(low) * 0.05, 0.5)
        low, high = low - (margin if low != 0 else 0.0), high + margin
    rough = (high - low) / max(count - 1, 1)
    scale = 10.0 ** math.floor(math.log10(rough))
    step = next(s * scale for s in TICK_STEPS if s * scale >= rough * 0.999)
    if integers:
        step = max(1.0, math.ceil(step))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def reciprocal_ticks(low: float, high: float, count: int = 7) -> list[float]:
    """Round lengths for an axis of spatial frequency, as frequencies.

    Parameters
    ----------
    low, high : float
        Interval of the axis, 1/length, ``0 <= low < high``.
    count : int
        At most about so many ticks.

    Returns
    -------
    list of float
        Ascending frequencies ``1/d`` within the interval, at least ``(high - low) / count`` apart.

    Examples
    --------
    >>> [round(1 / f, 6) for f in reciprocal_ticks(0.0, 0.2, 5)]
    [25.0, 12.0, 8.0, 5.0]
    """
    if not 0 <= low < high:
        return []
    smallest = math.floor(math.log10(1.0 / high))
    lengths = sorted(m * 10.0**e for e in range(smallest, smallest + 5) for m in LENGTHS)
    chosen: list[float] = []
    for length in lengths:  # from the highest frequency down, which is the resolution that is looked for
        frequency = 1.0 / length
        if low <= frequency <= high * (1 + 1e-9) and (not chosen or chosen[-1] - frequency >= (high - low) / count):
            chosen.append(frequency)
    return chosen[::-1]


def number_text(value: float) -> str:
    """Write a number briefly: thousands as 12k, millions as 3.4M, no trailing zeros.

    Examples
    --------
    >>> number_text(25000), number_text(0.30), number_text(-4.5)
    ('25k', '0.3', '-4.5')
    """
    size = abs(value)
    for limit, suffix in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if size >= limit:
            return f"{value / {'G': 1e9, 'M': 1e6, 'k': 1e3}[suffix]:.4g}{suffix}"
    return f"{value:.4g}"
