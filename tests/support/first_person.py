"""A page with the first-person picture's scripts and a canvas, and nothing else."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page

from shaders import load
from viewer.first_person.picture import SCRIPTS, SHADERS
from viewer.first_person.view_file import view_file
from vmem.arrays import U8
from vmem.types import View

READ = "(text) => readViewFile(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer)"
SETUP = """([sources, side]) => {
  document.body.style.margin = 0;
  document.body.innerHTML = "<canvas style='width:100vw;height:100vh;display:block'></canvas>";
  window.picture = new Picture(document.querySelector("canvas"), sources);
  picture.resize(side, side);
  window.walker = new Walker();
}"""


def picture_page(browser: Browser, side: int) -> Page:
    """A page whose ``picture`` is ``side`` pixels wide and high, and with a ``walker``."""
    page = browser.new_page(viewport={"width": side, "height": side})
    page.add_script_tag(content="\n".join(load(name) for name in SCRIPTS[:-1]))
    page.evaluate(SETUP, [{name: load(file) for name, file in SHADERS.items()}, side])
    return page


def drawn(page: Page, draw: str) -> U8:
    """(H, W, 3) of what a call draws, once all that is chosen has come."""
    call = f"{draw}; return picture.canvas.toDataURL('image/png');"
    data = page.evaluate(f"() => {{ picture.before = -Infinity; {call} }}")
    content = base64.b64decode(data.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def send(page: Page, views: Iterable[View]) -> None:
    """Give the page some views, in place of those that it has."""
    page.evaluate("() => [...picture.views.keys()].forEach((id) => picture.remove(id))")
    for number, view in enumerate(views):
        text = base64.b64encode(view_file(view)).decode()
        add = f"async ([text, id]) => picture.add({{ ...(await ({READ})(text)), id }})"
        page.evaluate(add, [text, number])
