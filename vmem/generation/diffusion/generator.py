"""The diffusion generator: one step of the released model, from retrieved views to frames.

Encode the views, condition the network on their cameras and the targets', sample the targets'
latents, decode them. Source: VMem, section 3.5 of the specification.
"""

from __future__ import annotations

import hashlib
import logging
import math
import time
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from vmem.arrays import U8
from vmem.cameras import Cameras
from vmem.devices.advice import memory_advice
from vmem.devices.devices import change_precision, pick_device, placed
from vmem.devices.precision import name_of, wider_dtype
from vmem.devices.recovery import with_advice
from vmem.devices.settings import SAMPLERS, NetworkSettings
from vmem.errors import VMemError
from vmem.generation.base import Context
from vmem.generation.diffusion.codecs.codecs import frames_from_images, images_from_frames
from vmem.generation.diffusion.codecs.view_code import ViewCode
from vmem.generation.diffusion.conditioning import (
    Conditioned,
    condition,
    fill_slots,
    network_cameras,
)
from vmem.generation.diffusion.network.unet import MultiviewUNet, Prepared
from vmem.generation.diffusion.networks import Networks, use_networks
from vmem.generation.diffusion.sampling.guidance import GuidedDenoiser, guidance_scale
from vmem.generation.diffusion.sampling.presets import preset
from vmem.generation.diffusion.sampling.sampler import noise_stream
from vmem.progress import CancelToken, OnProgress, Progress, silent
from vmem.types import Frames, View

log = logging.getLogger(__name__)

PREVIEW_SECONDS = 0.1
"""Shortest time between two pictures of the forming frames."""


class CompileError(VMemError, RuntimeError):
    """torch.compile does not work here."""


@dataclass(frozen=True)
class DiffusionGenerator:
    """Generator (see `vmem.generation.base`) by the released multi-view diffusion.

    A value: it can be pickled and used in another process. Networks load in the first step and are
    shared with all other generators of the process.
    """

    settings: NetworkSettings = field(default_factory=NetworkSettings)
    """How the networks run."""

    samplers: ClassVar[tuple[str, ...]] = SAMPLERS
    """Names that ``generate`` takes as its sampler."""

    def load(self, on_progress: OnProgress = silent, cancel: CancelToken | None = None) -> str:
        """Load the networks now rather than in the first step; one line on what runs where.

        Raises what `use_networks` raises.
        """

        def load() -> str:
            with use_networks(self.settings, on_progress, cancel or CancelToken()) as networks:
                return networks.line

        return with_advice(load, self._device, lambda device: self._advice(device, "weights"))

    def generate(
        self,
        context: Context,
        targets: Cameras,
        *,
        seed: int,
        on_progress: OnProgress = silent,
        cancel: CancelToken | None = None,
        sampler: str | None = None,
    ) -> Frames:
        """Frames (T, H, W, 3) u8 with a ViewCode each; H and W multiples of 64, views as large.

        sampler: one of ``samplers``, by default that of ``settings``.
        Noise comes from ``seed`` and the step's number. Stages of progress: "weights" if they are
        loaded, "encode", "denoise" (one unit an evaluation of the network, with frames at most ten
        times a second), "decode". ``cancel`` is polled at each of these units. Raises
        NetworkSettingsError for an unknown sampler, ConditioningError where context and targets
        need more slots than the network has, NotFiniteError, NotEnoughMemoryError (memory is
        freed), DeviceLostError, Cancelled, and what `use_networks` raises.
        """
        settings, token = self.settings, cancel or CancelToken()
        if sampler is not None:
            settings = replace(settings, preset=sampler)
        stage = "weights"

        def note_stage(progress: Progress) -> None:
            nonlocal stage
            stage = progress.stage
            on_progress(progress)

        def make() -> Frames:
            with use_networks(settings, note_stage, token) as networks:
                return frames_of(networks, settings, context, targets, seed, note_stage, token)

        try:
            return with_advice(make, self._device, lambda device: self._advice(device, stage))
        except Exception as error:
            if not _comes_from_compiler(error):
                raise
            raise CompileError(
                f"torch.compile failed ({type(error).__name__}): do without it, VMEM_COMPILE=0"
            ) from error

    def _device(self) -> torch.device:
        return pick_device(self.settings.device)

    def _advice(self, device: torch.device, stage: str) -> str:
        # The sampler and the number of views do not matter: the network works on all its slots.
        last = "smaller frames (VMEM_SIZE=448; the model was trained at 576)"
        return memory_advice(self.settings, device, f"in stage {stage!r}", last)


