"""What CUT3R keeps with a view comes back from arrays bit for bit."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vmem.geometry.cut3r.kept_state import KeptState
from vmem.geometry.cut3r.network import State

PATTERNS = np.array([0, 1, -1, np.inf, -np.inf, np.nan, 1e-40, 3e4])
"""Numbers that a careless conversion changes."""
pytestmark = pytest.mark.usefixtures("one_thread")


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().view(torch.uint8).numpy().tobytes()


@given(
    seed=st.integers(0, 2**32 - 1),
    dtype=st.sampled_from([torch.float32, torch.float16, torch.bfloat16]),
    runs=st.integers(1, 2),
    views=st.integers(0, 10**6),
    seen=st.integers(0, 10**6),
    placed=st.booleans(),
    stamp=st.text(max_size=20),
    frozen=st.booleans(),
)
def test_a_state_comes_back_bit_for_bit(seed, dtype, runs, views, seen, placed, stamp, frozen):
    rng = np.random.default_rng(seed)
    # As at the start of a walk: the same numbers for each run, expanded and not copied.
    tokens, memory = (
        torch.from_numpy(rng.choice(PATTERNS, (1, 3, width))).to(dtype).expand(runs, -1, -1)
        for width in (4, 8)
    )
    origin = rng.normal(size=(4, 4)) if placed else None
    kept = KeptState(State(tokens, memory, views), seen, origin, stamp)
    arrays = kept.to_arrays()
    for array in arrays.values():
        assert array.dtype.kind in "uif", "only numbers, which any file can hold"
        array.flags.writeable = not frozen
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        back = KeptState.from_arrays(dict(arrays))
    assert back is not None
    assert back.state.tokens.dtype == back.state.memory.dtype == dtype
    assert back.state.tokens.shape == tokens.shape
    assert back.state.memory.shape == memory.shape
    assert bits(back.state.tokens) == bits(tokens)
    assert bits(back.state.memory) == bits(memory)
    assert (back.state.views, back.seen, back.stamp) == (views, seen, stamp)
    if origin is None:
        assert back.origin is None
    else:
        np.testing.assert_array_equal(back.origin, origin)


def test_arrays_share_nothing_with_the_network():
    tokens = torch.zeros(1, 2, 4)
    arrays = KeptState(State(tokens, tokens, 1), 1, None, "").to_arrays()
    tokens += 1
    assert not arrays["tokens"].any()
    state = KeptState.from_arrays(arrays)
    assert state is not None
    state.state.tokens.add_(1)
    assert not arrays["tokens"].any()


@pytest.mark.parametrize("change", ["tokens", "dtype", "other", "unknown type"])
def test_arrays_of_another_estimator_are_none(change):
    tokens = torch.zeros(1, 2, 4)
    arrays = dict(KeptState(State(tokens, tokens, 1), 1, None, "").to_arrays())
    if change == "other":
        arrays["latent"] = np.zeros(3)
    elif change == "unknown type":
        arrays["dtype"] = np.frombuffer(b"torch.int8", np.uint8)
    else:
        del arrays[change]
    assert KeptState.from_arrays(arrays) is None
    assert KeptState.from_arrays({}) is None
