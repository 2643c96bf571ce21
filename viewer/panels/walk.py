"""The Walk tab: where the walk is, the newest frame, progress, moves, modes."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import viser
from PIL import Image, ImageDraw, ImageFont

from viewer.actions import Actions
from viewer.commands import CANCEL, GENERATE, NEXT_LAYOUT, RECORD, REDO, SCREENSHOT, UNDO
from viewer.paint.palette import AMBER, BACKGROUND
from viewer.paint.resize import thumbnail
from viewer.panels.elements import Choice, at_once, command_button, command_group
from viewer.panels.hints import hint_html
from viewer.panels.photos import PhotosPanel
from viewer.settings import LAYOUTS, VIEWS_FROM, WALK_MODES, Layout, Settings
from viewer.walk.worker import Event
from vmem.arrays import U8
from vmem.progress import Progress

PICTURE = 288
"""Side of the frame shown in the panel, in pixels."""
COUNTABLE = 999
"""Units of a stage above which a percentage is shown instead of their number."""
STAGES = {
    "kernels": "preparing kernels (slow the first time)",
    "retrieve": "asking the memory",
    "weights": "loading the weights",
    "encode": "encoding the remembered views",
    "denoise": "denoising",
    "decode": "decoding the frames",
    "geometry": "estimating depth",
    "memory": "taking the frames into memory",
}
"""Stages in plain words; those that are not here are words already."""
READY = "*ready*"


@dataclass(frozen=True, eq=False)
class WalkShown:
    """What the Walk tab says."""

    place: str
    """Where the walk is."""
    stage: str
    """What the job does, and how long it will take."""
    running: bool
    """Whether the bar and the button to cancel are visible."""
    percent: float
    """How far the bar is."""
    picture: U8
    """(h, w, 3) the newest frame, beside its heat map."""


class WalkPanel:
    """Shows the newest frame beside its heat map and drives the walk with the mouse."""

    def __init__(self, gui: viser.GuiApi, commands: Actions, settings: Settings) -> None:
        blank = np.full((PICTURE // 2, PICTURE, 3), BACKGROUND, np.uint8)
        self._picture = gui.add_image(blank, label=None, format="jpeg", jpeg_quality=80)
        self._place = gui.add_markdown("")
        self._stage = gui.add_markdown("")
        self._bar = gui.add_progress_bar(0)
        self._cancel = command_button(gui, commands, CANCEL, viser.Icon.X)
        self._cancel.visible = self._bar.visible = False

        self.mode = Choice(gui, "mode", "Mode", WALK_MODES)
        self.layout = Choice(gui, "layout", NEXT_LAYOUT.label, LAYOUTS)
        self._hints = gui.add_html("")
        self.show_choices(settings)
        command_button(gui, commands, GENERATE, viser.Icon.PLAYER_TRACK_NEXT, color="orange")
        command_group(gui, commands, "History", (UNDO, REDO))
        self.photos = PhotosPanel(gui, commands)
        command_group(gui, commands, "Save", (SCREENSHOT, RECORD))

        step = gui.add_slider("Step", 0.02, 0.5, 0.02, settings.step_size, hint="scene units")
        turn = gui.add_slider("Turn", 1.0, 30.0, 1.0, settings.turn_degrees, hint="degrees")
        for stride in (step, turn):
            stride.on_update(at_once(lambda _: commands.set_strides(step.value, turn.value)))

        view_from = gui.add_dropdown(
            "View from",
            VIEWS_FROM,
            initial_value=settings.view_from,
            hint="behind the ghost, through its eyes (dragging steers it), or free",
        )
        view_from.on_update(at_once(lambda _: commands.set_view_from(view_from.value)))

    def show_choices(self, settings: Settings, layout: Layout | None = None) -> None:
        """Show which mode and layout are on, and the keys that go with them.

        layout: as the page has room for it; None: as it is set."""
        self.mode.show(settings.mode)
        self.layout.show(layout or settings.layout)
        self._hints.content = hint_html(settings.mode, settings.keymap_now)

    @property
    def shown(self) -> WalkShown:
        """What the tab says now."""
        bar = self._bar
        picture = np.asarray(self._picture.image, np.uint8)
        running = bar.visible and self._cancel.visible
        return WalkShown(self._place.content, self._stage.content, running, bar.value, picture)

    def show_frame(self, frame: U8, heat: U8 | None) -> None:
        """Show the newest frame (H, W, 3), and beside it what memory knew of it (h, w, 3)."""
        left = thumbnail(frame, PICTURE)
        h, w = left.shape[:2]
        right = _empty(left)
        if heat is not None:
            resized = cv2.resize(heat, (w, h), interpolation=cv2.INTER_NEAREST)
            right = np.asarray(resized, np.uint8)
        self._show_beside(left, right)

    def show_forming(self, frame: U8, note: str = "forming…") -> None:
        """Show the last frame (H, W, 3) of the step that is being made, as far as it has formed,
        beside a note."""
        left = thumbnail(frame, PICTURE)
        right = Image.fromarray(_empty(left))
        middle = (right.width / 2, right.height / 2)
        font = ImageFont.load_default(22)
        ImageDraw.Draw(right).text(middle, note, fill=AMBER, font=font, anchor="mm")
        self._show_beside(left, np.asarray(right))

    def _show_beside(self, left: U8, right: U8) -> None:
        gap = np.full((len(left), 4, 3), BACKGROUND, np.uint8)
        self._picture.image = np.concatenate([left, gap, right], axis=1)

    def show_place(self, text: str) -> None:
        """Show one line: where the walk is. Before the first, no job has said anything."""
        self._place.content = text
        self._stage.content = self._stage.content or READY

    def show_event(self, event: Event) -> None:
        """Show stage, estimate and progress of the job."""
        running = event.kind in ("started", "progress")
        self._bar.visible = self._cancel.visible = running
        self._bar.value = 100 * event.fraction if running else 0.0
        self._stage.content = _describe(event)


def _empty(picture: U8) -> U8:
    """Background of a picture's size."""
    return np.broadcast_to(BACKGROUND, picture.shape).copy()


def _count(stage: Progress) -> str:
    """How far a stage is: of few units their count, of many (bytes) the percentage."""
    if stage.total <= 1:
        return ""
    if stage.total > COUNTABLE:
        return f" {100 * stage.done / stage.total:.0f} %"
    return f" {stage.done}/{stage.total}"


def _duration(seconds: float) -> str:
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"


def _describe(event: Event) -> str:
    more = f", {event.waiting} more waiting" if event.waiting else ""
    if event.kind == "progress" and event.progress is not None:
        stage = event.progress
        left = ""
        if event.eta is not None:
            left = f", about {_duration(event.eta)} left"
        elif event.stage_left is not None:
            left = f", about {_duration(event.stage_left)} left of this"
        word = STAGES.get(stage.stage, stage.stage)
        return f"**{event.label}**: {word}{_count(stage)}{left}{more}"
    if event.kind == "started":
        return f"**{event.label}**…{more}"
    if event.kind == "refused":
        return f"**not made**: {event.message}"
    if event.kind == "failed":
        return f"**{event.label} failed**: {event.message}"
    if event.kind == "cancelled":
        return f"**{event.label}** cancelled: nothing was changed"
    return f"{READY}{more}"
