"""Sizes of the network, and the constructor text in a released checkpoint that states them.

The published loader evaluates that text as a program. Here its grammar is read and nothing is run.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from vmem.errors import VMemError

PATCH = 16
LONGEST_TEXT = 20_000


class Cut3rError(VMemError, ValueError):
    """A network that cannot be built so, or an input that it cannot take."""


class NotFiniteStateError(Cut3rError):
    """A view after which the state would hold NaN or infinite numbers."""


@dataclass(frozen=True)
class Cut3rConfig:
    """Sizes of the network; the defaults are the released model's."""

    enc_embed_dim: int = 1024
    """Channels of the image encoder's tokens."""
    enc_depth: int = 24
    """Blocks of the image encoder."""
    enc_num_heads: int = 16
    """Attention heads of the image encoder."""
    dec_embed_dim: int = 768
    """Channels of both decoders' tokens."""
    dec_depth: int = 12
    """Blocks of each decoder."""
    dec_num_heads: int = 12
    """Attention heads of the views' decoder."""
    state_dec_num_heads: int = 16
    """Attention heads of the state's decoder."""
    state_size: int = 768
    """Tokens of the state."""
    state_pe: str = "2d"
    """Places of the state's tokens: "1d", "2d" or "none"."""
    local_mem_size: int = 256
    """Slots of the pose memory."""
    ray_enc_depth: int = 2
    """Blocks of the ray encoder, which is loaded but not used."""
    mlp_ratio: float = 4
    """Hidden width over width of a feed-forward layer."""
    rope_base: float = 100.0
    """Base of the rotary angles."""
    conf_min: float = 1.0
    """Confidence is conf_min + min(exp(c), conf_max - conf_min)."""
    conf_max: float = math.inf
    """Largest confidence."""
    rgb_head: bool = True
    """Whether colours are predicted."""
    dpt_layer_dims: tuple[int, ...] = (96, 192, 384, 768)
    """Channels of the four levels of a dense head."""
    dpt_feature_dim: int = 256
    """Channels in which a dense head fuses its levels."""
    dpt_last_dim: int = 128
    """Channels before the last convolution of a dense head."""

    def __post_init__(self) -> None:
        for what, width, heads in (
            ("enc_embed_dim", self.enc_embed_dim, self.enc_num_heads),
            ("dec_embed_dim", self.dec_embed_dim, self.dec_num_heads),
            ("dec_embed_dim", self.dec_embed_dim, self.state_dec_num_heads),
        ):
            if min(width, heads) < 1 or width % (4 * heads):
                raise Cut3rError(
                    f"{what} {width} must be {heads} heads (at least 1) of a multiple of 4 "
                    "channels: rotary embeddings take the channels of a head in quarters"
                )
        sizes = (self.enc_depth, self.state_size, self.local_mem_size, *self.dpt_layer_dims)
        if min(*sizes, self.dpt_last_dim) < 1 or self.ray_enc_depth < 0 or self.mlp_ratio <= 0:
            raise Cut3rError(f"sizes of a network must be positive: {self}")
        if self.dec_depth < 2:
            raise Cut3rError(f"dec_depth {self.dec_depth} must be at least 2: the heads read there")
        if len(self.dpt_layer_dims) != 4 or self.dpt_feature_dim < 2 or self.dpt_feature_dim % 2:
            raise Cut3rError(
                f"dense heads take 4 levels and an even width, not {self.dpt_layer_dims} and "
                f"{self.dpt_feature_dim}"
            )
        if self.state_pe not in ("1d", "2d", "none"):
            raise Cut3rError(f"state_pe {self.state_pe!r} is none of '1d', '2d', 'none'")
        if not (0 < self.rope_base < math.inf and -math.inf < self.conf_min < self.conf_max):
            raise Cut3rError(
                f"rope_base {self.rope_base} must be positive, conf_min {self.conf_min} below "
                f"conf_max {self.conf_max}"
            )

    @classmethod
    def from_text(cls, text: str) -> Cut3rConfig:
        """From the constructor text of a checkpoint, ``args.model``; nothing of it is run.

        Raises Cut3rError for anything but the two known constructors around plain values, for
        unknown keywords, and for values that ask for another network than the one here.
        """
        return cls.from_settings(_keywords(text))

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Cut3rConfig:
        """From keywords of the published constructor, with its own defaults for what is absent.

        A list, or the text of a tuple as JSON needs it, serves as tuple. Raises Cut3rError.
        """
        if unknown := set(settings) - set(_KEYWORDS):
            raise Cut3rError(
                f"a CUT3R network has no setting {', '.join(sorted(unknown))}; the checkpoint is "
                "another network's or another version's"
            )
        values = {key: default for key, (_, default) in _KEYWORDS.items()}
        for key, given in settings.items():
            values[key] = _KEYWORDS[key][0](key, given)
        for key, served in _SERVED.items():
            if values[key] not in served:
                raise Cut3rError(
                    f"{key}={values[key]!r} is not supported, only "
                    f"{' or '.join(map(repr, served))}; use a checkpoint with DPT heads and pose"
                )
        base = re.fullmatch(r"RoPE(\d+(?:\.\d+)?)", values["pos_embed"])
        if base is None:
            raise Cut3rError(
                f"pos_embed={values['pos_embed']!r} is not supported, only 'RoPE<base>'"
            )
        mode = values["conf_mode"]
        if len(mode) != 3 or mode[0] != "exp" or any(isinstance(end, str) for end in mode[1:]):
            raise Cut3rError(f"conf_mode={mode!r} is not supported, only ('exp', min, max)")
        same = {key: values[key] for key in _KEYWORDS if key in cls.__dataclass_fields__}
        return cls(
            **same, rope_base=float(base[1]), conf_min=float(mode[1]), conf_max=float(mode[2])
        )


