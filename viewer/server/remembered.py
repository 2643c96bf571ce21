"""Which file each tab's walk is in, for pages that come back to a server that was ended."""

from __future__ import annotations

import json
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)

FOLDER = "tabs"
"""Of the files of the tabs, in the data folder."""
FORGOTTEN_AFTER = 90 * 24 * 3600.0
"""Seconds for which a tab is remembered that does not come back."""
LONGEST = 64 * 1024
"""Bytes of a tab's file; anything longer is not ours."""


@dataclass(frozen=True)
class Remembered:
    """What is remembered of a tab."""

    walk: Path
    """The file of its walk."""
    started_for: str
    """What the server was started for when the walk began; "" for nothing in particular."""


class RememberedTabs:
    """One small file a tab, named by its key. Errors of the disk are logged: a walk goes on."""

    def __init__(self, data: Path) -> None:
        """data: the program's data folder."""
        self._folder = data / FOLDER

    def find(self, key: str) -> Remembered | None:
        """What is remembered of a tab; None for one that is not known."""
        try:
            with (self._folder / f"{key}.json").open("rb") as file:
                fields = json.loads(file.read(LONGEST))
            return Remembered(Path(fields["walk"]), str(fields["started_for"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("what tab %s showed cannot be read: %s", key, error)
            return None

    def put(self, key: str, tab: Remembered) -> None:
        """Remember a tab, in place of what was remembered of it. Whole or not at all."""
        text = json.dumps({"walk": str(tab.walk.absolute()), "started_for": tab.started_for})
        beside = self._folder / f"{key}.{os.getpid()}.part"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            beside.write_text(text, encoding="utf-8")
            os.replace(beside, self._folder / f"{key}.json")
        except OSError as error:
            log.warning("what tab %s shows cannot be remembered: %s", key, error)

    def forget_old(self) -> None:
        """Forget tabs that have not come back for long."""
        oldest = time.time() - FORGOTTEN_AFTER
        for file in self._folder.glob("*"):
            try:
                if file.stat().st_mtime < oldest:
                    file.unlink()
            except OSError as error:
                log.info("%s stays: %s", file, error)
