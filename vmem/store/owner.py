"""Who writes a walk's file: a row with a heartbeat, and how a dead writer's row is known."""

from __future__ import annotations

import os
import secrets
import socket
import sqlite3
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from vmem.store.values import WalkHeld

BEAT = 10.0
"""Seconds between two heartbeats."""
SILENCE = 30.0
"""Seconds after which a writer on another machine, which did not beat, is taken for dead."""

SELECT = "SELECT token, host, machine, process, started, file, beat FROM owner"
"""The query for an Owner's values."""

_living: set[str] = set()
"""Tokens of the files that this process writes."""


@dataclass(frozen=True)
class Owner:
    """One opening of a file for writing."""

    token: str
    """Random: no other opening has it."""
    host: str
    """Name of the machine, for people."""
    machine: str
    """Identity of the machine's start and process table, within which process numbers mean
    something; "" where it is not known."""
    process: int
    """Process number."""
    started: str
    """When the process started, as the system counts; "" where it is not known."""
    file: str
    """Identity of the file, which a copy of it does not have."""
    beat: float = field(default_factory=time.time)
    """Unix seconds of the last sign of life."""

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}"

    def holds(self, path: Path) -> bool:
        """Whether it may still write that file, as far as it can be known here."""
        if self.file != _identity(path):
            return False
        if self.machine == _machine() != "" and sys.platform != "win32":
            if self.process == os.getpid() and self.started == _started(self.process):
                return self.token in _living
            return _runs(self.process) and self.started == _started(self.process)
        return abs(time.time() - self.beat) < SILENCE


def this_process(path: Path) -> Owner:
    """A new owner of that file: this process, with a token of its own."""
    process = os.getpid()
    return Owner(
        secrets.token_hex(16),
        socket.gethostname(),
        _machine(),
        process,
        _started(process),
        _identity(path),
    )


def owner_of(connection: sqlite3.Connection) -> Owner | None:
    """Who is written down as the file's writer, dead or alive."""
    row = connection.execute(SELECT).fetchone()
    return None if row is None else Owner(*row)


def check_free(owner: Owner | None, path: Path) -> None:
    """WalkHeld if ``owner`` holds the file."""
    if owner is not None and owner.holds(path):
        raise WalkHeld(
            f"{path} is being written by {owner}: close it there, or open it to look only"
        )


def claim(connection: sqlite3.Connection, owner: Owner, path: Path) -> None:
    """Write ``owner`` down, in the transaction that is open; WalkHeld if another is alive."""
    check_free(owner_of(connection), path)
    connection.execute("DELETE FROM owner")
    connection.execute(
        "INSERT INTO owner (id, token, host, machine, process, started, file, beat) "
        "VALUES (1, :token, :host, :machine, :process, :started, :file, :beat)",
        vars(owner),
    )
    _living.add(owner.token)


def beat(connection: sqlite3.Connection, owner: Owner, path: Path) -> None:
    """Beat, in the transaction that is open; WalkHeld if another took the file over."""
    beaten = connection.execute(
        "UPDATE owner SET beat = ? WHERE token = ?", (time.time(), owner.token)
    )
    if beaten.rowcount != 1:
        other = owner_of(connection)
        raise WalkHeld(
            f"{path} was taken over by {other or 'another process'} because this one was silent "
            "for long: open it again"
        )


def release(connection: sqlite3.Connection, owner: Owner) -> None:
    """Cross ``owner`` out, in the transaction that is open."""
    connection.execute("DELETE FROM owner WHERE token = ?", (owner.token,))


def forget(owner: Owner) -> None:
    """This process does not write as ``owner`` any more, whatever the file says."""
    _living.discard(owner.token)


def _identity(path: Path) -> str:
    return str(path.stat().st_ino)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # somebody else's
    return True


def _started(process: int) -> str:
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return ""
    state, *rest = stat.rpartition(")")[2].split()
    return "ended" if state in "ZX" else rest[18]


def _machine() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return socket.gethostname() if sys.platform != "win32" else ""
