"""The Settings tab."""

from __future__ import annotations

import viser

from viewer.actions import Actions
from viewer.commands import HELP
from viewer.panels.elements import at_once, command_button
from viewer.scene.stream import why_no_stream
from viewer.settings import KEYMAP_CHOICES, RENDERERS, TARGET_VIEWS, Settings
from vmem.backends import PHOTO_NAMES
from vmem.devices.settings import SAMPLERS

SIZES = (192, 288, 384, 576)
"""Sides of the frames that are offered, in pixels."""


class SettingsPanel:
    """Backend, seed and size for the next walk; sampler, keys and what is drawn, at once."""

    def __init__(self, gui: viser.GuiApi, commands: Actions, settings: Settings) -> None:
        gui.add_markdown("**For the next walk**")
        self._backend = backend = gui.add_dropdown(
            "Backend", PHOTO_NAMES, initial_value=settings.backend
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
            commands.set_next(backend.value, int(size.value), int(seed.value))

        for choice in (backend, size, seed):
            choice.on_update(at_once(chosen))

        again.on_click(lambda _: commands.open_again())

        gui.add_markdown("**Now**")
        self._preset = preset = gui.add_dropdown(
            "Sampler",
            SAMPLERS,
            initial_value=settings.preset,
            disabled=True,
            hint="of the vmem backend, from the next step on; the preview does not sample",
        )
        preset.on_update(at_once(lambda _: commands.set_preset(preset.value)))
        keymap = gui.add_dropdown(
            "Keys",
            KEYMAP_CHOICES,
            initial_value=settings.keymap,
            hint="game: A D strafe, Q E turn; paper: the other way round; "
            "auto: paper in mode step, else game",
        )
        keymap.on_update(at_once(lambda _: commands.set_keymap(keymap.value)))
        targets = gui.add_dropdown(
            "Views a step",
            TARGET_VIEWS,
            initial_value=settings.targets,
            hint="in mode walk; the vmem backend makes as many as its network does",
        )
        targets.on_update(at_once(lambda _: commands.set_targets(targets.value)))
        frustums = gui.add_checkbox("Frustums", settings.scene.frustums)
        billboards = gui.add_checkbox("Billboards", settings.scene.billboards)
        provenance = gui.add_checkbox(
            "Show what was invented",
            settings.scene.provenance,
            hint="orange: invented in this frame; blue: remembered, but once invented",
        )

        def switched(_: object) -> None:
            commands.set_visible(frustums.value, billboards.value, provenance.value)

        for switch in (frustums, billboards, provenance):
            switch.on_update(at_once(switched))

        drawn_by = gui.add_dropdown(
            "Surfels drawn by",
            RENDERERS,
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
                at_once(lambda _: commands.set_renderer(drawn_by.value, int(above.value)))
            )

        command_button(gui, commands, HELP, viser.Icon.KEYBOARD, color=None)

    def show(self, settings: Settings, samples: bool) -> None:
        """Show backend and sampler as they are set.

        samples: whether the generator of the present walk samples.
        """
        self._backend.value = settings.backend
        self._preset.value = settings.preset
        self._preset.disabled = not samples and settings.backend != "vmem"
