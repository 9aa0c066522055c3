"""The answers of the first page, checked and put into a draft."""

from collections.abc import Callable, Mapping
from pathlib import Path

from relion4plugin.acquisition.preset_schema import PIPELINES
from relion4plugin.errors import UserError
from relion4plugin.geometry.symmetry import point_group
from relion4plugin.schemes.it.options import Picker
from relion4plugin.web.mdcatch.drafts import Draft
from relion4plugin.web.mdcatch.setup import Setup

_ANSWERS = ("path", "session", "movies", "pipeline", "picker", "model", "size", "symmetry")
_SMALLEST, _LARGEST = 10.0, 9999.0  # A
_NETWORKS = {".h5": ("cryolo_model", Picker.CRYOLO.value), ".sav": ("topaz_model", Picker.TOPAZ.value)}
_PICKERS = tuple(picker.value for picker in Picker)


def take_answers(setup: Setup, draft: Draft, form: Mapping[str, str]) -> None:
    """Put the answers into a draft; what is wrong with them goes into its `problems`, and wrong ones stay to be corrected."""
    draft.problems = {}
    text = {name: form.get(name, "").strip() for name in _ANSWERS}
    draft.folder = text["path"] or text["session"] or ""
    draft.movies = text["movies"]
    _try(draft, "path", lambda: _take_folder(setup, draft))
    _try(draft, "movies", lambda: _take_movies(setup, draft))
    _try(draft, "preset", lambda: _take_preset(setup, draft, form.get("preset", draft.preset)))
    _try(draft, "pipeline", lambda: _take_choice(draft, "pipeline", text["pipeline"], PIPELINES))
    _try(draft, "picker", lambda: _take_choice(draft, "picker", text["picker"], _PICKERS))
    _try(draft, "model", lambda: _take_model(setup, draft, text["model"], text["picker"]))
    _keep(draft, "particle_diameter", text["size"])
    _keep(draft, "symmetry", text["symmetry"])
    _try(draft, "size", lambda: _check_size(text["size"]))
    _try(draft, "symmetry", lambda: _check_symmetry(text["symmetry"]))
    if form.get("data_type", "spa") != "spa":
        draft.problems["data_type"] = "filaments are not offered; choose single particles"
    draft.said = " ".join(text for name, text in draft.problems.items() if name not in ("path", "movies", "model", "size", "symmetry"))


def _try(draft: Draft, name: str, step: Callable[[], None]) -> None:
    try:
        step()
    except UserError as error:
        draft.problems[name] = str(error)


def _keep(draft: Draft, name: str, text: str) -> None:
    if text:
        draft.options[name] = text
    else:
        draft.options.pop(name, None)


def _take_folder(setup: Setup, draft: Draft) -> None:
    if not draft.folder:
        raise UserError("choose a session, or give its folder")
    draft.folder = str(setup.places.folder(draft.folder))


def _take_movies(setup: Setup, draft: Draft) -> None:
    if draft.movies:
        draft.movies = str(setup.places.folder(draft.movies))


def _take_preset(setup: Setup, draft: Draft, key: str) -> None:
    setup.chosen(key)
    draft.preset = key


def _take_choice(draft: Draft, name: str, value: str, known: tuple[str, ...]) -> None:
    if value and value not in known:
        raise UserError(f"there is no {name} {value!r}; expected one of {', '.join(known)}")
    if name == "pipeline":
        draft.pipeline = value
    else:
        _keep(draft, name, value)


def _take_model(setup: Setup, draft: Draft, text: str, picker: str) -> None:
    for option, _ in _NETWORKS.values():
        draft.options.pop(option, None)
    if not text:
        return
    option, owner = _NETWORKS.get(Path(text).suffix.lower(), ("", ""))
    draft.options[option or "topaz_model"] = text
    if not option:
        raise UserError(f"{Path(text).name} is no network; expected a .h5 file for crYOLO or a .sav file for Topaz")
    if picker and picker != owner:
        raise UserError(f"a {Path(text).suffix} file is for {owner}, but the picker is {picker}; choose {owner}, or leave it empty")
    draft.options[option] = str(setup.places.file(text))


def _check_size(text: str) -> None:
    try:
        size = float(text) if text else _SMALLEST
    except ValueError:
        size = float("nan")
    if not _SMALLEST <= size <= _LARGEST:
        raise UserError(f"'{text}' is no particle size; expected {_SMALLEST:g} to {_LARGEST:g} A")


def _check_symmetry(text: str) -> None:
    if text:
        point_group(text)
