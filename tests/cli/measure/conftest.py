"""Tiny random networks on the CPU, once for all tests of the sections."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import torch

from vmem.cli.measure.bench import Bench
from vmem.cli.measure.runner import Limit
from vmem.weights import PARTS


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> Iterator[Bench]:
    """A rehearsal, after its section "weights"."""
    from vmem.cli.measure.weights import weights

    folder = tmp_path_factory.mktemp("bench")
    made = Bench(torch.device("cpu"), True, folder, Limit(time.monotonic() + 600))
    with pytest.MonkeyPatch.context() as patched:
        for name in ("VMEM_CACHE", *(part.variable for part in PARTS.values())):
            patched.setenv(name, "unset before the section")
        list(weights(made))
        yield made
        made.forget()
