"""Cost of the diffusion generator: operations, seconds a step and a frame, memory.

``tiny``: a network and an autoencoder of the released model's layout with about a tenth of its
channels, at 128 px in float32, on the CPU. ``full``: the released sizes at 576 px in bfloat16,
where there is CUDA. Weights are random. The two sides of a ``ratio_`` alternate within one run.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Any, cast

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from benchmarks._metrics import Metric, Row, measured
from benchmarks._plain_unet import PlainNetwork
from vmem.generation.diffusion.codecs.codecs import ImageCodec
from vmem.generation.diffusion.codecs.weights import VAE_CONFIG, settle
from vmem.generation.diffusion.conditioning import Conditioned, condition, default_K_normalized
from vmem.generation.diffusion.network.layers import CrossAttention
from vmem.generation.diffusion.network.operations import count_operations
from vmem.generation.diffusion.network.transformer import MultiviewTransformer
from vmem.generation.diffusion.network.unet import MultiviewUNet, Prepared, UNetConfig
from vmem.generation.diffusion.sampling.guidance import GuidedDenoiser, Network, guidance_scale
from vmem.generation.diffusion.sampling.presets import PRESETS, SamplerPreset
from vmem.generation.diffusion.sampling.sampler import noise_stream
from vmem.generation.diffusion.sampling.schedule import sigma_table
from vmem.generation.diffusion.sampling.shortcuts import EXACT, Shortcuts

FRAMES, CONTEXT = 8, 4
FULL_HW, TINY_HW = (72, 72), (16, 16)
TINY = UNetConfig(model_channels=32, num_head_channels=16, context_dim=32)
TINY_VAE: Mapping[str, Any] = {
    **VAE_CONFIG,
    "block_out_channels": (16, 32, 64, 64),
    "norm_num_groups": 8,
}
MIB = 2**20


@dataclass(frozen=True)
class Mode:
    """A trade of memory for time."""

    batched: bool
    """Both sides of guidance in one pass of the network, or in two."""
    decode: int
    """Frames that the autoencoder decodes at once."""


MODES = {"one_pass": Mode(True, CONTEXT), "two_passes": Mode(False, 1)}


@dataclass(frozen=True, eq=False)
class Subject:
    """A network, an autoencoder and a conditioned sequence of FRAMES on one device."""

    net: MultiviewUNet
    vae: AutoencoderKL
    conditioned: Conditioned
    scale: Tensor
    hw: tuple[int, int]
    device: torch.device

    @classmethod
    def random(
        cls,
        config: UNetConfig,
        vae: Mapping[str, Any],
        hw: tuple[int, int],
        device: str,
        dtype: torch.dtype,
    ) -> Subject:
        """With weights and latents drawn at random; channels last on a GPU only."""
        with torch.random.fork_rng(), torch.device(device):
            torch.manual_seed(0)
            net = _laid_out(MultiviewUNet(config).to(dtype), channels_last=device == "cuda")
            coder = settle(AutoencoderKL(**vae), device, dtype)
            latents = torch.randn(CONTEXT, 4, *hw)
            embeddings = torch.randn(CONTEXT, config.context_dim)
        c2w = np.tile(np.eye(4), (FRAMES, 1, 1))
        c2w[:, 2, 3] = 0.1 * np.arange(FRAMES)
        K = np.repeat(default_K_normalized(), FRAMES, 0)
        known = np.arange(FRAMES) < CONTEXT
        conditioned = condition(c2w, K, known, latents, embeddings, hw)
        scale = guidance_scale(conditioned)
        return cls(net, coder, conditioned, scale, hw, torch.device(device))

    def denoiser(
        self,
        network: Network | None = None,
        batched: bool = True,
        shortcuts: Shortcuts = EXACT,
    ) -> GuidedDenoiser:
        """Ours, or with another network of the same weights."""
        given = network or self.net, self.conditioned, self.scale
        return GuidedDenoiser(*given, batched=batched, shortcuts=shortcuts)

    def step(self, network: Network | None = None, batched: bool = True) -> Callable[[], object]:
        """One guided evaluation at a middle noise level."""
        denoise = self.denoiser(network, batched)
        x = noise_stream(0, (FRAMES, 4, *self.hw), self.device)()
        sigma = sigma_table()[600]
        return torch.no_grad()(lambda: denoise(x, sigma))

    def codec(self, mode: Mode) -> ImageCodec:
        """The autoencoder, that many frames at once."""
        dtype = next(self.vae.parameters()).dtype
        return ImageCodec(self.vae, device=self.device, dtype=dtype, chunk=mode.decode)

    def sample(self, preset: SamplerPreset, mode: Mode) -> Tensor:
        """Latents (FRAMES, 4, h, w), the conditioning prepared anew as for every generation."""
        draw = noise_stream(0, (FRAMES, 4, *self.hw), self.device)
        denoiser = self.denoiser(batched=mode.batched, shortcuts=preset.shortcuts)
        return preset.sample(denoiser, draw)

    def frames(self, preset: SamplerPreset, mode: Mode) -> Tensor:
        """Images of the targets, from noise."""
        z = self.sample(preset, mode)[~self.conditioned.is_context]
        return self.codec(mode).decode(z)

    @property
    def weights(self) -> int:
        """Bytes of network and autoencoder."""
        parts = [*self.net.parameters(), *self.vae.parameters()]
        return sum(part.numel() * part.element_size() for part in parts)


def _laid_out(net: MultiviewUNet, channels_last: bool) -> MultiviewUNet:
    layout = torch.channels_last if channels_last else torch.contiguous_format
    # Any: torch's overloads leave this argument alone out.
    return cast(Any, net).to(memory_format=layout)


METRICS = (
    Metric("diffusion.*.tflop_per_step", "TFLOP", tolerance=0.01),
    Metric("diffusion.*.tflop_per_step.*", "TFLOP", tolerance=0.01),
    Metric("diffusion.*.plain.tflop_per_step", "TFLOP", tolerance=0.01),
    Metric("diffusion.full.available", "yes/no", "higher"),
    Metric("diffusion.*.*.*.s_per_step", "s"),
    Metric("diffusion.*.*.*.s_per_frame", "s"),
    Metric("diffusion.*.*.ratio_balanced", "times", "higher", tolerance=0.2, optional=True),
    Metric("diffusion.*.weights_mb", "MiB"),
    Metric("diffusion.*.*.*.peak_mb", "MiB"),
    Metric("diffusion.*.plain.differs", "of std", tolerance=9.0, optional=True),
    Metric("diffusion.*.ratio_*", "times", "higher", tolerance=0.3, optional=True),
)


def run() -> Iterator[Row]:
    """Operations of a step, costs by memory mode and sampler preset, ratios; ``full`` needs CUDA.

    ``ratio_X`` says how many times faster we are than without X; ``ratio_reference``: a step than
    the network computed plainly, ``ratio_balanced``: a frame than with 50 Euler steps. Peak memory
    counts the weights of network and autoencoder, and on the CPU what torch allocates besides.
    """
    yield from _operations()
    tiny = Subject.random(TINY, TINY_VAE, TINY_HW, "cpu", torch.float32)
    cpu = f"{platform.machine()} CPU, {torch.get_num_threads()} threads"
    yield from _measured(tiny, "diffusion.tiny", cpu)
    if not torch.cuda.is_available():
        yield measured("diffusion.full.available", 0)
        return
    full = Subject.random(UNetConfig(), VAE_CONFIG, FULL_HW, "cuda", torch.bfloat16)
    yield from _measured(full, "diffusion.full", torch.cuda.get_device_name())


def _measured(subject: Subject, prefix: str, device: str) -> Iterator[Row]:
    parts = _costs(subject, prefix), _peaks(subject, prefix), _ratios(subject, prefix)
    for row in chain(*parts):
        yield {**row, "device": f"{device}, torch {torch.__version__}"}


# --- arithmetic ------------------------------------------------------------------------------


def _operations() -> Iterator[Row]:
    for name, config, hw in (("full", UNetConfig(), FULL_HW), ("tiny", TINY, TINY_HW)):
        step = count_operations(config, sequences=2, num_frames=FRAMES, hw=hw)
        for kind, count in (*vars(step).items(), ("all", step.total)):
            suffix = "" if kind == "all" else f".{kind}"
            yield measured(f"diffusion.{name}.tflop_per_step{suffix}", count / 1e12)
        plain = _plain_operations(config, hw)
        yield measured(f"diffusion.{name}.plain.tflop_per_step", plain / 1e12)


def _plain_operations(config: UNetConfig, hw: tuple[int, int]) -> int:
    rows = 2 * FRAMES
    with torch.device("meta"):
        given = torch.empty(rows, 1, config.context_dim), torch.empty(rows, 6, *hw), FRAMES
        x, t = torch.empty(rows, config.in_channels, *hw), torch.zeros(rows, dtype=torch.int64)
        net = PlainNetwork(MultiviewUNet(config))
        with FlopCounterMode(display=False) as counter:
            net(x, t, prepared=given)
    return counter.get_total_flops()


# --- time and memory -------------------------------------------------------------------------


def _costs(subject: Subject, prefix: str) -> Iterator[Row]:
    n_targets = FRAMES - CONTEXT
    for mode_name, mode in _modes(subject).items():
        sampling = {name: partial(subject.sample, preset, mode) for name, preset in PRESETS.items()}
        latents = subject.sample(PRESETS["fast"], mode)[~subject.conditioned.is_context]
        decode = partial(subject.codec(mode).decode, latents)
        decode()
        seconds = _alternating({**sampling, "decode": decode}, subject.device, rounds=3)
        middle = {name: float(np.median(times)) for name, times in seconds.items()}
        for name, preset in PRESETS.items():
            row = f"{prefix}.{mode_name}.{name}"
            a_frame = (middle[name] + middle["decode"]) / n_targets
            yield measured(f"{row}.s_per_step", middle[name] / preset.steps)
            yield measured(f"{row}.s_per_frame", a_frame)
        row = f"{prefix}.{mode_name}.decode"
        yield measured(f"{row}.s_per_frame", middle["decode"] / n_targets)
        whole = {
            name: [a + b for a, b in zip(seconds[name], seconds["decode"], strict=True)]
            for name in PRESETS
        }
        row = f"{prefix}.{mode_name}.ratio_balanced"
        yield _ratio(row, whole["reference"], whole["balanced"])


def _peaks(subject: Subject, prefix: str) -> Iterator[Row]:
    yield measured(f"{prefix}.weights_mb", subject.weights / MIB)
    latents = torch.zeros(FRAMES - CONTEXT, 4, *subject.hw)
    for mode_name, mode in MODES.items():
        calls: dict[str, Callable[[], object]] = {
            "step": subject.step(batched=mode.batched),
            "decode": partial(subject.codec(mode).decode, latents),
        }
        if mode_name in _modes(subject):
            for name, preset in PRESETS.items():
                calls[name] = partial(subject.frames, preset, mode)
        for name, call in calls.items():
            yield measured(f"{prefix}.{mode_name}.{name}.peak_mb", _peak(call, subject) / MIB)


def _modes(subject: Subject) -> dict[str, Mode]:
    """Those measured with every preset: on the CPU there is no other memory to save."""
    return MODES if subject.device.type == "cuda" else {"one_pass": MODES["one_pass"]}


def _ratios(subject: Subject, prefix: str) -> Iterator[Row]:
    on_gpu = subject.device.type == "cuda"
    other_layout = _laid_out(deepcopy(subject.net), channels_last=not on_gpu)
    # The published weights are laid out plane by plane.
    plain = PlainNetwork(other_layout if on_gpu else subject.net)
    x, sigma = noise_stream(0, (FRAMES, 4, *subject.hw), subject.device)(), sigma_table()[600]
    with torch.no_grad():
        a, b = (subject.denoiser(network).both(x, sigma)[1] for network in (plain, subject.net))
    yield measured(f"{prefix}.plain.differs", float((a - b).std() / b.std()))
    ours = subject.step()
    others = {
        "reference": subject.step(plain),
        "prepared": subject.step(Unprepared(subject.net)),
        "attn2": subject.step(GeneralCross(subject.net)),
        "channels_last": subject.step(other_layout),
        "batched": subject.step(batched=False),
    }
    for call in others.values():
        call()
    seconds = _alternating({**others, "ours": ours}, subject.device, rounds=15)
    for name in others:
        pair = seconds[name], seconds["ours"]
        if name == "channels_last" and not on_gpu:
            pair = pair[::-1]
        yield _ratio(f"{prefix}.ratio_{name}", *pair)


def _ratio(name: str, other: list[float], ours: list[float]) -> dict[str, object]:
    """Median over rounds of the time of the other by ours of the same round."""
    by_round = [a / b for a, b in zip(other, ours, strict=True)]
    low, high = np.quantile(by_round, (0.25, 0.75))
    row = measured(name, float(np.median(by_round)))
    return {**row, "quartiles": [round(float(low), 3), round(float(high), 3)]}


def _alternating(
    calls: Mapping[str, Callable[[], object]], device: torch.device, rounds: int
) -> dict[str, list[float]]:
    """Seconds of every call, one after the other in each of ``rounds``, each called before."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            _wait(device)
            start = time.perf_counter()
            call()
            _wait(device)
            seconds[name].append(time.perf_counter() - start)
    return seconds


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _peak(call: Callable[[], object], subject: Subject) -> int:
    """Most bytes held at once during ``call``, weights included."""
    if subject.device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        call()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated()
    # The allocator's own record: there is no public sum of it on the CPU.
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        call()
    results = cast(Any, recorded.profiler).kineto_results
    memory = [event for event in results.events() if event.name() == "[memory]"]
    memory.sort(key=lambda event: event.start_ns())
    held = np.cumsum([event.nbytes() for event in memory])
    return subject.weights + int(held.max(initial=0))


