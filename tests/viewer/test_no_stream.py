"""Without the extra gpu the browser draws all surfels, and the page says so."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import viser

from tests.support.browsers import Browser
from tests.support.standins import Asked, Recorder, labelled
from viewer.panels.settings import SettingsPanel
from viewer.scene.stream import why_no_stream
from viewer.settings import Renderer
from vmem.extras import install_command

SAID = f"drawn by the browser: the server's stream needs the extra gpu ({install_command()})"


@pytest.fixture(params=["nerfview", "torch"])
def lacking(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, request.param, None)


def test_with_the_extra_there_is_nothing_to_say() -> None:
    assert why_no_stream() == ""


@pytest.mark.usefixtures("lacking")
@pytest.mark.parametrize(("drawn_by", "above"), [("server", 300_000), ("auto", 1)])
def test_where_the_server_would_draw_the_browser_does_and_it_is_said_once(
    browser: Browser, drawn_by: Renderer, above: int
) -> None:
    for _ in range(2):
        browser.client.post(browser.client.actions.set_renderer, drawn_by, above)
    browser.rests()
    scene = browser.client.display.scene
    assert not scene.streamed
    assert len(scene._cloud) == len(browser.session.memory.surfels) > 1
    assert browser.handle.notifications == [("The browser draws the surfels", SAID)]


@pytest.mark.usefixtures("lacking")
def test_the_choice_is_closed_and_says_why(
    server: viser.ViserServer, asked: Asked, recorder: Recorder
) -> None:
    with recorder.listening() as heard:
        SettingsPanel(server.gui, asked.commands, asked.settings)
    texts: list[Any] = [getattr(getattr(m, "props", None), "_markdown", None) for m in heard]
    assert SAID in texts
    assert labelled(server, "Surfels drawn by").disabled
    assert labelled(server, "auto: server above").disabled
