"""Text of shaders and of scripts for the page, kept as files. Imports the standard library only."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

FOLDERS = ("surfel", "page", "first_person")
"""Where files lie: what draws surfels, what runs in viser's page, and what draws stored views from
the walker's place."""


@cache
def load(name: str) -> str:
    """The text of one file, by its name without a folder: ``load("surfel.vert.glsl")``.

    Raises FileNotFoundError if no folder has such a file.
    """
    for folder in FOLDERS:
        file = files(__name__).joinpath(folder, name)
        if file.is_file():
            return file.read_text(encoding="utf-8")
    raise FileNotFoundError(f"no shader or script is called {name!r} in {', '.join(FOLDERS)}")
