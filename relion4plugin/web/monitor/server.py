"""Serving the monitor until it is stopped."""

import socket
import webbrowser
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from relion4plugin.errors import UserError
from relion4plugin.schemes.project import Project
from relion4plugin.web.monitor.app import create_app
from relion4plugin.web.monitor.security import make_guard

_THREADS = 6


@dataclass(frozen=True)
class MonitorOptions:
    """How the page is served; port 0 is any free one, no token a random one."""

    host: str = "127.0.0.1"
    port: int = 0
    token: str | None = None
    read_only: bool = False
    open_browser: bool = True


def serve(project: Project, options: MonitorOptions, say: Callable[[str], None] = print) -> None:
    """Serve the page until Ctrl-C; the address with the token is said first.

    Raises
    ------
    UserError
        If the address is taken or not one of this machine, or the token is too short.
    """
    from waitress import create_server  # type: ignore[import-untyped]

    guard = make_guard(options.token, options.host)
    listener = _listen(options.host, options.port)
    port = listener.getsockname()[1]
    server = create_server(create_app(project, guard, options.read_only), sockets=[listener], threads=_THREADS, ident=None)
    name = f"[{options.host}]" if ":" in options.host else options.host
    address = f"http://{name}:{port}/?token={quote(guard.token, safe='')}"
    say(f"monitor of {project.root}: {address}")
    say("stop it with Ctrl-C; from another machine: ssh -L " + f"{port}:localhost:{port} {socket.gethostname()}, then the same address")
    if options.open_browser:
        webbrowser.open(address)
    try:
        server.run()
    finally:
        server.close()


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
