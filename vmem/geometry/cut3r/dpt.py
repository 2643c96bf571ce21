"""Dense prediction from tokens of four depths, coarse to fine (Ranftl et al. 2021, DPT)."""

from __future__ import annotations

from collections.abc import Sequence

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from vmem.geometry.cut3r.config import Cut3rConfig


def _conv3(channels: int, out_channels: int, bias: bool = True, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, out_channels, 3, stride=stride, padding=1, bias=bias)


def _twice(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)


class ResidualUnit(nn.Module):
    """Two convolutions around a residual."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = _conv3(channels, channels)
        self.conv2 = _conv3(channels, channels)

    def forward(self, x: Float[Tensor, "B channels h w"]) -> Float[Tensor, "B channels h w"]:
        """x and what was found in it."""
        return x + self.conv2(functional.relu(self.conv1(functional.relu(x))))


class Fusion(nn.Module):
    """Adds a finer level to what came from the coarser ones, and doubles the size."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.out_conv = nn.Conv2d(channels, channels, 1)
        self.resConfUnit1 = ResidualUnit(channels)
        self.resConfUnit2 = ResidualUnit(channels)

    def forward(
        self,
        x: Float[Tensor, "B channels h w"],
        finer: Float[Tensor, "B channels h w"] | None = None,
    ) -> Float[Tensor, "B channels 2*h 2*w"]:
        """Both in one, at twice the size."""
        if finer is not None:
            x = x + self.resConfUnit1(finer)
        # A 1 x 1 convolution commutes with interpolation and costs a quarter before it.
        return _twice(self.out_conv(self.resConfUnit2(x)))


class Scratch(nn.Module):
    """Four levels brought to one width, and their fusion."""

    def __init__(self, dims: Sequence[int], channels: int) -> None:
        super().__init__()
        self.layer1_rn, self.layer2_rn, self.layer3_rn, self.layer4_rn = (
            _conv3(dim, channels, bias=False) for dim in dims
        )
        # The released file has these weights under two names.
        self.layer_rn = nn.ModuleList(
            [self.layer1_rn, self.layer2_rn, self.layer3_rn, self.layer4_rn]
        )
        self.refinenet1 = Fusion(channels)
        self.refinenet2 = Fusion(channels)
        self.refinenet3 = Fusion(channels)
        self.refinenet4 = Fusion(channels)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Levels of 4, 2, 1 and 1/2 times (h, w), finest first -> (n, channels, 8h, 8w)."""
        a, b, c, d = (conv(level) for conv, level in zip(self.layer_rn, levels, strict=True))
        h, w = c.shape[2:]
        x = self.refinenet4(d)[:, :, :h, :w]  # one too many where h or w is odd
        return self.refinenet1(self.refinenet2(self.refinenet3(x, c), b), a)


class DptHead(nn.Module):
    """Tokens of the encoder and of three decoder levels to maps of the size of the image."""

    def __init__(self, config: Cut3rConfig, out_channels: int) -> None:
        super().__init__()
        enc, dec, dims = config.enc_embed_dim, config.dec_embed_dim, config.dpt_layer_dims
        width, last = config.dpt_feature_dim, config.dpt_last_dim
        self.scratch = Scratch(dims, width)
        self.head = nn.Sequential(
            _conv3(width, width // 2),
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
            _conv3(width // 2, last),
            nn.ReLU(),
            nn.Conv2d(last, out_channels, 1),
        )
        to = [
            nn.Conv2d(channels, dim, 1)
            for channels, dim in zip((enc, dec, dec, dec), dims, strict=True)
        ]
        self.act_postprocess = nn.ModuleList(
            [
                nn.Sequential(to[0], nn.ConvTranspose2d(dims[0], dims[0], 4, stride=4)),
                nn.Sequential(to[1], nn.ConvTranspose2d(dims[1], dims[1], 2, stride=2)),
                nn.Sequential(to[2]),
                nn.Sequential(to[3], _conv3(dims[3], dims[3], stride=2)),
            ]
        )

    def forward(self, tokens: Sequence[Tensor], grid: tuple[int, int]) -> Tensor:
        """Four times (n, h * w, channels), grid = (h, w) -> (n, 16h, 16w, out_channels)."""
        levels = [
            resize(level.transpose(1, 2).unflatten(2, grid))
            for resize, level in zip(self.act_postprocess, tokens, strict=True)
        ]
        return rearrange(self.head(self.scratch(levels)), "n c h w -> n h w c")
