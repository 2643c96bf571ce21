"""Sampling of colours against a slow Lanczos kernel."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vmem.generation.preview.texture import LANCZOS_RADIUS, Texture, accumulate, make_texture

HW = (15, 18)


def slow_sample(texture: Texture, u: float, v: float) -> np.ndarray:
    """Colour at an index: taps within the radius that lie on the surface of the nearest pixel."""
    h, w = texture.depth.shape

    def mirrored(k: int, size: int) -> int:
        k = abs(k)
        return min(max(2 * (size - 1) - k if k >= size else k, 0), size - 1)

    def lanczos(x: float) -> float:
        return float(np.sinc(x) * np.sinc(x / LANCZOS_RADIUS))

    row, col = math.floor(v), math.floor(u)
    u, v = col + round(64 * (u - col)) / 64, row + round(64 * (v - row)) / 64
    centre = texture.depth[mirrored(round(v), h), mirrored(round(u), w)]
    reach = range(1 - LANCZOS_RADIUS, 1 + LANCZOS_RADIUS)
    norm_u = sum(lanczos(u - col - b) for b in reach)
    norm_v = sum(lanczos(v - row - a) for a in reach)
    total, norm = np.zeros(3), 0.0
    for a in reach:
        for b in reach:
            y, x = mirrored(row + a, h), mirrored(col + b, w)
            ratio = texture.depth[y, x] / centre
            if 1 / texture.max_ratio <= ratio <= texture.max_ratio:
                tap = lanczos(v - row - a) * lanczos(u - col - b) / norm_u / norm_v
                total += tap * texture.rgb[y, x]
                norm += tap
    nearest = texture.rgb[mirrored(round(v), h), mirrored(round(u), w)]
    return total / norm if norm > 0.5 else nearest


@pytest.mark.parametrize("surfaces", [1, 2])
def test_samples_are_those_of_a_slow_kernel(surfaces: int) -> None:
    rng = np.random.default_rng(surfaces)
    depth = np.ones(HW, np.float32)
    depth[:, HW[1] // 2 :] *= surfaces
    texture = make_texture(rng.integers(0, 256, (*HW, 3), np.uint8), depth, 1.05)
    assert texture.smooth.all() == (surfaces == 1)
    # Sixty-fourths of a pixel are what the kernel knows; borders and beyond included.
    uv = rng.integers(-3 * 64, (HW[1] + 3) * 64, (20, 21, 2)) / 64 + 1 / 256
    weight = rng.choice([0, 0.5, 1.0], (20, 21)).astype(np.float32)
    total = np.full((20, 21, 3), 7, np.float32)
    accumulate(total, weight, texture, uv.astype(np.float32))
    for pixel in np.ndindex(20, 21):
        expected = 7 + weight[pixel] * slow_sample(texture, *uv[pixel])
        np.testing.assert_allclose(total[pixel], expected, atol=0.02, err_msg=str(uv[pixel]))
