"""The pages of the monitor as a Flask application: who may call, which address shows what, what changes what."""

import threading
import time
from collections.abc import Mapping
from dataclasses import asdict
from html import escape
from typing import Any, cast

from flask import Flask, Response, jsonify, request

from relion4plugin.errors import UserError
from relion4plugin.schemes.project import Project
from relion4plugin.schemes.status import ProjectReader, ProjectStatus
from relion4plugin.schemes.status_text import status_json, status_text
from relion4plugin.web.monitor.actions import perform
from relion4plugin.web.monitor.class_strip import strip_of, strip_png
from relion4plugin.web.monitor.frame import full_page, part_tags, script, style_sheet
from relion4plugin.web.monitor.logs import job_log, read_chunk, scheme_log
from relion4plugin.web.monitor.views import Parts, Views
from relion4plugin.web.serving.assets import add_assets, lasting
from relion4plugin.web.serving.guard import Guard
from relion4plugin.web.serving.shield import plain_page, protect

_FRESH = 0.8  # seconds for which several browsers share one look at the project
_LARGEST_REQUEST = 64 * 1024
_ONE = (("state", "figures", "charts", "classes", "jobs", "log", "files", "options"),)
_TWO = (("graph",), ("state", "log", "history", "nodes", "variables"))


class _Watch:
    """Looks at the project at most so often, for one browser at a time."""

    def __init__(self, project: Project) -> None:
        self.reader = ProjectReader(project)
        self._lock = threading.Lock()
        self._seen: ProjectStatus | None = None
        self._at = 0.0

    def status(self) -> ProjectStatus:
        with self._lock:
            if self._seen is None or time.monotonic() - self._at > _FRESH:
                self._seen = self.reader.read()
                self._at = time.monotonic()
            return self._seen

    def forget(self) -> None:
        with self._lock:
            self._seen = None


def create_app(project: Project, guard: Guard, read_only: bool = False) -> Flask:
    """Make the application.

    Parameters
    ----------
    project : Project
        What it shows.
    guard : Guard
        Who may call it.
    read_only : bool
        Refuse all changes.

    Returns
    -------
    Flask
        To be served by a WSGI server.
    """
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = _LARGEST_REQUEST
    watch = _Watch(project)
    views = Views(watch.reader, can_edit=not read_only)
    protect(app, guard, "relion4plugin monitor")
    _refusals(app)
    add_assets(app, style_sheet(), "monitor.js", script())
    _pages(app, watch, views, guard)
    _data(app, project, watch)
    _changes(app, project, watch, guard, read_only)
    return app


def _refusals(app: Flask) -> None:
    @app.errorhandler(UserError)
    def refuse(error: UserError) -> tuple[Response, int] | tuple[str, int]:
        if request.method == "POST" or request.path.startswith(("/parts/", "/log/", "/api/")):
            return jsonify(text=str(error)), 404 if request.method == "GET" else 409
        return plain_page("Not here", str(error)), 404


def _pages(app: Flask, watch: _Watch, views: Views, guard: Guard) -> None:
    def page(title: str, parts: Parts, status: ProjectStatus, here: str, two_columns: bool = False) -> str:
        names = [one.name for one in status.schemes]
        layout = _TWO if two_columns and "graph" in parts else _ONE
        return full_page(f"{title} – {status.root}", escape(title), parts, schemes=names, here=here, csrf=guard.csrf, layout=layout)

    def changed(parts: Parts) -> Response:
        tags = part_tags(parts)
        known = dict(pair.split(":", 1) for pair in request.args.get("have", "").split(",") if ":" in pair)
        news = {name: {"html": parts[name], "tag": tag} for name, tag in tags.items() if known.get(name) != tag}
        response = jsonify(parts=news)
        response.set_etag("-".join(tags.values()))
        return cast(Response, response.make_conditional(request))

    def show(kind: str, address: str, title: str, *names: str) -> Any:
        status = watch.status()
        parts = getattr(views, kind)(status, *names)
        if request.path.startswith("/parts/"):
            return changed(parts)
        return page(title, parts, status, address, two_columns=kind == "scheme")

    @app.get("/")
    @app.get("/parts/")
    def overview() -> Any:
        return show("overview", "/", watch.status().root)

    @app.get("/jobs")
    @app.get("/parts/jobs")
    def jobs() -> Any:
        return show("jobs", "/jobs", "All jobs")

    @app.get("/scheme/<name>")
    @app.get("/parts/scheme/<name>")
    def scheme(name: str) -> Any:
        return show("scheme", f"/scheme/{name}", f"Scheme {name}", name)

    @app.get("/scheme/<name>/template/<job>")
    @app.get("/parts/scheme/<name>/template/<job>")
    def template(name: str, job: str) -> Any:
        return show("template", f"/scheme/{name}/template/{job}", f"Template {job} of scheme {name}", name, job)

    @app.get("/job/<folder>/<job>")
    @app.get("/parts/job/<folder>/<job>")
    def job(folder: str, job: str) -> Any:
        return show("job", f"/job/{folder}/{job}", f"{folder}/{job}", f"{folder}/{job}")


def _data(app: Flask, project: Project, watch: _Watch) -> None:
    def offset() -> int | None:
        text = request.args.get("offset", "")
        return int(text) if text.isascii() and text.isdecimal() else None

    @app.get("/log/job/<folder>/<job>/<name>")
    def log_of_job(folder: str, job: str, name: str) -> Response:
        return jsonify(asdict(read_chunk(job_log(watch.status(), f"{folder}/{job}", name), offset())))

    @app.get("/log/scheme/<scheme>/<name>")
    def log_of_scheme(scheme: str, name: str) -> Response:
        return jsonify(asdict(read_chunk(scheme_log(project, watch.status(), scheme, name), offset())))

    @app.get("/classes/<folder>/<job>.png")
    def classes(folder: str, job: str) -> Response:
        status = watch.status()
        found = strip_of(project.root, status.job(f"{folder}/{job}").name, status.pipeline, watch.reader.cache)
        if found is None:
            raise UserError(f"{folder}/{job} has no class averages")
        return lasting(Response(strip_png(found), mimetype="image/png"))

    @app.get("/api/status")
    def status() -> Response:
        response = jsonify(status_json(watch.status()))
        response.add_etag()
        return cast(Response, response.make_conditional(request))

    @app.get("/api/status.txt")
    def text() -> Response:
        return Response(status_text(watch.status()) + "\n", mimetype="text/plain")


def _changes(app: Flask, project: Project, watch: _Watch, guard: Guard, read_only: bool) -> None:
    @app.post("/act/<scheme>")
    def act(scheme: str) -> Any:
        if not guard.may_change(request):
            return jsonify(text="this request does not come from a page of the monitor; load the page again"), 403
        if read_only:
            return jsonify(text="the monitor was started with --read_only"), 403
        wanted = request.get_json(silent=True)
        if not isinstance(wanted, Mapping):
            raise UserError("expected a JSON object")
        watch.forget()
        answer = jsonify(text=f"{scheme}: {perform(project, scheme, wanted)}")
        watch.forget()
        return answer
