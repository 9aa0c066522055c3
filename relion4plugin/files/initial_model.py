"""The verdict on an initial model: which class, which symmetry, how well independent restarts agree (initial_model.json)."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relion4plugin.errors import UserError

NAME = "initial_model.json"


@dataclass(frozen=True)
class Restart:
    """One run from another seed.

    Attributes
    ----------
    seed : int
    log_likelihood : float or None
        Of the whole run, larger is better.
    resolution : float or None
        A, as the run estimates it.
    agreement_resolution : float or None
        A, where its FSC with the chosen map falls below 0.5; None for the chosen run itself.
    """

    seed: int
    log_likelihood: float | None
    resolution: float | None
    agreement_resolution: float | None


@dataclass(frozen=True)
class Verdict:
    """What a run says of its initial model.

    Attributes
    ----------
    text : str
        In words.
    reliable : bool
        Whether independent halves of the particles, or else independent starts, agree on a structure.
    symmetry : str
        Point group applied.
    symmetry_score : float or None
    selected_class : int or None
        From 1.
    restarts : tuple of Restart
    agreement_fsc : tuple of float
        FSC of the chosen map with the best other restart, per shell from 0; empty without restarts.
    half_fsc : tuple of float
        FSC of the independent halves that refined it, per shell from 0; empty where none did.
    evidence : mapping
        Name to figure or text.
    """

    text: str
    reliable: bool
    symmetry: str
    symmetry_score: float | None
    selected_class: int | None
    restarts: tuple[Restart, ...]
    agreement_fsc: tuple[float, ...]
    half_fsc: tuple[float, ...]
    evidence: Mapping[str, Any]


def read_verdict(folder: str | os.PathLike[str]) -> Verdict | None:
    """Read the verdict of a run folder; None where there is none (yet).

    Raises
    ------
    UserError
        If the file is not what is expected.
    """
    path = Path(folder) / NAME
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return Verdict(
            text=str(values["verdict"]),
            reliable=bool(values["reliable"]),
            symmetry=str(values.get("symmetry") or "C1"),
            symmetry_score=_number(values.get("symmetry_score")),
            selected_class=None if values.get("selected_class") is None else int(values["selected_class"]),
            restarts=tuple(_restart(one) for one in values.get("restarts") or ()),
            agreement_fsc=tuple(float(v) for v in values.get("agreement_fsc") or ()),
            half_fsc=tuple(float(v) for v in values.get("half_fsc") or ()),
            evidence=dict(values.get("evidence") or {}),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: not the verdict on an initial model ({error}); run the initial model again") from error


def _restart(values: Mapping[str, Any]) -> Restart:
    figures = (_number(values.get(key)) for key in ("log_likelihood", "resolution", "agreement_resolution"))
    return Restart(int(values["seed"]), *figures)


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
