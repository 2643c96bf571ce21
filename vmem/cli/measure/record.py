"""What was measured: rows, sections and the whole record, as plain values for JSON."""

from __future__ import annotations

import math
import re
import socket
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

SCHEMA = "vmem-measure/1"
"""Name and version of the file's layout."""

Plain = str | int | float | bool | None
State = Literal["done", "failed", "skipped", "time up", "interrupted"]


@dataclass(frozen=True)
class Row:
    """One measurement, or several that belong together."""

    name: str
    """What was measured, different from the other rows of its section."""
    values: Mapping[str, Plain]
    """By quantity; names end with the unit ("peak GiB"). "error" holds why there is none."""


@dataclass(frozen=True)
class Outcome:
    """A section after its turn."""

    section: str
    """Its name."""
    state: State
    """How it ended; "time up" and "interrupted" keep the rows made until then."""
    seconds: float
    """How long it ran."""
    rows: tuple[Row, ...] = ()
    """What it measured."""
    note: str = ""
    """Why it was skipped or what it failed with, else ""."""


@dataclass(frozen=True)
class Record:
    """One run."""

    versions: Mapping[str, Plain]
    """Of the program, Python and the packages."""
    hardware: Mapping[str, Plain]
    """Of the device and the computer; None where unknown."""
    options: Mapping[str, Plain]
    """What was asked for."""
    outcomes: tuple[Outcome, ...] = field(default=())
    """The sections that had their turn, in this order."""
    finished: bool = False
    """Whether no other section was to follow."""

    def to_json(self) -> dict[str, Any]:
        """Plain values without folders and host name, numbers to six digits.

        schema, finished, versions, hardware, options, and sections: a list of section, state,
        seconds, note and rows, each a name with its values.
        """
        return _plain(
            {
                "schema": SCHEMA,
                "finished": self.finished,
                "versions": self.versions,
                "hardware": self.hardware,
                "options": self.options,
                "sections": [
                    {
                        "section": outcome.section,
                        "state": outcome.state,
                        "seconds": outcome.seconds,
                        "note": outcome.note,
                        "rows": [{"name": row.name, **row.values} for row in outcome.rows],
                    }
                    for outcome in self.outcomes
                ],
            }
        )


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        # JSON has no words for NaN and infinity.
        return float(f"{value:.6g}") if math.isfinite(value) else str(value)
    return without_places(value) if isinstance(value, str) else value


# A slash that begins a word, then folders; a drive's letter, then folders. URLs are neither.
_FOLDERS = re.compile(r"(?<![\w.:/~])~?/(?:[^\s/'\":,;()]+/)+|\b[A-Za-z]:\\(?:[^\\/'\":,;()]+\\)+")


def without_places(text: str, known: Iterable[str] | None = None) -> str:
    """``text`` without the folders of its paths, and without this computer's name.

    known: folders that are replaced whatever their names hold, by default those of the user, the
    installation, temporary files and the current one.
    """
    if known is None:
        own = Path.home(), Path.cwd(), Path(tempfile.gettempdir()), Path(sys.prefix)
        known = [str(folder) for folder in own]
    for folder in sorted(known, key=len, reverse=True):
        if len(folder) > 1:  # not the root
            text = text.replace(folder, "~")
    text = _FOLDERS.sub(".../", text)
    return re.sub(rf"\b{re.escape(socket.gethostname() or ' ')}\b", "HOST", text)
