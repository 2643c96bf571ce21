"""The weights to measure with: the released ones where they are here, else random ones."""

from __future__ import annotations

import os
from collections.abc import Iterator

from vmem.cli.measure import random_networks
from vmem.cli.measure.bench import Bench
from vmem.cli.measure.record import Row
from vmem.generation.diffusion.availability import REQUIRED
from vmem.weights import PARTS, find_part


def weights(bench: Bench) -> Iterator[Row]:
    """Write what is missing and set the variables that name it (VMEM_UNET, ...), for this process.

    The parts that make frames are all random or all released. Raises VMemError for a disk without
    room, CheckpointError where a variable names no weights.
    """
    released = not bench.tiny and all(find_part(PARTS[name]) for name in REQUIRED)
    parts = random_networks.networks(tiny=bench.tiny)
    if released:
        with_cut3r = find_part(PARTS["cut3r"]) is not None
        parts = {} if with_cut3r else {"cut3r": parts["cut3r"]}
    else:
        # A network with keys to rename is converted into it.
        os.environ["VMEM_CACHE"] = str(bench.folder / "cache")
    random_networks.check_room(parts, bench.folder)
    for name in (*REQUIRED, "cut3r"):
        if name not in parts:
            yield Row(name, {"weights": "released", "GB": None})
            continue
        bench.limit.check()
        path = random_networks.write(parts[name], bench.folder / name, bench.device)
        os.environ[PARTS[name].variable] = str(path)
        yield Row(name, {"weights": "random", "GB": path.stat().st_size / 1e9})
