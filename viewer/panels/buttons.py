"""Buttons that are commands: label, key and what they do come from the table of commands."""

from __future__ import annotations

import viser
from viser import IconName

from viewer.actions import Actions
from viewer.commands import Command


def command_button(
    gui: viser.GuiApi,
    commands: Actions,
    command: Command,
    icon: IconName,
    *,
    color: str | None = "gray",
    hint: str | None = None,
) -> viser.GuiButtonHandle:
    """A button named "Label (key)" that runs a command."""
    button = gui.add_button(command.labelled(), color=color, icon=icon, hint=hint)  # pyright: ignore
    button.on_click(lambda _: command.run(commands))
    return button


def is_user(event: viser.GuiEvent) -> bool:
    """Whether a change of a GUI element is the user's; else we have set it ourselves."""
    return event.client is not None
