"""The released CUT3R, loaded once in a process and used by one job at a time."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from vmem.devices.devices import ROOM, memory_preset, move, pick_device, placed
from vmem.devices.memory_presets import NotEnoughMemoryError
from vmem.devices.precision import name_of, pick_geometry_dtype
from vmem.devices.recovery import free_unused
from vmem.devices.settings import NetworkSettings
from vmem.devices.shared import SharedModel, stamp
from vmem.geometry.cut3r.config import Cut3rConfig, Cut3rError
from vmem.geometry.cut3r.network import Cut3r
from vmem.progress import CancelToken, OnProgress, Progress
from vmem.weights import (
    PARTS,
    CheckpointError,
    as_safetensors,
    fetch_part,
    find_part,
    load_strict,
    read_state,
)

log = logging.getLogger(__name__)

CONFIG = "args.model"
"""Key of the text in the released file that states the network's sizes; the conversion to
safetensors keeps it."""


@dataclass(frozen=True, eq=False)
class Network:
    """A loaded network."""

    net: Cut3r
    device: torch.device
    """Where it is to be used; within `borrowed` it is there."""
    stamp: tuple[Any, ...] = ()
    """Differs between networks that cannot continue from one another's states."""


SHARED = SharedModel["Network"](free_unused)
"""The network that all walks of this process share, one a device."""
ROOM.when_tighter.append(SHARED.unload_idle)


@contextmanager
def borrowed(
    settings: NetworkSettings, on_progress: OnProgress, cancel: CancelToken
) -> Iterator[Network]:
    """The network on its device for the block alone, loaded first where it is not.

    Only with the roomiest memory preset of ``settings`` it stays on a GPU between blocks. Raises
    CheckpointError, DeviceError, Cancelled (also while waiting).
    """
    device = pick_device(settings.device)

    def key() -> Hashable:
        return settings.dtype, stamp(find_part(PARTS["cut3r"]))

    def load() -> Network:
        return load_network(settings, on_progress, cancel)

    with SHARED.use(device, key, load, on_progress, cancel) as network:
        move(network.net, _home(settings, device), device)
        with placed(network.net, device):
            yield network


def load_network(
    settings: NetworkSettings, on_progress: OnProgress, cancel: CancelToken
) -> Network:
    """Find or fetch the released file and load it, with progress in stage "weights".

    It computes in float32 (`pick_geometry_dtype`); where half precision is asked for, its heads
    stay in float32: points of bfloat16 would be off by half a percent. Raises as `borrowed` does.
    """
    device = pick_device(settings.device)
    dtype = pick_geometry_dtype(device, settings.dtype)

    def loading(progress: Progress) -> None:
        on_progress(Progress("weights", progress.done, progress.total))

    files = fetch_part(PARTS["cut3r"], on_progress=loading, cancel=cancel)
    path = as_safetensors(files[0], on_progress=loading, cancel=cancel)
    state, meta = read_state(path)
    if CONFIG not in meta:
        raise CheckpointError(
            f"{files[0]} does not say what sizes its network has (no {CONFIG})",
            "it is another network's file or a copy without its settings; "
            "`python -m vmem weights status` shows which files belong where",
        )
    try:
        config = with_head_sizes(Cut3rConfig.from_text(meta[CONFIG]), state)
    except Cut3rError as error:
        raise CheckpointError(f"{files[0]}: {error}", "get the released file") from error
    with torch.device("meta"):
        net = Cut3r(config)
    home = _home(settings, device)
    load_strict(net, state, what="CUT3R", on_progress=loading, cancel=cancel)
    in_precision(net, dtype).to(home)
    log.info("CUT3R on %s, %s", device, name_of(dtype))
    return Network(net, device, (*stamp(files), str(dtype)))


def in_precision(net: Cut3r, dtype: torch.dtype) -> Cut3r:
    """The network itself, in a precision; its heads stay in float32."""
    for name, child in net.named_children():
        child.to(torch.float32 if name == "downstream_head" else dtype)
    for parameter in net.parameters(recurse=False):
        parameter.data = parameter.data.to(dtype)
    return net


def _home(settings: NetworkSettings, device: torch.device) -> torch.device:
    """Where the network waits between uses: on the device if that has room for it beside the
    generator. A GPU too small for the generator may still do for this network alone."""
    try:
        stays = memory_preset(settings, device).everything_stays
    except NotEnoughMemoryError:
        stays = False
    return device if stays else torch.device("cpu")


def with_head_sizes(config: Cut3rConfig, state: Mapping[str, Tensor]) -> Cut3rConfig:
    """``config`` with the channels of the dense heads, which the text does not state, as the state
    has them; as they are where it has no such heads."""
    heads = "downstream_head.dpt_self."
    names = [f"{heads}act_postprocess.{i}.0.weight" for i in range(4)]
    first, last = f"{heads}head.0.weight", f"{heads}head.2.weight"
    if not all(name in state and state[name].ndim == 4 for name in (*names, first, last)):
        return config
    return replace(
        config,
        dpt_layer_dims=tuple(state[name].shape[0] for name in names),
        dpt_feature_dim=state[first].shape[1],
        dpt_last_dim=state[last].shape[0],
    )
