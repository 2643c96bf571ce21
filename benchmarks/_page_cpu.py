"""CPU of a browser that this process has started, whatever else runs on the machine."""

from __future__ import annotations

import os
from pathlib import Path


def browser_seconds() -> float:
    """CPU seconds that all processes of the browsers below this process have taken so far."""
    children: dict[int, list[int]] = {}
    ticks: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            named, _, rest = (folder / "stat").read_text().rpartition(")")
        except OSError:  # it has just ended
            continue
        fields = rest.split()
        process = int(folder.name)
        children.setdefault(int(fields[1]), []).append(process)
        if "chrom" in named or "headless" in named:
            ticks[process] = int(fields[11]) + int(fields[12])
    todo, spent = [os.getpid()], 0
    while todo:
        process = todo.pop()
        spent += ticks.get(process, 0)
        todo += children.get(process, [])
    return spent / os.sysconf("SC_CLK_TCK")