def frames_of(
    networks: Networks,
    settings: NetworkSettings,
    context: Context,
    targets: Cameras,
    seed: int,
    on_progress: OnProgress,
    cancel: CancelToken,
) -> Frames:
    """One step; arguments and errors as of `DiffusionGenerator.generate`."""
    codes: list[ViewCode] = []
    for done, view in enumerate(context.views):
        on_progress(Progress("encode", done, len(context.views)))
        cancel.check()
        codes.append(code_of(view, networks))
    made = conditioned(networks, settings, context, codes, targets)
    noise = step_seed(seed, context.step)
    latents = sample(networks, settings, made, len(targets), noise, on_progress, cancel)
    images, embeddings = decode(networks, latents, on_progress, cancel)
    made_codes = _codes(latents, embeddings)
    return Frames(
        frames_from_images(images), latents=tuple(code.to_arrays() for code in made_codes)
    )


KEPT_CODES = 32
"""Pictures whose codes are kept with the networks, the last used; 87 kB each at 576 pixels."""


def picture_key(rgb: U8) -> bytes:
    """What a picture is known by, whichever object or process holds it."""
    return hashlib.blake2b(repr(rgb.shape).encode() + rgb.tobytes(), digest_size=16).digest()


def code_of(view: View, networks: Networks) -> ViewCode:
    """Latent and embedding as the view was made with, else encoded from its picture, once."""
    own = ViewCode.from_arrays(view.latents)
    if own is not None:
        return own
    key = picture_key(view.rgb)
    code = networks.codes.pop(key, None) or encode(networks, view)
    networks.codes[key] = code  # as the last used
    for oldest in list(networks.codes)[:-KEPT_CODES]:
        del networks.codes[oldest]
    return code


def step_seed(seed: int, step: int) -> int:
    """The seed of a step's noise, from the session's seed and the step's number."""
    return int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0] >> 1)


def encode(networks: Networks, view: View) -> ViewCode:
    """Latent and embedding of a view's picture. Raises BadTensorError for odd sizes."""
    images = images_from_frames(view.rgb[None])
    with placed(networks.codec.vae, networks.device):
        latents = networks.codec.encode(images)
    with placed(networks.embedder.tower, networks.device):
        embeddings = networks.embedder.embed(images)
    return _codes(latents, embeddings)[0]


