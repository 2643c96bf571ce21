"""Which file each tab's walk is in: found again, whole or not at all, and forgotten in time."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from viewer.server.remembered import FORGOTTEN_AFTER, Remembered, RememberedTabs

KEY = "0123456789abcdef01234567"


def test_a_tab_is_remembered_by_the_next_program(tmp_path: Path) -> None:
    tab = Remembered(tmp_path / "Straße.vmem", "photo /a/b.jpg")
    RememberedTabs(tmp_path).put(KEY, Remembered(tmp_path / "other.vmem", ""))
    RememberedTabs(tmp_path).put(KEY, tab)
    assert RememberedTabs(tmp_path).find(KEY) == tab
    assert RememberedTabs(tmp_path).find("f" * 24) is None
    assert len(list(tmp_path.rglob("*.*"))) == 1, "nothing is left beside"


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b'{"walk": 3, "started_for": ""}'])
def test_what_is_no_record_is_none(content: bytes, tmp_path: Path) -> None:
    tabs = RememberedTabs(tmp_path)
    tabs.put(KEY, Remembered(tmp_path, ""))
    (file,) = tmp_path.rglob("*.json")
    file.write_bytes(content)
    assert tabs.find(KEY) is None


def test_a_folder_that_cannot_be_written_stops_no_walk(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.WARNING):
        RememberedTabs(tmp_path / "file").put(KEY, Remembered(tmp_path, ""))
    assert "cannot be remembered" in caplog.text


def test_tabs_that_stay_away_are_forgotten(tmp_path: Path) -> None:
    tabs = RememberedTabs(tmp_path)
    for key in (KEY, "f" * 24):
        tabs.put(key, Remembered(tmp_path, ""))
    old = next(tmp_path.rglob(f"{KEY}.json"))
    os.utime(old, (0, old.stat().st_mtime - FORGOTTEN_AFTER - 60))
    tabs.forget_old()
    assert tabs.find(KEY) is None
    assert tabs.find("f" * 24) is not None
