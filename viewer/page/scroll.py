"""Answers come to where the user looks: the tab that opens, the panel that scrolls."""

from __future__ import annotations

import html

import viser

from shaders import load
from viewer.page.scripts import run_script


def answering(answer: str) -> str:
    """HTML attribute of the element that holds an answer, for `reveal` to find.

    No other element of an answer may bear the same name.
    """
    return f'data-vmem-answer="{html.escape(answer)}"'


def reveal(gui: viser.GuiApi, answer: str | None = None, tab: str | None = None) -> None:
    """Open a tab of the client's panel, and scroll to an answer as little as it takes.

    Send the answer first. One in a tab or folder that is not open is left where it is.
    """
    run_script(gui, load("reveal.js"), {"answer": answer, "tab": tab})
