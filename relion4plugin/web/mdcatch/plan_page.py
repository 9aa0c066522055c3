"""A dry run: all that a launch would write and start, with old and new values; and the page of a project."""

import shlex
from collections.abc import Sequence
from html import escape

from relion4plugin.acquisition.plan import LaunchPlan, uses_groups
from relion4plugin.schemes.it.keys import SEPARATOR
from relion4plugin.web.mdcatch.drafts import Draft
from relion4plugin.web.mdcatch.frame import full_page
from relion4plugin.web.page import card, folded, table

_CHANGES = ("Option", "Before", "After", "Where from")


def plan_page(draft: Draft, plan: LaunchPlan) -> str:
    """Return the page of a dry run; nothing was written."""
    body = (
        f'<p class="line">Nothing has been written. <a href="/check/{escape(draft.id)}">Back to the values</a></p>'
        + _commands(plan)
        + "".join(card(f"{name}: {len(rows)} values", table(_CHANGES, rows, (0, 1, 2, 3))) for name, rows in _by_scheme(plan).items())
        + _files(plan)
    )
    links = {0: f"/find/{draft.id}", 1: f"/check/{draft.id}"}
    return full_page(f"Dry run: {plan.facts.name}", body, -1, links, f"{len(plan.facts.movies)} movies, into {plan.target.project}")


def _by_scheme(plan: LaunchPlan) -> dict[str, list[Sequence[str]]]:
    found: dict[str, list[Sequence[str]]] = {}
    for change in plan.changes:
        scheme, sign, rest = change.key.partition(SEPARATOR)
        title = f"Scheme {scheme}" if sign and plan.schemes is not None else "Workflow"
        shown = rest.replace(SEPARATOR, " / ") if sign and plan.schemes is not None else change.key
        found.setdefault(title, []).append((shown, change.old or "(empty)", change.new or "(empty)", change.source))
    return found


def _commands(plan: LaunchPlan) -> str:
    lines = escape("\n".join(shlex.join(words) for words in plan.commands))
    return card("Commands, in the project directory", f'<pre class="log plain">{lines}</pre>')


def _files(plan: LaunchPlan) -> str:
    copies = table(("File", "Copied to"), [(str(source), name) for source, name in plan.settings.copies.items()], (0, 1))
    number = len(set(plan.facts.groups.values()))
    groups = f"<p>{number} optics groups go to the import job as a table.</p>" if uses_groups(plan.facts) else ""
    files = "".join(f"<li>{escape(str(path.relative_to(plan.target.project)))}</li>" for path in plan.files)
    return (card("Copies", copies) if plan.settings.copies else "") + folded(
        f"{len(plan.files)} files, and the record of the acquisition", f'{groups}<ul class="files">{files}</ul>'
    )
