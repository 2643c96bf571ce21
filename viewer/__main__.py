"""Walk into a photo: ``vmem-viewer [PHOTO]``, ``python -m viewer`` or ``python run_viewer.py``."""

from __future__ import annotations

import sys
from pathlib import Path

import tyro

from viewer.server.app import run
from viewer.server.config import ViewerConfig
from vmem.cli.terminate import terminate_as_interrupt
from vmem.errors import VMemError


def main() -> int:
    """Run the viewer until interrupted; 1 with one clear line on stderr if it cannot start."""
    name = Path(sys.argv[0]).name
    config = tyro.cli(ViewerConfig, prog="python -m viewer" if name == "__main__.py" else name)
    terminate_as_interrupt()
    try:
        run(config)
    except VMemError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
