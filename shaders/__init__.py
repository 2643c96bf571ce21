"""Shader and browser-script text, kept as files. Standard library only: anyone may import it."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def load(name: str) -> str:
    """The text of one file of this package, such as ``"surfel.vert.glsl"``.

    Raises FileNotFoundError if there is no such file.
    """
    return files(__name__).joinpath(name).read_text(encoding="utf-8")
