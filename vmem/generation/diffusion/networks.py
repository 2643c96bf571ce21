"""The networks of the released model, loaded once in a process and lent to one job at a time."""

from __future__ import annotations

import json
import logging
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from vmem.devices.devices import memory_preset, move, pick_device, placed
from vmem.devices.memory_presets import MemoryPreset
from vmem.devices.precision import name_of, pick_dtype
from vmem.devices.recovery import free_unused
from vmem.devices.settings import NetworkSettings
from vmem.devices.shared import SharedModel, stamp
from vmem.generation.diffusion.availability import REQUIRED, network_config
from vmem.generation.diffusion.codecs.codecs import ImageCodec, ImageEmbedder
from vmem.generation.diffusion.codecs.previews import LatentPreview, TinyPreview, linear_preview
from vmem.generation.diffusion.codecs.view_code import ViewCode
from vmem.generation.diffusion.codecs.weights import CLIP_CONFIG, VAE_CONFIG
from vmem.generation.diffusion.network.unet import MultiviewUNet, UNetConfig
from vmem.progress import CancelToken, OnProgress, Progress
from vmem.weights import (
    PARTS,
    CheckpointError,
    Files,
    as_safetensors,
    fetch_part,
    find_part,
    load_strict,
    read_state,
    without_module,
)
from vmem.weights.catalogue import TAESD

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Networks:
    """The loaded networks. Use them within `placed`: some memory presets keep them on the CPU."""

    unet: MultiviewUNet
    codec: ImageCodec
    """The VAE."""
    embedder: ImageEmbedder
    """The CLIP image tower."""
    preview: LatentPreview
    """Shows latents while they are sampled."""
    device: torch.device
    """Where they compute."""
    memory: MemoryPreset
    """What stays there between uses."""
    dtype: str = "auto"
    """The precision that was asked for; "auto" allows a wider one after an overflow."""
    compiled: bool = False
    """``unet`` is to be compiled by torch.compile, once for each size that it gets."""
    shapes: dict[tuple[int, ...], int] = field(default_factory=dict)
    """How many steps ``unet`` has made of each shape (N, channels, h, w)."""
    codes: dict[bytes, ViewCode] = field(default_factory=dict)
    """Codes of pictures that they have encoded, by what `picture_key` makes of them."""

    @property
    def line(self) -> str:
        """Device, precision and memory preset, for people."""
        kind = name_of(self.unet.dtype)
        return f"{self.device}, {kind}, memory preset {self.memory.name}: {self.memory.label}"


SHARED = SharedModel["Networks"](free_unused)
"""The networks that all walks of this process share, one set a device."""


@contextmanager
def use_networks(
    settings: NetworkSettings, on_progress: OnProgress, cancel: CancelToken
) -> Iterator[Networks]:
    """The device's shared networks for the block alone, loaded first where need be.

    Networks of other files or of another precision are unloaded; another memory preset only
    changes where they wait. Raises CheckpointError, DeviceError, NotEnoughMemoryError, Cancelled
    (also while waiting for another walk).
    """
    device = pick_device(settings.device)

    def key() -> Hashable:
        files = (stamp(find_part(PARTS[name])) for name in REQUIRED)
        return settings.dtype, settings.compile, *files

    def load() -> Networks:
        return load_networks(settings, on_progress, cancel)

    with SHARED.use(device, key, load, on_progress, cancel) as networks:
        yield _arranged(networks, memory_preset(settings, device))


def _arranged(networks: Networks, memory: MemoryPreset) -> Networks:
    """The same networks, waiting where ``memory`` has them wait."""
    codec, cpu = networks.codec, torch.device("cpu")
    move(networks.unet, networks.device if memory.network_stays else cpu, networks.device)
    for part in (codec.vae, networks.embedder.tower):
        move(part, networks.device if memory.codecs_stay else cpu, networks.device)
    codec.chunk = memory.decode
    return networks if memory is networks.memory else replace(networks, memory=memory)


