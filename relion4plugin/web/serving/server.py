"""Serving an application until it is stopped, or beside another one."""

import socket
import threading
import webbrowser
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from flask import Flask

from relion4plugin.errors import UserError
from relion4plugin.web.serving.guard import Guard, make_guard

_THREADS = 6
MakeApp = Callable[[Guard], Flask]


@dataclass(frozen=True)
class ServerOptions:
    """How pages are served; port 0 is any free one, no token a random one."""

    host: str = "127.0.0.1"
    port: int = 0
    token: str | None = None
    open_browser: bool = True


def serve_app(make_app: MakeApp, options: ServerOptions, title: str, say: Callable[[str], None] = print) -> None:
    """Serve an application until Ctrl-C; the address with the token is said first.

    Parameters
    ----------
    make_app : callable
        Makes the application for its guard.
    options : ServerOptions
        Where and how.
    title : str
        What is served, for people.
    say : callable
        Told the address.

    Raises
    ------
    UserError
        If the address is taken or not one of this machine, or the token is too short.
    """
    server, port, address = _prepare(make_app, options)
    say(f"{title}: {address}")
    say("stop it with Ctrl-C; from another machine: ssh -L " + f"{port}:localhost:{port} {socket.gethostname()}, then the same address")
    if options.open_browser:
        webbrowser.open(address)
    try:
        server.run()
    finally:
        server.close()


def serve_beside(make_app: MakeApp, host: str) -> tuple[int, str]:
    """Serve an application on a free port, in a thread that ends with this program.

    Returns
    -------
    tuple
        Port and token.
    """
    guards: list[Guard] = []

    def make(guard: Guard) -> Flask:
        guards.append(guard)
        return make_app(guard)

    server, port, _ = _prepare(make, ServerOptions(host))
    threading.Thread(target=server.run, daemon=True, name=f"server on port {port}").start()
    return port, guards[0].token


def _prepare(make_app: MakeApp, options: ServerOptions) -> tuple[Any, int, str]:
    from waitress import create_server  # type: ignore[import-untyped]

    guard = make_guard(options.token, options.host)
    listener = _listen(options.host, options.port)
    port = listener.getsockname()[1]
    server = create_server(make_app(guard), sockets=[listener], threads=_THREADS, ident=None)
    name = f"[{options.host}]" if ":" in options.host else options.host
    return server, port, f"http://{name}:{port}/?token={quote(guard.token, safe='')}"


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except (OSError, OverflowError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise UserError(f"cannot serve at {host}:{port}: {reason}; choose another --port or --host") from error
    listener.listen()
    return listener
