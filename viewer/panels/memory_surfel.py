"""Ask a surfel: what it is, and every view that saw it, with the pixel marked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import viser

from viewer.page.pointing import mark
from viewer.page.scripts import answer_mark, reveal
from viewer.page.thumbnails import Thumbnails
from vmem.memory import MemorySnapshot
from vmem.retrieval.explain.to_json import Sighting, SurfelAccount, account

if TYPE_CHECKING:
    from viewer.browser.client import Client

ASK = "*Click a surfel in the scene, or press O over it, to ask which views saw it.*"
PICTURE = 64
"""Height of the thumbnails, in pixels."""


class SurfelPanel:
    """What a surfel says of itself."""

    def __init__(self, client: Client, gui: viser.GuiApi, thumbnails: Thumbnails) -> None:
        self._gui = gui
        self._thumbnails = thumbnails
        self._words = gui.add_markdown(ASK)
        self._views = gui.add_html("")

    def show(self, memory: MemorySnapshot, surfel: int | None) -> SurfelAccount | None:
        """A surfel's account; None, and the invitation to ask, for none."""
        if surfel is None or surfel >= len(memory.surfels):
            self._words.content, self._views.content = ASK, ""
            return None
        found = account(memory, surfel)
        self._words.content = surfel_text(found)
        pictures = "".join(self._picture(memory, sighting) for sighting in found.sightings)
        self._views.content = (
            f"<div {answer_mark(f'surfel {surfel}')}><div style='max-height:300px;overflow-y:auto;"
            f"line-height:0'>{pictures}</div></div>"
        )
        reveal(self._gui, f"surfel {surfel}")
        return found

    def _picture(self, memory: MemorySnapshot, sighting: Sighting) -> str:
        h, w = memory.views[sighting.view].camera.hw
        x, y = sighting.pixel
        spot = (x / w, y / h) if sighting.inside else None
        where = f"pixel ({x:.0f}, {y:.0f}), depth {sighting.depth:.2f}"
        title = f"view {sighting.view}: {where if sighting.inside else 'beyond the frame'}"
        return (
            f"<span {mark(f'stand:{sighting.view}')} title='{title}' style='position:relative;"
            f"display:inline-block;margin:2px;cursor:pointer'>"
            f"{self._thumbnails.tag(sighting.view, PICTURE, spot)}"
            f"<span style='position:absolute;left:2px;bottom:7px;font-size:10px;color:#fff;"
            f"text-shadow:0 0 2px #000,0 0 2px #000'>{sighting.view}</span></span>"
        )


def surfel_text(found: SurfelAccount) -> str:
    """What a surfel is, in a few lines."""

    def vector(values) -> str:
        return ", ".join(f"{value:.2f}" for value in values)

    views = spans([sighting.view for sighting in found.sightings])
    many = "s" if len(found.sightings) != 1 else ""
    return (
        f"**Surfel {found.surfel}** at ({vector(found.position)}), normal "
        f"({vector(found.normal)}), radius {found.radius:.3f} scene units. Made in step "
        f"{found.step}, {found.age} step{'s' * (found.age != 1)} ago. "
        f"Seen by {len(found.sightings)} view{many}: {views}"
    )


def spans(numbers: Sequence[int]) -> str:
    """Ascending numbers, three or more in a row as "a to b"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    told = [f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs]
    return ", ".join(told)
