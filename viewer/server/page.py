"""The page that a browser gets first: viser's, under our name, without its panel at first."""

from __future__ import annotations

import gzip
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import viser

from shaders import load

TITLE = "VMem Viewer"


@dataclass(frozen=True)
class FirstPage:
    """A page, as it is and compressed."""

    html: bytes
    gzipped: bytes = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "gzipped", gzip.compress(self.html))


@cache
def first_page() -> FirstPage:
    """viser's page with our title, style and script in its head.

    Raises RuntimeError where viser's page has no title to replace: another release of viser.
    """
    page = Path(viser.__file__).parent / "client" / "build" / "index.html"
    return FirstPage(with_our_head(page.read_text(encoding="utf-8")).encode())


def with_our_head(page: str) -> str:
    """A page (HTML) whose title is ours, followed by our style and our script."""
    head = (
        f"<title>{TITLE}</title>\n"
        f"<style>{load('opening.css')}</style>\n<script>{load('opening.js')}</script>"
    )
    replaced, count = re.subn("<title>.*?</title>", lambda _: head, page, count=1)
    if count != 1:
        raise RuntimeError("viser's page has no title: install viser as this program asks for it")
    return replaced
