"""Blending of warped views against the formula, pixel by pixel."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.support.preview_scenes import camera_at
from vmem.generation.preview.blend import (
    AGE_FADE,
    LEAST_WEIGHT,
    MINOR_WEIGHT,
    OBSERVED_BONUS,
    SURFACE_TOLERANCE,
    Merged,
    Source,
    blend,
)
from vmem.generation.preview.warp import Warp
from vmem.types import Provenance

HW = (12, 17)


def sources_and_warps(n: int, seed: int) -> tuple[list[Source], list[Warp]]:
    """Views of one colour each, seen as they are, on two surfaces, with holes."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(np.arange(HW[1]), np.arange(HW[0])), axis=2).astype(np.float32)
    sources, warps = [], []
    for k in range(n):
        sources.append(
            Source.make(
                np.full((*HW, 3), 20 + 30 * k, np.uint8),
                camera_at(hw=HW),
                np.ones(HW, np.float32),
                rng.choice([Provenance.OBSERVED, Provenance.REOBSERVED], HW).astype(np.uint8),
                rng.integers(0, 4, HW).astype(np.float32),
                rng.random(HW).astype(np.float32),
            )
        )
        depth = rng.choice([0, 1.0, 1.5], HW) * rng.uniform(0.99, 1.01, HW)
        density = rng.uniform(0.3, 1, HW).astype(np.float32)
        warps.append(Warp(depth.astype(np.float32), grid, density))
    return sources, warps


def run(sources: list[Source], warps: list[Warp], parts: int = 3) -> Merged:
    with ThreadPoolExecutor(2) as workers:
        return blend(sources, warps, HW, workers, parts)


def slow_weights(sources: list[Source], warps: list[Warp], pixel: tuple[int, int]) -> np.ndarray:
    depths = np.array([warp.depth[pixel] for warp in warps])
    shares = []
    for source, warp in zip(sources, warps, strict=True):
        bonus = OBSERVED_BONUS if source.provenance[pixel] == Provenance.OBSERVED else 1
        shares.append(warp.density[pixel] * AGE_FADE ** -source.age[pixel] * bonus)
    nearest = depths[depths > 0].min()
    shown = (depths > 0) & (depths <= nearest * (1 + SURFACE_TOLERANCE))
    weights = (shown * np.array(shares)) ** 2
    weights[weights <= LEAST_WEIGHT * weights.max()] = 0
    minor = weights * (weights < MINOR_WEIGHT * weights.max())
    weights = weights - minor
    weights[minor.argmax()] += minor.sum()
    return weights / weights.sum()


@pytest.mark.parametrize("n", [1, 2, 5])
def test_weights_follow_the_formula(n: int) -> None:
    sources, warps = sources_and_warps(n, seed=n)
    merged = run(sources, warps)
    colours = 20 + 30 * np.arange(n)
    for pixel in np.ndindex(HW):
        depths = np.array([warp.depth[pixel] for warp in warps])
        assert merged.known[pixel] == (depths > 0).any()
        if not merged.known[pixel]:
            assert merged.provenance[pixel] == Provenance.EXTRAPOLATED
            assert merged.depth[pixel] == merged.confidence[pixel] == 0
            continue
        weights = slow_weights(sources, warps, pixel)
        np.testing.assert_allclose(merged.depth[pixel], weights @ depths, rtol=1e-5)
        np.testing.assert_allclose(merged.rgb[pixel], weights @ colours, atol=1e-2)
        best = sources[int(weights.argmax())]
        assert merged.provenance[pixel] == best.provenance[pixel]
        assert merged.age[pixel] == best.age[pixel] + 1
        assert merged.confidence[pixel] == best.confidence[pixel]


def test_the_number_of_bands_changes_nothing() -> None:
    sources, warps = sources_and_warps(4, seed=9)
    one, many = run(sources, warps, parts=1), run(sources, warps, parts=5)
    for name in ("rgb", "depth", "provenance", "age", "confidence"):
        assert getattr(one, name).tobytes() == getattr(many, name).tobytes()
