"""What two memories of one walk share, found by halving, against a plain count."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.fakes import open_box
from vmem.memory import MemorySnapshot
from vmem.memory.shared import shared_steps, shared_views


@pytest.fixture(scope="module")
def memories() -> list[MemorySnapshot]:
    session = open_box()
    found = [session.memory, MemorySnapshot.empty(), open_box().memory]
    for word in "wwdwaw":
        session.move(word)
        found.append(session.memory)
        if word == "a":
            session.switch(2)
    return found


@given(a=st.integers(0, 8), b=st.integers(0, 8))
def test_shared_steps_and_views(memories: list[MemorySnapshot], a: int, b: int) -> None:
    one, other = memories[a], memories[b]
    views = 0
    for left, right in zip(one.views, other.views, strict=False):
        if left is not right:
            break
        views += 1
    assert shared_views(one, other) == views
    assert shared_steps(one, other) == sum(step.n_views <= views for step in one.steps)
