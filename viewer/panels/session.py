"""The Session tab: what this walk is made from, its download, and the walks that are saved."""

from __future__ import annotations

import hashlib
import html
import io
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import viser
from PIL import Image

from viewer.actions import Actions
from viewer.page.html import data_url
from viewer.page.pointing import mark
from vmem.store import Summary
from vmem.store.library import Unreadable

COUNT = 12
"""Saved walks that are listed, the latest first."""
SIDE = 96
"""Pixels of a thumbnail's longer side."""


class SessionPanel:
    """Says what the walk is, packs it, and lists the walks that are saved."""

    def __init__(self, gui: viser.GuiApi, commands: Actions) -> None:
        self._about = gui.add_markdown("")
        save = gui.add_button("Download this walk (.zip)", icon=viser.Icon.DOWNLOAD)
        save.on_click(lambda _: commands.export_walk())
        self._walks = gui.add_html("")
        self._listed: dict[str, Summary | Unreadable] = {}

    @property
    def shown(self) -> str:
        """What the tab says of the walk, as Markdown."""
        return self._about.content

    @property
    def listed(self) -> str:
        """The list of saved walks, as HTML."""
        return self._walks.content

    def show(self, title: str, backend: str, remarks: tuple[str, ...]) -> None:
        """Say what this walk is made from. remarks: what was done to the photo, and where the walk
        is saved."""
        lines = [f"**{title}**", "", backend, *(f"- {remark}" for remark in remarks)]
        self._about.content = "\n".join(lines)

    def show_walks(self, walks: Sequence[Summary | Unreadable], present: Path | None) -> None:
        """List saved walks. present: the file of the one that is shown."""
        self._listed = {name_of(walk.path): walk for walk in walks}
        content = walks_html(self._listed, present, time.time())
        if content != self._walks.content:
            self._walks.content = content

    def walk(self, name: str) -> Summary | Unreadable | None:
        """The listed walk of which the marks "walk-open:NAME" and the like are; None if it is no
        longer there."""
        return self._listed.get(name)


def name_of(path: Path) -> str:
    """What a saved walk is called in marks."""
    return hashlib.sha256(str(path).encode(errors="surrogateescape")).hexdigest()[:16]


def walks_html(walks: dict[str, Summary | Unreadable], present: Path | None, now: float) -> str:
    """The list of saved walks, by their names in marks. now: unix seconds."""
    if not walks:
        return ""
    rows = (_row(name, walk, walk.path == present, now) for name, walk in walks.items())
    return f"<div class='vmem-walks'><b>Recent walks</b>{''.join(rows)}</div>"


def title_of(walk: Summary) -> str:
    """What a saved walk is called for its user."""
    return walk.title or walk.photo or "procedural world"


def _row(name: str, walk: Summary | Unreadable, present: bool, now: float) -> str:
    if isinstance(walk, Unreadable):
        why = walk.why.removeprefix(f"{walk.path} ").replace(str(walk.path), "it")
        words = f"<b>{html.escape(walk.path.name)}</b><span>{html.escape(why)}</span>"
        return f"<div><i></i><div>{words}{_links(name, ['delete'])}</div></div>"
    steps = "1 step" if walk.steps == 1 else f"{walk.steps} steps"
    facts = f"{steps} · {when(walk.changed, now)} · {walk.size / 1e6:.1f} MB"
    if walk.title and walk.photo:
        facts = f"{walk.photo} · {facts}"
    if present:
        links, facts = ["rename"], f"{facts} · shown here"
    elif walk.held_by:
        here = walk.held_by.startswith(f"process {os.getpid()} ")
        links, facts = ["look"], f"{facts} · open in {'another tab' if here else walk.held_by}"
    else:
        links = ["open", "rename", "delete"]
    words = f"<b>{html.escape(title_of(walk))}</b><span>{html.escape(facts)}</span>"
    return f"<div>{_picture(walk.thumbnail)}<div>{words}{_links(name, links)}</div></div>"


def _links(name: str, what: list[str]) -> str:
    words = {"look": "look only"}
    spans = (f"<span {mark(f'walk-{link}:{name}')}>{words.get(link, link)}</span>" for link in what)
    return f"<p>{''.join(spans)}</p>"


def _picture(thumbnail: bytes) -> str:
    """The thumbnail as a small JPEG; what is no picture leaves its place empty."""
    try:
        with Image.open(io.BytesIO(thumbnail), formats=("PNG", "JPEG")) as image:
            if max(image.size) > 4 * SIDE:
                return "<i></i>"
            image.thumbnail((SIDE, SIDE))
            return f'<img src="{data_url(np.asarray(image.convert("RGB")))}" alt="">'
    except (OSError, ValueError):
        return "<i></i>"


def when(moment: float, now: float) -> str:
    """A moment, both in unix seconds, as "17:20" of today, "27 Nov 17:20" or "27 Nov 2025"."""
    then, today = time.localtime(moment), time.localtime(now)
    if (then.tm_year, then.tm_yday) == (today.tm_year, today.tm_yday):
        return time.strftime("%H:%M", then)
    return f"{then.tm_mday} " + time.strftime(
        "%b %H:%M" if then.tm_year == today.tm_year else "%b %Y", then
    )
