"""Colours that can be told apart, by colour-blind eyes too."""

from __future__ import annotations

from itertools import combinations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from viewer.paint.palette import BACKGROUND, INVENTED, UNOWNED, grey, owner_colors, owner_palette

# Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of Color Vision
# Deficiency", 2009: severity 1, on linear RGB.
EYES = {
    "normal": np.eye(3),
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
}


def lab(color: np.ndarray, eye: str) -> np.ndarray:
    """(n, 3) CIELAB of u8 colours as an eye sees them."""
    linear = ((color / 255) ** 2.2 @ np.array(EYES[eye]).T).clip(0, 1)
    seen = (linear ** (1 / 2.2)).astype(np.float32)
    return cv2.cvtColor(seen[:, None], cv2.COLOR_RGB2Lab)[:, 0]


@pytest.mark.parametrize("eye", list(EYES))
def test_neighbouring_owners_and_what_is_invented_look_different(eye: str) -> None:
    colors = lab(np.concatenate([owner_colors(6), INVENTED[None], BACKGROUND[None]]), eye)
    for a, b in combinations(range(len(colors)), 2):
        assert np.linalg.norm(colors[a] - colors[b]) > 12, (a, b)
    walk = lab(owner_colors(400), eye)
    assert np.linalg.norm(np.diff(walk, axis=0), axis=1).min() > 18


def test_no_two_owners_are_equal() -> None:
    palette = owner_colors(600)
    assert len(np.unique(palette, axis=0)) == 600
    assert not (palette == INVENTED).all(axis=1).any()
    assert not (palette == UNOWNED).all(axis=1).any()


@given(st.integers(0, 300), st.integers(0, 300))
def test_owners_are_stable_by_index(few: int, more: int) -> None:
    assert_array_equal(owner_colors(few), owner_colors(few + more)[:few])
    palette = owner_palette(few)
    assert_array_equal(palette[:-1], owner_colors(few))
    assert_array_equal(palette[-1], UNOWNED)


@given(st.integers(0, 2**31), st.floats(0, 1))
def test_grey_is_the_mean_of_the_channels(seed: int, brightness: float) -> None:
    color = np.random.default_rng(seed).integers(0, 256, (50, 3), np.uint8)
    expected = [[int(sum(map(int, rgb)) / 3 * brightness)] * 3 for rgb in color]
    assert_array_equal(grey(color, brightness), expected)
