"""Each photo's continuation is made once, if possible before a step needs it."""

from __future__ import annotations

import threading
import weakref
from concurrent.futures import Future, wait

from vmem.generation.preview.outpaint import Extension, extend
from vmem.progress import CancelToken
from vmem.types import View

_POLL = 0.05
"""Seconds between two looks at whether a step that waits was cancelled."""


class Extensions:
    """Extensions by anchor and seed, for as long as the anchor lives.

    An extension depends on its anchor and seed only, so it is the same whoever makes it. What fails
    is forgotten: those who waited for it get the error, the next to ask tries again.
    """

    def __init__(self) -> None:
        self._made: weakref.WeakKeyDictionary[View, dict[int, Future[Extension]]]
        self._made = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()

    def start(self, anchor: View, seed: int) -> None:
        """Begin to make an extension in a thread that ends with it; nothing if one was begun."""
        future, ours = self._claim(anchor, seed)
        if not ours:
            return
        arguments = (future, anchor, seed)
        threading.Thread(target=self._make, args=arguments, name="photo's extension").start()

    def get(self, anchor: View, seed: int, cancel: CancelToken) -> Extension:
        """The extension, made here unless it was begun elsewhere. Raises Cancelled while it waits,
        and what `extend` raises."""
        future, ours = self._claim(anchor, seed)
        if ours:
            self._make(future, anchor, seed)
        while not future.done():
            wait([future], _POLL)
            cancel.check()
        return future.result()

    def _claim(self, anchor: View, seed: int) -> tuple[Future[Extension], bool]:
        """Where the extension will be, and whether it is the caller who has to make it."""
        with self._lock:
            futures = self._made.setdefault(anchor, {})
            ours = seed not in futures
            return futures.setdefault(seed, Future()), ours

    def _make(self, future: Future[Extension], anchor: View, seed: int) -> None:
        try:
            future.set_result(extend(anchor, seed))
        except BaseException as error:
            # Its traceback holds the anchor, so it may not stay here: the anchor would never go.
            with self._lock:
                del self._made[anchor][seed]
            future.set_exception(error)