# --- ours, less one thing --------------------------------------------------------------------


class Unprepared:
    """Ours, preparing at every step."""

    def __init__(self, net: MultiviewUNet) -> None:
        self._net = net

    def prepare(
        self, crossattn: Tensor, dense: Tensor, hw: tuple[int, int], num_frames: int
    ) -> tuple[Tensor, Tensor, int]:
        """The arguments themselves."""
        return crossattn, dense, num_frames

    def __call__(self, x: Tensor, t: Tensor, *, prepared: tuple[Tensor, Tensor, int]) -> Tensor:
        """The network's estimate (B*N, 4, h, w) for x (B*N, 11, h, w) at levels t (B*N,)."""
        return self._net(x, t, *prepared)


class GeneralCross:
    """Ours, prepared, but every query really attends to the one token of context."""

    def __init__(self, net: MultiviewUNet) -> None:
        self._net = net

    def prepare(
        self, crossattn: Tensor, dense: Tensor, hw: tuple[int, int], num_frames: int
    ) -> Prepared:
        """Keys and values instead of what they come to."""
        context = crossattn.to(next(self._net.parameters()))

        def attended(attention: CrossAttention, of: Tensor) -> tuple[Tensor, Tensor]:
            return attention.heads(attention.to_k(of)), attention.heads(attention.to_v(of))

        crosses = []
        for module in self._net.modules():
            if not isinstance(module, MultiviewTransformer):
                continue
            first = context[::num_frames]
            own = first if module.joint else context
            blocks = zip(module.transformer_blocks, module.time_mix_blocks, strict=True)
            crosses.append(
                tuple(
                    (attended(spatial.attn2, own), attended(mixing.attn2, first))
                    for spatial, mixing in cast(Any, blocks)
                )
            )
        return replace(self._net.prepare(crossattn, dense, hw, num_frames), cross=tuple(crosses))

    def __call__(self, x: Tensor, t: Tensor, *, prepared: Prepared) -> Tensor:
        """The network's estimate (B*N, 4, h, w) for x (B*N, 11, h, w) at levels t (B*N,)."""
        return self._net(x, t, prepared=prepared)
