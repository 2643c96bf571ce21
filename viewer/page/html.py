"""HTML for the panels: its style sheet, tables, and pictures as data URLs."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from typing import Literal

import viser
from PIL import Image

from shaders import load
from viewer.page.scripts import run_script
from viewer.paint.palette import AMBER, BACKGROUND, EDGE, MUTED, RAISED, SKY, css
from vmem.arrays import U8

SET_STYLE = """(config) => {
  document.getElementById("vmem-style")?.remove();
  const style = document.createElement("style");
  style.id = "vmem-style";
  style.textContent = config.css;
  document.head.append(style);
}"""
VARIABLES = {
    "amber": AMBER,
    "sky": SKY,
    "muted": MUTED,
    "raised": RAISED,
    "edge": EDGE,
    "background": BACKGROUND,
}
"""Colours that the style sheet knows by name."""


def add_style(gui: viser.GuiApi) -> None:
    """Give the page of a client the style sheet of our panels."""
    variables = "".join(f"--vmem-{name}:{css(color)};" for name, color in VARIABLES.items())
    run_script(gui, SET_STYLE, {"css": f":root{{{variables}}}\n{load('panel.css')}"})


def table(titles: Sequence[str], rows: Iterable[str]) -> str:
    """A table with a head; rows: HTML of each."""
    head = "".join(f"<th>{title}</th>" for title in titles)
    return f"<table><tr>{head}</tr>{''.join(rows)}</table>"


def cells(texts: Iterable[str], *, whole: bool = False) -> str:
    """Cells of a row from HTML; ``whole``: their lines are not broken."""
    start = "<td class='whole'>" if whole else "<td>"
    return "".join(f"{start}{text}</td>" for text in texts)


def data_url(rgb: U8, kind: Literal["JPEG", "PNG"] = "JPEG") -> str:
    """A picture (H, W, 3) u8 as a data URL; JPEG for photos, PNG where every pixel counts."""
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, kind, quality=80)
    body = base64.b64encode(buffer.getvalue()).decode()
    return f"data:image/{kind.lower()};base64,{body}"
