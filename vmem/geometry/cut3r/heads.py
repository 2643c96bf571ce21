"""The heads: decoded tokens of a view to points, confidence, pose and colours."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn
from torch.nn import functional

from vmem.geometry.cut3r.blocks import Mlp, ModulatedBlock, typed
from vmem.geometry.cut3r.config import Cut3rConfig, Cut3rError
from vmem.geometry.cut3r.dpt import DptHead
from vmem.geometry.cut3r.rope import image_places, rotation

OUTPUTS = frozenset(("own", "world", "pose", "rgb"))
TRANSFORMS = 2
RGB_MARGIN = 1e-6


@dataclass(frozen=True, eq=False)
class Decoded:
    """Tokens of one view for the heads."""

    levels: tuple[
        Float[Tensor, "B n encoder"],
        Float[Tensor, "B n channels"],
        Float[Tensor, "B n channels"],
        Float[Tensor, "B n channels"],
    ]
    """Of the encoder, then of three decoder levels, all without the pose token."""
    pose_token: Float[Tensor, "B 1 channels"]
    """Decoded."""
    grid: tuple[int, int]
    """Rows and columns of the n tokens."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """What the network predicts for B views, None for what was not asked for.

    Lengths are in a unit of the network's own, the same for all views of a run.
    """

    own_points: Float32[Tensor, "B H W 3"] | None = None
    """In the OpenCV axes of each view's own camera."""
    own_confidence: Float32[Tensor, "B H W"] | None = None
    """1 + exp(logit)."""
    world_points: Float32[Tensor, "B H W 3"] | None = None
    """In the frame of the first view of the run."""
    world_confidence: Float32[Tensor, "B H W"] | None = None
    """1 + exp(logit)."""
    pose: Float32[Tensor, "B 7"] | None = None
    """Camera to world: translation, then quaternion wxyz with w >= 0."""
    rgb: Float32[Tensor, "B H W 3"] | None = None
    """In (-1, 1)."""


class PoseHead(nn.Module):
    """Pose from the pose token."""

    def __init__(self, channels: int, ratio: float) -> None:
        super().__init__()
        self.mlp = Mlp(channels, int(channels * ratio), 7)

    def forward(self, token: Float[Tensor, "B 1 channels"]) -> Float32[Tensor, "B 7"]:
        """Translation and wxyz."""
        raw = self.mlp(token)[:, 0].float()
        turn = functional.normalize(raw[:, 3:], dim=-1)
        turn = torch.where(turn[:, :1] < 0, -turn, turn)
        return torch.cat((stretched(raw[:, :3]), turn), -1)


class Heads(nn.Module):
    """All heads under the names of the released checkpoint.

    They may have another dtype than the decoders, for example float32 beside bfloat16.
    """

    def __init__(self, config: Cut3rConfig) -> None:
        super().__init__()
        self.config = config
        self.dpt_self = DptHead(config, 4)
        sizes = config.dec_embed_dim, config.dec_num_heads, config.mlp_ratio
        self.final_transform = nn.ModuleList(ModulatedBlock(*sizes) for _ in range(TRANSFORMS))
        self.dpt_cross = DptHead(config, 4)
        self.dpt_rgb = DptHead(config, 3) if config.rgb_head else None
        self.pose_head = PoseHead(config.dec_embed_dim, config.mlp_ratio)

    def outputs(self, wanted: Collection[str] | None) -> frozenset[str]:
        """``wanted``, or all there are for None. Raises Cut3rError for what there is not."""
        known = OUTPUTS if self.dpt_rgb is not None else OUTPUTS - {"rgb"}
        asked = known if wanted is None else frozenset(wanted)
        if unknown := asked - known:
            raise Cut3rError(
                f"this network has no output {', '.join(sorted(unknown))}, only "
                f"{', '.join(sorted(known))}"
            )
        return asked

    def forward(self, decoded: Decoded, wanted: Collection[str] | None = None) -> Prediction:
        """The outputs in ``wanted``, of OUTPUTS; None for all there are. Raises Cut3rError."""
        asked = self.outputs(wanted)
        dtype, grid = self.pose_head.mlp.fc1.weight.dtype, decoded.grid
        levels = [level.to(dtype) for level in decoded.levels]
        token = decoded.pose_token.to(dtype)
        found: dict[str, Tensor] = {}
        if "own" in asked:
            raw = self.dpt_self(levels, grid)
            found["own_points"], found["own_confidence"] = self._points(raw)
        if "rgb" in asked and self.dpt_rgb is not None:
            found["rgb"] = _colours(self.dpt_rgb(levels, grid))
        if "pose" in asked:
            found["pose"] = self.pose_head(token)
        if "world" in asked:
            raw = self.dpt_cross([*levels[:3], self._to_world(levels[3], token, grid)], grid)
            found["world_points"], found["world_confidence"] = self._points(raw)
        return Prediction(**found)

    def _to_world(self, x: Tensor, token: Tensor, grid: tuple[int, int]) -> Tensor:
        c = self.config
        channels = c.dec_embed_dim // c.dec_num_heads
        turn = rotation(image_places(*grid, x.device), channels, c.rope_base)
        for block in typed(self.final_transform, ModulatedBlock):
            x = block(x, token, turn)
        return x

    def _points(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Points and confidence from (B, H, W, 4), in float32: they grow exponentially."""
        points, confidence = raw.float().split((3, 1), -1)
        low, high = self.config.conf_min, self.config.conf_max
        return stretched(points), low + confidence[..., 0].exp().clamp(max=high - low)


def stretched(x: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    """Vectors of length l -> the same direction with length expm1(l)."""
    length = x.norm(dim=-1, keepdim=True)
    return x / length.clamp(min=1e-8) * length.expm1()


def _colours(raw: Tensor) -> Tensor:
    inside = raw.float().sigmoid() * (1 - 2 * RGB_MARGIN) + RGB_MARGIN
    return 2 * inside - 1
