"""Fixtures of the vmem backend on tiny networks: files, environment, a session to step from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from vmem.session import Session


@pytest.fixture(scope="session")
def files(tmp_path_factory) -> Path:
    """A folder with the three parts as they are released, but tiny."""
    from tests.support.released import write_released

    return write_released(tmp_path_factory.mktemp("released"))


@pytest.fixture
def released(files, monkeypatch) -> None:
    """The environment of someone who has the weights and asks for the CPU."""
    from tests.support.released import environment

    for name, value in environment(files).items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def walked(files) -> Session:
    """One session a module, a step into the photo. Tests get it by ``session``."""
    from tests.support.released import environment, opened

    with pytest.MonkeyPatch.context() as patched:
        for name, value in environment(files).items():
            patched.setenv(name, value)
        session = opened()
        session.move("w")
    return session


@pytest.fixture
def session(walked: Session, released: None) -> Iterator[Session]:
    """The module's session after its first step, where it is again after the test."""
    node = walked.history.head.id
    yield walked
    walked.switch(node)
