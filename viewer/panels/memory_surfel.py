"""Ask a surfel: what it is, and every view that saw it, with the pixel marked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import viser

from viewer.commands import ASK_SURFEL
from viewer.page.pointing import mark
from viewer.page.scripts import answer_mark, reveal
from viewer.page.thumbnails import Thumbnails
from vmem.memory import MemorySnapshot
from vmem.retrieval.explain.surfel_account import Sighting, SurfelAccount, account

ASK = (
    f"*Click a surfel in the scene, or press {ASK_SURFEL.key} over it, to ask which views saw it.*"
)
PICTURE = 64
"""Height of the thumbnails, in pixels."""
MOST_PICTURES = 120
"""Views, the newest, whose pictures are shown."""
TALLEST = 300
"""Height of all thumbnails, in pixels, above which they scroll."""


@dataclass(frozen=True)
class SurfelShown:
    """What is said of a surfel."""

    words: str
    """What it is, as Markdown."""
    views: str
    """Pictures of the views that saw it, as HTML; "" if no surfel is asked about."""


class SurfelPanel:
    """Shows what is known of a surfel."""

    def __init__(self, gui: viser.GuiApi, thumbnails: Thumbnails) -> None:
        self._gui = gui
        self._thumbnails = thumbnails
        self._words = gui.add_markdown(ASK)
        self._views = gui.add_html("")

    @property
    def shown(self) -> SurfelShown:
        """What it says now."""
        return SurfelShown(self._words.content, self._views.content)

    def show(self, memory: MemorySnapshot, surfel: int | None) -> SurfelAccount | None:
        """Show a surfel's account and return it; for none, how to ask."""
        if surfel is None or surfel >= len(memory.surfels):
            self._words.content, self._views.content = ASK, ""
            return None
        found = account(memory, surfel)
        self._words.content = surfel_text(found)
        newest = found.sightings[-MOST_PICTURES:]
        pictures = "".join(self._picture(memory, sighting) for sighting in newest)
        self._views.content = (
            f"<div {answer_mark(f'surfel {surfel}')}><div class='vmem-scroll' "
            f"style='max-height:{TALLEST}px;line-height:0'>{pictures}</div></div>"
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
            f"<span {mark(f'stand:{sighting.view}')} title='{title}' class='vmem-picture'>"
            f"{self._thumbnails.tag(sighting.view, PICTURE, spot)}"
            f"<span>{sighting.view}</span></span>"
        )


def surfel_text(found: SurfelAccount) -> str:
    """What a surfel is, in a few lines."""

    def vector(values: Iterable[float]) -> str:
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
    texts = [f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs]
    return ", ".join(texts)
