"""The program as it started before issue 13: all kernels, then the page. For comparison only."""

from __future__ import annotations

import tyro

from viewer.server.app import App, serve
from viewer.server.config import ViewerConfig, check
from viewer.server.warmup import warm_up
from vmem.backends import resolve

if __name__ == "__main__":
    config = tyro.cli(ViewerConfig)
    source = check(config)
    warm_up(resolve(config.backend)[0])
    serve(App(config, source), open=False)
