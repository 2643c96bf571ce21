"""Walk into a photo: ``python run_viewer.py [PHOTO]`` and use the keyboard in the browser."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from vmem.errors import VMemError


@dataclass(frozen=True)
class Arguments:
    """Walk into a photo, in the browser: W A S D to walk, ? for all keys.

    Without a GPU or weights the preview backend runs: depth warping and mirrored continuation.
    """

    photo: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="PHOTO")] = None
    """The photo to walk into; a sample if none is given."""
    backend: str = "auto"
    """What makes the frames: auto, preview, world (exact procedural scene) or vmem."""
    host: str = "127.0.0.1"
    """Address to serve on. Other machines can connect only if you name one of its interfaces,
    and then a token is required and printed."""
    port: int | None = None
    """Port to serve on; without it 8080 or the next free one."""
    seed: int = 0
    """Fixes everything that is invented: same photo, moves and seed, same frames."""
    size: int = 288
    """Side of the square frames in pixels: 288 to 384 is quick on a CPU, 576 is sharp."""
    open: bool = True
    """Open the page in a browser."""
    keep: float = 60.0
    """Seconds that a walk waits for its closed or reloaded browser before it is freed."""
    token: str | None = None
    """Secret that browsers must present in the URL; made up when --host is not this machine."""


def main() -> int:
    """Run the viewer until interrupted; 1 with one clear line on stderr if it cannot start."""
    arguments = tyro.cli(Arguments, prog="run_viewer.py")
    from viewer.app import ViewerConfig, run

    try:
        run(ViewerConfig(**vars(arguments)))
    except VMemError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
