"""The code of a view as arrays: bit for bit there and back, and foreign arrays are none."""

from __future__ import annotations

import io

import numpy as np
import pytest

from vmem.generation.diffusion.codecs.view_code import ViewCode
from vmem.types import StateArrays


def code() -> ViewCode:
    """A code whose bits include a negative zero, a subnormal number and the largest one."""
    latent = np.random.default_rng(0).normal(size=(4, 3, 5)).astype(np.float32)
    latent[0, 0, :3] = -0.0, 1e-45, np.finfo(np.float32).max
    return ViewCode(latent, np.linspace(-1, 1, 32, dtype=np.float32))


def test_arrays_come_back_bit_for_bit_also_through_a_file():
    made, file = code(), io.BytesIO()
    np.savez(file, latent=made.latent, embedding=made.embedding)
    file.seek(0)
    for arrays in (made.to_arrays(), dict(np.load(file))):
        back = ViewCode.from_arrays(arrays)
        assert back is not None
        assert back.latent.tobytes() == made.latent.tobytes()
        assert back.embedding.tobytes() == made.embedding.tobytes()
        assert (back.latent.shape, back.embedding.shape) == ((4, 3, 5), (32,))


@pytest.mark.parametrize(
    "arrays",
    [
        None,
        {},
        {"latent": code().latent},
        {**code().to_arrays(), "more": np.zeros(1)},
        {"latent": code().latent.astype(np.float64), "embedding": code().embedding},
        {"latent": code().latent[0], "embedding": code().embedding},
        {"latent": code().latent, "embedding": code().embedding[None]},
    ],
)
def test_arrays_of_another_generator_are_no_code(arrays: StateArrays | None):
    assert ViewCode.from_arrays(arrays) is None
