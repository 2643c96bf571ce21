"""The backdrop of a walk, made on a thread beside that of its browser."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from viewer.debugger.beside import Beside
from viewer.first_person.backdrop import Backdrop, make_backdrop
from vmem.types import View


class Behind:
    """Makes the backdrop of the walk that is shown, once; one of a walk that has gone is dropped.

    Called on one thread, on which ``show`` is called too.
    """

    def __init__(
        self, show: Callable[[Backdrop | None], object], post: Callable[..., None]
    ) -> None:
        """``show``: takes each backdrop, and None while there is none; ``post(call, *arguments)``
        runs a call on the caller's thread."""
        self._show = show
        self._beside = Beside(post)
        self._first: View | None = None

    def begin(self, first: View, seed: int) -> None:
        """Have the backdrop of the walk that began with a view shown; nothing if it was begun."""
        if first is self._first:
            return
        if self._first is not None:
            self._show(None)
        self._first = first
        self._beside.ask(partial(make_backdrop, first, seed), self._take)

    def drop(self) -> None:
        """Show none any more that is not there yet."""
        self._beside.drop()

    def _take(self, made: Backdrop | Exception) -> None:
        if isinstance(made, Exception):
            raise made
        self._show(made)
