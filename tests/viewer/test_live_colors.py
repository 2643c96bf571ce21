"""Heat on surfels follows the ghost at the rate of the link; and who draws the surfels."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import pytest
import viser
from numpy.testing import assert_array_equal

import viewer.page.backlog
from tests.support.standins import FakeHandle, nodes, shown, until
from viewer.browser.client import Client
from viewer.paint.surfel_colors import paint_surfels
from viewer.settings import SceneOptions, Settings
from viewer.walk.source import Source
from viewer.walk.workspace import Workspace
from vmem.cameras import MOVES, Cameras, apply_move
from vmem.memory import MemorySnapshot
from vmem.retrieval import ask, retrieve


@pytest.fixture
def client(server: viser.ViserServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """A client that has opened a small procedural world and rests."""
    # No page answers here; it is for the tests to say when one has.
    monkeypatch.setattr(viewer.page.backlog, "FIRST_LOST_AFTER", 1e6)
    workspace = Workspace(
        Settings(mode="step", layout="memory", size=64, scene=SceneOptions(heat="weight"))
    )
    client = Client(cast(viser.ClientHandle, FakeHandle(server)), workspace)
    client.commands.open(Source("world", None))
    until(lambda: client.debugger.retrieval is not None and client.display.backlog.outstanding == 1)
    yield client
    client.leave()
    workspace.close()


def answer(client: Client) -> None:
    """The page has come as far as it was sent."""
    backlog = client.display.backlog
    backlog.answered(str(backlog.last_mark))


def turn(client: Client, word: str) -> None:
    """The ghost turns, and its retrieval has been made."""
    assert client.actions.ghost is not None
    before = client.debugger.retrieval
    client.commands.set_view_from("eyes")
    client.commands.drag_ghost(apply_move(client.actions.ghost.camera.c2w, MOVES[word], amount=5))
    until(lambda: client.debugger.retrieval is not before)


def colors(client: Client) -> np.ndarray:
    """What the surfels should look like for where the ghost stands."""
    assert client.actions.ghost is not None
    memory = client.display.scene.memory
    retrieval = retrieve(memory, Cameras.stack([client.actions.ghost.camera]))
    return paint_surfels("weight", memory, retrieval).color


def test_colours_wait_for_the_page_and_only_the_last_are_sent(
    client: Client, server: viser.ViserServer
) -> None:
    before = shown(server)[1].copy()
    for word in "aad":
        turn(client, word)
    until(lambda: client.display.heat.dropped >= 2)
    assert_array_equal(shown(server)[1], before)
    answer(client)
    until(lambda: client.display.backlog.outstanding == 1)
    assert_array_equal(shown(server)[1], colors(client))
    assert (shown(server)[1] != before).any()


def test_a_slow_retrieval_is_asked_for_the_latest_place_only(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, gate = threading.Event(), threading.Event()
    asked: list[np.ndarray] = []

    def slow(memory: MemorySnapshot, targets: Cameras, *rest: Any) -> Any:
        asked.append(targets.c2w[-1])
        entered.set()
        assert gate.wait(30)
        return ask(memory, targets, *rest)

    monkeypatch.setattr("viewer.debugger.debugger.ask", slow)
    assert client.actions.ghost is not None
    client.commands.set_view_from("eyes")
    start = client.actions.ghost.camera.c2w
    places = [apply_move(start, MOVES["d"], amount=0.1 * i) for i in range(1, 41)]
    client.commands.drag_ghost(places[0])
    until(entered.is_set)
    for place in places[1:]:  # nobody who moves the ghost waits for the retrieval
        client.commands.drag_ghost(place)
    gate.set()
    until(lambda: len(asked) > 1 and client.debugger.retrieval is not None)
    until(lambda: np.allclose(client.debugger.retrieval.targets.c2w[-1], places[-1]))  # pyright: ignore
    assert len(asked) == 2
    assert_array_equal(asked[-1], client.actions.ghost.camera.c2w)


def test_the_summary_tells_what_was_dropped(client: Client) -> None:
    for word in "aad":
        turn(client, word)
    panel = client.display.memory.explain
    dropped = client.display.heat.dropped
    assert dropped >= 2
    until(lambda: f"{client.display.heat.dropped} recolourings dropped" in panel.shown.health)
    assert "drawn by the browser" in panel.shown.health


def test_the_server_takes_over_and_gives_back(client: Client, server: viser.ViserServer) -> None:
    until(lambda: nodes(server, "/surfels/"))
    positions, _ = shown(server)
    client.commands.set_renderer("server", 300_000)
    until(lambda: client.display.scene.streamed)
    until(lambda: not nodes(server, "/surfels/"))
    turn(client, "a")
    assert not nodes(server, "/surfels/")
    client.commands.set_renderer("browser", 300_000)
    until(lambda: len(shown(server)[0]) == len(positions))
    until(lambda: not client.display.scene.streamed)
    assert_array_equal(shown(server)[0], positions)
    answer(client)
    until(lambda: np.array_equal(shown(server)[1], colors(client)))


def test_a_big_memory_is_drawn_by_the_server_of_itself(client: Client) -> None:
    client.commands.set_renderer("auto", 10)
    until(lambda: client.display.scene.streamed)
    handle = cast(FakeHandle, client.handle)
    until(lambda: "The server now draws the surfels" in [t for t, _ in handle.notifications])


def test_a_stream_that_cannot_be_gives_the_surfels_back(
    client: Client, server: viser.ViserServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "viewer.scene.stream_thread", None)
    client.commands.set_renderer("server", 300_000)
    handle = cast(FakeHandle, client.handle)
    until(lambda: "The server's drawing failed" in [t for t, _ in handle.notifications])
    until(lambda: not client.display.scene.streamed and nodes(server, "/surfels/"))
    assert client.workspace.settings.scene.drawn_by == "browser"


def test_who_draws():
    options = SceneOptions(server_above=1000)
    assert not options.server_draws(1000, now=False)
    assert options.server_draws(1001, now=False)
    assert options.server_draws(900, now=True), "an undo does not send everything again"
    assert not options.server_draws(700, now=True)
    options.drawn_by = "server"
    assert options.server_draws(1, now=False)
    options.drawn_by = "browser"
    assert not options.server_draws(10**9, now=True)
