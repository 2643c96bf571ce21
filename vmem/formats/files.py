"""How every export reaches the disk: whole or not at all, and with errors that say what to do."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vmem.errors import VMemError


class ExportError(VMemError, OSError):
    """The files could not be written; the message says where and what to do."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside ``path`` with the same suffix, which replaces ``path`` on success.

    A link stays, and its target is replaced. If the body raises, ``path`` stays as it was and the
    temporary file is removed. Raises ExportError for a folder, a device, a socket or a pipe.
    """
    path = Path(os.path.realpath(path))
    if os.path.lexists(path) and not path.is_file():
        what = "a folder" if path.is_dir() else "not a regular file"
        raise ExportError(f"cannot write {path}: it is {what}; choose another name for the file")
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def clear_errors(path: Path) -> Iterator[None]:
    """Turn any OSError of the body into an ExportError about writing ``path``."""
    try:
        yield
    except ExportError:
        raise
    except OSError as error:
        free = ""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            # os.path.exists is false, never an error, for folders we cannot enter.
            existing = next(p for p in [path, *path.absolute().parents] if os.path.exists(p))
            free = f" ({shutil.disk_usage(existing).free / 1e6:.0f} MB free there)"
        raise ExportError(
            f"cannot write {path}: {error.strerror or error}{free}; choose another output directory"
        ) from error


def write_json(path: Path, content: Any) -> None:
    """Write ``content``, of plain values, as an indented JSON file."""
    with replacing(path) as part:
        part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def set_aside(path: Path) -> Path:
    """Rename a file to the first free one of ``name.old``, ``name.old2``, ...; its new path."""
    kept = path.with_name(f"{path.name}.old")
    count = 1
    while os.path.lexists(kept):
        count += 1
        kept = path.with_name(f"{path.name}.old{count}")
    return path.rename(kept)
