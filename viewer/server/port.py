"""The port that the program listens on, and the address of its page."""

from __future__ import annotations

import socket
from urllib.parse import quote

from viewer.server.config import ViewerError
from viewer.server.listener import listener

PORT_TRIES = 20


def url(host: str, port: int, token: str | None) -> str:
    """What to open in a browser."""
    name = socket.gethostname() if host in ("0.0.0.0", "::") else host
    if ":" in name:
        name = f"[{name}]"
    return f"http://{name}:{port}" + (f"/?token={quote(token, safe='')}" if token else "")


def choose_port(host: str, asked: int | None) -> int:
    """The port asked for if it is free, else the first free one from 8080."""
    if asked is not None:
        if not 0 <= asked <= 65535:
            raise ViewerError(f"--port must be between 0 and 65535, got {asked}")
        error = why_taken(host, asked)
        if error:
            taker = listener(asked)
            error += f" by {taker}" if taker else ""
            raise ViewerError(
                f"cannot listen on {host}:{asked}: {error}. "
                "Choose another --port, or leave it out to take the next free one"
            )
        return asked
    error = ""
    for port in range(8080, 8080 + PORT_TRIES):
        error = why_taken(host, port)
        if not error:
            return port
    last = 8080 + PORT_TRIES - 1
    raise ViewerError(f"no free port from 8080 to {last} on {host}: {error}. Choose a --port")


def why_taken(host: str, port: int) -> str:
    """Why nobody can listen there, or ""."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        return error.strerror or str(error)
    return ""
