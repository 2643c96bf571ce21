"""``viewer.show(session)``: a session that a script has opened, in the browser."""

from __future__ import annotations

import urllib.request

import viewer
from tests.support.fakes import CONFIG, open_box
from viewer.settings import Settings
from viewer.walk.workspace import Workspace


def test_it_serves_the_page_until_it_is_closed() -> None:
    app = viewer.show(open_box(), port=0, open=False, block=False)
    assert app is not None
    try:
        with urllib.request.urlopen(app.url, timeout=20) as page:
            assert page.status == 200
    finally:
        app.close()


def test_the_walk_goes_on_as_the_session_is_configured() -> None:
    session = open_box(seed=5)
    session.move("w")
    workspace = Workspace(Settings(mode="step", layout="memory"))
    try:
        workspace.adopt(session)
        assert workspace.session is session
        assert workspace.settings.seed == 5
        assert workspace.settings.context_views == CONFIG.context_views
        assert workspace.settings.strategy == CONFIG.strategy
    finally:
        workspace.close()
