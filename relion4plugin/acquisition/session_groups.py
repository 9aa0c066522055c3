"""Optics groups of the movies of a session: by beam shift, by name, by what SerialEM says, or one for all."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from relion4plugin.acquisition.index import MetadataIndex
from relion4plugin.acquisition.optics_groups import GroupModel, fit_groups, group_name
from relion4plugin.acquisition.record import AcquisitionRecord
from relion4plugin.errors import UserError

_SHIFTS = ("beam_shift", "image_shift")
_SHOT_IN_HOLE = re.compile(r"-(\d+)$")
_INDEX_BELOW = 100  # a larger number in the name is an id, not the index of a hole


def session_groups(
    rows: Sequence[Mapping[str, Any]], record: AcquisitionRecord, index: MetadataIndex, session: str
) -> tuple[list[str | None], GroupModel]:
    """Return the name of the group of each row, and the model.

    Preferred are groups that the metadata name, then clusters of the beam shift (image shift for SerialEM), then shot and hole in the
    name. A movie without the value that groups go by has no group. The model is kept in `index`, so that numbers stay.
    """
    note = f"optics groups {session}"
    kept = _kept(index.note(note))
    named = [row.get("optics_group") for row in rows]
    if any(named):
        groups, model = _by_label(named, kept)
    elif record.get("clustering") == "NoClustering":
        groups, model = _by_label([row.get("template") for row in rows], kept)
    else:
        groups, model = _by_shift(rows, kept)
    index.keep(note, model.to_json())
    return [None if group is None else group_name(group) for group in groups], model


def _kept(text: str | None) -> GroupModel | None:
    if text is None:
        return None
    try:
        return GroupModel.from_json(text)
    except UserError:  # written by another version: groups are found anew
        return None


def _by_shift(rows: Sequence[Mapping[str, Any]], kept: GroupModel | None) -> tuple[list[int | None], GroupModel]:
    for shift in _SHIFTS:
        points = [(row.get(f"{shift}_x"), row.get(f"{shift}_y")) for row in rows]
        known = [number for number, point in enumerate(points) if None not in point]
        values = np.array([points[number] for number in known], dtype=np.float64).reshape(-1, 2)
        if len(values) < 2 or not np.ptp(values, axis=0).any():
            continue
        frozen = kept is not None and kept.frozen and kept.method == "auto" and len(kept.centres) > 0
        labels, model = kept.assign(values) if frozen and kept is not None else fit_groups(values)
        groups: list[int | None] = [None] * len(rows)
        for number, label in zip(known, labels.tolist(), strict=True):
            groups[number] = label
        return groups, model
    return _by_label([_label(row) for row in rows], kept)


def _label(row: Mapping[str, Any]) -> str | None:
    """Return shot and hole of a movie without shifts: template and small index in EPU, hole and position in SerialEM."""
    template, number, hole = row.get("template"), row.get("shift_index"), row.get("hole")
    if template is not None:
        return f"{template}-{number}" if number is not None and int(number) < _INDEX_BELOW else str(template)
    return str(hole) if hole is not None and _SHOT_IN_HOLE.search(str(hole)) else None


def _by_label(labels: Sequence[Any], kept: GroupModel | None) -> tuple[list[int | None], GroupModel]:
    known = [str(label) for label in labels if label is not None]
    start = kept if kept is not None and kept.labels else GroupModel("name")
    if not known:
        return [0 for _ in labels], GroupModel("none")
    numbers, model = start.assign_labels(known)
    given = iter(numbers.tolist())
    return [None if label is None else next(given) for label in labels], model
