"""A process that walks and is ended at any moment, and what its walk's file holds afterwards.

Every process is forked from the one that asks, so that none has to load kernels.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vmem.backends import Backend, create_backend
from vmem.errors import VMemError
from vmem.formats.files import ExportError
from vmem.session import Node, Session, SessionConfig, StepRefused
from vmem.store import StoreError

Say = Callable[..., None]
"""Reports something, with facts of plain values."""
SIZE = 64
CONFIG = SessionConfig(target_views=1, context_views=2, refuse=False)
MOVES = ["w", "a", "d", "s", "q", "e"]
LONGEST = 24
"""Steps of a walk after which a new one is begun, so that reading it back stays quick."""
EXPORTS = ("frames", "surfels", "retrieval")
FOREIGN = ("notes.txt", "walk.vmem.bak", "other.vmem", "exports/frames/readme.md")
"""Files of others that lie where the walk is and where it is exported to."""


def make_backend() -> Backend:
    """The quickest backend there is."""
    return create_backend("world", seed=0, size=SIZE)


@dataclass
class Known:
    """What a walk's processes have reported as done."""

    steps: dict[int, list[Any]] = field(default_factory=dict)
    """By id: parent, label, checksum of everything in the record."""
    head: int = 0
    names: dict[int, str] = field(default_factory=dict)
    begun: dict[str, Any] | None = None
    """What was begun and not reported as done."""

    def hear(self, line: dict[str, Any]) -> None:
        """Take one report in."""
        if line["what"] == "begin":
            self.begun = line
            return
        if line["what"] == "step":
            self.steps[line["id"]] = line["step"]
        if line["what"] == "name":
            self.names[line["id"]] = line["name"]
        if "head" in line:
            self.head = line["head"]
        self.begun = None


@dataclass(frozen=True)
class Verdict:
    """How a walk's file is after its process was ended."""

    steps_lost: int = 0
    """Steps reported as done that are missing or not as they were."""
    moves_lost: int = 0
    """Moves of the head and names reported as done that are not there."""
    unreadable: int = 0
    why: str = ""


def checksum(node: Node) -> int:
    """Of all that a step added."""
    record = node.record
    arrays = [record.link_surfel, record.link_view, *vars(record.surfels).values()]
    for view in record.views:
        arrays += [view.rgb, view.depth, view.confidence, view.camera.c2w]
    if record.retrieval is not None:
        arrays += [record.retrieval.votes, record.retrieval.surfel_weight]
    found = 0
    for array in arrays:
        found = zlib.crc32(array.tobytes(), found)
    return found


def live(path: Path, backend: Backend, seed: int, say: Say) -> None:
    """Go on with the walk of ``path``, or begin it, and do things at random until the end."""
    rng = random.Random(seed)
    session = opened(path, backend, say)
    while True:
        do_something(session, path.parent, rng, say)


def opened(path: Path, backend: Backend, say: Say) -> Session:
    """The walk of ``path``, or a new one there."""
    if path.exists():
        session = Session.resume(path, backend=backend)
    else:
        say("begin", step=0)
        session = Session.open(None, backend=backend, config=CONFIG, save=path)
        say("step", id=0, step=[None, "photo", checksum(session.history.head)], head=0)
    say("opened")
    return session


def do_something(session: Session, folder: Path, rng: random.Random, say: Say) -> None:
    """A step, a move of the head, a name or an export, reported before and after."""
    history = session.history
    what = rng.choices(("step", "undo", "redo", "switch", "name", "export"), (8, 2, 1, 2, 1, 1))[0]
    if what == "step":
        say("begin", step=history.next_id)
        try:
            node = session.move(rng.choice(MOVES)).node
        except StepRefused:
            return
        parent = None if node.parent is None else node.parent.id
        say("step", id=node.id, step=[parent, node.label, checksum(node)], head=node.id)
    elif what == "name":
        node, name = rng.choice(history.nodes), f"name {rng.randrange(1000)}"
        say("begin", name=[node.id, name])
        session.rename(node.id, name)
        say("name", id=node.id, name=name)
    elif what == "export":
        say("begin")
        kind = rng.choice(EXPORTS)
        session.export(kind, folder / "exports" / (kind if kind == "frames" else f"{kind}.out"))
        say("exported")
    else:
        goals = {"undo": history.head.parent, "redo": history.head.recent}
        goal = goals.get(what, rng.choice(history.nodes))
        if goal is not None:
            say("begin", head=goal.id)
            session.switch(goal.id)
            say("moved", head=goal.id)