def load_networks(
    settings: NetworkSettings, on_progress: OnProgress, cancel: CancelToken
) -> Networks:
    """Find or fetch the released files and load them, with progress in stage "weights".

    Raises CheckpointError, WrongWeightsError, DeviceError, NotEnoughMemoryError, Cancelled.
    """
    device = pick_device(settings.device)
    dtype, memory = pick_dtype(device, settings.dtype), memory_preset(settings, device)

    def downloading(progress: Progress) -> None:
        on_progress(Progress("weights", progress.done, progress.total))

    files = {
        name: fetch_part(PARTS[name], on_progress=downloading, cancel=cancel) for name in REQUIRED
    }
    sizes = {name: paths[0].stat().st_size for name, paths in files.items()}
    total, before = sum(sizes.values()), 0
    shares = {}
    for name, size in sizes.items():
        shares[name] = _share(on_progress, before, size, total)
        before += size

    on_progress(Progress("weights", 0, total))
    home = device if memory.network_stays else torch.device("cpu")
    unet = _unet(files["vmem"], home, dtype, shares["vmem"], cancel)
    cancel.check()
    home = device if memory.codecs_stay else torch.device("cpu")
    options: dict[str, Any] = {"device": home, "dtype": dtype}
    state, config = _read(files["vae"], VAE_CONFIG, shares["vae"], cancel)
    codec = ImageCodec.from_state(state, config, chunk=memory.decode, **options)
    on_progress(Progress("weights", sizes["vmem"] + sizes["vae"], total))
    cancel.check()
    state, config = _read(files["clip"], CLIP_CONFIG, shares["clip"], cancel)
    embedder = ImageEmbedder.from_state(state, config, **options)
    _check_width(unet.config, embedder)
    # They compute where they are put while in use, not where they wait.
    codec.device = embedder.device = device
    codec.widens = embedder.widens = settings.dtype == "auto"
    if device.type == "cuda":
        # Named by keyword: torch types no such overload for modules of unknown class.
        layout: Any = {"memory_format": torch.channels_last}
        unet.to(**layout)
        codec.vae.to(**layout)
    if settings.compile:
        unet.compile(dynamic=False)
    with placed(codec.vae, device):
        preview = _preview(codec, device, dtype)
    on_progress(Progress("weights", total, total))
    networks = Networks(
        unet, codec, embedder, preview, device, memory, settings.dtype, settings.compile
    )
    log.info("released model on %s", networks.line)
    return networks


def _unet(
    files: Files,
    home: torch.device,
    dtype: torch.dtype,
    on_progress: OnProgress,
    cancel: CancelToken,
) -> MultiviewUNet:
    values = network_config(files)
    with torch.device("meta"):
        unet = MultiviewUNet(UNetConfig.from_dict(values))
    first, second = _halves(on_progress)
    path = as_safetensors(files[0], without_module, on_progress=first, cancel=cancel)
    state, _ = read_state(path)
    load_strict(
        unet,
        state,
        what="the VMem network",
        dtype=dtype,
        device=home,
        on_progress=second,
        cancel=cancel,
    )
    return unet


def _read(files: Files, default: Any, on_progress: OnProgress, cancel: CancelToken) -> Any:
    """State and configuration of a part that comes with its config.json, or of known sizes."""
    path = as_safetensors(files[0], on_progress=on_progress, cancel=cancel)
    state, _ = read_state(path)
    return state, read_config(files[1]) if len(files) > 1 else default


def read_config(path: Path) -> dict[str, Any]:
    """A config.json. Raises CheckpointError for anything else."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot read {path} ({error})", "get it again") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{path} holds no configuration", "get it again")
    return values


def _check_width(config: UNetConfig, embedder: ImageEmbedder) -> None:
    if embedder.dim != config.context_dim:
        raise CheckpointError(
            f"the CLIP tower makes embeddings of {embedder.dim} numbers, the network reads "
            f"{config.context_dim}",
            "use the weights of laion/CLIP-ViT-H-14-laion2B-s32B-b79K (VMEM_CLIP)",
        )


def _preview(codec: ImageCodec, device: torch.device, dtype: torch.dtype) -> LatentPreview:
    files = find_part(TAESD)
    if files is None:
        return linear_preview(codec)
    state, _ = read_state(files[0])
    config = read_config(files[1]) if len(files) > 1 else None
    return TinyPreview.from_state(state, config, device=device, dtype=dtype)


def _share(on_progress: OnProgress, before: int, size: int, total: int) -> OnProgress:
    """A listener that turns one part's progress into that of all."""

    def show(progress: Progress) -> None:
        done = size * progress.done // max(progress.total, 1)
        on_progress(Progress("weights", before + done, total))

    return show


def _halves(on_progress: OnProgress) -> tuple[OnProgress, OnProgress]:
    """Listeners for the first and the second half of one job."""

    def first(progress: Progress) -> None:
        on_progress(Progress(progress.stage, progress.done, 2 * progress.total))

    def second(progress: Progress) -> None:
        done = progress.total + progress.done
        on_progress(Progress(progress.stage, done, 2 * progress.total))

    return first, second
