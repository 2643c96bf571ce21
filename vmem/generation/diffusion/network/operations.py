"""Multiplications and additions of the network, counted without computing them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from vmem.generation.diffusion.network.unet import MultiviewUNet, UNetConfig

_KINDS = {
    "convolution": "convolution",
    "addmm": "linear",
    "mm": "linear",
    "bmm": "attention",
    "baddbmm": "attention",
}


@dataclass(frozen=True)
class Operations:
    """Multiplications and additions of one forward pass, by kind of layer.

    Norms, activations and resizing are not counted: their time goes into moving data.
    """

    convolution: int
    """Of convolutions."""
    linear: int
    """Of linear layers, those of attention included."""
    attention: int
    """Of the two products of attention, queries with keys and weights with values."""

    @property
    def total(self) -> int:
        """All of them."""
        return self.convolution + self.linear + self.attention


def count_operations(
    config: UNetConfig,
    *,
    sequences: int,
    num_frames: int,
    hw: tuple[int, int],
    outer: int | None = None,
) -> Operations:
    """Operations of one evaluation of ``MultiviewUNet``, after ``prepare``.

    sequences: 2 under guidance, whose ray maps are shared, 1 where one side of it is left out. hw:
    size of the latents. outer: levels that a shallow evaluation computes, None for a whole one.
    Nothing is computed and no weights are held (meta device). Raises NetworkError where hw or outer
    do not fit.
    """
    batch = sequences * num_frames
    with torch.device("meta"):
        net = MultiviewUNet(config)
        prepared = net.prepare(
            torch.empty(batch, 1, config.context_dim),
            torch.empty(num_frames, config.dense_in_channels, *hw),
            hw,
            num_frames,
        )
        x = torch.empty(batch, config.in_channels, *hw)
        t = torch.zeros(batch, dtype=torch.int64)
        if outer is not None:
            prepared = prepared.keeping(outer)
            net(x, t, prepared=prepared)  # leaves the features that the next one takes
        with FlopCounterMode(display=False) as counter:
            net(x, t, prepared=prepared)
    counts: dict[str, int] = dict.fromkeys(("convolution", "linear", "attention"), 0)
    for operator, count in counter.get_flop_counts()["Global"].items():
        name = operator.__name__
        kind = "attention" if "attention" in name else _KINDS[name]
        counts[kind] += count
    return Operations(**counts)
