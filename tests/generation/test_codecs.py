"""The VAE and the CLIP tower: what they compute, which files they take, what they refuse."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.tiny import (
    CLIP,
    VAE,
    open_clip_state,
    tiny_codec,
    tiny_embedder,
    tiny_tower,
    tiny_vae,
    write_clip,
    write_open_clip,
    write_vae,
)
from vmem.errors import VMemError
from vmem.generation.diffusion.checks import BadTensorError, NotFiniteError
from vmem.generation.diffusion.codecs.clip_preprocess import MEAN, STD, clip_pixels, gaussian_kernel
from vmem.generation.diffusion.codecs.codecs import (
    ImageCodec,
    ImageEmbedder,
    frames_from_images,
    images_from_frames,
)
from vmem.generation.diffusion.codecs.weights import (
    VAE_CONFIG,
    WrongWeightsError,
    clip_state,
    empty_vae,
    vae_key,
    vae_state,
)
from vmem.weights import CheckpointError, read_state


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    """Uniform in [-1, 1]."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


# --- frames and images ---


def test_every_level_survives_the_way_to_an_image_and_back():
    frames = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
    images = images_from_frames(frames)
    assert (images.min(), images.max()) == (-1, 1)
    np.testing.assert_array_equal(frames_from_images(images), frames)


def test_frames_are_rounded_and_clipped_and_never_rescaled():
    # All bright: the published code takes such an image for one in [0, 1] and truncates.
    bright = torch.tensor([0.0, 0.5, 0.999, 1.3]).view(1, 1, 2, 2).expand(1, 3, 2, 2)
    assert frames_from_images(bright)[0, :, :, 0].tolist() == [[128, 191], [255, 255]]


# --- VAE ---


def test_the_default_vae_has_the_published_size():
    vae = empty_vae()
    assert sum(p.numel() for p in vae.parameters()) == 83_653_863
    assert {p.device.type for p in vae.parameters()} == {"meta"}


def test_latents_are_the_scaled_mean_and_decoding_is_not_clamped():
    vae: Any = tiny_vae()
    codec = tiny_codec()
    images, latents = noise(2, 3, 32, 48), 9 * noise(2, 4, 3, 5)
    with torch.inference_mode():
        moments = vae.quant_conv(vae.encoder(images))
        decoded = 40 * vae.decoder(vae.post_quant_conv(latents / 0.18215))
        codec.vae.decoder.conv_out.weight *= 40
        codec.vae.decoder.conv_out.bias *= 40
    torch.testing.assert_close(codec.encode(images), moments[:, :4] * 0.18215)
    torch.testing.assert_close(codec.decode(latents), decoded, atol=1e-4, rtol=1e-4)
    assert decoded.abs().max() > 1.5


@pytest.mark.parametrize("chunk", [2, 5])
def test_chunks_change_nothing(chunk):
    one, many = tiny_codec(), tiny_codec(chunk=chunk)
    images = noise(3, 3, 16, 24)
    latents = one.encode(images)
    torch.testing.assert_close(many.encode(images), latents)
    torch.testing.assert_close(many.decode(latents), one.decode(latents))


def test_tiles_are_for_large_images_only():
    whole, tiled = tiny_codec(), tiny_codec(tile=64)
    small, large = noise(1, 3, 64, 48), noise(1, 3, 136, 80)
    assert torch.equal(tiled.encode(small), whole.encode(small))
    assert torch.equal(tiled.decode(noise(1, 4, 8, 6)), whole.decode(noise(1, 4, 8, 6)))
    latents = tiled.encode(large)
    assert latents.shape == whole.encode(large).shape
    assert not torch.equal(latents, whole.encode(large))
    assert tiled.decode(latents).shape == large.shape


def test_results_are_float32_on_the_cpu_unless_asked_otherwise():
    codec, embedder = tiny_codec(dtype=torch.bfloat16), tiny_embedder(dtype=torch.bfloat16)
    images = noise(1, 3, 32, 32)
    for result in (codec.encode(images), codec.decode(noise(1, 4, 4, 4)), embedder.embed(images)):
        assert (result.dtype, result.device.type) == (torch.float32, "cpu")
        assert not result.requires_grad
    assert codec.encode(images, dtype=torch.float16).dtype == torch.float16
    torch.testing.assert_close(
        codec.encode(images), tiny_codec().encode(images), atol=5e-3, rtol=0.05
    )