def _wrong(key: str, value: object, wanted: str) -> Cut3rError:
    return Cut3rError(f"{key}={value!r} must be {wanted}")


def _text(key: str, value: object) -> str:
    if not isinstance(value, str):
        raise _wrong(key, value, "a text")
    return value


def _flag(key: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise _wrong(key, value, "True or False")
    return value


def _count(key: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong(key, value, "a whole number")
    return value


def _number(key: str, value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise _wrong(key, value, "a finite number")
    return value


def _tuple(key: str, value: object) -> tuple[Any, ...]:
    if isinstance(value, str):
        value = _value(_parsed(value))
    if not isinstance(value, tuple | list):
        raise _wrong(key, value, "a tuple")
    return tuple(value)


def _anything(_: str, value: object) -> object:
    return value


_POINTS = ("exp", -math.inf, math.inf)
# What the published constructor takes, how a value is checked, and its default.
_KEYWORDS: dict[str, tuple[Callable[[str, Any], Any], Any]] = {
    "output_mode": (_text, "pts3d"),
    "head_type": (_text, "linear"),
    "depth_mode": (_tuple, _POINTS),
    "conf_mode": (_tuple, ("exp", 1, math.inf)),
    "pose_mode": (_tuple, _POINTS),
    "freeze": (_text, "none"),
    "landscape_only": (_flag, True),  # the published loader overrides it: never in effect
    "patch_embed_cls": (_text, "PatchEmbedDust3R"),
    "ray_enc_depth": (_count, 2),
    "state_size": (_count, 324),
    "local_mem_size": (_count, 256),
    "state_pe": (_text, "2d"),
    "state_dec_num_heads": (_count, 16),
    "depth_head": (_flag, False),
    "rgb_head": (_flag, False),
    "pose_conf_head": (_flag, False),
    "pose_head": (_flag, False),
    "img_size": (_anything, 224),
    "patch_size": (_count, PATCH),
    "mask_ratio": (_number, 0.9),
    "enc_embed_dim": (_count, 768),
    "enc_depth": (_count, 12),
    "enc_num_heads": (_count, 12),
    "dec_embed_dim": (_count, 512),
    "dec_depth": (_count, 8),
    "dec_num_heads": (_count, 16),
    "mlp_ratio": (_number, 4),
    "norm_im2_in_dec": (_flag, True),
    "pos_embed": (_text, "cosine"),
}
_SERVED: dict[str, tuple[Any, ...]] = {
    "output_mode": ("pts3d+pose",),
    "head_type": ("dpt",),
    "depth_mode": (_POINTS,),
    "pose_mode": (_POINTS,),
    "pose_head": (True,),
    "patch_size": (PATCH,),
    "patch_embed_cls": ("PatchEmbedDust3R", "ManyAR_PatchEmbed"),
    "norm_im2_in_dec": (True,),
}


def _keywords(text: str) -> dict[str, Any]:
    """The keywords of ``ARCroco3DStereo(ARCroco3DStereoConfig(key=value, ...))``."""
    outer = _parsed(text)
    inner = _only_argument(outer, "ARCroco3DStereo")
    if not _calls(inner, "ARCroco3DStereoConfig") or inner.args:
        raise _refused(inner, "ARCroco3DStereoConfig(name=value, ...)")
    found: dict[str, Any] = {}
    for keyword in inner.keywords:
        if keyword.arg is None or keyword.arg in found:
            raise _refused(inner, "every name once, with its value")
        found[keyword.arg] = _value(keyword.value)
    return found


def _parsed(text: str) -> ast.expr:
    if not isinstance(text, str) or len(text) > LONGEST_TEXT:
        raise Cut3rError(f"a configuration is a text of at most {LONGEST_TEXT} characters")
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Cut3rError(
            f"the configuration {text[:60]!r} cannot be read ({type(error).__name__}); the "
            "checkpoint is damaged or another network's"
        ) from error


def _calls(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name


def _only_argument(node: ast.expr, name: str) -> Any:
    if not isinstance(node, ast.Call) or not _calls(node, name):
        raise _refused(node, f"{name}(...)")
    if len(node.args) != 1 or node.keywords:
        raise _refused(node, f"one argument of {name}")
    return node.args[0]


def _refused(node: ast.AST, wanted: str) -> Cut3rError:
    return Cut3rError(
        f"the configuration has a {type(node).__name__} where {wanted} should be; nothing of it "
        "was run, and the checkpoint should not be loaded elsewhere unless you trust its maker"
    )


def _value(node: ast.expr) -> Any:
    """Text, number, flag, None, inf, or a tuple of these."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str | int | float | None):
        return node.value
    if isinstance(node, ast.Name) and node.id == "inf":
        return math.inf
    if isinstance(node, ast.Call) and _calls(node, "float"):
        argument = _only_argument(node, "float")
        if isinstance(argument, ast.Constant) and argument.value in ("inf", "-inf"):
            return float(argument.value)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        value = _value(node.operand)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.Tuple | ast.List):
        return tuple(_value(element) for element in node.elts)
    raise _refused(node, "a plain value")
