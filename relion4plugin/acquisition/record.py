"""What is known about an acquisition: every value with where it comes from, and what does not fit together."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from relion4plugin.acquisition.fields import FIELDS
from relion4plugin.errors import UserError

CONFIDENCES = ("measured", "derived", "estimated", "default", "user")
LEVELS = ("error", "warning", "info")


def frozen(value: Any) -> Any:
    """Return lists as tuples, at any depth, so that values compare equal after a round trip through JSON."""
    return tuple(frozen(item) for item in value) if isinstance(value, list | tuple) else value


@dataclass(frozen=True)
class Value:
    """One value and where it comes from.

    `source` is 'image XML', 'mdoc', 'movie header', 'preset', 'user' and the like; `file` and `path` (element or key) say where it was
    read, `confidence` (one of `CONFIDENCES`) how far it can be trusted.
    """

    value: Any
    unit: str = ""
    source: str = ""
    file: str = ""
    path: str = ""
    confidence: str = "measured"

    def __post_init__(self) -> None:
        if self.confidence not in CONFIDENCES:
            raise ValueError(f"confidence {self.confidence!r} is none of {CONFIDENCES}")
        object.__setattr__(self, "value", frozen(self.value))

    def __str__(self) -> str:
        shown = ", ".join(f"{item:g}" if isinstance(item, float) else str(item) for item in self._items())
        return f"{shown} {self.unit}".rstrip()

    def _items(self) -> tuple[Any, ...]:
        return self.value if isinstance(self.value, tuple) else (self.value,)


def user_value(name: str, value: Any) -> Value:
    """Return what a person gave for the field `name`, in the field's unit."""
    return Value(value, FIELDS[name].unit if name in FIELDS else "", "user", confidence="user")


@dataclass(frozen=True)
class Conflict:
    """Sources that say different things about `field`: the value taken and those not taken."""

    field: str
    winner: Value
    losers: tuple[Value, ...]

    def __str__(self) -> str:
        others = "; ".join(f"{loser} ({loser.source})" for loser in self.losers)
        return f"{self.field}: {self.winner} ({self.winner.source}) is used, but there is also {others}"


@dataclass(frozen=True)
class Finding:
    """What a rule found: its id, `level` (one of `LEVELS`), the field it is about (may be empty) and one line of text."""

    rule: str
    level: str
    field: str
    text: str

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise ValueError(f"level {self.level!r} is none of {LEVELS}")


@dataclass(frozen=True)
class AcquisitionRecord:
    """Values by field name (see `fields.FIELDS`), contradictions between sources, and findings of the rules.

    A field that is not known is not in `values`.
    """

    values: Mapping[str, Value] = field(default_factory=dict)
    conflicts: tuple[Conflict, ...] = ()
    warnings: tuple[Finding, ...] = ()

    def get(self, name: str, default: Any = None) -> Any:
        """Return the plain value of a field, or `default` if it is not known."""
        known = self.values.get(name)
        return default if known is None else known.value

    def with_value(self, name: str, value: Value) -> "AcquisitionRecord":
        """Return a record in which `name` has this value; a contradiction about it is settled by that."""
        if name not in FIELDS:
            raise UserError(f"unknown field {name!r}; expected one of: {', '.join(FIELDS)}")
        kept = tuple(conflict for conflict in self.conflicts if conflict.field != name)
        return replace(self, values={**self.values, name: value}, conflicts=kept)

    def with_warnings(self, findings: tuple[Finding, ...]) -> "AcquisitionRecord":
        """Return a record with these findings in place of the old ones."""
        return replace(self, warnings=tuple(findings))

    def to_json(self) -> str:
        """Return the record as JSON text; `from_json` gives an equal record."""
        content = {
            "values": {name: asdict(value) for name, value in self.values.items()},
            "conflicts": [asdict(conflict) for conflict in self.conflicts],
            "warnings": [asdict(finding) for finding in self.warnings],
        }
        return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "AcquisitionRecord":
        """Return the record of a text that `to_json` made.

        Raises
        ------
        UserError
            If the text is not such a record.
        """
        try:
            content = json.loads(text)
            conflicts = (
                Conflict(item["field"], Value(**item["winner"]), tuple(Value(**loser) for loser in item["losers"]))
                for item in content["conflicts"]
            )
            return cls(
                {name: Value(**value) for name, value in content["values"].items()},
                tuple(conflicts),
                tuple(Finding(**item) for item in content["warnings"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"this is not an acquisition record: {error}; expected the JSON text that this program writes") from error