@pytest.mark.parametrize("old", [False, True], ids=["today", "old"])
@pytest.mark.parametrize("prefix", ["", "module.", "first_stage_model."])
def test_vae_files_of_every_layout(tmp_path, old, prefix):
    path = write_vae(tmp_path, seed=3, old=old, prefix=prefix)
    state, _ = read_state(path)
    assert old == any("proj_attn" in name for name in state)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    codec = ImageCodec.from_state(state, config)
    images = noise(1, 3, 16, 16)
    assert torch.equal(codec.encode(images), tiny_codec(3).encode(images))
    assert torch.equal(codec.decode(noise(1, 4, 2, 2)), tiny_codec(3).decode(noise(1, 4, 2, 2)))


def test_old_names_are_changed_in_the_attention_only():
    name = "decoder.mid_block.attentions.0.{}.weight"
    assert vae_key(name.format("proj_attn")) == name.format("to_out.0")
    assert vae_key(name.format("group_norm")) == name.format("group_norm")
    assert vae_key("key.query.weight") == "key.query.weight"


def test_what_is_not_below_the_prefix_is_left_out():
    state = tiny_vae().state_dict()
    larger = {f"module.{name}": tensor for name, tensor in state.items()}
    assert vae_state(larger | {"other.weight": torch.zeros(1)}).keys() == state.keys()


def test_another_models_vae_is_refused():
    with pytest.raises(WrongWeightsError, match=r"got .* scaled by 0.13025, expected .*0.18215"):
        empty_vae({**VAE_CONFIG, "scaling_factor": 0.13025})
    with pytest.raises(WrongWeightsError, match="diffusers' names"):
        vae_state({"first_stage_model.encoder.down.0.block.0.conv1.weight": torch.zeros(1)})
    incomplete = tiny_vae().state_dict()
    del incomplete["decoder.conv_in.bias"]
    with pytest.raises(CheckpointError, match=r"decoder\.conv_in\.bias"):
        ImageCodec.from_state(incomplete, VAE)


# --- CLIP ---


def test_hugging_face_and_open_clip_files_give_one_tower(tmp_path):
    state, _ = read_state(write_clip(tmp_path, seed=5))
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    published = ImageEmbedder.from_state(state, config)
    assert (published.dim, published.size) == (CLIP["projection_dim"], CLIP["image_size"])
    converted, _ = read_state(write_open_clip(tmp_path / "open_clip_pytorch_model.bin", seed=5))
    images = noise(2, 3, 40, 50)
    expected = tiny_embedder(5).embed(images)
    assert torch.equal(published.embed(images), expected)
    assert torch.equal(ImageEmbedder.from_state(converted, CLIP).embed(images), expected)
    assert not torch.equal(tiny_embedder(6).embed(images), expected)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_open_clip_towers_below_other_prefixes(prefix):
    visual = {
        name: tensor for name, tensor in open_clip_state().items() if name.startswith("visual.")
    }
    strip = "visual." if not prefix else ""
    state = {prefix + name.removeprefix(strip): tensor for name, tensor in visual.items()}
    converted, expected = clip_state(state), tiny_tower().state_dict()
    assert converted.keys() == expected.keys()
    assert all(torch.equal(converted[name], expected[name]) for name in expected)


def test_embeddings_are_not_normalised():
    embedder = tiny_embedder()
    images = noise(3, 3, 28, 28)
    plain = embedder.embed(images)
    with torch.inference_mode():
        embedder.tower.visual_projection.weight *= 2
    torch.testing.assert_close(embedder.embed(images), 2 * plain)
    torch.testing.assert_close(tiny_embedder(chunk=1).embed(images), plain)


def test_what_is_no_clip_is_refused():
    with pytest.raises(WrongWeightsError, match="CLIP: got 1 tensors"):
        clip_state({"text_model.embeddings.weight": torch.zeros(1)})
    cut = open_clip_state()
    cut["visual.transformer.resblocks.0.attn.in_proj_bias"] = torch.zeros(2)
    with pytest.raises(WrongWeightsError, match=r"in_proj_bias of shape \(2,\)"):
        clip_state(cut)
    with pytest.raises(CheckpointError, match="CLIP"):
        ImageEmbedder.from_state(tiny_tower().state_dict(), {**CLIP, "num_hidden_layers": 3})


