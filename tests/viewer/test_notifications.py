"""Notices: what is said again while it is to be seen is counted, not shown twice."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
import viser
from hypothesis import given
from hypothesis import strategies as st

from viewer.browser import notifications
from viewer.browser.notifications import CLOSES_AFTER, CLOSING, Notifications
from viewer.settings import Settings


class Page:
    """Keeps the notices that it is given."""

    def __init__(self) -> None:
        self.notices: list[SimpleNamespace] = []

    def add_notification(self, title: str, body: str, **looks: Any) -> SimpleNamespace:
        self.notices.append(SimpleNamespace(title=title, body=body, **looks))
        return self.notices[-1]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([0.1, 3.0, 5.6, 9.0]))))
def test_the_same_notice_again_counts_up(said: list[tuple[str, float]]) -> None:
    page, now = Page(), 100.0
    ours = Notifications(cast(viser.ClientHandle, page), lambda call: None, Settings())
    expected: list[tuple[str, int]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(notifications.time, "monotonic", lambda: now)
        for text, pause in said:
            now += pause
            again = bool(expected) and expected[-1][0] == text and pause < CLOSES_AFTER - CLOSING
            durations = [notice.auto_close_seconds for notice in page.notices]
            ours.notify(text, "body")
            if again:
                expected[-1] = text, expected[-1][1] + 1
                assert page.notices[-1].auto_close_seconds != durations[-1], "it stays on"
            else:
                expected.append((text, 1))
    titles = [text if n == 1 else f"{text} ({n} times)" for text, n in expected]
    assert [notice.title for notice in page.notices] == titles
