"""The second page: every value with its source, what is wrong or doubtful, and the launch."""

from collections.abc import Iterable
from html import escape

from relion4plugin.acquisition.record import Finding
from relion4plugin.schemes.it.sizes import BoxSizes
from relion4plugin.schemes.it.values import micrograph_angpix, sizes_of
from relion4plugin.web.mdcatch.drafts import Draft
from relion4plugin.web.mdcatch.field_row import field_row
from relion4plugin.web.mdcatch.forms import button, hidden
from relion4plugin.web.mdcatch.frame import full_page, message
from relion4plugin.web.mdcatch.inputs import INPUTS, OTHER, SECTIONS
from relion4plugin.web.mdcatch.review import AGAIN, Review
from relion4plugin.web.page import figure

_OPEN = ("Microscope", "Movies", "Dose", "Gain, defects, MTF", "Particle", "Picking")
_TITLES = {"error": "Errors: they forbid the launch", "warning": "Warnings", "info": "Remarks"}


def check_page(draft: Draft, review: Review, root: str, csrf: str) -> str:
    """Return the page.

    Parameters
    ----------
    draft : Draft
        What was chosen and corrected.
    review : Review
        What follows from it.
    root : str
        Folder of projects.
    csrf : str
        What the form sends with every change.
    """
    software = review.record.get("software", "")
    title = f"{software} session {review.read.facts.name}".strip()
    about = f"Found the following metadata in {review.read.facts.path}. Correct what is wrong; every value says where it comes from."
    sections = {name: _section(name, review) for name in SECTIONS}
    body = (
        message(draft.take_said())
        + f'<form method="post" action="/check/{escape(draft.id)}" id="check">{hidden("csrf", csrf)}'
        + '<button name="do" value="update" class="first" tabindex="-1" aria-hidden="true">Update</button>'
        + _figures(review)
        + _findings(review)
        + f'<div class="two even"><div>{_joined(sections, ("Microscope", "Movies", "Gain, defects, MTF"))}</div>'
        + f"<div>{_joined(sections, ('Particle', 'Picking', 'Dose'))}</div></div>"
        + "".join(text for name, text in sections.items() if name not in _OPEN)
        + _keys(draft, review)
        + _project(draft, review, root)
        + _bar(draft, review)
        + "</form>"
    )
    return full_page(title, body, 1, {0: f"/find/{draft.id}", **({2: f"/launch/{draft.id}"} if draft.launching else {})}, about)


def _joined(sections: dict[str, str], names: Iterable[str]) -> str:
    return "".join(sections[name] for name in names)


def _figures(review: Review) -> str:
    record, facts = review.record, review.read.facts
    parts = [figure("Movies", f"{len(facts.movies):,}", f"{review.read.session.info.counts.get('images', 0):,} with metadata")]
    groups = len({group for group in facts.groups.values() if group})
    parts.append(figure("Optics groups", str(groups or 1), "from the beam shift" if groups > 1 else "one beam shift"))
    dose = record.get("dose_total_eA2")
    parts.append(figure("Total dose", f"{dose:.3g} e/Å²" if dose else "unknown", f"{record.get('n_frames', '?')} frames"))
    options = review.settings.choices.options if review.settings is not None else None
    pixel = micrograph_angpix(options) if options is not None else 0.0
    binned = "binned by 2" if options is not None and options.super_resolution else "as recorded"
    parts.append(figure("Pixel of micrographs", f"{pixel:.4g} Å" if pixel else "unknown", binned if pixel else ""))
    sizes = _sizes(review)
    if sizes is not None:
        parts.append(figure("Box", f"{sizes.box} → {sizes.small_box} px", f"pixels of {pixel * sizes.box / sizes.small_box:.3g} Å"))
        parts.append(figure("Mask", f"{round(sizes.mask_diameter / pixel)} px", f"{sizes.mask_diameter:g} Å"))
    parts.append(figure("Preset", review.read.preset.name or "none", {"relion": "Relion schemes", "scipion": "Scipion"}[review.pipeline]))
    return f'<dl class="figures">{"".join(parts)}</dl>'


def _sizes(review: Review) -> BoxSizes | None:
    """Return box and mask; the plan has told why there are none."""
    if review.settings is None or review.plan is None:
        return None
    return sizes_of(review.settings.choices.options)


