"""The pages of `mdcatch gui` as a Flask application: which address shows what, what each form does."""

import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import quote

from flask import Flask, Response, abort, jsonify, redirect, request

from relion4plugin.acquisition.index import MetadataIndex
from relion4plugin.acquisition.launches import Launch, read_launches
from relion4plugin.errors import UserError
from relion4plugin.schemes.project import open_project
from relion4plugin.web.mdcatch.answers import take_answers
from relion4plugin.web.mdcatch.check_page import check_page
from relion4plugin.web.mdcatch.corrections import take_corrections
from relion4plugin.web.mdcatch.drafts import Draft, Drafts
from relion4plugin.web.mdcatch.find_page import Found, find_page
from relion4plugin.web.mdcatch.frame import SCRIPT, script, style_sheet, waiting_page
from relion4plugin.web.mdcatch.inputs import INPUTS
from relion4plugin.web.mdcatch.launch_page import launch_page
from relion4plugin.web.mdcatch.launching import Started, begin_launch
from relion4plugin.web.mdcatch.plan_page import plan_page
from relion4plugin.web.mdcatch.reading import Listing, ReadSession, begin_reading
from relion4plugin.web.mdcatch.review import Review, make_review
from relion4plugin.web.mdcatch.setup import Setup
from relion4plugin.web.monitor.app import create_app as monitor_app
from relion4plugin.web.monitor.logs import read_chunk
from relion4plugin.web.serving.assets import add_assets
from relion4plugin.web.serving.guard import Guard
from relion4plugin.web.serving.server import serve_beside
from relion4plugin.web.serving.shield import plain_page, protect

_LARGEST_REQUEST = 512 * 1024
_SOON = 2.0  # seconds that a browser waits before it is shown how far the work is


class _Monitors:
    """Monitors of projects that were launched from here, each served once."""

    def __init__(self, host: str) -> None:
        self._host, self._lock = host, threading.Lock()
        self._known: dict[Path, tuple[int, str]] = {}

    def address(self, project: Path) -> str:
        """Return the address of a project's monitor for the browser that asks."""
        with self._lock:
            if project not in self._known:
                opened = open_project(project)
                self._known[project] = serve_beside(lambda guard: monitor_app(opened, guard), self._host)
            port, token = self._known[project]
        name = request.host[: request.host.rfind("]") + 1] if request.host.startswith("[") else request.host.partition(":")[0]
        return f"http://{name}:{port}/?token={quote(token, safe='')}"


def create_app(setup: Setup, guard: Guard) -> Flask:
    """Make the application.

    Parameters
    ----------
    setup : Setup
        Folders and presets.
    guard : Guard
        Who may call it.

    Returns
    -------
    Flask
        To be served by a WSGI server.
    """
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = _LARGEST_REQUEST
    drafts = Drafts()
    protect(app, guard, "relion4plugin mdcatch gui", forms=True)
    add_assets(app, style_sheet(), SCRIPT, script())
    _admit_own_forms(app, guard)
    _find(app, setup, guard, drafts)
    _check(app, setup, guard, drafts)
    _launch(app, setup, drafts)
    return app


def _admit_own_forms(app: Flask, guard: Guard) -> None:
    @app.before_request
    def own() -> tuple[str, int] | None:
        if request.method == "POST" and not guard.may_change(request):
            return plain_page("No access", "This form does not come from a page of this server; load the page again."), 403
        return None

    @app.errorhandler(UserError)
    def refuse(error: UserError) -> tuple[str, int]:
        return plain_page("Not here", str(error)), 404


def _find(app: Flask, setup: Setup, guard: Guard, drafts: Drafts) -> None:
    listing = Listing(setup.roots)
    usual = next(iter(setup.offers))

    def page(draft: Draft, recent: list[Draft]) -> str:
        sessions = listing.sessions(_SOON)
        if sessions is None:
            return waiting_page("Find a session", "Looking for sessions.", 0)
        found = Found(sessions, _launched(setup), listing.error)
        return find_page(setup, draft, found, guard.csrf, recent)

    @app.get("/")
    def begin() -> str:
        return page(Draft("", preset=usual), drafts.recent())

    @app.get("/find/<name>")
    def find(name: str) -> str:
        draft = drafts.get(name)
        with draft.lock:
            return page(draft, [])

    @app.post("/find")
    def answer() -> Any:
        draft = drafts.get(request.form["draft"]) if request.form.get("draft") else drafts.new(usual)
        with draft.lock:
            take_answers(setup, draft, request.form)
            if request.form.get("do") == "look":
                draft.problems, draft.said = {}, ""
                listing.look()
            elif not draft.problems:
                _begin_reading(setup, draft, anew=False)
                return redirect(f"/check/{draft.id}", 303)
        return redirect(f"/find/{draft.id}", 303)


def _launched(setup: Setup) -> dict[str, Launch]:
    """Return earlier launches by the folder of their session; a list that cannot be read is told when something is launched."""
    roots = {setup.root_of_projects(setup.usual(key)) for key in setup.offers}
    found: dict[str, Launch] = {}
    for root in roots:
        try:
            found |= {launch.session: launch for launch in read_launches(root)}
        except UserError:
            continue
    return found


