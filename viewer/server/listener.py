"""Which process listens on a port of this machine, for people whose port is taken."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

LISTENING = "0A"
"""State of a listening socket in Linux's tables."""


def listener(port: int, proc: Path = Path("/proc")) -> str:
    """Name and number of the process that listens on a TCP port, such as "python (process 812)".

    "" where it cannot be known: not on Linux, or a process of another user's.
    """
    sockets = {f"socket:[{inode}]" for inode in _inodes(port, proc)}
    if not sockets:
        return ""
    for process in proc.glob("[0-9]*"):
        try:
            if any(os.readlink(open_file) in sockets for open_file in (process / "fd").iterdir()):
                return f"{(process / 'comm').read_text().strip()} (process {process.name})"
        except OSError:  # it has ended, or is somebody else's
            continue
    return ""


def _inodes(port: int, proc: Path) -> Iterator[str]:
    """Inodes of the sockets that listen on a port."""
    for table in ("net/tcp", "net/tcp6"):
        try:
            rows = (proc / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            _, local, _, state, *others = row.split()
            if state == LISTENING and int(local.rpartition(":")[2], 16) == port:
                yield others[5]
