"""The gate in front of a real viser server."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Iterator

import pytest
import viser
from viser import _messages as viser_messages
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from viewer.server.guard import LOOPBACK_HOSTS, guarded

TOKEN = "correct horse; battery=staple"
QUERY = "/?token=correct+horse%3B+battery%3Dstaple"


@contextlib.contextmanager
def running(token: str | None, hosts: tuple[str, ...] | None) -> Iterator[viser.ViserServer]:
    with guarded(token, hosts):
        server = viser.ViserServer(host="127.0.0.1", port=0, verbose=False)
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def open_server() -> Iterator[viser.ViserServer]:
    with running(None, LOOPBACK_HOSTS) as server:
        yield server


@pytest.fixture(scope="module")
def token_server() -> Iterator[viser.ViserServer]:
    with running(TOKEN, None) as server:
        yield server


def get(
    server: viser.ViserServer, path: str = "/", **headers: str
) -> tuple[int, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection("127.0.0.1", server.get_port(), timeout=10)
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status, response.headers


def handshake(server: viser.ViserServer, origin: str | None, **headers: str) -> int:
    """Status of a websocket handshake: 101 when it is let in."""
    try:
        with connect(
            f"ws://127.0.0.1:{server.get_port()}",
            origin=None if origin is None else Origin(origin),
            additional_headers=headers,
            subprotocols=[Subprotocol(f"viser-v{viser.__version__}")],
        ):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8080", "LOCALHOST:1", "[::1]:80"])
def test_loopback_names_are_answered(open_server: viser.ViserServer, host: str) -> None:
    assert get(open_server, Host=host)[0] == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost@evil.example", "", "[::1"]
)
def test_other_names_are_refused(open_server: viser.ViserServer, host: str) -> None:
    assert get(open_server, Host=host)[0] == 403


def test_two_host_headers_are_refused(open_server: viser.ViserServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", open_server.get_port(), timeout=10)
    connection.putrequest("GET", "/", skip_host=True)
    connection.putheader("Host", "localhost")
    connection.putheader("Host", "evil.example")
    connection.endheaders()
    assert connection.getresponse().status == 403
    connection.close()


@pytest.mark.parametrize(
    "query",
    ["?websocket=ws://evil.example", "?a=1&%77ebsocket=", "?playbackPath=https://e.example"],
)
def test_pages_that_obey_another_server_are_refused(
    open_server: viser.ViserServer, query: str
) -> None:
    assert get(open_server, "/" + query)[0] == 403


def test_websockets_are_for_the_own_page(open_server: viser.ViserServer) -> None:
    port = open_server.get_port()
    assert handshake(open_server, f"http://127.0.0.1:{port}") == 101
    for origin in (
        "http://evil.example",
        f"http://localhost:{port}",
        f"http://127.0.0.1:{port + 1}",
        f"file://127.0.0.1:{port}",
        "null",
        None,
    ):
        assert handshake(open_server, origin) == 403


def test_without_the_token_nothing_is_served(token_server: viser.ViserServer) -> None:
    origin = f"http://127.0.0.1:{token_server.get_port()}"
    assert get(token_server)[0] == 401
    assert get(token_server, "/?token=wrong")[0] == 401
    assert get(token_server, "/?token=gr%C3%BCn")[0] == 401
    assert get(token_server, Cookie="vmem-0=x; =; bad cookie")[0] == 401
    assert handshake(token_server, origin) == 401


def test_the_token_becomes_a_cookie(token_server: viser.ViserServer) -> None:
    status, headers = get(token_server, QUERY, Host="any.example")
    cookie, _, attributes = headers["Set-Cookie"].partition("; ")
    origin = f"http://127.0.0.1:{token_server.get_port()}"
    assert status == 200
    assert attributes == "Path=/; HttpOnly; SameSite=Strict"
    assert get(token_server, Cookie=cookie)[0] == 200
    assert handshake(token_server, origin, Cookie=cookie) == 101
    assert handshake(token_server, "http://evil.example", Cookie=cookie) == 403


def test_any_host_needs_a_token() -> None:
    with pytest.raises(ValueError, match="token"), guarded(None, None):
        pass
    with pytest.raises(ValueError, match="empty"), guarded("", LOOPBACK_HOSTS):
        pass


def test_clients_cannot_open_a_tunnel(open_server: viser.ViserServer) -> None:
    handlers = open_server._websock_server._incoming_handlers
    assert viser_messages.ShareUrlRequest not in handlers
    assert viser_messages.ShareUrlDisconnect not in handlers
    assert viser_messages.GuiUpdateMessage in handlers


def test_only_servers_constructed_inside_are_guarded(open_server: viser.ViserServer) -> None:
    server = viser.ViserServer(host="127.0.0.1", port=0, verbose=False)
    try:
        assert get(server, Host="evil.example")[0] == 200
        assert viser_messages.ShareUrlRequest in server._websock_server._incoming_handlers
    finally:
        server.stop()
