"""Walk into a photo: ``python run_viewer.py [PHOTO]`` and use the keyboard in the browser."""

from __future__ import annotations

import sys

import tyro

from viewer.server.app import ViewerConfig, run
from vmem.errors import VMemError


def main() -> int:
    """Run the viewer until interrupted; 1 with one clear line on stderr if it cannot start."""
    config = tyro.cli(ViewerConfig, prog="run_viewer.py")
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
