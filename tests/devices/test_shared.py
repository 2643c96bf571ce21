"""A shared model: loaded once, used by one job at a time, loaded again when its files change."""

from __future__ import annotations

import pytest

from vmem.devices.shared import SharedModel
from vmem.progress import Cancelled, CancelToken, Progress, silent


def test_it_is_loaded_once_and_makes_room_for_another():
    freed: list[str] = []
    shared = SharedModel[str](freed.append)
    loads = []

    def use(key: str) -> str:
        with shared.use(
            "gpu", lambda: key, lambda: loads.append(key) or key, silent, CancelToken()
        ) as it:
            return it

    assert [use(key) for key in ("a", "a", "b")] == ["a", "a", "b"]
    assert (loads, freed) == (["a", "b"], ["gpu"])
    shared.unload()
    assert freed == ["gpu", "gpu"]


def test_a_fetched_file_is_kept_under_what_it_is_now():
    shared, files = SharedModel[str](), []

    def fetch() -> str:
        files.append("file")
        return "network"

    for _ in range(2):
        with shared.use("gpu", lambda: tuple(files), fetch, silent, CancelToken()) as it:
            assert it == "network"
    assert files == ["file"]


def test_who_waits_can_cancel():
    shared, cancel = SharedModel[str](), CancelToken()

    def waiting(progress: Progress) -> None:
        cancel.cancel()

    with (
        shared.use("gpu", lambda: 1, lambda: "it", silent, CancelToken()),
        pytest.raises(Cancelled),
        shared.use("gpu", lambda: 1, lambda: "it", waiting, cancel),
    ):
        pass
    with shared.use("gpu", lambda: 1, lambda: "other", silent, CancelToken()) as it:
        assert it == "it"


def test_only_an_idle_model_of_that_device_is_dropped():
    freed: list[str] = []
    shared = SharedModel[str](freed.append)
    for device in ("one", "other"):
        with shared.use(device, lambda: 1, lambda: "it", silent, CancelToken()):
            shared.unload_idle("one")
    assert freed == ["one"], "while the other's was in use, not while its own was"
    shared.unload_idle("never used")
    shared.unload_idle("other")
    assert freed == ["one", "other"]
