"""The first page: which session, what runs it, how particles are picked, how large they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from relion4plugin.acquisition.find_sessions import SessionInfo
from relion4plugin.acquisition.launches import Launch
from relion4plugin.schemes.it.options import Picker
from relion4plugin.web.mdcatch.drafts import Draft
from relion4plugin.web.mdcatch.forms import button, hidden, radios, select, text_input
from relion4plugin.web.mdcatch.frame import full_page, message
from relion4plugin.web.mdcatch.setup import Setup
from relion4plugin.web.page import card, note
from relion4plugin.web.serving.assets import tag

_KINDS = {"data": "data", "screening": "screening only", "tilt_series": "tilt series", "empty": "empty"}
_PICKERS = {Picker.CRYOLO.value: "crYOLO", Picker.TOPAZ.value: "Topaz", Picker.LOG.value: "LoG"}
_PIPELINES = {"relion": "Relion", "scipion": "Scipion"}
_OF_PRESET = "of the preset, else {}"


@dataclass(frozen=True)
class Found:
    """Sessions below the roots, and which were launched already, by their real folders."""

    sessions: Sequence[SessionInfo]
    launched: dict[str, Launch]
    error: str = ""


def find_page(setup: Setup, draft: Draft, found: Found, csrf: str, recent: Sequence[Draft] = ()) -> str:
    """Return the page; `draft` holds the answers that were given before."""
    roots = ", ".join(map(str, setup.roots))
    known = bool(draft.reading and draft.reading.result)
    body = (
        message(draft.take_said())
        + message(found.error)
        + _recent(recent)
        + f'<form method="post" action="/find" id="find">{hidden("csrf", csrf)}{hidden("draft", draft.id)}'
        + f'<div class="two"><div>{_session_card(draft, found)}</div>'
        + f"<div>{_pipeline_card(setup, draft)}{_particle_card(setup, draft)}</div></div>"
        + f'<div class="bar-below">{button("look", "Look again")}<span class="space"></span>{button("next", "Next", "main")}</div></form>'
    )
    return full_page("Find a session", body, 0, {1: f"/check/{draft.id}"} if known else {}, f"Sessions of EPU and SerialEM below {roots}")


def _recent(drafts: Sequence[Draft]) -> str:
    links = ", ".join(f'<a href="/check/{escape(one.id)}">{escape(Path(one.folder).name)}</a>' for one in drafts)
    return f'<p class="key">Go on with {links}.</p>' if links else ""


def _session_card(draft: Draft, found: Found) -> str:
    rows = "".join(_session_row(info, draft, found.launched) for info in found.sessions)
    listed = {str(info.path.resolve()) for info in found.sessions}
    head = "<tr><th></th><th>Session</th><th>Kind</th><th>Software</th><th>Images</th><th>Movies</th><th>First</th><th>Last</th></tr>"
    table = f'<div class="scroll sessions"><table class="left"><thead>{head}</thead><tbody>{rows}</tbody></table></div>'
    typed = "" if draft.folder in listed else draft.folder
    return card(
        "Session",
        (table if rows else note("No session was found."))
        + _line("path", "Or another folder", typed, draft, "EPU: the folder with Images-Disc1. SerialEM: the folder with mdocs and movies.")
        + _line("movies", "Folder of its movies", draft.movies, draft, "Only where movies lie elsewhere and no preset says where."),
    )


def _session_row(info: SessionInfo, draft: Draft, launched: dict[str, Launch]) -> str:
    path = str(info.path.resolve())
    key = f"s-{tag(path)}"
    launch = launched.get(path)
    badge = f' <span class="badge done" title="{escape(launch.project)}">{escape(launch.state)}</span>' if launch else ""
    usable = info.kind == "data"
    chosen = " checked" if draft.folder == path else ""
    return (
        f'<tr class="{"" if usable else "off"}"><td><input type="radio" name="session" value="{escape(path)}" id="{key}"{chosen}'
        f"{'' if usable else ' disabled'}></td>"
        f'<td class="text"><label for="{key}"><b>{escape(info.name)}</b>{badge}<small>{escape(str(info.path.parent))}</small></label></td>'
        f"<td>{_KINDS[info.kind]}</td><td>{escape(info.software or '–')}</td><td>{info.counts.get('images', 0) or '–'}</td>"
        f"<td>{info.counts.get('movies', 0) or '–'}</td><td>{_time(info.first)}</td><td>{_time(info.last)}</td></tr>"
    )


def _time(text: str | None) -> str:
    return escape(text.partition("+")[0].replace("T", " ")[:16]) if text else "–"


def _pipeline_card(setup: Setup, draft: Draft) -> str:
    picker = draft.options.get("picker", "")
    model = draft.options.get("topaz_model") or draft.options.get("cryolo_model") or ""
    return card(
        "Processing",
        f'<div class="line-in"><label for="preset">Preset</label>{select("preset", draft.preset, "preset", setup.offers.items())}</div>'
        + radios("pipeline", draft.pipeline, "Run the pipeline in", _choices(_PIPELINES, "relion"))
        + radios("picker", picker, "Particle picker", _choices(_PICKERS, "log"))
        + _line("model", "Trained network", model, draft, "A .h5 file for crYOLO or a .sav file for Topaz; empty takes the general one."),
    )


def _choices(known: Mapping[str, str], default: str) -> list[tuple[str, str, str]]:
    return [("", _OF_PRESET.format(known[default]), ""), *((key, text, "") for key, text in known.items())]


def _particle_card(setup: Setup, draft: Draft) -> str:
    usual = setup.usual(draft.preset)
    size, symmetry = usual.get("processing.particle_diameter"), usual.get("processing.symmetry")
    return card(
        "Particle",
        radios("data_type", "spa", "Data type", [("spa", "Single particles", ""), ("helical", "Helical", "not offered")])
        + _line(
            "size", "Particle size (Å)", draft.options.get("particle_diameter", ""), draft, "The longest diameter, 10 to 9999 Å.",
            f"{size:g} of the preset" if size else "",
        )
        + _line("symmetry", "Symmetry", draft.options.get("symmetry", ""), draft, "C1, D2, T, O, I and so on.", f"{symmetry}"),
    )  # fmt: skip


def _line(name: str, label: str, value: str, draft: Draft, help_: str, placeholder: str = "") -> str:
    problem = draft.problems.get(name, "")
    bad = f'<p class="problem" id="p-{name}">{escape(problem)}</p>' if problem else ""
    described = f' aria-describedby="h-{name}{f" p-{name}" if problem else ""}" placeholder="{escape(placeholder)}"'
    described += ' aria-invalid="true"' if problem else ""
    return (
        f'<div class="line-in{" wrong" if problem else ""}"><label for="{name}">{escape(label)}</label>'
        f'{text_input(name, value, name, attributes=described)}<p class="help" id="h-{name}">{escape(help_)}</p>{bad}</div>'
    )
