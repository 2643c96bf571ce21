"""Two processes, dead writers, and files that change while they are read."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.store.records import files_in, make_record, same, save_walk
from vmem.store import StoreError, WalkFile, WalkHeld, owner, writer

CHILD = """
import sys, time
from tests.store.records import make_record
from vmem.store import WalkFile
file = WalkFile.open(sys.argv[1])
file.add(3, 2, "w", make_record(3), {})
print("saved", flush=True)
time.sleep(60)
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return save_walk(tmp_path_factory.mktemp("saved") / "w.vmem", 2).read_bytes()


@pytest.fixture
def walk(saved: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "w.vmem"
    path.write_bytes(saved)
    return path


def test_a_second_process_looks_on_and_takes_over_from_the_dead(
    walk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = subprocess.Popen([sys.executable, "-c", CHILD, walk], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "saved\n"
        with pytest.raises(WalkHeld, match=f"process {child.pid} on .* to look only"):
            WalkFile.open(walk)
        names = sorted(files_in(tmp_path))
        with WalkFile.open(walk, read_only=True) as file:
            assert same(file.record(3), make_record(3))
        assert WalkFile.summary(walk).held_by.startswith(f"process {child.pid} on ")
        assert sorted(files_in(tmp_path)) == names
    finally:
        child.send_signal(signal.SIGKILL)
    # It is not waited for: a process that ended counts as dead even so.
    while " Z " not in Path(f"/proc/{child.pid}/stat").read_text():
        time.sleep(0.01)
    left = files_in(tmp_path)
    assert sorted(left) == ["w.vmem", "w.vmem-shm", "w.vmem-wal"]

    assert WalkFile.summary(walk).held_by == ""
    with WalkFile.open(walk, read_only=True) as file:
        assert same(file.record(3), make_record(3))
    after = files_in(tmp_path)
    assert {**after, "w.vmem-shm": b""} == {**left, "w.vmem-shm": b""}

    # The log alone, as in a copy of a folder.
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    apart = tmp_path / "apart"
    apart.mkdir()
    for name in ("w.vmem", "w.vmem-wal"):
        shutil.copy(tmp_path / name, apart)
    with WalkFile.open(apart / "w.vmem", read_only=True) as file:
        assert same(file.record(3), make_record(3))
        assert sorted(files_in(apart)) == ["w.vmem", "w.vmem-wal"]
    assert files_in(temporary) == {}

    for path in (walk, apart / "w.vmem"):
        with WalkFile.open(path) as file:
            file.add(4, 3, "w", make_record(4), {})
            assert same(file.record(3), make_record(3))
        assert WalkFile.open(path, read_only=True).head() == 4
    child.wait()


def _other(walk: Path, beat: float) -> None:
    with closing(sqlite3.connect(walk, isolation_level=None)) as connection:
        connection.execute("DELETE FROM owner")
        connection.execute(
            "INSERT INTO owner VALUES (1, 'token', 'desk', 'another', 7, '1', ?, ?)",
            (str(walk.stat().st_ino), beat),
        )


def test_another_machine_is_believed_while_it_beats(walk: Path) -> None:
    _other(walk, time.time() - owner.SILENCE / 2)
    with pytest.raises(WalkHeld, match="process 7 on desk"):
        WalkFile.open(walk)
    assert WalkFile.summary(walk).held_by == "process 7 on desk"
    _other(walk, time.time() - owner.SILENCE - 1)
    WalkFile.open(walk).close()


def test_who_was_silent_for_long_hears_that_another_took_over(walk: Path) -> None:
    with WalkFile.open(walk) as file:
        _other(walk, time.time())
        with pytest.raises(WalkHeld, match="taken over by process 7 on desk"):
            file.add(3, 2, "w", make_record(3), {})
        assert len(file.nodes()) == 3
    assert WalkFile.summary(walk).held_by == "process 7 on desk"


def test_looking_does_not_take_the_locks_of_this_process_away(walk: Path) -> None:
    visit = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT 1 FROM node')"
    with WalkFile.open(walk) as file:
        file.rename_node(1, "x")
        WalkFile.summary(walk)
        with pytest.raises(WalkHeld):
            WalkFile.open(walk)
        WalkFile.open(walk, read_only=True).close()
        # Who closes a database last removes its log: this must not be the visitor.
        subprocess.run([sys.executable, "-S", "-c", f"{visit}; c.close()", walk], check=True)
        assert walk.with_name("w.vmem-wal").exists()


def test_a_copy_of_a_held_file_is_held_by_nobody(walk: Path, tmp_path: Path) -> None:
    with WalkFile.open(walk):
        for end in ("", "-wal"):
            shutil.copy(f"{walk}{end}", tmp_path / f"copy.vmem{end}")
        assert WalkFile.summary(tmp_path / "copy.vmem").held_by == ""
        WalkFile.open(tmp_path / "copy.vmem").close()


def test_a_process_of_the_same_number_is_another(walk: Path) -> None:
    mine = owner.this_process(walk)
    for pid, started, alive in (
        (os.getpid(), "1", False),  # the number was given again
        (os.getpid(), mine.started, False),  # a token that this process does not hold
        (os.getppid(), owner._started(os.getppid()), True),
        (2**22 + 1, mine.started, False),
    ):
        other = owner.Owner("t", "h", mine.machine, pid, started, mine.file, 0.0)
        assert other.holds(walk) == alive


def test_the_heart_beats_until_the_file_is_let_go(
    walk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, "BEAT", 0.01)
    file = WalkFile.open(walk)

    def beat() -> float:
        with closing(sqlite3.connect(f"file:{walk}?mode=ro", uri=True)) as connection:
            return connection.execute("SELECT beat FROM owner").fetchone()[0]

    first, end = beat(), time.monotonic() + 20
    while beat() == first:
        assert time.monotonic() < end
        time.sleep(0.01)
    changed = WalkFile.summary(walk).changed
    file.rename_node(1, "x")
    assert WalkFile.summary(walk).changed > changed
    # Let go without closing, as by a session that was forgotten.
    del file
    while True:
        gc.collect()
        try:
            WalkFile.open(walk).close()
            break
        except StoreError:
            assert time.monotonic() < end
            time.sleep(0.01)


def test_a_long_log_is_merged_beside_the_steps(walk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "LOG", 200_000)
    before, end = walk.stat().st_size, time.monotonic() + 20
    logs = []
    with WalkFile.open(walk) as file:
        node = 2
        while walk.stat().st_size == before or node < 30:
            node += 1
            file.add(node, node - 1, "w", make_record(node), {})
            logs.append(walk.with_name("w.vmem-wal").stat().st_size)
            assert time.monotonic() < end
        assert same(file.record(3), make_record(3))
    assert max(logs) < 25 * (logs[1] - logs[0])
    with WalkFile.open(walk, read_only=True) as file:
        assert (len(file.nodes()), file.dropped) == (node + 1, ())


def test_a_file_that_is_written_while_it_is_looked_at_is_read_anew(walk: Path) -> None:
    looking = WalkFile.open(walk, read_only=True)
    with WalkFile.open(walk) as writing:
        for node in range(3, 9):
            writing.add(node, node - 1, "w", make_record(node, size=40), {})
        assert same(looking.record(1), make_record(1))
    assert same(looking.record(2), make_record(2))
    assert len(looking.nodes()) == 3
    # The file is whole by itself, though it is still looked at.
    assert walk.with_name("w.vmem-wal").stat().st_size == 0
    looking.close()
    WalkFile.open(walk).close()
    assert list(files_in(walk.parent)) == ["w.vmem"]
