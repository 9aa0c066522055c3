"""What stands before every page of an application: admission, headers, plain pages for errors."""

from html import escape

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from relion4plugin.web.serving.guard import Guard


def headers(forms: bool = False) -> dict[str, str]:
    """Return the headers of every answer.

    Parameters
    ----------
    forms : bool
        Whether pages send forms without a script. Browsers then need the address of the page in `Origin`, which
        the strictest referrer policy would hide from this server too.
    """
    sent_to = "'self'" if forms else "'none'"
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        f"base-uri 'none'; form-action {sent_to}; frame-ancestors 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "same-origin" if forms else "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }


def protect(app: Flask, guard: Guard, program: str, forms: bool = False) -> None:
    """Let only those in who have the token, then the cookie; harden all answers.

    Parameters
    ----------
    app : Flask
        The application.
    guard : Guard
        Its secrets.
    program : str
        What has printed the address with the token, such as ``relion4plugin monitor``.
    forms : bool
        See `headers`.
    """
    common = headers(forms)

    @app.before_request
    def admit() -> Response | tuple[str, int] | None:
        if not guard.host_is_known(request.host):
            return plain_page("Unknown name", "This server is not known by the name in the address."), 421
        token = request.args.get("token")
        if token is not None and request.method == "GET" and guard.token_is_right(token):
            # The page goes on by itself: then the cookie also comes along where the link stood in another page.
            return guard.admit(Response(plain_page("Relion4plugin", "One moment.", forward=request.path)))
        if not guard.knows(request):
            return plain_page("No access", f"Open the address that {program} has printed; it holds the token."), 403
        return None

    @app.after_request
    def harden(response: Response) -> Response:
        response.headers.update(common)
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    @app.errorhandler(HTTPException)
    def explain(error: HTTPException) -> tuple[str, int]:
        return plain_page(error.name, error.description or ""), error.code or 500


def plain_page(title: str, text: str, forward: str = "") -> str:
    """Return a page that says one thing; `forward` is an address that it goes on to."""
    refresh = f'<meta http-equiv="refresh" content="0;url={escape(forward)}">' if forward else ""
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8">{refresh}<title>{escape(title)}</title></head>\n'
        f"<body><h1>{escape(title)}</h1><p>{escape(text)}</p></body>\n</html>\n"
    )
