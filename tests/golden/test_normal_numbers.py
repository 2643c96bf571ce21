"""What the recipe of the full networks draws is what numpy draws."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.golden.normal_numbers import draw
from tests.golden.procedural import fill


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(0, 5000))
def test_the_numbers_of_numpy_in_their_order(seed: int, count: int) -> None:
    made = np.empty(count, np.float32)
    draw(seed, made, np.float32(1), np.float32(0))
    numbers = np.random.RandomState(seed).standard_normal(count)
    np.testing.assert_allclose(made, numbers.astype(np.float32), rtol=1.2e-7)


@pytest.mark.parametrize(
    ("name", "shape", "scale", "shift"),
    [
        ("a.weight", (3, 5, 7), 35**-0.5, 0),
        ("a.bias", (3, 5), 5**-0.5, 0),
        ("a.weight", (11,), 0.1, 1),
        ("a.bias", (11,), 0.1, 0),
    ],
)
def test_a_parameter_is_what_the_recipe_says(
    name: str, shape: tuple[int, ...], scale: float, shift: float
) -> None:
    out = np.empty(shape, np.float32)
    fill(name, out, 5)
    rng = np.random.RandomState(zlib.crc32(name.encode()) ^ 5)
    told = rng.standard_normal(shape).astype(np.float32) * np.float32(scale) + np.float32(shift)
    np.testing.assert_allclose(out, told, rtol=1.2e-7)
