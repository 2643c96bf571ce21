"""What a step costs by preset of the sampler: counted arithmetic, and seconds that follow from it.

Nothing is computed: operations of the released sizes are counted on torch's meta device, and
divided by what a card is said to reach. No second here has been measured.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, cast
from unittest.mock import patch

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks._metrics import Metric, Row, measured
from vmem.generation.diffusion.codecs.weights import empty_clip, empty_vae
from vmem.generation.diffusion.network.operations import count_operations
from vmem.generation.diffusion.network.unet import UNetConfig
from vmem.generation.diffusion.sampling.presets import PRESETS, SamplerPreset
from vmem.generation.diffusion.sampling.shortcuts import Evaluation
from vmem.geometry.cut3r.config import Cut3rConfig
from vmem.geometry.cut3r.network import Cut3r

TARGETS = 4
"""Frames that a step makes, in a sequence of eight."""
SIDE = 576
PEAK = {"rtx_4090": 165.0, "h100_sxm": 989.0}
"""TFLOP/s of dense float16 products summed in float32, by the makers' sheets."""
REACHED = 0.45
"""Share of the peak that is assumed to be reached."""

METRICS = (
    Metric("costs.evaluation.*", "TFLOP", tolerance=0.01),
    Metric("costs.frame.*", "TFLOP", tolerance=0.01),
    Metric("costs.*.network", "TFLOP", tolerance=0.01),
    Metric("costs.*.step", "TFLOP", tolerance=0.01),
    Metric("costs.*.*.s_per_frame", "s"),
)


def run() -> Iterator[Row]:
    """TFLOP of each kind of evaluation, of what is done once a frame, and of a step by preset."""
    for kind in (Evaluation(s, d) for s in (2, 1) for d in (False, True)):
        yield measured(f"costs.evaluation.{name_of(kind)}", evaluation(kind))
    parts = {name: count() for name, count in ONCE_A_FRAME.items()}
    for name, tflop in parts.items():
        yield measured(f"costs.frame.{name}", tflop)
    for name, preset in PRESETS.items():
        network = sampling(preset)
        step = network + TARGETS * sum(parts.values())
        yield measured(f"costs.{name}.network", network)
        yield measured(f"costs.{name}.step", step)
        for card, seconds in seconds_a_frame(step).items():
            yield measured(f"costs.{name}.{card}.s_per_frame", seconds, remark="arithmetic")


def name_of(kind: Evaluation) -> str:
    """An evaluation, for people: one side of guidance or both, shallow or whole."""
    return f"{'both' if kind.sides == 2 else 'one'}_{'shallow' if kind.shallow else 'whole'}"


@cache
def evaluation(kind: Evaluation, outer: int = 1) -> float:
    """TFLOP of one evaluation of the released network."""
    counted = count_operations(
        UNetConfig(),
        sequences=kind.sides,
        num_frames=UNetConfig().num_frames,
        hw=(SIDE // 8, SIDE // 8),
        outer=outer if kind.shallow else None,
    )
    return counted.total / 1e12


def sampling(preset: SamplerPreset) -> float:
    """TFLOP of all evaluations of a step."""
    kinds = Counter(preset.shortcuts.plan(preset.sigmas()))
    outer = preset.shortcuts.outer
    return sum(times * evaluation(kind, outer) for kind, times in kinds.items())


def seconds_a_frame(step: float) -> Mapping[str, float]:
    """By card: a step's TFLOP at the assumed share of its peak, divided by the frames it makes."""
    return {card: step / (peak * REACHED) / TARGETS for card, peak in PEAK.items()}


def _decoded() -> float:
    # Any: diffusers and transformers type neither `to` nor tensors of other kinds as torch does.
    vae: Any = cast(Any, empty_vae()).to("meta")
    return _counted(lambda: vae.decode(torch.empty(1, 4, SIDE // 8, SIDE // 8, device="meta")))


def _embedded() -> float:
    tower: Any = cast(Any, empty_clip()).to("meta")
    return _counted(lambda: tower(pixel_values=torch.empty(1, 3, 224, 224, device="meta")))


def _placed() -> float:
    with torch.device("meta"):
        net = Cut3r(Cut3rConfig())
        images = torch.empty(1, 3, 512, 512)

        def look() -> None:
            # Values on the meta device cannot be checked, as `encode` and `step` would.
            with patch("vmem.geometry.cut3r.network.check_images"):
                features = net.encode(images)
            _, decoded = net._advance(net.start(), features)
            net.downstream_head(decoded, ("own", "world"))

        return _counted(look)


@torch.no_grad()
def _counted(call: Callable[[], object]) -> float:
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops() / 1e12


ONCE_A_FRAME: Mapping[str, Callable[[], float]] = {
    "vae_decode": _decoded,
    "clip": _embedded,
    "cut3r": _placed,
}
"""TFLOP of one frame, besides the sampling; context views come with their codes."""
