"""Depth Anything V2 Small through transformers: a frame in, relative inverse depth out.

Loaded once in a process and shared by all walks; it keeps no state. The preprocessing is that of
the released preprocessor_config.json, written here because transformers' own needs torchvision.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float32, UInt8
from torch import Tensor
from torch.nn.functional import interpolate

from vmem.devices.devices import DeviceError, pick_device
from vmem.devices.recovery import free_unused
from vmem.devices.shared import SharedModel, stamp
from vmem.progress import CancelToken, OnProgress, Progress
from vmem.weights import (
    PARTS,
    CheckpointError,
    Files,
    fetch_part,
    find_part,
    load_strict,
    read_state,
)

log = logging.getLogger(__name__)

SIDE = 518
"""Pixels of the side to which frames are resized: 37 patches, as in training."""
PATCH = 14
"""Pixels along a side of a patch."""
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""Of the training images, red, green, blue in 0..1."""


@dataclass(frozen=True, eq=False)
class DepthNetwork:
    """A loaded network, in float32: it is small, and far things have small inverse depth."""

    net: Any
    """transformers' module."""
    device: torch.device

    def __call__(self, rgb: UInt8[np.ndarray, "H W 3"]) -> Float32[np.ndarray, "h w"]:
        """Inverse depth of a frame, up to a scale and a shift, at the network's own size and as it
        comes, possibly not finite."""
        with torch.inference_mode():
            said = self.net(pixel_values=prepare(rgb).to(self.device)).predicted_depth[0]
            return said.float().cpu().numpy()


def input_size(hw: tuple[int, int]) -> tuple[int, int]:
    """(h, w) that a frame of ``hw`` is resized to: by the factor that brings one side to SIDE and
    changes least, then each side to the nearest multiple of PATCH."""
    by_height, by_width = SIDE / hw[0], SIDE / hw[1]
    factor = by_width if abs(1 - by_width) < abs(1 - by_height) else by_height
    h, w = (max(PATCH, round(factor * side / PATCH) * PATCH) for side in hw)
    return h, w


def prepare(rgb: UInt8[np.ndarray, "H W 3"]) -> Float32[Tensor, "1 3 h w"]:
    """The network's input for a frame."""
    image = rearrange(torch.from_numpy(np.ascontiguousarray(rgb)), "h w c -> 1 c h w").float()
    size = input_size((rgb.shape[0], rgb.shape[1]))
    image = interpolate(image, size, mode="bicubic", align_corners=False, antialias=True)
    image = image.clamp(0, 255) / 255
    return (image - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


SHARED = SharedModel["DepthNetwork"](free_unused)
"""The network that all walks of this process share, one a device."""


def pick_place(device: str) -> torch.device:
    """The device that a setting means; "auto" may be the CPU. Raises DeviceError."""
    try:
        return pick_device(device)
    except DeviceError:
        if device != "auto":
            raise
        return torch.device("cpu")


def shared_network(device: str, on_progress: OnProgress, cancel: CancelToken) -> DepthNetwork:
    """The network on the device a setting means ("auto": a GPU, else the CPU), loaded if need be.

    Several walks may use it at once. Raises CheckpointError, DeviceError, Cancelled (also while
    another walk loads it).
    """
    place = pick_place(device)

    def key() -> Hashable:
        return stamp(find_part(PARTS["depth-anything"]))

    def load() -> DepthNetwork:
        return load_network(place, on_progress, cancel)

    with SHARED.use(place, key, load, on_progress, cancel) as network:
        return network


def load_network(place: torch.device, on_progress: OnProgress, cancel: CancelToken) -> DepthNetwork:
    """Find or fetch the released files and load them, with progress in stage "weights".

    Raises CheckpointError, Cancelled.
    """

    def loading(progress: Progress) -> None:
        on_progress(Progress("weights", progress.done, progress.total))

    files = fetch_part(PARTS["depth-anything"], on_progress=loading, cancel=cancel)
    net = empty_network(files)
    names = net.state_dict().keys()
    state, _ = read_state(files[0])
    renamed = {todays_name(name, names): tensor for name, tensor in state.items()}
    load_strict(
        net, renamed, what="Depth Anything", device=place, on_progress=loading, cancel=cancel
    )
    log.info("Depth Anything V2 on %s", place)
    return DepthNetwork(net.eval().requires_grad_(False), place)


def empty_network(files: Files) -> Any:
    """The network of the config.json beside the weights, on the meta device.

    Raises CheckpointError: without a configuration, for another network's, and for those of metric
    depth, which mean the opposite by the same output.
    """
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation

    path = files[0].with_name("config.json")
    again = "get config.json of depth-anything/Depth-Anything-V2-Small-hf and put it there"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict) or values.get("model_type") != "depth_anything":
            raise ValueError("it is not Depth Anything's")
        if "metric" in (values.get("depth_estimation_type"), values.get("depth_estimation")):
            raise ValueError("it is that of a network of metric depth, not of inverse depth")
        config = DepthAnythingConfig.from_dict(values)
        with torch.device("meta"):
            return DepthAnythingForDepthEstimation(config)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"cannot use {path} ({error})", again) from error


_RENAMED = (
    ("attention.attention.query", "attention.q_proj"),
    ("attention.attention.key", "attention.k_proj"),
    ("attention.attention.value", "attention.v_proj"),
    ("attention.output.dense", "attention.o_proj"),
)


def todays_name(name: str, names: Collection[str]) -> str:
    """What the module with parameters ``names`` calls the tensor that the released file calls
    ``name``: transformers 5 has renamed the attention's."""
    if name in names:
        return name
    for old, new in _RENAMED:
        name = name.replace(f".{old}.", f".{new}.")
    return name
