"""Frustums of long walks: what a page is told leaves it with the right ones, and with few."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import viser
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import viewer.paint.thinning as thinning
import viewer.scene.frustums as frustums_module
from tests.support.standins import drawn_after
from viewer.paint.palette import AMBER, DARK, FAINT, QUIET, SKY
from viewer.paint.thinning import NEWEST, OLDER, thinned
from viewer.scene.frustums import CHANGE, MOST, MOST_LIT, Frustums
from vmem.cameras import Camera
from vmem.types import View


def view_at(x: float) -> View:
    c2w = np.eye(4)
    c2w[0, 3] = x
    nothing = np.zeros((2, 3), np.float32)
    camera = Camera(c2w, np.diag([3.0, 3.0, 1.0]), (2, 3))
    return View(np.zeros((2, 3, 3), np.uint8), camera, 0, nothing, nothing)


@given(st.integers(0, 9000), st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_few_views_of_many_are_shown_and_as_a_walk_grows_none_comes_back(n: int, size: int) -> None:
    ends = [*range(0, n, size)]
    shown = thinned(n, ends)
    assert len(shown) <= NEWEST + OLDER
    assert shown == sorted(set(shown))
    assert set(shown) >= set(range(max(0, n - NEWEST), n))
    assert not shown or shown[0] == 0, "the photo stays"
    more = set(thinned(n + size, [*range(0, n + size, size)]))
    assert {view for view in more if view < n} <= set(shown)
    older = [view for view in shown if view < n - NEWEST]
    assert len(older) >= min(OLDER // 2, len([end for end in ends if end < n - NEWEST]))


def test_a_short_walk_is_shown_whole() -> None:
    assert thinned(NEWEST + OLDER) == [*range(NEWEST + OLDER)]


class Heard:
    """What the page is told."""

    def __init__(self) -> None:
        self.news: list[dict[str, Any]] = []

    def __call__(self, scene: object, function: str, config: dict[str, Any]) -> None:
        if function == CHANGE:
            self.news.append(config)


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Heard:
    heard = Heard()
    monkeypatch.setattr(frustums_module, "run_script", heard)
    monkeypatch.setattr(thinning, "NEWEST", 5)
    monkeypatch.setattr(thinning, "OLDER", 4)
    return heard


Change = tuple[str, int, list[int]]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["add", "add", "add", "truncate", "highlight"]),
            st.integers(0, 60),
            st.lists(st.integers(0, 60), max_size=4),
        ),
        max_size=14,
    )
)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_page_draws_the_views_that_are_to_be_shown(
    server: viser.ViserServer, heard: Heard, changes: list[Change]
) -> None:
    heard.news.clear()
    shown = Frustums(server.scene, name="/some")
    views, ends, made = [], [], 0
    selected: set[int] = set()
    share, pointed = np.zeros(0), None
    for what, number, others in changes:
        if what == "add":
            new = [view_at(made + i) for i in range(number % 13)]
            made += len(new)
            ends += [len(views) + len(new) - 1] if new else []
            views += new
            shown.add(new, ends)
        elif what == "truncate":
            del views[number:]
            ends = [end for end in ends if end < number]
            selected = {view for view in selected if view < number}
            shown.truncate(number)
        else:
            selected, pointed = set(others), number
            share = np.arange(len(views)) % 2
            shown.highlight(selected, share, pointed)
            selected = {view for view in {*others, number} if view < len(views)}
    wanted = {*thinned(len(views), ends), *selected}
    assert len(wanted) <= 5 + 4 + 5
    drawn = drawn_after(heard.news)
    found = {one.c2w[0, 3]: one.color for one in drawn}
    assert found.keys() == {views[number].camera.c2w[0, 3] for number in wanted}
    assert len(found) == len(drawn) == len(shown.numbers)
    if changes and changes[-1][0] == "highlight":
        for number in wanted:
            voted = number < len(share) and share[number] > 0
            color = QUIET if voted else FAINT
            color = color if number in ends else DARK
            color = AMBER if number in set(changes[-1][2]) else color
            color = SKY if number == pointed else color
            assert found[views[number].camera.c2w[0, 3]] == color


def test_a_page_has_so_many_frustums_at_most(
    server: viser.ViserServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = Heard()
    monkeypatch.setattr(frustums_module, "run_script", heard)
    shown = Frustums(server.scene, name="/many")
    views = [view_at(0), view_at(1)]
    for step in range(700):
        shown.add(views, {2 * step + 1})
    shown.highlight(set(range(0, 1200, 7)), np.zeros(1400))
    assert len(shown) == 1400
    assert NEWEST + MOST_LIT < len(shown.numbers) <= MOST
    sent = sum(len(news.get("add", ())) for news in heard.news)
    assert sent <= 1400 + MOST_LIT, "a picture is sent once"
