"""What a process loads once: one job at a time, loaded anew where its files are others."""

from __future__ import annotations

import pytest

from vmem.devices.shared import Lending
from vmem.progress import Cancelled, CancelToken, Progress, silent


def test_it_is_loaded_once_and_makes_room_for_another():
    freed: list[str] = []
    lending = Lending[str](str.upper, freed.append)
    loads = []

    def use(key: str) -> str:
        with lending.lent(
            lambda: key, lambda: loads.append(key) or key, silent, CancelToken()
        ) as it:
            return it

    assert [use(key) for key in ("a", "a", "b")] == ["a", "a", "b"]
    assert (loads, freed) == (["a", "b"], ["A"])
    lending.forget()
    assert freed == ["A", "B"]


def test_a_fetched_file_is_kept_under_what_it_is_now():
    lending, files = Lending[str](), []

    def fetch() -> str:
        files.append("file")
        return "network"

    for _ in range(2):
        with lending.lent(lambda: tuple(files), fetch, silent, CancelToken()) as it:
            assert it == "network"
    assert files == ["file"]


def test_who_waits_can_cancel():
    lending, cancel = Lending[str](), CancelToken()

    def waiting(progress: Progress) -> None:
        cancel.cancel()

    with (
        lending.lent(lambda: 1, lambda: "it", silent, CancelToken()),
        pytest.raises(Cancelled),
        lending.lent(lambda: 1, lambda: "it", waiting, cancel),
    ):
        pass
    with lending.lent(lambda: 1, lambda: "other", silent, CancelToken()) as it:
        assert it == "it"
