"""Pixels for the CLIP tower equal the published ones, blurred or not."""

from __future__ import annotations

from tests.golden.packs import assert_close
from vmem.generation.diffusion.codecs.clip_preprocess import clip_pixels
from vmem.generation.diffusion.codecs.codecs import images_from_frames

PACKS = "09_clip_preprocess"
TOLERANCE = 1e-5


def test_preprocess(pack):
    frames = sorted(name for name in pack.tensors if name.startswith("in"))
    assert frames
    for name in frames:
        published = pack[name.replace("in", "out")]
        pixels = clip_pixels(images_from_frames(pack[name][None]), published.shape[-1])
        assert_close(pixels.numpy(), published, TOLERANCE)
