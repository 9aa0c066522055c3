"""Times as microscopes write them."""

import re
from datetime import datetime, timezone

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_ISO = re.compile(r"^(\d{4})-(\d{2})-(\d{2})[T ](\d{2}):(\d{2})(?::(\d{2})(\.\d+)?)?\s*(Z|[+-]\d{2}:?\d{2})?$")
_MDOC = re.compile(r"(\d{1,2})-([A-Za-z]{3})-(\d{4}|\d{2})\s+(\d{1,2}):(\d{2}):(\d{2})")


def read_time(words: str) -> datetime | None:
    """Return the time of an ISO 8601 text (any number of digits of the second) or of a SerialEM date; None for anything else.

    English names of months are read whatever the locale. Times without a zone stay without one.
    """
    words = words.strip()
    match = _ISO.match(words)
    try:
        if match:
            digits = (match[7] or ".0")[1:7].ljust(6, "0")
            zone = match[8] or ""
            zone = "+00:00" if zone == "Z" else zone if not zone or ":" in zone else f"{zone[:3]}:{zone[3:]}"
            stamp = f"{match[1]}-{match[2]}-{match[3]}T{match[4]}:{match[5]}:{match[6] or '00'}.{digits}{zone}"
            return datetime.fromisoformat(stamp)
        match = _MDOC.search(words)
        if match and match[2].lower() in _MONTHS:
            year = int(match[3]) + (2000 if len(match[3]) == 2 else 0)
            month = _MONTHS.index(match[2].lower()) + 1
            return datetime(year, month, int(match[1]), int(match[4]), int(match[5]), int(match[6]))
    except ValueError:
        return None
    return None


def seconds(words: str | None) -> float | None:
    """Return seconds since 1970 of a time as text; a time without a zone is taken as UTC, which serves to order and subtract."""
    time = read_time(words) if words else None
    if time is None:
        return None
    return (time if time.tzinfo else time.replace(tzinfo=timezone.utc)).timestamp()
