"""Networks of full size with parameters drawn by the recipe in a manifest, in a child process.

Their memory is given back when the child ends.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from tests.golden.normal_numbers import draw

if TYPE_CHECKING:
    import torch

    Network = TypeVar("Network", bound=torch.nn.Module)


def memory() -> int:
    """Bytes of the machine; without limit where it cannot be asked."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError):
        return sys.maxsize


def fill(name: str, out: np.ndarray, base_seed: int) -> None:
    """Write a parameter's values."""
    seed = (zlib.crc32(name.encode()) ^ base_seed) & 0xFFFFFFFF
    scale = 0.1 if out.ndim < 2 else math.prod(out.shape[1:]) ** -0.5
    shift = out.ndim < 2 and name.endswith("weight")
    draw(seed, out.reshape(-1), np.float32(scale), np.float32(shift))


def built(make: Callable[[], Network], base_seed: int) -> Network:
    """A network with every parameter drawn; one known under two names is drawn by its first."""
    import torch

    with torch.device("meta"):
        net = make()
    net = net.to_empty(device="cpu")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done in [
            pool.submit(fill, name, parameter.numpy(), base_seed)
            for name, parameter in net.named_parameters()
        ]:
            done.result()
    return net


def in_a_child(script: str, manifest: Path) -> Any:
    """What a script prints as JSON when it is given a manifest; its own failure fails the test."""
    here = Path(__file__).parent
    paths = [str(here.parents[1]), str(here), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, script, str(manifest)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