def fill(path: Path, backend: Backend, seed: int, room: Callable[[], None], say: Say) -> None:
    """Do things at random until the disk is full, make ``room``, and go on a little."""
    rng, session = random.Random(seed), None
    try:
        session = opened(path, backend, say)
        while True:
            do_something(session, path.parent, rng, say)
    except (StoreError, ExportError) as error:
        say("refused", error=str(error), kind=type(error).__name__)
    room()
    if session is not None:
        for _ in range(3):
            do_something(session, path.parent, rng, say)
        session.close()


def judged(path: Path, backend: Backend, known: Known) -> Verdict:
    """Open the walk again and compare it with what was reported."""
    if not path.exists():
        return Verdict(steps_lost=len(known.steps))
    try:
        session = Session.resume(path, backend=backend)
        with session:
            nodes = {node.id: node for node in session.history.nodes}
            found = {
                id: [None if n.parent is None else n.parent.id, n.label, checksum(n)]
                for id, n in nodes.items()
            }
            head, names = session.history.head.id, {id: n.name for id, n in nodes.items()}
    except VMemError as error:
        return Verdict(unreadable=1, why=str(error))
    lost = [id for id, step in known.steps.items() if found.get(id) != step]
    begun = known.begun or {}
    moves = 0
    if head not in (known.head, begun.get("head"), begun.get("step")):
        moves += 1
    for id, name in known.names.items():
        moves += [id, names.get(id)] not in ([id, name], begun.get("name"))
    more = set(found) - set(known.steps) - {begun.get("step")}
    why = f"lost {lost}, not reported {sorted(more)}" if lost or more else ""
    return Verdict(len(lost), moves + len(more), 0, why)