@pytest.mark.parametrize("hw", [(7, 9), (224, 224), (300, 40), (2, 500)])
def test_one_colour_stays_that_colour(hw):
    colour = torch.tensor([-1.0, 0.25, 1.0])
    pixels = clip_pixels(colour.view(1, 3, 1, 1).expand(1, 3, *hw))
    expected = ((colour + 1) / 2 - torch.tensor(MEAN)) / torch.tensor(STD)
    assert pixels.shape == (1, 3, 224, 224)
    torch.testing.assert_close(pixels, expected.view(1, 3, 1, 1).expand_as(pixels))


def test_corners_stay_corners_and_the_right_size_stays_as_it_is():
    mean, std = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(STD).view(3, 1, 1)
    exact, small = noise(1, 3, 224, 224), noise(1, 3, 10, 12)
    torch.testing.assert_close(clip_pixels(exact)[0] * std + mean, (exact[0] + 1) / 2)
    corners = (clip_pixels(small)[0] * std + mean)[:, ::223, ::223]
    torch.testing.assert_close(corners, (small[0, :, ::9, ::11] + 1) / 2)


def test_the_blur_keeps_brightness_and_grows_with_the_factor():
    for factor in (0.5, 1.0, 2.5, 20.0):
        assert gaussian_kernel(factor).sum() == pytest.approx(1)
    assert len(gaussian_kernel(0.5)) == 3
    assert gaussian_kernel(1.0)[1] == 1
    assert len(gaussian_kernel(20.0)) == 39


# --- what is refused ---


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 3, 60, 64), r"got \(1, 3, 60, 64\).*divisible by 8.*to 56 x 64"),
        ((1, 4, 64, 64), r"got \(1, 4, 64, 64\).*expected \(N, 3, H, W\)"),
        ((3, 64, 64), r"got \(3, 64, 64\)"),
        ((0, 3, 64, 64), r"got \(0, 3, 64, 64\)"),
        ((1, 3, 0, 64), "divisible by 8"),
    ],
)
def test_wrong_images_are_refused(shape, message):
    with pytest.raises(BadTensorError, match=message):
        tiny_codec().encode(torch.zeros(shape))


@pytest.mark.parametrize("frames", [np.zeros((8, 8, 3), np.uint8), np.zeros((1, 8, 8, 3))])
@pytest.mark.usefixtures("unchecked_shapes")
def test_wrong_frames_are_refused(frames):
    with pytest.raises(BadTensorError, match=r"expected \(N, H, W, 3\) uint8"):
        images_from_frames(frames)


def test_wrong_latents_bytes_and_sizes_are_refused():
    with pytest.raises(BadTensorError, match=r"latents to decode.*expected \(N, 4"):
        tiny_codec().decode(torch.zeros(1, 3, 8, 8))
    with pytest.raises(BadTensorError, match=r"uint8, expected .* floating"):
        tiny_embedder().embed(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
    with pytest.raises(BadTensorError, match="at least 2 x 2"):
        tiny_embedder().embed(torch.zeros(1, 3, 1, 8))
    with pytest.raises(VMemError, match="multiple of 32"):
        tiny_codec(tile=72)
    with pytest.raises(VMemError, match="1 or more"):
        tiny_codec(chunk=0)


def test_nan_is_named_where_it_enters_and_where_it_arises():
    images, latents = noise(3, 3, 16, 16), noise(2, 4, 2, 2)
    images[1, 0, 3, 3], latents[1, 2, 0, 0] = torch.nan, torch.inf
    with pytest.raises(NotFiniteError, match=r"images to encode.*frames 1 of 3"):
        tiny_codec().encode(images)
    with pytest.raises(NotFiniteError, match="images for CLIP"):
        tiny_embedder().embed(images)
    with pytest.raises(NotFiniteError, match="images to show"):
        frames_from_images(images)
    with pytest.raises(NotFiniteError, match=r"latents to decode.*frames 1 of 2"):
        tiny_codec().decode(latents)

    codec, embedder = tiny_codec(), tiny_embedder()
    with torch.inference_mode():
        codec.vae.quant_conv.bias[0] = torch.nan
        codec.vae.decoder.conv_out.bias[0] = torch.inf
        embedder.tower.visual_projection.weight[0] = torch.nan
    good = noise(1, 3, 16, 16)
    with pytest.raises(NotFiniteError, match="latents of images"):
        codec.encode(good)
    with pytest.raises(NotFiniteError, match="images decoded from latents"):
        codec.decode(noise(1, 4, 2, 2))
    with pytest.raises(NotFiniteError, match="embeddings of images"):
        embedder.embed(good)
