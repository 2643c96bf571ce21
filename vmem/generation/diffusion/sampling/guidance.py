"""Classifier-free guidance: from the network to an estimate of the clean latents.

With sigma the noise level and F the network, which was trained to predict the noise:

    seen = x where unknown, the clean latent where known
    D(x, sigma) = seen - sigma F(seen / sqrt(sigma^2 + 1), level of sigma)

and guidance of strength g moves from the estimate without the context's content through the one
with it: D = D_without + g (D_with - D_without). Source: SEVA, its discrete denoiser and multi-view
guidance (VMem specification, section 2).
"""

from __future__ import annotations

from typing import Any, Literal, Protocol

import numpy as np
import torch
from einops import repeat
from torch import Tensor

from vmem.arrays import F64
from vmem.cameras import rotation_angle
from vmem.generation.diffusion.conditioning import Conditioned, Conditioning
from vmem.generation.diffusion.sampling.schedule import quantise, sigma_table
from vmem.generation.diffusion.sampling.shortcuts import EXACT, Evaluation, Shortcuts

Guider = Literal["vanilla", "multiview", "multiview_temporal"]
"""vanilla: one strength for all. multiview: weaker for cameras close to a context camera.
multiview_temporal: besides, growing with the distance from the context in the sequence."""

CFG = 2.0
"""Strength of guidance for frames that the context does not show."""
CFG_MIN = 1.2
"""Strength for frames whose camera is close to a context camera."""
_CLOSE_ANGLE = np.deg2rad(10.0)
"""Largest rotation between close cameras, radians."""
_CLOSE_DISTANCE = 1e-5
"""Largest distance of close cameras, in the network's scaled world."""


class Network(Protocol):
    """The part of the multi-view UNet that sampling calls."""

    def prepare(
        self, crossattn: Tensor, dense: Tensor, hw: tuple[int, int], num_frames: int
    ) -> Any:
        """What is the same at all denoising steps, for B sequences of N = ``num_frames`` frames.

        crossattn: (B*N, 1, D). dense: (B*N, 6, h, w). hw: size of the latents.
        """
        ...

    def __call__(self, x: Tensor, t: Tensor, *, prepared: Any) -> Tensor:
        """(B*N, 4, h, w) in x's dtype, from x (B*N, 11, h, w) and levels t (B*N,) i64."""
        ...


def guidance_scale(
    conditioned: Conditioned,
    guider: Guider = "multiview",
    cfg: float = CFG,
    cfg_min: float = CFG_MIN,
) -> Tensor:
    """(N,) f32 strength of guidance per frame, on the conditioning's device.

    A frame is close to the context if some context camera is rotated by less than 10 degrees from
    it, some is within a distance of 1e-5 (in the network's world), and some has the same
    intrinsics: three conditions, met by one camera or by several, as published.
    """
    n = len(conditioned.c2ws)
    if guider == "vanilla":
        g = np.full(n, cfg)
    else:
        known = conditioned.is_context.cpu().numpy()
        g = np.full(n, cfg)
        if guider == "multiview_temporal":
            # Distance in the sequence to the nearest context frame, from 0 to 1: cfg_min to cfg.
            steps = np.abs(np.subtract.outer(np.arange(n), np.flatnonzero(known))).min(axis=1)
            g = steps / max(1, steps.max()) * (cfg - cfg_min) + cfg_min
        c2w = conditioned.c2ws.cpu().numpy().astype(np.float64)
        g[_close(c2w, conditioned.Ks.cpu().numpy(), known)] = cfg_min
    return torch.tensor(g, dtype=torch.float32, device=conditioned.c2ws.device)


