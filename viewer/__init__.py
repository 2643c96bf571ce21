"""The viewer: `viewer.show(session)` from a script; `viewer.run(config)` is the program."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from viewer.server.app import App
    from viewer.server.config import ViewerConfig
    from vmem.session import Session

__all__ = ["run", "show"]


def show(
    session: Session, *, port: int | None = None, open: bool = True, block: bool = True
) -> App | None:
    """Serve ``session`` in the browser: look at its memory, debug its retrievals, walk on.

    port: by default 8080 or the next free one · open: open the page in a browser · block: serve
    until interrupted; False returns the running App at once, with ``url`` and ``close()``.
    Raises ViewerError if it cannot listen.
    """
    from viewer.server.app import App, serve
    from viewer.server.config import ViewerConfig
    from vmem.backends import PHOTO_NAMES

    name = session.backend.name
    backend = name if name in PHOTO_NAMES else "auto"
    seed = session.config.seed
    config = ViewerConfig(backend=backend, seed=seed, port=port, open=open)
    app = App(config, session=session)
    if not block:
        return app
    serve(app, open=open)
    return None


def run(config: ViewerConfig | None = None) -> None:
    """Start the viewer and serve until interrupted. Raises ViewerError and the errors of photos,
    backends and settings."""
    from viewer.server.app import run as serve
    from viewer.server.config import ViewerConfig

    serve(config or ViewerConfig())
