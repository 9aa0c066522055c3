"""Who may use the pages: a token, a cookie, a secret with every change, and only names of this machine."""

import hmac
import ipaddress
import secrets
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field

from flask import Request, Response

from relion4plugin.errors import UserError

CSRF_HEADER, CSRF_FIELD = "X-Monitor-Token", "csrf"
_SHORTEST_TOKEN = 16


@dataclass(frozen=True)
class Guard:
    """The secrets of one server, and the names by which it may be called.

    A page of another origin can make a browser call this server under any name of its own; numbers are safe, names must
    be known.
    """

    token: str
    names: frozenset[str]
    session: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    cookie: str = field(default_factory=lambda: f"relion4plugin_{secrets.token_hex(4)}")

    def host_is_known(self, host: str) -> bool:
        """Tell whether a Host header names this machine; any port, because tunnels change it."""
        name = _name_of(host)
        return name in self.names or _is_number(name)

    def token_is_right(self, token: str) -> bool:
        """Compare in constant time."""
        return hmac.compare_digest(token.encode(), self.token.encode())

    def knows(self, request: Request) -> bool:
        """Tell whether a request carries the cookie."""
        return hmac.compare_digest(request.cookies.get(self.cookie, "").encode(), self.session.encode())

    def may_change(self, request: Request) -> bool:
        """Tell whether a request was sent by a script or a form of our own pages."""
        origin = request.headers.get("Origin")
        if origin is not None and origin.partition("://")[2] != request.host:
            return False
        given = request.headers.get(CSRF_HEADER) or request.form.get(CSRF_FIELD, "")
        return hmac.compare_digest(given.encode(), self.csrf.encode())

    def admit(self, response: Response) -> Response:
        """Give the cookie."""
        response.set_cookie(self.cookie, self.session, httponly=True, samesite="Strict", path="/")
        return response


def make_guard(token: str | None = None, host: str = "127.0.0.1", names: Iterable[str] = ()) -> Guard:
    """Make the secrets of a server.

    Parameters
    ----------
    token : str, optional
        A random one by default.
    host : str
        The address or name that the server listens on.
    names : iterable of str
        Further names by which it may be called.

    Raises
    ------
    UserError
        If the token is so short that it can be guessed.
    """
    if token is not None and len(token) < _SHORTEST_TOKEN:
        raise UserError(f"--token has {len(token)} characters; expected at least {_SHORTEST_TOKEN}, or leave it out for a random one")
    known = {"localhost", host, socket.gethostname(), socket.getfqdn(), *names}
    return Guard(token or secrets.token_urlsafe(32), frozenset(name.lower() for name in known if name))


def _name_of(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def _is_number(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
