"""The diffusion generator: one step of the released model, from retrieved views to frames.

Encode the views, condition the network on their cameras and the targets', sample the targets'
latents, decode them. Source: VMem, section 3.5 of the specification.
"""

from __future__ import annotations

import math
import threading
import time
import weakref
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from vmem.cameras import Cameras
from vmem.devices.devices import free_unused, is_out_of_memory, pick_device, placed
from vmem.devices.memory_presets import HOST, PRESETS, NotEnoughMemoryError
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
from vmem.generation.diffusion.networks import Networks, use_networks
from vmem.generation.diffusion.sampling.guidance import GuidedDenoiser, guidance_scale
from vmem.generation.diffusion.sampling.presets import preset
from vmem.generation.diffusion.sampling.sampler import noise_stream
from vmem.progress import CancelToken, OnProgress, Progress, silent
from vmem.types import Frames, View

PREVIEW_SECONDS = 0.1
"""Shortest time between two pictures of the forming frames."""


class CompileError(VMemError, RuntimeError):
    """torch.compile does not work here."""


class DiffusionGenerator:
    """Generator (see `vmem.generation.base`) by the released multi-view diffusion.

    Loads its networks in its first step and shares them with all others of the process. Stateless
    except for a cache of encoded photos.
    """

    samplers: tuple[str, ...] = SAMPLERS
    """Names that ``generate`` takes as its sampler."""

    def __init__(self, settings: NetworkSettings | None = None) -> None:
        self.settings = settings or NetworkSettings()
        self._codes: weakref.WeakKeyDictionary[View, ViewCode] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()

    def load(self, on_progress: OnProgress = silent, cancel: CancelToken | None = None) -> str:
        """Load the networks now rather than in the first step; one line on what runs where.

        Raises what `use_networks` raises.
        """
        with use_networks(self.settings, on_progress, cancel or CancelToken()) as networks:
            return networks.line

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
        freed), Cancelled, and what `use_networks` raises.
        """
        settings, cancel = self.settings, cancel or CancelToken()
        if sampler is not None:
            settings = replace(settings, preset=sampler)
        stage, used = "weights", None

        def note_stage(progress: Progress) -> None:
            nonlocal stage
            stage = progress.stage
            on_progress(progress)

        try:
            with use_networks(settings, note_stage, cancel) as networks:
                used = networks
                return self._frames(networks, settings, context, targets, seed, note_stage, cancel)
        except VMemError:
            raise
        except Exception as error:
            if _comes_from_compiler(error):
                raise CompileError(
                    f"torch.compile failed ({type(error).__name__}): do without it, VMEM_COMPILE=0"
                ) from error
            if not is_out_of_memory(error):
                raise
        # Outside the handler: its traceback references the tensors of the step.
        free_unused(used.device if used else pick_device(settings.device))
        raise NotEnoughMemoryError(_advice(stage, used))

    def _frames(
        self,
        networks: Networks,
        settings: NetworkSettings,
        context: Context,
        targets: Cameras,
        seed: int,
        on_progress: OnProgress,
        cancel: CancelToken,
    ) -> Frames:
        codes: list[ViewCode] = []
        for done, view in enumerate(context.views):
            on_progress(Progress("encode", done, len(context.views)))
            cancel.check()
            codes.append(self._code(view, networks))
        made = conditioned(networks, settings, context, codes, targets)
        noise = step_seed(seed, context.step)
        latents = sample(networks, settings, made, len(targets), noise, on_progress, cancel)
        images, embeddings = decode(networks, latents, on_progress, cancel)
        made_codes = _codes(latents, embeddings)
        return Frames(
            frames_from_images(images), latents=tuple(code.to_arrays() for code in made_codes)
        )

    def _code(self, view: View, networks: Networks) -> ViewCode:
        """Latent and embedding as the view was made with, else encoded from its picture, once."""
        own = ViewCode.from_arrays(view.latents)
        if own is not None:
            return own
        with self._lock:
            known = self._codes.get(view)
        if known is None or known.embedding.shape != (networks.embedder.dim,):
            known = encode(networks, view)
            with self._lock:
                self._codes[view] = known
        return known


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

    Compiled networks report their first evaluation of a size as stage "compile (first step)".
    """
    sampler = preset(settings.preset)
    shape = made.c.replace.shape
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

    with placed(networks.unet, networks.device):
        guided = GuidedDenoiser(
            networks.unet,
            made,
            guidance_scale(made, settings.guider, settings.cfg, settings.cfg_min),
            batched=networks.memory.batched,
        )

        def denoise(x: Tensor, sigma: Tensor) -> Tensor:
            cancel.check()
            estimate = guided(x, sigma)
            networks.warm.add(tuple(shape))
            return estimate

        if networks.compiled and tuple(shape) not in networks.warm:
            on_progress(Progress("compile (first step)", 0, 1))
        else:
            on_progress(Progress("denoise", 0, sampler.steps))
        draw = noise_stream(seed, (shape[0], 4, h, w), networks.device)
        return sampler.sample(denoise, draw, hook)[fresh]


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


def _advice(stage: str, networks: Networks | None) -> str:
    """What to change after memory ran out. Sampler and number of views do not matter: the network
    always works on all its slots."""
    if networks is not None and networks.memory is HOST:
        return (
            f"memory ran out in stage {stage!r}, nothing was stored: the model shares the "
            "computer's own memory here, so close other programs, or use --backend preview"
        )
    names = list(PRESETS)
    now = networks.memory.name if networks is not None else names[0]
    tighter = names[names.index(now) + 1 :]
    change = (
        f"a tighter memory preset ({' or '.join(f'VMEM_MEMORY={name}' for name in tighter)})"
        if tighter
        else "smaller frames (VMEM_SIZE=448; the model was trained at 576)"
    )
    return (
        f"the GPU ran out of memory in stage {stage!r}, nothing was stored and its memory is free "
        f"again: close other programs that use the GPU, or start with {change}. Another sampler or "
        "fewer context views would not help, the network always works on all its slots"
    )
