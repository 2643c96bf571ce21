"""Configurations of CUT3R in released files: what is read, and what is refused unrun."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmem.errors import VMemError
from vmem.geometry.cut3r.config import Cut3rConfig, Cut3rError

SUPPORTED = "head_type='dpt', output_mode='pts3d+pose', pose_head=True, pos_embed='RoPE100'"


def text(more: str = "") -> str:
    return f"ARCroco3DStereo(ARCroco3DStereoConfig({SUPPORTED}{more and ', '}{more}))"


def test_what_is_absent_has_the_published_defaults():
    config = Cut3rConfig.from_text(text())
    assert (config.enc_embed_dim, config.enc_depth, config.state_size) == (768, 12, 324)
    assert (config.dec_embed_dim, config.dec_depth, config.dec_num_heads) == (512, 8, 16)
    assert not config.rgb_head


def test_values():
    config = Cut3rConfig.from_text(
        text("state_pe='1d',conf_mode=('exp', 0.5, 3), mlp_ratio=2, rgb_head=True,state_size=7")
        .replace("RoPE100", "RoPE12.5")
        .replace("(", "( ")
    )
    assert (config.state_pe, config.conf_min, config.conf_max) == ("1d", 0.5, 3.0)
    assert (config.mlp_ratio, config.rope_base, config.state_size) == (2, 12.5, 7)
    assert config.rgb_head


@pytest.mark.parametrize("infinity", ["inf", "float('inf')", "+inf", "-float('-inf')"])
def test_infinity(infinity):
    config = Cut3rConfig.from_text(text(f"conf_mode=('exp', 1, {infinity})"))
    assert config.conf_max == math.inf
    assert Cut3rConfig.from_text(text(f"depth_mode=('exp', -{infinity}, {infinity})"))


def test_without_effect():
    """Settings of training, and those that the published loader overrides."""
    more = (
        "freeze='encoder', landscape_only=True, patch_embed_cls='ManyAR_PatchEmbed', "
        "img_size=(512, 512), mask_ratio=0.9, depth_head=True"
    )
    assert Cut3rConfig.from_text(text(more)) == Cut3rConfig.from_text(text())


def test_settings_as_json_has_them():
    given_settings = {
        "head_type": "dpt",
        "output_mode": "pts3d+pose",
        "pose_head": True,
        "pos_embed": "RoPE100",
        "conf_mode": "('exp', 1, inf)",
        "depth_mode": ["exp", -math.inf, math.inf],
        "img_size": "(512, 512)",
    }
    assert Cut3rConfig.from_settings(given_settings) == Cut3rConfig.from_text(text())


def ran() -> str:
    raise AssertionError("the text was run")


CODE = "__import__('test_cut3r_config').ran()"


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "   ",
        "(",
        "\0",
        CODE,
        "ARCroco3DStereo",
        "ARCroco3DStereo()",
        "ARCroco3DStereo(ARCroco3DStereoConfig)",
        "Other(ARCroco3DStereoConfig())",
        "ARCroco3DStereo(Other())",
        "a.ARCroco3DStereo(ARCroco3DStereoConfig())",
        "ARCroco3DStereo(ARCroco3DStereoConfig(), 1)",
        "ARCroco3DStereo(ARCroco3DStereoConfig(), x=1)",
        "ARCroco3DStereo(ARCroco3DStereoConfig(1))",
        "ARCroco3DStereo(ARCroco3DStereoConfig(**{'state_size': 3}))",
        f"{text()}; {CODE}",
        f"{text()} or {CODE}",
        text(f"state_size={CODE}"),
        text(f"conf_mode=('exp', 1, {CODE})"),
        text(f"conf_mode=[x for x in {CODE}]"),
        text(f"freeze=f'{{{CODE}}}'"),
        text("freeze=(lambda: 'none')()"),
        text("state_size=2**3"),
        text("state_size=nan"),
        text("conf_mode=('exp', 1, float('nan'))"),
        text("conf_mode=('exp', 1, float('inf', 2))"),
        text("conf_mode=('exp', 1, inf.real)"),
        text("state_size=7, state_size=8"),
        text(f"state_size={'-' * 5000}1"),
        text(f"state_size={'(' * 5000}1{')' * 5000}"),
        text(f"freeze='{'x' * 30000}'"),
    ],
)
def test_refused_unrun(wrong):
    with pytest.raises(Cut3rError):
        Cut3rConfig.from_text(wrong)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("colour=3", "no setting colour"),
        ("norm_layer=inf", "no setting norm_layer"),
        ("state_size='7'", "whole number"),
        ("state_size=True", "whole number"),
        ("state_size=7.0", "whole number"),
        ("state_size=0", "positive"),
        ("state_size=-1", "positive"),
        ("rgb_head=1", "True or False"),
        ("freeze=None", "a text"),
        ("mlp_ratio=inf", "finite"),
        ("conf_mode=None", "a tuple"),
        ("conf_mode=('sigmoid', 0, 1)", "conf_mode"),
        ("conf_mode=('exp', 1)", "conf_mode"),
        ("conf_mode=('exp', 1, 'inf')", "conf_mode"),
        ("conf_mode=('exp', 2, 1)", "conf_max"),
        ("depth_mode=('linear', -inf, inf)", "depth_mode"),
        ("patch_size=14", "patch_size"),
        ("norm_im2_in_dec=False", "norm_im2_in_dec"),
        ("state_pe='3d'", "state_pe"),
        ("dec_num_heads=5", "heads"),
        ("enc_num_heads=0", "heads"),
        ("dec_depth=1", "dec_depth"),
    ],
)
def test_not_served(more, message):
    with pytest.raises(VMemError, match=message):
        Cut3rConfig.from_text(text(more))


@pytest.mark.parametrize("absent", ["head_type='dpt', ", "output_mode='pts3d+pose', "])
def test_other_heads_are_not_served(absent):
    with pytest.raises(Cut3rError, match="not supported"):
        Cut3rConfig.from_text(text().replace(absent, ""))
    with pytest.raises(Cut3rError, match="pos_embed"):
        Cut3rConfig.from_text(text().replace("RoPE100", "cosine"))


@given(st.text() | st.text("ARCroco3DStereoConfig()=,'-inf0 \n", max_size=40).map(text))
def test_any_text_is_read_or_refused(anything):
    try:
        config = Cut3rConfig.from_text(anything)
    except Cut3rError:
        return
    assert isinstance(config, Cut3rConfig)
