"""Style sheets, scripts and pictures: files of this package, which browsers keep until they change."""

import hashlib
from functools import lru_cache
from importlib.resources import files

from flask import Flask, Response


@lru_cache(maxsize=16)
def static_text(package: str, name: str) -> str:
    """Return a text file of the folder ``static`` of a package."""
    return files(package).joinpath("static", name).read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def icon() -> bytes:
    """Return the picture of the package, PNG."""
    return files("relion4plugin").joinpath("icon.png").read_bytes()


def tag(text: str) -> str:
    """Return a short digest."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def add_assets(app: Flask, style: str, script_name: str, script: str) -> None:
    """Serve ``/assets/style.css``, the script and the icon."""

    @app.get("/assets/style.css")
    def style_sheet() -> Response:
        return lasting(Response(style, mimetype="text/css"))

    @app.get(f"/assets/{script_name}")
    def code() -> Response:
        return lasting(Response(script, mimetype="text/javascript"))

    @app.get("/assets/icon.png")
    def picture() -> Response:
        return lasting(Response(icon(), mimetype="image/png"))


def lasting(response: Response) -> Response:
    """Let browsers keep an answer; its address must change with its content."""
    response.headers["Cache-Control"] = "private, max-age=86400, immutable"
    return response
