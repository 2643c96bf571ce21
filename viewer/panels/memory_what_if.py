"""What if: K, strategy, suppression, weighting, density, pins and bans; answered at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import viser

from viewer.settings import Settings
from vmem.retrieval import STRATEGIES
from vmem.types import WEIGHTINGS

if TYPE_CHECKING:
    from viewer.browser.client import Client

OWN = "the strategy's own"


def _same(value: Any) -> Any:
    return value


class WhatIfPanel:
    """Everything that a query may be made of."""

    def __init__(self, client: Client, gui: viser.GuiApi) -> None:
        self._client = client
        inspector, settings = client.inspector, client.workspace.settings
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
        self._wishes = gui.add_markdown("")
        self._use = gui.add_checkbox(
            "Use for the next steps",
            settings.use_next,
            hint="else only K and strategy are; it is recorded with each step",
        )
        reset = gui.add_button(
            "Forget pins, bans and the rest (U)", color="gray", icon=viser.Icon.ERASER
        )
        for handle, name in (
            (self._strategy, "strategy"),
            (self._suppression, "suppression"),
            (self._density, "density"),
        ):
            handle.on_update(self._setter(handle, name))
        self._k.on_update(self._setter(self._k, "context_views", int))
        self._weighting.on_update(
            self._setter(self._weighting, "weighting", lambda name: None if name == OWN else name)
        )
        self._use.on_update(lambda _: client.post(inspector.set_use_next, self._use.value))
        reset.on_click(lambda _: client.post(inspector.forget_wishes))

    def _setter(self, handle: Any, name: str, convert: Callable[[Any], object] = _same):
        def changed(event: viser.GuiEvent) -> None:
            if event.client is not None:  # else ours: see show
                inspector = self._client.inspector
                self._client.post(inspector.set_query, name, convert(handle.value))

        return changed

    def show(self, pinned: Sequence[int], banned: Sequence[int]) -> None:
        """The query as it is set."""
        settings = self._client.workspace.settings
        for handle, value in self._values(settings):
            if handle.value != value:
                handle.value = value
        text = " · ".join(
            f"{what}: {', '.join(map(str, views))}"
            for what, views in (("pinned", pinned), ("banned", banned))
            if views
        )
        text = text or "*Pin or ban views in the table, or with I and X the row pointed at.*"
        if self._wishes.content != text:
            self._wishes.content = text

    def _values(self, settings: Settings) -> Iterator[tuple[Any, object]]:
        """Every element and the value that it should show."""
        yield self._strategy, settings.strategy
        yield self._k, settings.context_views
        yield self._suppression, settings.suppression
        yield self._weighting, settings.weighting or OWN
        yield self._density, settings.density
        yield self._use, settings.use_next
