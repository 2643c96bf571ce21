"""Calls from any thread, carried out on the browser's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from viewer.actions import Actions


class _Posted:
    """In place of actions: a call returns at once and is carried out on the browser's thread."""

    def __init__(self, post: Callable[..., None], actions: Callable[[], Actions]) -> None:
        self._post = post
        self._actions = actions

    def __getattr__(self, name: str) -> Callable[..., None]:
        def run(*arguments: object) -> None:
            getattr(self._actions(), name)(*arguments)

        return lambda *arguments: self._post(run, *arguments)


def posted(post: Callable[..., None], actions: Callable[[], Actions]) -> Actions:
    """Actions whose calls run on the browser's thread: what panels and commands are given.

    ``post(call, *arguments)`` runs a call there; ``actions()`` is asked for when it runs.
    """
    return cast(Actions, _Posted(post, actions))
