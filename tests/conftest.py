"""Shared fixtures: a fake backend, and a short walk made with it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fakes import box_backend, open_box
from hypothesis import settings

from vmem.backends import Backend
from vmem.memory import MemorySnapshot
from vmem.session import Session

# The same examples on every run, and no test that fails because a machine was slow.
settings.register_profile("vmem", deadline=None, derandomize=True, max_examples=30)
settings.load_profile("vmem")


@pytest.fixture
def backend() -> Backend:
    """The inside of a textured box, rendered exactly, with exact depth."""
    return box_backend()


@pytest.fixture
def session() -> Session:
    """A session that has just opened the box."""
    return open_box()


@pytest.fixture(scope="session")
def walk() -> MemorySnapshot:
    """A walk of eight steps through the box: 33 views."""
    session = open_box()
    for word in "wwaaedds":
        session.move(word)
    return session.snapshot()


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """torch on one thread: small networks gain nothing from more and wait long on busy cores."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
