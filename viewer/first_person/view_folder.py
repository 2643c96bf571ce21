"""Addresses of what a page fetches of a walk's views: nothing is kept a view."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence

from viewer.page.files import Files
from vmem.types import View, ViewId

Ids = Callable[[View], str]
"""What the page calls a view."""


class ViewFolder:
    """A file of each view of the memory that is shown, made when the page asks for it.

    One thread calls `show` and `close`; the files are made on the server's.
    """

    def __init__(self, files: Files, make: Callable[[View], bytes]) -> None:
        self._files, self._make = files, make
        self._views: Sequence[View] = ()
        self._folder = ""

    def show(self, views: Sequence[View], *, anew: bool = False) -> Ids:
        """Have the files of these views and of no others; their addresses. ``anew``: they are of
        another walk than those before, and so are their addresses."""
        self._views = views
        if anew or not self._folder:
            self.close()
            self._folder = self._files.add_folder(self._content)
        folder = self._folder
        return lambda view: folder + name_of(view)

    def close(self) -> None:
        """Have no files."""
        if self._folder:
            self._files.remove(self._folder)
        self._folder = ""

    def _content(self, name: str) -> bytes | None:
        view = view_named(self._views, name)
        return None if view is None else self._make(view)


def name_of(view: View) -> str:
    """A view's name within its walk: "12.3". ValueError for a view that is of no walk."""
    if view.id is None:
        raise ValueError(f"{view!r} has no id: only views of a walk can be fetched")
    return f"{view.id.node}.{view.id.number}"


def view_named(views: Sequence[View], name: str) -> View | None:
    """The view of that name among a memory's; None if there is none."""
    node, _, number = name.partition(".")
    if not (node.isdecimal() and number.isdecimal() and len(name) < 24):
        return None
    wanted = ViewId(int(node), int(number))
    # Along a way the steps' ids rise.
    at = bisect_left(views, wanted, key=lambda view: view.id or ViewId(-1, 0))
    found = views[at] if at < len(views) else None
    return found if found is not None and found.id == wanted else None
