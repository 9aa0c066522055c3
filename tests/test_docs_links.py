"""Links, anchors and images of README.md and docs/ lead somewhere, and every page and image is reachable."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_FENCED = re.compile(r"```.*?```", re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`|^(?: {4}|\t)[^\n]*$", re.MULTILINE)
_LINK = re.compile(r"(!?)\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.*?) *$", re.MULTILINE)
_LARGEST_IMAGE = 310_000  # bytes


def links(text):
    """Targets of all links, and whether they are images; code is left out."""
    return [(target, bool(mark)) for mark, target in _LINK.findall(_CODE.sub("", _FENCED.sub("", text)))]


def anchors(text):
    """Anchors that headings get: lower case, spaces to hyphens, other signs dropped."""
    bare = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in _HEADING.findall(_FENCED.sub("", text)))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in bare}


def test_links_and_anchors_are_found():
    text = "# A `b` (c)\n\n[x](y.md#z) ![p](q.png) `[no](no.md)`\n\n    [no](no.md)\n\n[i](k.md)\n"
    assert links(text) == [("y.md#z", False), ("q.png", True), ("k.md", False)]
    assert anchors(text) == {"a-b-c"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    wrong = []
    for target, _ in links(text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors(file.read_text(encoding="utf-8"))):
            wrong.append(target)
    assert not wrong, f"{page.name}: {wrong}"


def test_every_page_is_in_the_index():
    listed = {target.partition("#")[0] for target, _ in links((ROOT / "docs/index.md").read_text(encoding="utf-8"))}
    pages = {str(page.relative_to(ROOT / "docs")) for page in PAGES if page.parent != ROOT} - {"index.md"}
    assert pages - listed == set()


def test_every_image_is_shown_and_small():
    shown = {(page.parent / target).resolve() for page in PAGES for target, is_image in links(page.read_text(encoding="utf-8")) if is_image}
    images = set((ROOT / "docs" / "images").iterdir())
    assert {file.name for file in images - shown} == set()
    assert {file.name: file.stat().st_size for file in images if file.stat().st_size > _LARGEST_IMAGE} == {}
