"""Section "speed": a guided evaluation of the network under every setting that could matter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch.nn.attention import sdpa_kernel

from vmem.cli.measure.bench import Bench, flag
from vmem.cli.measure.machine import BACKENDS
from vmem.cli.measure.precision import noisy, sequence
from vmem.cli.measure.record import Plain, Row
from vmem.devices.devices import placed
from vmem.generation.diffusion.network.operations import count_operations
from vmem.generation.diffusion.networks import Networks, use_networks
from vmem.generation.diffusion.sampling.guidance import GuidedDenoiser, guidance_scale
from vmem.progress import CancelToken, silent

LEVEL = 600
"""A middle noise level of 1000."""


def speed(bench: Bench) -> Iterator[Row]:
    """Milliseconds and arithmetic a second of one guided evaluation: as the program does it, in
    other memory layouts, with cuDNN's search for algorithms, in two passes, and by attention
    kernel. The precision is the default one."""
    bench.forget()
    with (
        use_networks(bench.settings(), silent, CancelToken()) as networks,
        placed(networks.unet, networks.device),
        torch.no_grad(),
    ):
        cost = _Cost(bench, networks)
        yield cost.row("as it is")
        yield cost.row("guidance the other way", batched=not networks.memory.batched)
        searching = flag(torch.backends.cudnn, "benchmark", True)
        yield cost.row("cudnn.benchmark", searching)
        for name, backend in (BACKENDS if bench.on_cuda else {}).items():
            yield cost.row(f"attention by {name} alone", sdpa_kernel(backend))
        for name, layout in LAYOUTS.items():
            _lay_out(networks, layout)
            yield cost.row(f"memory layout {name}")
    bench.forget()


LAYOUTS = {"plane by plane": torch.contiguous_format, "channels last": torch.channels_last}


def _lay_out(networks: Networks, layout: torch.memory_format) -> None:
    # Named by keyword: torch types no such overload.
    options: Any = {"memory_format": layout}
    networks.unet.to(**options)


class _Cost:
    """Rows of one evaluation."""

    def __init__(self, bench: Bench, networks: Networks) -> None:
        self._bench, self._networks = bench, networks
        side = bench.size // networks.codec.factor
        self._made = sequence(networks, side)
        self._scale = guidance_scale(self._made)
        counted = count_operations(
            networks.unet.config, sequences=2, num_frames=len(self._scale), hw=(side, side)
        )
        self._tera = counted.total / 1e12

    def row(
        self,
        name: str,
        within: AbstractContextManager[object] | None = None,
        batched: bool | None = None,
    ) -> Row:
        """A row of the evaluation within a setting, in one pass or two."""
        bench, networks = self._bench, self._networks
        passes = networks.memory.batched if batched is None else batched

        def measured() -> dict[str, Plain]:
            denoise = GuidedDenoiser(networks.unet, self._made, self._scale, batched=passes)
            given = noisy(networks, self._made, LEVEL)
            bench.peaks()
            with within or nullcontext():
                spent = bench.milliseconds(lambda: denoise(*given), rounds=5)
            peak = bench.peaks()["peak GiB"]
            return {
                "passes": 1 if passes else 2,
                "ms": spent,
                "TFLOP": self._tera,
                "TFLOP/s": 1e3 * self._tera / spent,
                "peak GiB": peak,
            }

        return bench.attempt(name, measured)
