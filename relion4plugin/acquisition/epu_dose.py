"""Fractions of an EPU movie, and the dose of each."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from relion4plugin.acquisition import xml_read
from relion4plugin.acquisition.xml_read import integer

_ROUNDING = 1e-3  # frames: an exposure that is whole frames but for the last digits stays whole
_FRACTIONATIONS = ("EquidistantFractionation", "VaridistantFractionation", "EerFractionation")


def fractionation(node: Any) -> dict[str, Any]:
    """Return fractionation, n_frames and frames_per_fraction of a ``FractionationSettings`` value element; empty if it is None.

    The kind follows from the children; only an empty element needs its type attribute.
    """
    if node is None:
        return {}
    declared = next((text for name, text in node.attrib.items() if xml_read.local_name_of(name) == "type"), "")
    kind = declared.rpartition(":")[2]
    count = integer(xml_read.text(node, "OM:NumberOffractions"))
    if count is not None:
        return {"fractionation": "EquidistantFractionation", "n_frames": count if count > 0 else None}
    fractions = xml_read.find(node, "OM:DoseFractions")
    if fractions is not None:
        frames = _frames(fractions)
        return {"fractionation": "VaridistantFractionation", "n_frames": len(frames) or None, "frames_per_fraction": frames or None}
    return {"fractionation": kind} if kind in _FRACTIONATIONS else {}


def _frames(fractions: Any) -> tuple[int, ...]:
    """Return the number of camera frames of each fraction; first and last frame are counted from 1, both included."""
    counts = []
    for item in fractions:
        start, end = integer(xml_read.text(item, "OM:StartFrameNumber")), integer(xml_read.text(item, "OM:EndFrameNumber"))
        if start is None or end is None or end < start:
            return ()
        counts.append(end - start + 1)
    return tuple(counts)


def usual_frames(frames: Sequence[int]) -> int:
    """Return the number of camera frames that most fractions have."""
    return Counter(frames).most_common(1)[0][0]


def eer_frames(exposure: float, rate: float) -> int:
    """Return the likely number of frames of an EER movie, good to about 3: one of 32 frames is not stored.

    >>> eer_frames(0.619959, 317.762949)
    190
    """
    exposed = math.floor(exposure * rate + _ROUNDING)
    return exposed * 31 // 32


def frame_doses(values: Mapping[str, Any], confidence: dict[str, str]) -> dict[str, Any]:
    """Return n_frames (estimated for EER) and dose_per_frame_eA2 of a movie: the dose of the fractions that most have the length of."""
    found: dict[str, Any] = {}
    dose, count, frames = values.get("dose_total_eA2"), values.get("n_frames"), values.get("frames_per_fraction")
    exposure, rate = values.get("exposure_actual_s") or values.get("exposure_s"), values.get("frame_rate_Hz")
    if count is None and values.get("movie_format") == "eer" and exposure and rate:
        count = eer_frames(exposure, rate)
        if count < 1:
            return {}
        found["n_frames"] = count
        confidence["n_frames"] = confidence["dose_per_frame_eA2"] = "estimated"
    if dose and frames:
        found["dose_per_frame_eA2"] = dose * usual_frames(frames) / sum(frames)
    elif dose and count:
        found["dose_per_frame_eA2"] = dose / count
    return found
