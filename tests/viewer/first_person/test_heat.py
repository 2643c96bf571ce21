"""What the page is told of memory's colours, and what it fetches then."""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from viewer.first_person.heat import PictureHeat, colors_file
from viewer.page.files import Files
from viewer.paint.surfel_colors import Painted, paint_surfels
from vmem.memory import MemorySnapshot


class Page:
    """Keeps what it is told, and fetches."""

    def __init__(self) -> None:
        self.files, self.told = Files(), list[tuple[str, dict[str, Any]]]()
        self.heat = PictureHeat(self.files, self.call)
        self.maps: dict[str, str] = {}

    def call(self, operation: str, **config: Any) -> None:
        self.told.append((operation, config))
        if operation == "heat.views":
            for name in config["remove"]:
                del self.maps[name]
            self.maps |= dict(config["add"])

    def shows(self, memory: MemorySnapshot) -> None:
        self.heat.show_memory(memory, lambda view: f"{id(view)}")

    def heard(self) -> list[str]:
        """The operations since the last time."""
        told, self.told = self.told, []
        return [operation for operation, _ in told]

    def largest(self) -> int:
        """The largest surfel in all maps that it can fetch now."""
        found = []
        for address in self.maps.values():
            content = self.files.content(address)
            assert content is not None
            steps = np.frombuffer(zlib.decompress(content[4:]), "<u4")
            found.append(int(np.cumsum(steps, dtype=np.uint32).max()) - 1)
        return max(found)


@pytest.fixture
def page() -> Page:
    return Page()


def painted(memory: MemorySnapshot) -> Painted:
    return paint_surfels("owner", memory, None)


def test_nothing_is_told_before_heat_is_shown_and_once_it_is_hidden(
    page: Page, walk: MemorySnapshot
) -> None:
    page.shows(walk.at_step(1))
    page.heat.show(None)
    assert page.heard() == []
    page.heat.show(painted(walk.at_step(1)))
    assert page.heard() == ["heat.views", "heat.show"]
    page.heat.show(None)
    page.shows(walk.at_step(2))
    assert page.heard() == ["heat.hide"]
    page.heat.show(painted(walk.at_step(2)))
    assert page.heard() == ["heat.views", "heat.show"]
    assert len(page.maps) == len(walk.at_step(2).views)


def test_the_newest_colours_are_fetched(page: Page, walk: MemorySnapshot) -> None:
    memory = walk.at_step(1)
    page.shows(memory)
    for mode in ("owner", "age"):
        last = paint_surfels(mode, memory, None)
        page.heat.show(last)
    (first, second) = [config for operation, config in page.told if operation == "heat.show"]
    assert first["address"] == second["address"]
    assert first["version"] < second["version"]
    assert page.files.content(first["address"]) == colors_file(last)


def test_the_same_colours_are_not_fetched_again(page: Page, walk: MemorySnapshot) -> None:
    page.shows(walk)
    page.heat.show(painted(walk))
    page.heard()
    same = painted(walk)
    page.heat.show(same)
    assert page.heard() == []
    page.heat.show(replace(same, valued=np.arange(4)))
    assert page.heard() == ["heat.show"]


def test_after_an_undo_no_map_points_past_the_end(page: Page, walk: MemorySnapshot) -> None:
    page.shows(walk)
    page.heat.show(painted(walk))
    revision = page.told[0][1]["revision"]
    assert page.largest() >= len(walk.at_step(3).surfels)
    addresses = set(page.maps.values())
    memory = walk.at_step(3)
    page.shows(memory)
    config = page.told[-1][1]
    assert config["undone"] is True
    assert config["revision"] > revision
    assert len(page.maps) == len(memory.views)
    assert page.largest() < len(memory.surfels)
    for address in addresses - set(page.maps.values()):
        assert page.files.content(address) is None


def test_maps_are_made_again_once_memory_has_grown_by_a_share(
    page: Page, walk: MemorySnapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("viewer.first_person.heat.GROWN", 1.02)
    page.shows(walk.at_step(0))
    page.heat.show(painted(walk.at_step(0)))
    revised = [len(walk.at_step(0).surfels)]
    for step in range(1, len(walk.steps)):
        memory = walk.at_step(step)
        page.shows(memory)
        operation, config = page.told[-1]
        assert (operation, config["undone"]) == ("heat.views", False)
        if config["revision"] > len(revised):
            assert len(memory.surfels) > 1.02 * revised[-1]
            revised.append(len(memory.surfels))
        else:
            assert len(memory.surfels) <= 1.02 * revised[-1]
    assert len(revised) > 1


@given(st.data())
def test_colours_come_back_from_their_file(data: st.DataObject) -> None:
    n = data.draw(st.integers(0, 40))
    color = np.random.default_rng(n).integers(0, 256, (n, 3)).astype(np.uint8)
    some = st.lists(st.integers(0, n - 1), unique=True) if n else st.just([])
    valued = data.draw(st.none() | some)
    chosen = None if valued is None else np.array(valued, np.int32)
    content = zlib.decompress(colors_file(Painted(color, "", valued=chosen)))
    rgba = np.frombuffer(content, np.uint8).reshape(n, 4)
    has_value = np.isin(np.arange(n), np.arange(n) if valued is None else valued)
    assert_array_equal(rgba[:, 3], np.where(has_value, 255, 0))
    assert_array_equal(rgba[has_value, :3], color[has_value])
    assert not rgba[~has_value].any()


def test_a_browser_that_is_gone_leaves_no_files(page: Page, walk: MemorySnapshot) -> None:
    page.shows(walk.at_step(1))
    page.heat.show(painted(walk.at_step(1)))
    page.heat.dispose()
    addresses = [*page.maps.values(), page.told[-1][1]["address"]]
    assert [page.files.content(address) for address in addresses] == [None] * len(addresses)