def _begin_reading(setup: Setup, draft: Draft, anew: bool) -> None:
    wanted = (draft.folder, draft.movies, draft.preset)
    failed = draft.reading is not None and bool(draft.reading.error)
    if draft.reading is not None and draft.read_as == wanted and not anew and not failed:
        return
    index = draft.index.setdefault(draft.folder, MetadataIndex())
    movies = Path(draft.movies) if draft.movies else None
    draft.reading, draft.read_as = begin_reading(Path(draft.folder), movies, setup.chosen(draft.preset), index), wanted


def _check(app: Flask, setup: Setup, guard: Guard, drafts: Drafts) -> None:
    def review_of(draft: Draft, read: ReadSession) -> Review:
        return make_review(setup, draft, read)

    @app.get("/check/<name>")
    def check(name: str) -> Any:
        draft = drafts.get(name)
        if draft.reading is None:
            return redirect(f"/find/{name}", 303)
        if not draft.reading.wait(_SOON):
            return waiting_page("Reading the session", draft.reading.words, 1)
        with draft.lock:
            read = draft.reading.result
            if read is None:
                draft.said = draft.reading.error
                return redirect(f"/find/{name}", 303)
            root = setup.root_of_projects(read.preset)
            return check_page(draft, review_of(draft, read), str(root), guard.csrf)

    @app.post("/check/<name>")
    def correct(name: str) -> Any:
        draft = drafts.get(name)
        with draft.lock:
            _take(draft)
            return redirect(act(draft), 303)

    def act(draft: Draft) -> str:
        """Do what the button says and return where to go."""
        here, do = f"/check/{draft.id}", request.form.get("do", "update")
        if do == "back":
            return f"/find/{draft.id}"
        read = draft.reading.result if draft.reading is not None else None
        if read is None or do == "update":
            return here
        if do == "read":
            _begin_reading(setup, draft, anew=True)
            return here
        review = review_of(draft, read)
        if do == "plan":
            return f"/plan/{draft.id}" if review.plan is not None else here
        return _begin_launch(setup, draft, review) if do == "launch" else here

    @app.get("/plan/<name>")
    def plan(name: str) -> Any:
        draft = drafts.get(name)
        with draft.lock:
            read = draft.reading.result if draft.reading is not None else None
            review = review_of(draft, read) if read is not None else None
            if review is None or review.plan is None:
                return redirect(f"/check/{name}", 303)
            return plan_page(draft, review.plan)


def _take(draft: Draft) -> None:
    """Put all that the second page sent into the draft."""
    take_corrections(draft, request.form)
    if "project" in request.form:
        draft.project = request.form["project"].strip()
    if "again_shown" in request.form:
        draft.again = request.form.get("again") == "yes"
    draft.seen = request.form.get("seen", "")
    if request.form.get("reset") in INPUTS:
        draft.reset(request.form["reset"])


def _begin_launch(setup: Setup, draft: Draft, review: Review) -> str:
    """Begin a launch if nothing forbids it, and return where to go."""
    here = f"/check/{draft.id}"
    running = draft.launching
    if running is not None and not running.error and not (running.result is not None and draft.again):
        return f"/launch/{draft.id}"  # a second click
    if review.plan is None or not review.can_launch:
        draft.said = "There are errors: nothing was launched. Correct them first."
        return here
    if review.digest and draft.seen != review.digest:
        draft.said = "There are warnings: read them, tick the box beside Launch, and launch again."
        return here
    draft.launching, draft.again = begin_launch(review.plan, draft.again, setup.accepted), False
    return f"/launch/{draft.id}"


def _launch(app: Flask, setup: Setup, drafts: Drafts) -> None:
    monitors = _Monitors(setup.host)

    def started(name: str) -> Started:
        task = drafts.get(name).launching
        if task is None or task.result is None:
            raise UserError("nothing was launched from here yet")
        return task.result

    @app.get("/launch/<name>")
    def launch(name: str) -> Any:
        draft = drafts.get(name)
        task = draft.launching
        if task is None:
            return redirect(f"/check/{name}", 303)
        if not task.wait(_SOON):
            return waiting_page("Launching", "Files are written and the work is started.", 2)
        if task.result is None:
            with draft.lock:
                draft.said, draft.launching = f"The launch failed: {task.error}", None
            return redirect(f"/check/{name}", 303)
        done = task.result
        monitor = monitors.address(done.launched.project) if done.plan.schemes is not None else ""
        return launch_page(draft, done, monitor)

    @app.get("/tail/<name>/<log>")
    def tail(name: str, log: str) -> Response:
        logs = started(name).logs
        if log not in logs:
            abort(404)
        offset = request.args.get("offset", "")
        return jsonify(asdict(read_chunk(logs[log], int(offset) if offset.isascii() and offset.isdecimal() else None)))
