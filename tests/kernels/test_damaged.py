"""A damaged kernel cache never stops a start: set aside with one line, and rebuilt."""

from __future__ import annotations

import importlib.util
import logging
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import pytest
from numba.core import config

from vmem.kernels import damaged

SOURCE = """
from numba import njit

@njit(cache=True, nogil=True)
def doubled(x):
    return 2 * x
"""


class Kernel:
    """A function in a file of its own, and the cache that numba keeps of it."""

    def __init__(self, folder: Path) -> None:
        self._source = folder / "kernel_of_a_test.py"
        self._source.write_text(SOURCE)
        self.index = self.data = self._source

    def runs(self) -> tuple[int, int]:
        """(cache hits, cache misses) of a fresh process's first call, which must answer right."""
        spec = importlib.util.spec_from_file_location("kernel_of_a_test", self._source)
        assert spec is not None
        assert spec.loader is not None
        module: Any = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        assert module.doubled(21) == 42
        stats = module.doubled.stats
        folder = Path(stats.cache_path)
        self.index = next(folder.glob("*.nbi"), self.index)
        self.data = next(folder.glob("*.nbc"), self.data)
        return sum(stats.cache_hits.values()), sum(stats.cache_misses.values())


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    """A kernel that has been compiled and is found in its cache."""
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(damaged, "_said", False)
    kernel = Kernel(tmp_path)
    assert kernel.runs() == (0, 1)
    assert kernel.runs() == (1, 0)
    return kernel


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def randomized(path: Path) -> None:
    path.write_bytes(bytes((31 * i * i + 7 * i) % 256 for i in range(4000)))


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def with_one_other_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def replaced_by_another_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps(numba.__version__) + pickle.dumps([1, 2, 3]))


def unreadable(path: Path) -> None:
    """In a way that stops root, too: a link to itself."""
    path.unlink()
    path.symlink_to(path)


def replaced_by_a_folder(path: Path) -> None:
    path.unlink()
    (path / "with").mkdir(parents=True)


def of_another_version(path: Path) -> None:
    path.write_bytes(pickle.dumps("0.1") + b"whatever that version wrote")


def missing(path: Path) -> None:
    path.unlink()


LOUD = [
    emptied,
    randomized,
    truncated,
    replaced_by_another_pickle,
    unreadable,
    replaced_by_a_folder,
]


@pytest.mark.parametrize(
    ("file", "damage", "lines"),
    [("index", damage, 1) for damage in LOUD]
    + [("data", damage, 1) for damage in [*LOUD, with_one_other_byte] if damage is not unreadable]
    + [("data", unreadable, 0), ("index", of_another_version, 0)]
    + [(file, missing, 0) for file in ("index", "data")],
)
def test_a_damaged_cache_is_set_aside_with_one_line_and_rebuilt(
    kernel: Kernel,
    caplog: pytest.LogCaptureFixture,
    file: str,
    damage: Callable[[Path], None],
    lines: int,
) -> None:
    path: Path = getattr(kernel, file)
    damage(path)
    with caplog.at_level(logging.WARNING):
        assert kernel.runs() == (0, 1)
        assert kernel.runs() == (1, 0), "it has been rebuilt"
    assert len(caplog.records) == lines
    for record in caplog.records:
        assert "\n" not in record.getMessage()
        assert str(path.parent) in record.getMessage()
    aside = path.with_name(path.name + damaged.SUFFIX)
    assert (aside.exists() or aside.is_symlink()) == bool(lines)


def test_many_damaged_files_are_one_line(kernel, tmp_path, caplog, monkeypatch):
    (tmp_path / "other").mkdir()
    other = Kernel(tmp_path / "other")
    other.runs()
    for path in (kernel.index, other.index, kernel.data, other.data):
        randomized(path)
    with caplog.at_level(logging.WARNING):
        assert kernel.runs() == other.runs() == (0, 1)
    assert len(caplog.records) == 1


def test_a_cache_that_cannot_be_saved_is_no_failure(kernel, caplog, monkeypatch):
    from numba.core.caching import IndexDataCacheFile

    def full(self, filepath):
        raise OSError(28, "No space left on device")

    missing(kernel.index)
    monkeypatch.setattr(IndexDataCacheFile, "_open_for_write", full)
    with caplog.at_level(logging.WARNING):
        assert kernel.runs() == (0, 1)
    assert "No space left" in caplog.text


def test_what_numba_itself_wrote_is_read(kernel):
    content, mark, _ = kernel.data.read_bytes().rpartition(damaged._MARK)
    assert mark
    kernel.data.write_bytes(content)
    assert kernel.runs() == (1, 0)
