"""The Settings tab."""

from __future__ import annotations

from typing import TYPE_CHECKING

import viser

from viewer.commands import KEYMAPS
from viewer.scene.stream import why_no_stream
from viewer.walk.workspace import BACKENDS, PRESETS, Settings

if TYPE_CHECKING:
    from viewer.browser.client import Client

SIZES = (192, 288, 384, 576)


class SettingsPanel:
    """Backend, seed and size for the next walk; sampler, keys and what is drawn, at once."""

    def __init__(self, client: Client, gui: viser.GuiApi) -> None:
        settings = client.workspace.settings
        gui.add_markdown("**For the next walk**")
        self._backend = backend = gui.add_dropdown(
            "Backend", BACKENDS, initial_value=settings.backend
        )
        size = gui.add_dropdown(
            "Frame size",
            tuple(str(side) for side in sorted({*SIZES, settings.size})),
            initial_value=str(settings.size),
            hint="pixels, square; the vmem backend has a size of its own",
        )
        seed = gui.add_number("Seed", settings.seed, min=0, max=2**32 - 1, step=1)
        again = gui.add_button("Begin this walk again", icon=viser.Icon.REFRESH)

        def chosen(event: viser.GuiEvent) -> None:
            if event.client is None:
                return  # ours: see show
            client.post(client.set_next, backend.value, int(size.value), int(seed.value))

        for choice in (backend, size, seed):
            choice.on_update(chosen)

        again.on_click(lambda _: client.post(client.open_again))

        gui.add_markdown("**Now**")
        self._preset = gui.add_dropdown(
            "Sampler",
            PRESETS,
            initial_value=settings.preset,
            disabled=True,
            hint="of the vmem backend, from the next step on; the preview does not sample",
        )
        self._preset.on_update(lambda _: client.post(client.set_preset, self._preset.value))
        keymap = gui.add_dropdown("Keys", tuple(KEYMAPS), initial_value=settings.keymap)
        keymap.on_update(lambda _: client.post(client.set_keymap, keymap.value))
        frustums = gui.add_checkbox("Frustums", settings.scene.frustums)
        billboards = gui.add_checkbox("Billboards", settings.scene.billboards)
        provenance = gui.add_checkbox(
            "Show what was invented",
            settings.scene.provenance,
            hint="orange: invented in this frame; blue: remembered, but once invented",
        )

        def switched(_: object) -> None:
            client.post(client.set_shown, frustums.value, billboards.value, provenance.value)

        for switch in (frustums, billboards, provenance):
            switch.on_update(switched)

        drawn_by = gui.add_dropdown(
            "Surfels drawn by",
            ("auto", "browser", "server"),
            initial_value=settings.scene.drawn_by,
            hint="server: pictures instead of surfels, for slow machines and huge memories",
        )
        above = gui.add_number(
            "auto: server above",
            settings.scene.server_above,
            min=0,
            step=10_000,
            hint="surfels",
        )
        missing = why_no_stream()
        if missing:
            drawn_by.disabled = above.disabled = True
            gui.add_markdown(f"drawn by the browser: {missing}")
        for choice in (drawn_by, above):
            choice.on_update(
                lambda _: client.post(client.set_renderer, drawn_by.value, int(above.value))
            )

        help_button = gui.add_button("Keys and mouse (?)", icon=viser.Icon.KEYBOARD)
        help_button.on_click(lambda _: client.post(client.help))

    def show(self, settings: Settings, samples: bool) -> None:
        """Backend and sampler as they are set; samples: whether the present walk's backend does."""
        self._backend.value = settings.backend
        self._preset.value = settings.preset
        self._preset.disabled = not samples and settings.backend != "vmem"
