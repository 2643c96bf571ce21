"""The command line: ``python -m vmem walk | weights | doctor``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import tyro

from vmem.cli.doctor import Doctor
from vmem.cli.terminate import terminate_as_interrupt
from vmem.cli.walk import Walk
from vmem.cli.weights import Weights
from vmem.errors import VMemError

Command = (
    Annotated[Walk, tyro.conf.subcommand("walk")]
    | Annotated[Weights, tyro.conf.subcommand("weights")]
    | Annotated[Doctor, tyro.conf.subcommand("doctor")]
)


def main() -> int:
    """Run one command; 0, or 1 with one clear line on stderr."""
    installed = Path(sys.argv[0]).stem == "vmem"
    prog = "vmem" if installed else "python -m vmem"
    command = tyro.cli(Command, prog=prog, description=__doc__)
    terminate_as_interrupt()
    try:
        code = command.run()
    except VMemError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as interrupt:
        print(f"stopped: {str(interrupt) or 'nothing was written'}", file=sys.stderr)
        return 130
    return code or 0


if __name__ == "__main__":
    sys.exit(main())
