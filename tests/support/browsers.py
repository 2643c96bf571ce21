"""One browser without a page: a client on a real session, and fingers on its keys."""

from __future__ import annotations

import io
from typing import cast

import numpy as np
import viser
from PIL import Image

from tests.support.fakes import box_photo
from tests.support.standins import FakeHandle, until
from viewer.browser.client import Client
from viewer.first_person.reports import WalkerPose
from viewer.page.keyboard import KeyEvent
from viewer.walk.workspace import Workspace
from vmem.cameras import MOVES, apply_move
from vmem.session import Session


def a_photo() -> bytes:
    packed = io.BytesIO()
    Image.fromarray(box_photo()).save(packed, "PNG")
    return packed.getvalue()


class Browser:
    """A client with its handle, and fingers on its keys."""

    def __init__(self, server: viser.ViserServer, workspace: Workspace) -> None:
        self.handle = FakeHandle(server)
        self.workspace = workspace
        self.client = Client(cast(viser.ClientHandle, self.handle), workspace)
        self.held: frozenset[str] = frozenset()

    def presses(self, code: str, shift: bool = False) -> None:
        """Down and up again."""
        self.holds(code, shift)
        self.lets_go(code)

    def holds(self, code: str, shift: bool = False) -> None:
        self.held |= {code}
        self.client.key_changed(KeyEvent("down", code, shift, self.held, 1, 0.0))

    def lets_go(self, code: str) -> None:
        self.held -= {code}
        self.client.key_changed(KeyEvent("up", code, False, self.held, 1, 0.0))

    def walks_to(self, c2w: np.ndarray, *, moving: bool = True) -> None:
        """The page says that its walker is at a pose (4, 4)."""
        self.client.page_said(WalkerPose(2**40, c2w, moving))

    def rests(self) -> None:
        """Until no job runs and the client has shown what there is to show."""
        until(lambda: self._idle() and self._idle())

    def _idle(self) -> bool:
        seen: list[bool] = []
        busy = self.workspace.worker.busy
        self.client.post(lambda: seen.append(self.workspace.worker.busy))
        until(lambda: seen)
        return not busy and not seen[0] and not self.client.debugger.due

    @property
    def session(self) -> Session:
        assert self.workspace.session is not None
        return self.workspace.session

    @property
    def steps(self) -> int:
        return len(self.session.memory.steps) - 1

    @property
    def place(self) -> np.ndarray:
        """Pose (4, 4) of the ghost."""
        assert self.client.actions.ghost is not None
        return self.client.actions.ghost.camera.c2w


def pose(*words: str) -> np.ndarray:
    c2w = np.eye(4)
    for word in words:
        c2w = apply_move(c2w, MOVES[word])
    return c2w
