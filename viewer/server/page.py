"""The page that a browser gets first: viser's, under our name, without its panel at first."""

from __future__ import annotations

import gzip
import re
from dataclasses import dataclass, field
from pathlib import Path

import viser

from shaders import load
from viewer.page.thumbnails import jpeg_url
from vmem.arrays import U8

TITLE = "VMem Viewer"


@dataclass(frozen=True)
class FirstPage:
    """A page, as it is and compressed."""

    html: bytes
    gzipped: bytes = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "gzipped", gzip.compress(self.html))


def first_page(photo: U8 | None = None) -> FirstPage:
    """viser's page with our title, style and scripts in its head.

    photo: (H, W, 3) that a browser without a walk is shown until the picture is there. Raises
    RuntimeError where viser's page has no title to replace: another release of viser.
    """
    page = Path(viser.__file__).parent / "client" / "build" / "index.html"
    return FirstPage(with_our_head(page.read_text(encoding="utf-8"), photo).encode())


def with_our_head(page: str, photo: U8 | None = None) -> str:
    """A page (HTML) whose title is ours, followed by our style and our scripts; ``photo`` as in
    `first_page`."""
    style = load("opening.css") + load("elsewhere.css")
    if photo is not None:
        style += f":root {{ --vmem-photo: url({jpeg_url(photo)}); }}"
    scripts = "".join(f"<script>{load(name)}</script>" for name in ("opening.js", "tab_key.js"))
    head = f"<title>{TITLE}</title>\n<style>{style}</style>\n{scripts}"
    replaced, count = re.subn("<title>.*?</title>", lambda _: head, page, count=1)
    if count != 1:
        raise RuntimeError("viser's page has no title: install viser as this program asks for it")
    return replaced
