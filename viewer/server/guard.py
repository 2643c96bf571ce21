"""Who may talk to the viewer.

viser 1.1.1 serves anyone who can reach its port: it checks neither Host nor Origin and knows no
password. So any web page that the user has open could drive a viewer on 127.0.0.1 through a
websocket, or, after rebinding its own name to 127.0.0.1 (DNS rebinding), read everything. Besides,
any client can ask the server to open a public tunnel, and a link with ``?websocket=`` or
``?playbackPath=`` makes the page that we serve obey somebody else's server.

`guarded` closes these doors while a ViserServer is being constructed in it.
"""

from __future__ import annotations

import hashlib
import hmac
import http
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

import websockets.asyncio.server as websocket_server
from viser import _messages as viser_messages
from viser import infra
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from viewer.server.page import FirstPage

LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")

_FOREIGN_SERVER_PARAMETERS = ("websocket", "playbackPath")
_SHARING_MESSAGES = (viser_messages.ShareUrlRequest, viser_messages.ShareUrlDisconnect)
_patching = threading.Lock()

Refusal = tuple[http.HTTPStatus, str]


@contextmanager
def guarded(
    token: str | None,
    hosts: Collection[str] | None = LOOPBACK_HOSTS,
    content: Callable[[str], bytes | None] = lambda path: None,
    page: Callable[[], FirstPage] | None = None,
) -> Iterator[None]:
    """Construct a ViserServer inside this context to have it guarded for good.

    - Requests must name one of ``hosts`` in their Host header (names without port). ``None``
      accepts any name, for servers bound to another interface, and then a token is required.
    - Websockets must come from a page of the same origin.
    - With a ``token``, the first request carries ``?token=…``; a cookie carries it from then on.
    - ``content(path)`` answers requests for files of ours, and ``page()`` those for the page; what
      they have nothing for goes to viser.
    - Clients can no longer open viser's public tunnel. Hide its button with
      ``gui.configure_theme(show_share_button=False)``.

    Raises ValueError if the token is empty, or if both ``token`` and ``hosts`` are None. While the
    context is open, the gate applies to every websocket server started in this process.
    """
    if token is not None and not token:
        raise ValueError("the token is empty; pass None for no token")
    if hosts is None and token is None:
        raise ValueError("a server that answers to any host name needs a token")
    gate = _Gate(token, hosts, content, page)

    with _patching:
        serve = websocket_server.serve
        register_handler = infra.WebsockServer.register_handler

        def guarded_serve(*args: Any, process_request: Callable[..., Any], **kwargs: Any) -> Any:
            return serve(*args, process_request=gate.in_front_of(process_request), **kwargs)

        def register_unless_sharing(
            self: infra.WebsockServer, message_cls: Any, callback: Any
        ) -> None:
            if message_cls not in _SHARING_MESSAGES:
                register_handler(self, message_cls, callback)

        websocket_server.serve = guarded_serve
        infra.WebsockServer.register_handler = register_unless_sharing
        try:
            yield
        finally:
            websocket_server.serve = serve
            infra.WebsockServer.register_handler = register_handler


class _Gate:
    """Decides on requests, websocket handshakes included, before viser sees them."""

    def __init__(
        self,
        token: str | None,
        hosts: Collection[str] | None,
        content: Callable[[str], bytes | None],
        page: Callable[[], FirstPage] | None,
    ) -> None:
        self._token = token
        self._content, self._page = content, page
        self._hosts = None if hosts is None else {host.lower() for host in hosts}
        # Cookies ignore the port: servers side by side must not overwrite each other's.
        digest = hashlib.sha256((token or "").encode()).hexdigest()
        self._cookie = f"vmem-{digest[:8]}"

    def in_front_of(
        self, process_request: Callable[[ServerConnection, Request], Response | None]
    ) -> Callable[[ServerConnection, Request], Response | None]:
        """``process_request`` of websockets' `serve`, behind this gate."""

        def checked(connection: ServerConnection, request: Request) -> Response | None:
            refusal = self._refuse(request)
            if refusal is not None:
                status, reason = refusal
                return connection.respond(status, reason + "\n")
            response = self._own(request) or process_request(connection, request)
            if response is not None:
                self._add_headers(response)
            return response

        return checked

    def _own(self, request: Request) -> Response | None:
        path = urlsplit(request.path).path
        is_page = path in ("/", "/index.html") and "Upgrade" not in request.headers
        if self._page is not None and is_page:
            return _page_response(self._page(), request)
        content = self._content(path)
        if content is None:
            return None
        headers = Headers({"Content-Type": "application/octet-stream"})
        headers["Content-Length"] = str(len(content))
        headers["Cache-Control"] = "private, max-age=3600, immutable"
        return Response(http.HTTPStatus.OK, "OK", headers, content)

    def _refuse(self, request: Request) -> Refusal | None:
        host = _only(request.headers, "Host")
        if host is None or (self._hosts is not None and _host_name(host) not in self._hosts):
            return http.HTTPStatus.FORBIDDEN, "This viewer does not answer to that host name."
        query = parse_qs(request.path.partition("?")[2], keep_blank_values=True)
        if any(parameter in query for parameter in _FOREIGN_SERVER_PARAMETERS):
            return http.HTTPStatus.FORBIDDEN, "This viewer shows no other server's content."
        if self._token is not None and not self._knows_token(request, query):
            return (
                http.HTTPStatus.UNAUTHORIZED,
                "Open the link that the program printed: it carries the token.",
            )
        if "Upgrade" in request.headers and not _is_same_origin(request.headers, host):
            return http.HTTPStatus.FORBIDDEN, "Websockets are for this viewer's own page."
        return None

    def _knows_token(self, request: Request, query: dict[str, list[str]]) -> bool:
        assert self._token is not None
        offered = query.get("token", [])[:1]
        try:
            cookies = SimpleCookie("; ".join(request.headers.get_all("Cookie")))
        except CookieError:
            cookies = SimpleCookie()
        if self._cookie in cookies:
            offered.append(cookies[self._cookie].value)
        expected = hashlib.sha256(self._token.encode()).digest()
        return any(
            hmac.compare_digest(hashlib.sha256(candidate.encode()).digest(), expected)
            for candidate in offered
        )

    def _add_headers(self, response: Response) -> None:
        response.headers["Referrer-Policy"] = "same-origin"
        response.headers["Content-Security-Policy"] = "frame-ancestors 'self'"
        if self._token is not None:
            cookie = SimpleCookie({self._cookie: self._token})[self._cookie]
            attributes = "Path=/; HttpOnly; SameSite=Strict"
            response.headers["Set-Cookie"] = f"{cookie.OutputString()}; {attributes}"


def _page_response(page: FirstPage, request: Request) -> Response:
    gzipped = "gzip" in request.headers.get("Accept-Encoding", "")
    content = page.gzipped if gzipped else page.html
    headers = Headers({"Content-Type": "text/html; charset=utf-8"})
    headers["Content-Length"] = str(len(content))
    headers["Content-Encoding"] = "gzip" if gzipped else "identity"
    return Response(http.HTTPStatus.OK, "OK", headers, content)


def _only(headers: Headers, name: str) -> str | None:
    values = headers.get_all(name)
    return values[0] if len(values) == 1 else None


def _host_name(host: str) -> str | None:
    try:
        return urlsplit("//" + host).hostname
    except ValueError:
        return None


def _is_same_origin(headers: Headers, host: str) -> bool:
    scheme, _, authority = (_only(headers, "Origin") or "").partition("://")
    return scheme in ("http", "https") and authority.lower() == host.lower()
