"""The network of CUT3R: one view at a time, its memory of the views before in a `State`.

A state is a value: keep it to go on from there later, drop it to forget. Stepping costs the same
whatever number of views came before. Written for inference: parameters need no gradients, there is
no dropout, and precision is that of the weights, without autocast.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vmem.geometry.cut3r.blocks import DecoderBlock, EncoderBlock, LayerNorm, typed
from vmem.geometry.cut3r.config import Cut3rConfig, Cut3rError, NotFiniteStateError
from vmem.geometry.cut3r.decoder import decoder_blocks, decoder_turns, head_levels
from vmem.geometry.cut3r.encoder import (
    Features,
    PatchEmbed,
    check_images,
    encoder_blocks,
    encoder_norm,
)
from vmem.geometry.cut3r.heads import Decoded, Heads, Prediction
from vmem.geometry.cut3r.pose_memory import PoseRetriever
from vmem.geometry.cut3r.rope import image_places, rotation


@dataclass(frozen=True, eq=False)
class State:
    """All that the network remembers of B runs; its tensors are never changed."""

    tokens: Float[Tensor, "B state_size width"]
    """Of decoder width, in the dtype of the decoders."""
    memory: Float[Tensor, "B slots wide"]
    """The memory of poses, twice as wide, in the same dtype."""
    views: int = 0
    """Number of views that each run has taken in."""

    def to(self, device: torch.device | str) -> State:
        """A copy on another device: stored states need no room on the GPU."""
        return State(self.tokens.to(device), self.memory.to(device), self.views)

    @property
    def nbytes(self) -> int:
        """Bytes of its tensors."""
        return self.tokens.nbytes + self.memory.nbytes


class Cut3r(nn.Module):
    """The network of the released checkpoint, name by name: its state dict loads strictly.

    ``rounded_rope`` rounds queries and keys of the encoder to float16, as the published code does;
    without it they keep their precision. The ray encoder and the mask tokens are there to be
    loaded: with images given, nothing depends on them.
    """

    def __init__(self, config: Cut3rConfig | None = None, *, rounded_rope: bool = False) -> None:
        super().__init__()
        self.config = c = config or Cut3rConfig()
        self.rounded_rope = rounded_rope
        wide, width = c.enc_embed_dim, c.dec_embed_dim
        self.pose_token = nn.Parameter(0.02 * torch.randn(1, 1, width))
        self.masked_img_token = nn.Parameter(0.02 * torch.randn(1, wide))
        self.masked_ray_map_token = nn.Parameter(0.02 * torch.randn(1, wide))
        self.patch_embed = PatchEmbed(3, wide)
        self.patch_embed_ray_map = PatchEmbed(6, wide)
        self.enc_blocks = encoder_blocks(c, c.enc_depth)
        self.enc_norm = encoder_norm(c)
        self.decoder_embed = nn.Linear(wide, width)
        self.dec_blocks = decoder_blocks(c, c.dec_num_heads)
        self.dec_norm = LayerNorm(width)
        self.enc_blocks_ray_map = encoder_blocks(c, c.ray_enc_depth)
        self.enc_norm_ray_map = encoder_norm(c)
        self.pose_retriever = PoseRetriever(c)
        self.register_tokens = nn.Embedding(c.state_size, wide)
        self.decoder_embed_state = nn.Linear(wide, width)
        self.dec_blocks_state = decoder_blocks(c, c.state_dec_num_heads)
        self.dec_norm_state = LayerNorm(width)
        self.downstream_head = Heads(c)
        self.requires_grad_(False)
        self.eval()

    @torch.no_grad()
    def encode(self, images: Tensor) -> Features:
        """Tokens of N views (N, 3, H, W) in [-1, 1], each by itself; H, W multiples of 16.

        Raises Cut3rError for another shape, and for values that are not numbers in [-1, 1].
        """
        check_images(images)
        c, weight = self.config, self.patch_embed.proj.weight
        x = self.patch_embed(images.to(weight))
        features = Features(x, (images.shape[2], images.shape[3]))
        places = image_places(*features.grid, weight.device)
        channels = c.enc_embed_dim // c.enc_num_heads
        turn = rotation(places, channels, c.rope_base, self.rounded_rope)
        for block in typed(self.enc_blocks, EncoderBlock):
            x = block(x, turn)
        return Features(self.enc_norm(x), features.hw)

    @torch.no_grad()
    def start(self, batch: int = 1) -> State:
        """The state before the first view of ``batch`` runs, the same whatever that will be."""
        tokens = self.decoder_embed_state(self.register_tokens.weight)
        memory = self.pose_retriever.mem
        return State(tokens.expand(batch, -1, -1), memory.expand(batch, -1, -1))

    @torch.no_grad()
    def step(
        self, state: State, features: Features, wanted: Collection[str] | None = None
    ) -> tuple[State, Prediction]:
        """The state after one more view in each of B runs, and what the network says of that view.

        ``features``: B views of one size, on the network's device. ``wanted``: the outputs to
        compute, of `heads.OUTPUTS`, None for all; the new state does not depend on it. Raises
        Cut3rError for a state or features of another network, and NotFiniteStateError for those
        that would give a state of NaN.
        """
        self._check(state, features)
        self.downstream_head.outputs(wanted)
        after, decoded = self._advance(state, features)
        if not all(bool(torch.isfinite(t).all()) for t in (after.tokens, after.memory)):
            raise NotFiniteStateError(
                f"view {state.views}: the state would hold NaN or infinite numbers. If the network "
                "runs in float16, use bfloat16 or float32; otherwise the checkpoint may be damaged."
            )
        return after, self.downstream_head(decoded, wanted)

    def _advance(self, state: State, features: Features) -> tuple[State, Decoded]:
        c, tokens = self.config, features.tokens
        summary = tokens.mean(1, keepdim=True)
        if state.views:
            pose = self.pose_retriever.inquire(summary, state.memory)
        else:
            pose = self.pose_token.expand(len(tokens), -1, -1)
        s, x = state.tokens, torch.cat((pose, self.decoder_embed(tokens)), 1)
        turn_x = decoder_turns(c, c.dec_num_heads, features.grid, x.device)
        turn_s = decoder_turns(c, c.state_dec_num_heads, features.grid, x.device)
        at, kept = head_levels(c.dec_depth), {}
        pairs = zip(
            typed(self.dec_blocks_state, DecoderBlock),
            typed(self.dec_blocks, DecoderBlock),
            strict=True,
        )
        for level, (of_state, of_view) in enumerate(pairs, start=1):
            s, x = (
                of_state(s, x, turn_s.state, turn_s.view),
                of_view(x, s, turn_x.view, turn_x.state),
            )
            if level in at:
                kept[level] = x[:, 1:]
        s, x = self.dec_norm_state(s), self.dec_norm(x)
        pose, last = x[:, :1], x[:, 1:]
        memory = self.pose_retriever.write(summary, pose, state.memory)
        levels = (tokens, kept[at[0]], kept[at[1]], last)
        return State(s, memory, state.views + 1), Decoded(levels, pose, features.grid)

    def _check(self, state: State, features: Features) -> None:
        c, (h, w) = self.config, features.grid
        batch, weight = len(features), self.decoder_embed.weight
        for what, tensor, shape in (
            ("features", features.tokens, (batch, h * w, c.enc_embed_dim)),
            ("state.tokens", state.tokens, (batch, c.state_size, c.dec_embed_dim)),
            ("state.memory", state.memory, (batch, c.local_mem_size, 2 * c.dec_embed_dim)),
        ):
            if tensor.shape != shape or tensor.dtype != weight.dtype:
                raise Cut3rError(
                    f"{what}: got {tuple(tensor.shape)} {tensor.dtype}, expected {shape} "
                    f"{weight.dtype}; a state goes on with views encoded by the same network, as "
                    "many at a time as it has runs"
                )