class Walker:
    """Forks processes that go on with one walk after another in a folder, and ends them."""

    def __init__(self, folder: Path, seed: int = 0) -> None:
        self.folder, self.rng = folder, random.Random(seed)
        self.backend = make_backend()
        self.path, self.known = folder / "walk 0.vmem", Known()
        self.walks = 0
        self._foreign = _write_foreign(folder)
        self._warm_up()

    def round(self, longest: float) -> Verdict:
        """Go on for at most ``longest`` seconds, counted from the fork or from when the walk is
        open, kill the process, and judge the file."""
        self._perhaps_anew()
        number, from_fork = self.rng.randrange(1 << 30), self.rng.random() < 0.3
        delay = self.rng.uniform(0, longest)
        with forked(lambda say: live(self.path, self.backend, number, say)) as child:
            if not from_fork:
                child.hear(lambda line: line["what"] == "opened")
            time.sleep(delay)
            os.kill(child.process, signal.SIGKILL)
            child.hear()
        return self.judge(child.heard)

    def full_round(self, small: Path, left: int, limit: int | None = None) -> tuple[Verdict, str]:
        """A walk in the folder ``small`` until the disk is full, then after room was made: the
        verdict, and what the walk was told ("" if the disk was never full).

        left: bytes that are free there, by a ballast beside it · limit: most bytes of any file, in
        place of a small disk.
        """
        for old in small.iterdir():
            shutil.rmtree(old) if old.is_dir() else old.unlink()
        self.path, self.known = small / "walk.vmem", Known()
        ballast = small / "ballast"
        with ballast.open("wb") as file:
            file.write(bytes(max(0, shutil.disk_usage(small).free - left) if limit is None else 1))
        number = self.rng.randrange(1 << 30)

        def room() -> None:
            ballast.unlink()
            shutil.rmtree(small / "exports", ignore_errors=True)
            if limit is not None:
                endless = resource.RLIM_INFINITY
                resource.setrlimit(resource.RLIMIT_FSIZE, (endless, endless))

        def work(say: Say) -> None:
            if limit is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
            fill(self.path, self.backend, number, room, say)

        with forked(work) as child:
            child.hear()
        told = [line["error"] for line in child.heard if line["what"] in ("refused", "failed")]
        failed = any(line["what"] == "failed" for line in child.heard)
        verdict = self.judge(child.heard)
        if failed:
            verdict = replace(verdict, unreadable=1, why=f"{verdict.why} {told}")
        return verdict, told[0] if told else ""

    def judge(self, heard: list[dict[str, Any]]) -> Verdict:
        """Take reports in, and judge the file in a process of its own."""
        for line in heard:
            self.known.hear(line)
        known = self.known
        if not self.path.exists() and not known.steps:
            return Verdict()

        def compare(say: Say) -> None:
            verdict = judged(self.path, self.backend, known)
            say("verdict", **vars(verdict))

        with forked(compare) as child:
            child.hear()
        rows = [line for line in child.heard if line["what"] == "verdict"]
        if not rows:
            return Verdict(unreadable=1, why=f"the process that read it failed: {child.heard}")
        if known.begun:  # done or not: what the file says is known from now on
            self._learn()
        return Verdict(**{name: rows[0][name] for name in vars(Verdict())})

    def foreign_touched(self) -> int:
        """How many files of others are not as they were."""
        now = {name: _state(self.folder / name) for name in FOREIGN}
        return sum(now[name] != state for name, state in self._foreign.items())

    def _perhaps_anew(self) -> None:
        if len(self.known.steps) > LONGEST:
            self.walks += 1
            self.path, self.known = self.folder / f"walk {self.walks}.vmem", Known()

    def _learn(self) -> None:
        """What the file says is what later rounds must find."""

        def read(say: Say) -> None:
            with Session.resume(self.path, backend=self.backend) as session:
                for n in session.history.nodes:
                    parent = None if n.parent is None else n.parent.id
                    say("step", id=n.id, step=[parent, n.label, checksum(n)])
                    if n.name:
                        say("name", id=n.id, name=n.name)
                say("moved", head=session.history.head.id)

        with forked(read) as child:
            child.hear()
        self.known = Known()
        for line in child.heard:
            self.known.hear(line)

    def _warm_up(self) -> None:
        """Load the kernels here, so that every process has them."""
        with Session.open(None, backend=self.backend, config=CONFIG) as session:
            session.move("w")
            session.undo()
            session.redo()


@dataclass
class Child:
    """A forked process and what it has reported."""

    process: int
    pipe: Any
    heard: list[dict[str, Any]] = field(default_factory=list)

    def hear(self, until: Callable[[dict[str, Any]], bool] = lambda line: False) -> None:
        """Read reports until one is as asked for, or the process has ended."""
        for line in self.pipe:
            self.heard.append(json.loads(line))
            if until(self.heard[-1]):
                return


@contextmanager
def forked(work: Callable[[Say], None]) -> Iterator[Child]:
    """A process that does ``work(say)``; at the end it is killed, if it still runs, and waited
    for."""
    reading, writing = os.pipe()
    process = os.fork()
    if not process:
        try:
            os.close(reading)

            def say(what: str, **facts: Any) -> None:
                os.write(writing, json.dumps({"what": what, **facts}).encode() + b"\n")

            try:
                work(say)
            except BaseException as error:
                say("failed", error=f"{type(error).__name__}: {error}")
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, encoding="utf-8") as pipe:
        try:
            yield Child(process, pipe)
        finally:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)


def _write_foreign(folder: Path) -> dict[str, Any]:
    for name in FOREIGN:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{name} is not a walk's\n")
    return {name: _state(folder / name) for name in FOREIGN}


def _state(path: Path) -> Any:
    return (path.read_bytes(), path.stat().st_mtime_ns) if path.exists() else None
