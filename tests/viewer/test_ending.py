"""How signals end a program: the first in good order, the second at once."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="other signals")

PROGRAM = """
import time
from viewer.server import ending
ending.PATIENCE = {patience}
try:
    with ending.ended_by_signals(exits={exits}):
        try:
            print("serving", flush=True)
            while True:
                time.sleep(60)
        finally:
            print("closing", flush=True)
            time.sleep({closing})
except KeyboardInterrupt:
    print("closed", flush=True)
"""


def ended(number: int, *, times: int, closing: float, patience: float, exits: bool = True) -> tuple:
    """Exit status, lines said and seconds taken of a program that gets a signal so many times."""
    code = PROGRAM.format(patience=patience, closing=closing, exits=exits)
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", code],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    lines = [process.stdout.readline()]
    began = time.monotonic()
    for _ in range(times):
        process.send_signal(number)
        lines.append(process.stdout.readline())
    lines += process.stdout.readlines()
    status = process.wait(20)
    return status, [line.strip() for line in lines if line], time.monotonic() - began


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_closes(number: int) -> None:
    status, said, _ = ended(number, times=1, closing=0.0, patience=30.0)
    assert (status, said) == (0, ["serving", "closing", "closed"])


def test_a_second_signal_ends_at_once() -> None:
    status, said, took = ended(signal.SIGTERM, times=2, closing=15.0, patience=30.0)
    assert (status, said) == (-signal.SIGTERM, ["serving", "closing"])
    assert took < 10


def test_what_does_not_close_in_time_is_left() -> None:
    status, said, took = ended(signal.SIGINT, times=1, closing=15.0, patience=0.1)
    assert (status, said) == (0, ["serving", "closing"])
    assert took < 10


def test_a_script_is_not_ended_under_its_feet() -> None:
    status, said, _ = ended(signal.SIGINT, times=1, closing=0.4, patience=0.1, exits=False)
    assert (status, said) == (0, ["serving", "closing", "closed"])