def _close(c2w: F64, K: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(N,) bool: which of the cameras are close to the context, see `guidance_scale`."""
    R, t = c2w[:, :3, :3], c2w[:, :3, 3]
    angle = rotation_angle(R[:, None], R[None, known])
    distance = np.linalg.norm(t[:, None] - t[None, known], axis=-1)
    same_K = (K[:, None] == K[None, known]).all(axis=(2, 3))
    return (
        (angle.min(axis=1) < _CLOSE_ANGLE)
        & (distance.min(axis=1) < _CLOSE_DISTANCE)
        & same_K.any(axis=1)
    )


class GuidedDenoiser:
    """Estimates the clean latents of one sequence: ``denoise(x, sigma) -> D``, both (N, 4, h, w).

    conditioned: both sides of guidance. scale: (N,) strength per frame. batched: both sides in one
    pass of the network, or one after the other in half the memory. shortcuts: what evaluations
    leave out; it depends on those before, so that a denoiser serves one run. Everything outside the
    network is f32.
    """

    def __init__(
        self,
        network: Network,
        conditioned: Conditioned,
        scale: Tensor,
        *,
        batched: bool = True,
        shortcuts: Shortcuts = EXACT,
    ) -> None:
        self._network = network
        self._scale = scale[:, None, None, None]
        self._table = sigma_table()
        self._shortcuts = shortcuts
        self._made: list[Evaluation] = []
        sides = conditioned.uc, conditioned.c
        self._both = [self._prepared(p) for p in ([_joined(sides)] if batched else sides)]
        # For evaluations of that side alone; in two passes it is alone in any case.
        separate = batched and shortcuts.one_sided
        self._with_context = self._prepared(sides[1]) if separate else self._both[-1]

    def _prepared(self, part: Conditioning) -> tuple[Conditioning, Any]:
        n = len(self._scale)
        prepared = self._network.prepare(part.crossattn, part.dense, _hw(part), num_frames=n)
        if self._shortcuts.shallow:
            prepared = prepared.keeping(self._shortcuts.outer)
        return part, prepared

    def both(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Estimates (N, 4, h, w) f32 without and with the content of the context.

        x: (N, 4, h, w) f32 noisy latents. sigma: () f32 on the CPU, moved to the nearest level
        that the network was trained at. Known latents replace noisy ones in its input.
        """
        level = quantise(sigma, self._table)
        estimates = [self._estimate(x, level, *given) for given in self._both]
        without, with_context = torch.cat(estimates).chunk(2)
        return without, with_context

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        """The guided estimate (N, 4, h, w) f32 of the clean latents; arguments as in ``both``."""
        level = quantise(sigma, self._table)
        now = self._next(float(self._table[level]))
        if now.sides == 1:
            return self._estimate(x, level, *self._with_context)
        without, with_context = self.both(x, sigma)
        return without + self._scale * (with_context - without)

    def _estimate(self, x: Tensor, level: Tensor, part: Conditioning, prepared: Any) -> Tensor:
        """Of one side, or of both stacked (2N, 4, h, w), as ``part`` is."""
        s = self._table[level]
        # Noisy latents x = z + s e with z and e of unit variance: x / sqrt(s^2 + 1) has it too.
        c_in = 1 / torch.sqrt(s**2 + 1)
        clean, known = part.replace[:, :4], part.replace[:, 4:]
        noisy = repeat(x, "n c h w -> (sides n) c h w", sides=len(clean) // len(x))
        seen = noisy * (1 - known) + clean * known
        t = torch.full((len(seen),), int(level), device=x.device)
        given = torch.cat([seen * c_in, part.concat], dim=1)
        # The network predicts the noise e, so that z = x - s e.
        return self._network(given, t, prepared=prepared) * -s + seen

    def _next(self, sigma: float) -> Evaluation:
        """What to compute now. The network is left the features that it takes, and no others."""
        last = self._made[-1] if self._made else None
        now = self._shortcuts.evaluation(len(self._made), sigma, last.sides if last else 0)
        self._made.append(now)
        if self._shortcuts.shallow and not now.shallow:
            for _, prepared in (*self._both, self._with_context):
                prepared.deep.kept = None
        elif now.shallow and last and last.sides > now.sides:
            # The side with the context is the last N rows, of both together or of its own.
            kept = self._both[-1][1].deep.kept[-len(self._scale) :]
            self._with_context[1].deep.kept = kept
        return now


def _hw(part: Conditioning) -> tuple[int, int]:
    return part.dense.shape[-2], part.dense.shape[-1]


def _joined(sides: tuple[Conditioning, Conditioning]) -> Conditioning:
    names = ("crossattn", "replace", "concat", "dense")
    return Conditioning(*(torch.cat([getattr(side, name) for side in sides]) for name in names))
