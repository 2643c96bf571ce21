"""Latents shown while they are made."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.support.tiny import tiny_codec, tiny_taesd, write_taesd
from vmem.generation.diffusion.checks import BadTensorError
from vmem.generation.diffusion.codecs.codecs import frames_from_images
from vmem.generation.diffusion.codecs.previews import LinearPreview, TinyPreview, linear_preview
from vmem.weights import read_state


def latents_of(n: int, h: int, w: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, 4, h, w, generator=torch.Generator().manual_seed(seed))


def test_an_affine_decoder_is_found_exactly():
    generator = torch.Generator().manual_seed(1)
    matrix = torch.randn(5, 3, generator=generator)
    latents = latents_of(2, 6, 7)
    colours = torch.einsum("nchw,ck->nkhw", latents, matrix[:4]) + matrix[4].view(3, 1, 1)
    images = functional.interpolate(colours, scale_factor=8, mode="nearest")
    torch.testing.assert_close(LinearPreview.fit(latents, images).matrix, matrix)


def test_colours_that_never_vary_are_shown_all_the_same():
    latents = latents_of(1, 4, 4)[:, :1].expand(1, 4, 4, 4)
    images = torch.full((1, 3, 32, 32), 0.5)
    preview = LinearPreview.fit(latents, images)
    assert (preview(latents_of(1, 4, 4, seed=2), (4, 4)) == 191).all()


def test_the_map_of_a_codec_is_nearer_to_it_than_one_colour():
    codec = tiny_codec(2)
    preview = linear_preview(codec)
    generator = torch.Generator().manual_seed(9)
    fields = torch.rand(2, 3, 5, 5, generator=generator) * 2 - 1
    fields = functional.interpolate(fields, (96, 96), mode="bicubic").clamp(-1, 1)
    latents = codec.encode(fields)
    truth = functional.avg_pool2d(codec.decode(latents), 8)
    ones = torch.ones_like(latents[:, :1])
    shown = torch.einsum("nchw,ck->nkhw", torch.cat([latents, ones], 1), preview.matrix)
    flat = truth.mean(dim=(0, 2, 3), keepdim=True)
    assert (shown - truth).square().mean() < (flat - truth).square().mean()
    assert torch.equal(linear_preview(codec).matrix, preview.matrix)


@pytest.mark.parametrize("hw", [(6, 5), (48, 40), (20, 70)])
def test_pictures_have_the_size_that_is_asked_for(hw):
    linear = LinearPreview(torch.randn(5, 3, generator=torch.Generator().manual_seed(0)))
    for preview in (linear, TinyPreview(tiny_taesd())):
        shown = preview(latents_of(2, 6, 5), hw)
        assert (shown.shape, shown.dtype) == ((2, *hw, 3), np.uint8)


def test_what_is_not_finite_is_shown_not_raised():
    latents = latents_of(1, 4, 4)
    latents[0, 0, 0, 0], latents[0, 1, 1, 1] = torch.nan, -torch.inf
    linear = LinearPreview(torch.eye(5, 3))
    clean = linear(torch.nan_to_num(latents), (4, 4))
    for preview in (linear, TinyPreview(tiny_taesd())):
        assert preview(latents, (4, 4)).shape == (1, 4, 4, 3)
    # Only the broken latents differ.
    np.testing.assert_array_equal(linear(latents, (4, 4))[0, 2:], clean[0, 2:])


def test_the_tiny_autoencoder_decodes_latents_as_they_are(tmp_path):
    state, _ = read_state(write_taesd(tmp_path, seed=4))
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    preview = TinyPreview.from_state(state, config)
    latents = latents_of(2, 3, 4)
    with torch.inference_mode():
        decoded: Any = tiny_taesd(4).decode(latents)
    expected = frames_from_images(decoded.sample)
    np.testing.assert_array_equal(preview(latents, (24, 32)), expected)


@pytest.mark.usefixtures("unchecked_shapes")
def test_other_shapes_are_refused():
    for preview in (LinearPreview(torch.zeros(5, 3)), TinyPreview(tiny_taesd())):
        with pytest.raises(BadTensorError, match=r"latents to show.*expected \(N, 4"):
            preview(torch.zeros(1, 3, 4, 4), (32, 32))