def _findings(review: Review) -> str:
    boxes = []
    for level, title in _TITLES.items():
        found = review.of_level(level)
        if found:
            items = "".join(f"<li>{_place(item)}{escape(item.text)} <small>{escape(item.rule)}</small></li>" for item in found)
            boxes.append(f'<section class="found {level}"><h2>{escape(title)} <small>{len(found)}</small></h2><ul>{items}</ul></section>')
    return "".join(boxes) or '<section class="found fine"><h2>Nothing is wrong or doubtful.</h2></section>'


def _place(finding: Finding) -> str:
    item = INPUTS.get(finding.field)
    return f'<a href="#f-{escape(item.name)}">{escape(item.label)}</a>: ' if item is not None else ""


def _section(name: str, review: Review) -> str:
    entries = [review.entries[item.name] for item in SECTIONS[name]]
    if name == OTHER:
        entries.sort(key=lambda entry: not (entry.text or entry.is_edited))
    rows = "".join(field_row(entry, [f for f in review.findings if f.field == entry.input.name]) for entry in entries)
    if name in _OPEN:
        return f'<section class="card fields"><h3>{escape(name)}</h3>{rows}</section>'
    edited = sum(entry.is_edited for entry in entries)
    known = sum(bool(entry.text) for entry in entries)
    about = f"{known} of {len(entries)} known" if name == OTHER else f"{len(entries)} values"
    about += f", {edited} corrected" if edited else ""
    touched = edited or any(f.level == "error" and f.field == entry.input.name for entry in entries for f in review.findings)
    return (
        f'<details class="fields" id="section-{escape(name.lower().replace(" ", "-"))}"{" open" if touched else ""}>'
        f'<summary>{escape(name)} <small>{escape(about)}</small></summary><div class="columns-in">{rows}</div></details>'
    )


def _keys(draft: Draft, review: Review) -> str:
    problem = next((finding.text for finding in review.findings if finding.rule == "input" and finding.field == "keys"), "")
    bad = f'<p class="problem">{escape(problem)}</p>' if problem else ""
    return (
        f'<details class="fields"{" open" if draft.keys else ""}><summary>Single options <small>any option of any job</small></summary>'
        '<label for="keys">One per line: SCHEME__JOB__OPTION = value, such as proc__class2d__nr_iter_grad = 100</label>'
        f'<textarea id="keys" name="keys" rows="3" spellcheck="false">{escape(draft.keys)}</textarea>{bad}</details>'
    )


def _project(draft: Draft, review: Review, root: str) -> str:
    name = draft.project or review.read.facts.project_name
    needs_again = draft.again or any(finding.rule == AGAIN for finding in review.findings)
    again = (
        f'<label class="tick"><input type="checkbox" name="again" value="yes"{" checked" if draft.again else ""}> '
        "Launch it once more, into a new project</label>"
        if needs_again
        else ""
    )
    return (
        '<section class="card fields project"><h3>Project</h3><div class="field"><label for="project">Name</label><span class="value">'
        f'<input type="text" id="project" name="project" value="{escape(draft.project)}" placeholder="{escape(name)}" autocomplete="off" '
        f'spellcheck="false"></span><span class="from">in {escape(root)}</span></div>{again}'
        f"{hidden('again_shown', 'yes') if needs_again else ''}</section>"
    )


def _bar(draft: Draft, review: Review) -> str:
    errors, warnings = len(review.of_level("error")), len(review.of_level("warning"))
    tick = ""
    if warnings and not errors:
        checked = " checked" if draft.seen == review.digest else ""
        words = "the warning" if warnings == 1 else f"the {warnings} warnings"
        tick = (
            f'<label class="tick"><input type="checkbox" name="seen" value="{review.digest}"{checked}> '
            f"I have read {words} and go on</label>"
        )
    state = f"{errors} error{'s' if errors > 1 else ''} to correct first" if errors else "" if warnings else "ready"
    return (
        f'<div class="bar-below">{button("back", "Back")}{button("update", "Update")}{button("read", "Read files again")}'
        f'<span class="space" role="status" id="state">{escape(state)}</span>{tick}'
        f"{button('plan', 'Dry run', enabled=review.plan is not None)}{button('launch', 'Launch', 'main', review.can_launch)}</div>"
    )
