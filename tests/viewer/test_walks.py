"""The life of walks: taken over by key, freed while nobody has them, and never lost in between."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest

from tests.support.standins import until
from viewer.server.walks import Arrival, Visit, Walks
from viewer.walk.workspace import Workspace

KEY = "a" * 24


class Desk:
    """In place of workspaces: makes them, and knows how many of them are open."""

    def __init__(self, takes: float = 0.0) -> None:
        self.takes = takes
        """Seconds that closing takes."""
        self.open = self.most = self.made = 0
        self._lock = threading.Lock()

    def make(self) -> Workspace:
        with self._lock:
            self.open, self.made = self.open + 1, self.made + 1
            self.most = max(self.most, self.open)
        return cast(Workspace, self)

    def close(self, timeout: float | None = None) -> None:
        time.sleep(self.takes)
        with self._lock:
            self.open -= 1


def arrives(walks: Walks, desk: Desk, number: int) -> tuple[Visit, Arrival]:
    visit = Visit(KEY, number, f"page {number}")
    arrival = walks.arrive(visit, desk.make)
    assert arrival is not None
    return visit, arrival


def test_300_reloads_at_once_lose_no_walk() -> None:
    """Each page leaves and comes back in two threads, in either order."""
    walks, desk = Walks(keep=60.0), Desk()
    visit, first = arrives(walks, desk, 0)
    with ThreadPoolExecutor(2) as pool:
        for number in range(1, 301):
            calls = [(walks.leave, visit), (arrives, walks, desk, number)]
            done = [pool.submit(*call) for call in (calls if number % 2 else calls[::-1])]
            visit, arrival = next(each.result() for each in done if each.result())
            assert arrival.workspace is first.workspace
            assert not arrival.new
            assert not arrival.freed
            assert walks._walks[KEY]._timer is None, "it waits for nobody"
    assert (desk.made, desk.open) == (1, 1)


def test_a_walk_that_is_being_freed_is_closed_before_it_is_opened_again() -> None:
    """With no patience at all: a file is never open twice, and whoever comes has an open walk."""
    walks, desk = Walks(keep=0.0), Desk(takes=0.001)
    visit, _ = arrives(walks, desk, 0)
    freed = 0
    for number in range(1, 91):
        before = visit
        if number % 3:
            walks.leave(before)
        if number % 3 == 1:
            until(lambda: not walks.kept)  # while it is being closed
        visit, arrival = arrives(walks, desk, number)
        walks.leave(before)
        assert arrival.new == arrival.freed
        freed += arrival.freed
        assert desk.open == 1
    assert desk.most == 1
    assert 30 <= freed <= 60, "both ways were tried"


def test_the_youngest_connection_has_the_walk() -> None:
    walks, desk = Walks(keep=60.0), Desk()
    old, _ = arrives(walks, desk, 1)
    young, arrival = arrives(walks, desk, 3)
    assert arrival.before is old
    assert walks.arrive(Visit(KEY, 2, "page 2"), desk.make) is None
    walks.leave(old)
    assert walks._walks[KEY].visit is young


@pytest.mark.parametrize("begins_first", [True, False])
def test_what_runs_for_a_page_ends_once_whenever_it_began(begins_first: bool) -> None:
    visit, said = Visit(KEY, 1, "page"), list[str]()

    def start() -> Any:
        said.append("begins")
        return lambda: said.append("ends")

    if not begins_first:
        visit.end()
    visit.begin(start)
    visit.end()
    visit.end()
    assert said == (["begins", "ends"] if begins_first else [])


def test_a_page_that_is_sent_away_while_it_begins_is_waited_for() -> None:
    visit, begun, said = Visit(KEY, 1, "page"), threading.Event(), list[str]()

    def start() -> Any:
        begun.set()
        time.sleep(0.02)
        said.append("begins")
        return lambda: said.append("ends")

    thread = threading.Thread(target=visit.begin, args=(start,))
    thread.start()
    begun.wait(5)
    visit.end()
    assert said == ["begins", "ends"]
    thread.join()


def test_all_walks_close_at_the_same_time_and_slow_ones_are_not_waited_for() -> None:
    walks, desk = Walks(keep=60.0), Desk(takes=0.1)
    for number in range(6):
        walks.arrive(Visit(f"{number:024x}", number, ""), desk.make)
    slow = Desk(takes=1.0)
    walks.arrive(Visit(KEY, 7, ""), slow.make)
    began = time.monotonic()
    walks.close(0.4)
    assert time.monotonic() - began < 0.9
    assert (desk.open, slow.open) == (0, 1)
    assert walks.kept == {}
