"""``frames/``: the frame of every view as a PNG, named by the view's number."""

from __future__ import annotations

import io
import re
from pathlib import Path

from PIL import Image, PngImagePlugin

from vmem.types import View

FRAMES_NAME = "frames"
"""Name of the folder in a walk's folder."""
SOFTWARE = "VMem Viewer"
"""What the text field "Software" of a frame's PNG says: how we know our own frames again."""


def frame_name(view: int) -> str:
    """File name of a view's frame."""
    return f"{view:06d}.png"


def frame_png(view: View) -> bytes:
    """A view's frame as the content of its file."""
    text = PngImagePlugin.PngInfo()
    text.add_text("Software", SOFTWARE)
    content = io.BytesIO()
    Image.fromarray(view.rgb).save(content, "PNG", pnginfo=text)
    return content.getvalue()


def numbered(folder: Path) -> list[Path]:
    """What is named like a frame in ``folder``, by number; nothing if it is no folder."""
    return sorted(p for p in folder.glob("*.png") if re.fullmatch(r"\d{6}\.png", p.name))


def is_of_a_walk(path: Path) -> bool:
    """Whether the file at ``path`` is a frame that a walk wrote, and nobody has saved since."""
    if not path.is_file():  # to open a pipe is to wait for its writer
        return False
    try:
        with Image.open(path, formats=["PNG"]) as image:
            return image.info.get("Software") == SOFTWARE
    except (OSError, ValueError, SyntaxError):
        return False
