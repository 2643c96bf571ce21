"""The memory of poses: every view writes to its slots, and asks them for its own pose first."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vmem.geometry.cut3r.blocks import DecoderBlock, typed
from vmem.geometry.cut3r.config import Cut3rConfig

BLOCKS = 2


class PoseRetriever(nn.Module):
    """Slots hold a summary of a view beside its pose token; blocks without places read and write.

    A summary is the mean over a view's encoder tokens.
    """

    def __init__(self, config: Cut3rConfig) -> None:
        super().__init__()
        width = config.dec_embed_dim
        self.masked_token = nn.Parameter(0.02 * torch.randn(1, 1, width))
        self.mem = nn.Parameter(0.02 * torch.randn(1, config.local_mem_size, 2 * width))
        self.proj_q = nn.Linear(config.enc_embed_dim, width)

        def blocks() -> nn.ModuleList:
            sizes = 2 * width, config.dec_num_heads, config.mlp_ratio
            return nn.ModuleList(DecoderBlock(*sizes) for _ in range(BLOCKS))

        self.write_blocks = blocks()
        self.read_blocks = blocks()

    def inquire(
        self, summary: Float[Tensor, "B 1 encoder"], memory: Float[Tensor, "B slots wide"]
    ) -> Float[Tensor, "B 1 channels"]:
        """The pose token to try for a view; the memory is twice as wide as it."""
        asked = self.proj_q(summary)
        asked = torch.cat((asked, self.masked_token.expand_as(asked)), -1)
        for block in typed(self.read_blocks, DecoderBlock):
            asked = block(asked, memory)
        return asked.chunk(2, -1)[1]

    def write(
        self,
        summary: Float[Tensor, "B 1 encoder"],
        pose_token: Float[Tensor, "B 1 channels"],
        memory: Float[Tensor, "B slots 2*channels"],
    ) -> Float[Tensor, "B slots 2*channels"]:
        """The memory after a view whose pose token has been decoded."""
        entry = torch.cat((self.proj_q(summary), pose_token), -1)
        for block in typed(self.write_blocks, DecoderBlock):
            memory = block(memory, entry)
        return memory
