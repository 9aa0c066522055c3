"""What filling changes: each value before and after, and where the new one comes from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from relion4plugin.acquisition.fill_scipion import Filled
from relion4plugin.acquisition.record import Value
from relion4plugin.acquisition.scipion_values import OPTION_OF_ALIAS
from relion4plugin.acquisition.settings import Settings
from relion4plugin.jobs.parameters import fields_of, format_value
from relion4plugin.jobs.registry import job_type
from relion4plugin.schemes.it.keys import PLAIN_KEYS, SEPARATOR
from relion4plugin.schemes.library.template import SchemeTemplate

_OPTION_OF_KEY = {key: option for option, keys in PLAIN_KEYS.items() for key in keys}
# Keys that are computed, and the option that they follow from.
_FOLLOWS = {
    "prep__motioncorr__bin_factor": "super_resolution",
    "proc__extract__do_rescale": "particle_diameter",
    "proc__do_log": "picker",
    "proc__autopick__log_diam_min": "particle_diameter",
    "proc__has_gpu": "gpus",
}
_ENDINGS = {"nr_threads": "threads", "gpu_ids": "gpus"}
_COMPUTED = {"mask_diameter", "box_size", "small_box"}


@dataclass(frozen=True)
class Change:
    """One value: its key, old and new text, and where the new one comes from."""

    key: str
    old: str
    new: str
    source: str

    def __str__(self) -> str:
        return f"{self.key}: {self.old or '(empty)'} -> {self.new or '(empty)'}  [{self.source}]"


def scheme_changes(before: Mapping[str, SchemeTemplate], after: Mapping[str, SchemeTemplate], settings: Settings) -> Iterator[Change]:
    """Compare templates with filled schemes: variables, then options of jobs.

    Yields
    ------
    Change
        Only what differs.
    """
    for name, template in after.items():
        old, new = before[name].scheme, template.scheme
        for kind in ("bools", "floats", "strings"):
            for variable, value in getattr(new, kind).items():
                was = getattr(old, kind)[variable]
                if was.value != value.value:
                    key = f"{name}{SEPARATOR}{variable}"
                    yield Change(key, format_value(was.value), format_value(value.value), source_of(key, settings))
        for job, star in template.jobs.items():
            defaults = {item.name: format_value(item.default) for item in fields_of(job_type(star.type_label).parameters)}
            for option, text in star.options.items():
                was_text = before[name].jobs[job].options.get(option, defaults.get(option, ""))
                if was_text != text:
                    key = SEPARATOR.join((name, job, option))
                    yield Change(key, was_text, text, source_of(key, settings))


def workflow_changes(filled: list[Filled], settings: Settings) -> Iterator[Change]:
    """Return what was filled into a Scipion workflow."""
    for item in filled:
        yield Change(item.place, _text(item.old), _text(item.new), source_of(OPTION_OF_ALIAS.get(item.alias, item.alias), settings))


def _text(value: Any) -> str:
    return "" if value is None else format_value(value)


def source_of(key: str, settings: Settings) -> str:
    """Return where the value of a key or an option comes from, in words."""
    option = _OPTION_OF_KEY.get(key, key)
    value = settings.sources.get(key) or settings.sources.get(option)
    if value is not None:
        return _place(value)
    follows = "particle_diameter" if option in _COMPUTED else _FOLLOWS.get(key) or _ENDINGS.get(key.rpartition(SEPARATOR)[2], "")
    origin = settings.sources.get(follows)
    return f"computed from {follows}, {_place(origin)}" if origin is not None else "default"


def _place(value: Value) -> str:
    words = [value.source or "unknown source", value.file.rpartition("/")[2], value.path]
    text = ", ".join(word for word in words if word)
    return text if value.confidence in ("measured", "user") else f"{text} ({value.confidence})"
