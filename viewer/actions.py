"""What can be asked of one browser, by its keys, buttons, panels and mouse.

Panels and the table of commands know this interface only; viewer.browser.actions carries it out.
"""

from __future__ import annotations

from typing import Any, Protocol

from viewer.settings import (
    Heat,
    KeymapChoice,
    Layer,
    Layout,
    Mode,
    QuerySetting,
    Renderer,
    RowCount,
    TargetViews,
    ViewFrom,
)
from viewer.walk.source import Source
from vmem.arrays import F64
from vmem.devices.settings import SamplerName


class Actions(Protocol):
    """Everything that a user can do. Nothing is returned: what changes is shown."""

    # --- the walk --------------------------------------------------------------------------

    def move(self, word: str) -> None:
        """Make one move of vmem.cameras.MOVES: the ghost goes there; in step mode frames follow."""

    def generate(self) -> None:
        """Generate frames along the path to the ghost; in step mode ahead, if it did not move."""

    def cancel(self) -> None:
        """Close the window, stop playing, cancel the running job and drop the waiting ones, or
        explain the ghost again: the first of these that there is to do."""

    def undo(self) -> None:
        """Take back the last step."""

    def redo(self) -> None:
        """Make the step again that was taken back last."""

    def switch(self, node: int) -> None:
        """Go to a step of the history tree."""

    def rename(self, step: int, name: str) -> None:
        """Name the branch that ends at a step of the history tree, or with "" take its name."""

    def compare(self, step: int) -> None:
        """Show a step of the history tree beside the present one, or two beside each other."""

    def unfold(self, key: str) -> None:
        """List what is folded in a row of the history tree."""

    def jump(self) -> None:
        """Look through the view pointed at, in the table or in the scene; else go to the newest."""

    def go_to_view(self, view: int) -> None:
        """Bring the ghost and the browser's camera to a stored view."""

    def look_through(self, view: int) -> None:
        """Look through a stored view; the ghost, and what is explained, stay."""

    def stand_at(self, view: int) -> None:
        """Walk to where a stored view was taken."""

    def stand_on_map(self, at: tuple[float, float]) -> None:
        """Walk to a place on the map from above, (x, y) in [0, 1] of it."""

    def drag_ghost(self, pose: F64) -> None:
        """Move the ghost to a pose (4, 4), as the mouse did with the camera at its eyes."""

    def play(self) -> None:
        """Play the frames of the walk from its beginning, or stop playing."""

    def show_frame(self, view: int) -> None:
        """Show a stored frame in the History tab and look through its camera."""

    def help(self) -> None:
        """Open the list of keys."""

    # --- the session -----------------------------------------------------------------------

    def open(self, source: Source) -> None:
        """Begin a new walk."""

    def open_again(self) -> None:
        """Begin the present walk again, with the present settings."""

    def export_walk(self) -> None:
        """Pack the walk and offer it for download."""

    # --- settings --------------------------------------------------------------------------

    def set_mode(self, mode: Mode) -> None:
        """Choose whether move keys generate or fly the ghost."""

    def next_layout(self) -> None:
        """Fill the window with the next of the memory's scene and the walker's picture."""

    def home(self, jump: bool = False) -> None:
        """Go back to the photo's place, smoothly or at once."""

    def set_layout(self, layout: Layout) -> None:
        """Choose what fills the window."""

    def screenshot(self) -> None:
        """Have the page save what is seen as a picture."""

    def record(self) -> None:
        """Have the page record what is seen as a clip, or end and save the clip."""

    def set_targets(self, targets: TargetViews) -> None:
        """Set how many views a step of mode walk makes."""

    def set_view_from(self, view_from: ViewFrom) -> None:
        """Choose where the browser's camera is."""

    def set_strides(self, step_size: float, turn_degrees: float) -> None:
        """Set how far one move goes, in scene units, and how far one turn."""

    def set_keymap(self, keymap: KeymapChoice) -> None:
        """Choose which keys turn and which strafe."""

    def set_next(self, backend: str, size: int, seed: int) -> None:
        """Set what the next walk is made with; a backend that cannot run here is explained."""

    def set_preset(self, preset: SamplerName) -> None:
        """Choose how the vmem backend samples, from the next step on."""

    def set_visible(self, frustums: bool, billboards: bool, provenance: bool) -> None:
        """Switch frustums, billboards and the tint of invented pixels on or off."""

    def set_renderer(self, drawn_by: Renderer, server_above: int) -> None:
        """Choose who draws the surfels."""

    # --- what is explained -----------------------------------------------------------------

    def explain(self, step: int | None) -> None:
        """Explain a past step, or with None the ghost; a step that does not exist is ignored."""

    def earlier(self) -> None:
        """Explain the step before the one explained; from the ghost, the newest."""

    def later(self) -> None:
        """Explain the step after the one explained; after the newest, the ghost."""

    def live(self) -> None:
        """Explain the ghost, live."""

    def as_it_was(self) -> None:
        """Show a step's own retrieval again, after a what-if."""

    def play_steps(self) -> None:
        """Explain one step after the other, or stop that."""

    def next_row(self) -> None:
        """Point at the next row of the table."""

    def previous_row(self) -> None:
        """Point at the row before."""

    def pin(self) -> None:
        """Have the view pointed at always selected, or let it go."""

    def ban(self) -> None:
        """Have the view pointed at never selected, or let it come back."""

    def clear_what_ifs(self) -> None:
        """Drop pins and bans; suppression, weighting and density are the strategies' own again."""

    def set_query(self, name: QuerySetting, value: Any) -> None:
        """Set one of the settings that a query is made of."""

    def set_use_next(self, use: bool) -> None:
        """Choose whether steps are made with the what-ifs."""

    # --- how it is shown -------------------------------------------------------------------

    def set_heat(self, heat: Heat) -> None:
        """Choose how surfels are coloured."""

    def next_heat(self) -> None:
        """Colour surfels in the next way."""

    def toggle_overlay(self) -> None:
        """Show memory over the walker's picture (heat, legend, chosen views, map), or nothing."""

    def set_layer(self, layer: Layer) -> None:
        """Choose what is shown of what the target sees."""

    def next_layer(self) -> None:
        """Show the next layer of what the target sees."""

    def set_wipe(self, share: float) -> None:
        """Set the share of the frame's width that the layer does not cover."""

    def wipe_left(self) -> None:
        """Show less of the frame."""

    def wipe_right(self) -> None:
        """Show more of the frame."""

    def set_rows(self, rows: RowCount) -> None:
        """Choose how many views the table lists."""

    # --- questions -------------------------------------------------------------------------

    def ask_under_pointer(self) -> None:
        """Ask which views saw the surfel under the mouse; in the middle if it is elsewhere."""

    def compare_strategies(self) -> None:
        """Ask every strategy about the target that is explained."""

    def make_both(self) -> None:
        """Make a step with each of the two strategies that are chosen in the panel."""

    def export_explanation(self) -> None:
        """Pack what is explained as figure, JSON and recording, and offer it for download."""