def conditioned(
    networks: Networks,
    settings: NetworkSettings,
    context: Context,
    codes: list[ViewCode],
    targets: Cameras,
) -> Conditioned:
    """The network's input of a step besides the noise, on its device. Raises ConditioningError."""
    cameras, known = fill_slots(
        Cameras.stack([view.camera.resized(targets.hw) for view in context.views]),
        targets,
        networks.unet.config.num_frames,
    )
    factor = networks.codec.factor
    return condition(
        *network_cameras(cameras),
        known,
        torch.from_numpy(np.stack([code.latent for code in codes])).to(networks.device),
        torch.from_numpy(np.stack([code.embedding for code in codes])).to(networks.device),
        (targets.hw[0] // factor, targets.hw[1] // factor),
        rule=settings.rule,
    )


def sample(
    networks: Networks,
    settings: NetworkSettings,
    made: Conditioned,
    n_targets: int,
    seed: int,
    on_progress: OnProgress,
    cancel: CancelToken,
) -> Tensor:
    """Latents (n_targets, 4, h, w) f32 on the network's device. Raises NotFiniteError, Cancelled.

    Where half precision overflows, the sampling goes on in a wider one (`wider_dtype`), and so do
    later steps. Networks that are to be compiled make their first step of a size without, so that
    it is seen soon; the second reports its first evaluation as stage "compile (once)".
    """
    sampler = preset(settings.preset)
    shape = tuple(made.c.replace.shape)
    h, w = shape[2:]
    fresh = (~made.is_context).nonzero()[:n_targets, 0]
    shown = -math.inf

    def hook(step: int, total: int, estimate: Tensor) -> None:
        nonlocal shown
        cancel.check()
        frames, now = None, time.monotonic()
        if now - shown >= PREVIEW_SECONDS or step == total:
            frames = networks.preview(estimate[fresh], (2 * h, 2 * w))
            shown = now
        on_progress(Progress("denoise", step, total, frames))

    before = networks.shapes.get(shape, 0)
    compiles = networks.compiled and before == 1
    network = Uncompiled(networks.unet) if networks.compiled and not before else networks.unet

    networks.unet.attend_with(settings.attention)

    def guided() -> GuidedDenoiser:
        return GuidedDenoiser(
            network,
            made,
            guidance_scale(made, settings.guider, settings.cfg, settings.cfg_min),
            batched=networks.memory.batched,
            shortcuts=sampler.shortcuts,
        )

    first = Progress("compile (once)", 0, 1) if compiles else Progress("denoise", 0, sampler.steps)
    on_progress(first)
    with placed(networks.unet, networks.device):
        denoiser = guided()

        def denoise(x: Tensor, sigma: Tensor) -> Tensor:
            nonlocal denoiser
            cancel.check()
            estimate = denoiser(x, sigma)
            while not torch.isfinite(estimate).all() and _widen(networks):
                denoiser = guided()
                estimate = denoiser(x, sigma)
            return estimate

        draw = noise_stream(seed, (shape[0], 4, h, w), networks.device)
        latents = sampler.sample(denoise, draw, hook)[fresh]
    networks.shapes[shape] = before + 1
    return latents


@dataclass(frozen=True)
class Uncompiled:
    """A network that is compiled when it is called, called without that."""

    network: MultiviewUNet

    def prepare(
        self, crossattn: Tensor, dense: Tensor, hw: tuple[int, int], num_frames: int
    ) -> Prepared:
        """What stays the same over a step's evaluations; see `MultiviewUNet.prepare`."""
        return self.network.prepare(crossattn, dense, hw, num_frames)

    def __call__(self, x: Tensor, t: Tensor, *, prepared: Prepared) -> Tensor:
        """(B*N, 4, h, w), the network's estimate; see `MultiviewUNet.forward`."""
        return self.network.forward(x, t, prepared=prepared)


def _widen(networks: Networks) -> bool:
    """Let the network compute in a wider precision from now on; False where there is none, or where
    another was asked for. Within `placed`."""
    now = networks.unet.dtype
    wider = wider_dtype(networks.device, now) if networks.dtype == "auto" else None
    if wider is None:
        return False
    log.warning("numbers overflow %s: from now on in %s", name_of(now), name_of(wider))
    change_precision(networks.unet, wider)
    return True


def decode(
    networks: Networks, latents: Tensor, on_progress: OnProgress, cancel: CancelToken
) -> tuple[Tensor, Tensor]:
    """Images (T, 3, H, W), not clamped, and their embeddings (T, D), f32 on the CPU.

    Raises NotFiniteError, Cancelled between chunks.
    """
    images: list[Tensor] = []
    on_progress(Progress("decode", 0, len(latents)))
    with placed(networks.codec.vae, networks.device):
        for part in latents.split(networks.memory.decode):
            cancel.check()
            images.append(networks.codec.decode(part))
            on_progress(Progress("decode", sum(map(len, images)), len(latents)))
    cancel.check()
    whole = torch.cat(images)
    with placed(networks.embedder.tower, networks.device):
        return whole, networks.embedder.embed(whole)


def _codes(latents: Tensor, embeddings: Tensor) -> tuple[ViewCode, ...]:
    """One code a frame, with arrays of its own: a view must not keep those of others in memory."""
    return tuple(
        ViewCode(np.array(latent, np.float32), np.array(embedding, np.float32))
        for latent, embedding in zip(
            latents.float().cpu().numpy(), embeddings.float().cpu().numpy(), strict=True
        )
    )


def _comes_from_compiler(error: Exception) -> bool:
    return type(error).__module__.startswith(("torch._dynamo", "torch._inductor"))
