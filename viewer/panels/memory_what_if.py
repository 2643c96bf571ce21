"""What if: K, strategy, suppression, weighting, density, pins and bans; answered at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import viser

from viewer.actions import Actions
from viewer.commands import BAN, CLEAR_WHAT_IFS, PIN
from viewer.panels.elements import at_once, command_button
from viewer.settings import QuerySetting, Settings
from vmem.retrieval import STRATEGIES
from vmem.types import WEIGHTINGS

OWN = "the strategy's own"


def _same(value: Any) -> Any:
    return value


class WhatIfPanel:
    """Everything that a query is made of."""

    def __init__(self, gui: viser.GuiApi, commands: Actions, settings: Settings) -> None:
        self._commands = commands
        self._settings = settings
        self._strategy = gui.add_dropdown(
            "Strategy", tuple(STRATEGIES), initial_value=settings.strategy
        )
        self._k = gui.add_slider("Views (K)", 1, 12, 1, settings.context_views)
        self._suppression = gui.add_slider(
            "Suppression",
            0.0,
            0.5,
            0.01,
            settings.suppression,
            hint="pose distance (rad) below which one of two views is left out; for votes and "
            "coverage",
        )
        self._weighting = gui.add_dropdown(
            "A pixel's vote",
            (OWN, *WEIGHTINGS),
            initial_value=settings.weighting or OWN,
            hint="published votes: cos/(1+z); coverage by itself counts pixels",
        )
        self._density = gui.add_slider(
            "Surfel density",
            0.05,
            1.0,
            0.05,
            settings.density,
            hint="share of the surfels that are asked; their disks grow to cover as much",
        )
        self._pins = gui.add_markdown("")
        self._use = gui.add_checkbox(
            "Use for the next steps",
            settings.use_next,
            hint="else only K and strategy are; it is recorded with each step",
        )
        command_button(gui, commands, CLEAR_WHAT_IFS, viser.Icon.ERASER)
        self._strategy.on_update(at_once(self._setter(self._strategy, "strategy")))
        self._suppression.on_update(at_once(self._setter(self._suppression, "suppression")))
        self._density.on_update(at_once(self._setter(self._density, "density")))
        self._k.on_update(at_once(self._setter(self._k, "context_views", int)))
        own = self._setter(self._weighting, "weighting", lambda name: None if name == OWN else name)
        self._weighting.on_update(at_once(own))
        self._use.on_update(at_once(lambda _: commands.set_use_next(self._use.value)))

    def _setter(
        self, handle: Any, name: QuerySetting, convert: Callable[[Any], object] = _same
    ) -> Callable[[viser.GuiEvent], None]:
        def changed(event: viser.GuiEvent) -> None:
            self._commands.set_query(name, convert(handle.value))

        return changed

    @property
    def shown(self) -> str:
        """What is said of pins and bans, as Markdown."""
        return self._pins.content

    def show(self, pinned: Sequence[int], banned: Sequence[int]) -> None:
        """Show the query as it is set, with pinned and banned views."""
        for handle, value in self._values():
            if handle.value != value:
                handle.value = value
        text = " · ".join(
            f"{what}: {', '.join(map(str, views))}"
            for what, views in (("pinned", pinned), ("banned", banned))
            if views
        )
        text = text or (
            f"*Pin or ban views in the table, or with {PIN.key} and {BAN.key} the row pointed at.*"
        )
        if self._pins.content != text:
            self._pins.content = text

    def _values(self) -> Iterator[tuple[Any, object]]:
        """Every element and the value that it should show."""
        settings = self._settings
        yield self._strategy, settings.strategy
        yield self._k, settings.context_views
        yield self._suppression, settings.suppression
        yield self._weighting, settings.weighting or OWN
        yield self._density, settings.density
        yield self._use, settings.use_next
