"""One viser server for all tests that need a scene or a GUI and no browser."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
import viser

from tests.support.browsers import Browser, a_photo
from tests.support.fakes import box_backend
from tests.support.standins import CHUNK, Asked, Recorder, quiet_server, until
from viewer.scene.scene import SceneView
from viewer.scene.surfel_cloud import SurfelCloud
from viewer.settings import SceneOptions, Settings
from viewer.walk.source import Source
from viewer.walk.workspace import Workspace


@pytest.fixture(scope="session")
def only_server() -> Iterator[viser.ViserServer]:
    with quiet_server() as server:
        yield server


@pytest.fixture
def server(only_server: viser.ViserServer) -> Iterator[viser.ViserServer]:
    """A server whose scene and GUI are empty."""
    yield only_server
    only_server.scene.reset()
    only_server.gui.reset()


@pytest.fixture
def recorder(server: viser.ViserServer) -> Recorder:
    """Hears the messages of ``server``."""
    return Recorder(server)


@pytest.fixture
def asked() -> Asked:
    """In place of a browser's actions: what panels ask for."""
    return Asked()


@pytest.fixture
def view(server: viser.ViserServer, monkeypatch: pytest.MonkeyPatch) -> SceneView:
    """An empty scene in chunks of CHUNK."""
    monkeypatch.setattr("viewer.scene.scene.SurfelCloud", partial(SurfelCloud, chunk_size=CHUNK))
    return SceneView(server.scene, SceneOptions())


@pytest.fixture
def workspace(monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    monkeypatch.setattr(
        "viewer.walk.workspace.create_backend", lambda name, *, seed, size, geometry: box_backend()
    )
    workspace = Workspace(Settings(mode="step", layout="memory", size=64))
    yield workspace
    workspace.close()


@pytest.fixture
def browser(server: viser.ViserServer, workspace: Workspace) -> Iterator[Browser]:
    """A browser that has opened the box."""
    browser = Browser(server, workspace)
    browser.client.commands.open(Source("box", a_photo()))
    until(lambda: workspace.session is not None)
    browser.rests()
    yield browser
    browser.client.leave()
    assert "Something went wrong" not in [title for title, _ in browser.handle.notifications]
