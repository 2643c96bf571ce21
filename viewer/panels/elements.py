"""GUI elements that run commands, and when viser may call what they run."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

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


def at_once(
    changed: Callable[[viser.GuiEvent[Any]], object],
) -> Callable[[viser.GuiEvent[Any]], Coroutine[Any, Any, None]]:
    """``changed`` as a callback for what the user does, run before viser reads the next message.

    A plain function goes to viser's thread pool. Until that has time for it, a panel that shows
    its state anew has put the old value back into the element, and the user's is lost. viser calls
    back for values that we set ourselves, too: carried out late, such an echo would undo what the
    user chose since.
    """

    async def callback(event: viser.GuiEvent[Any]) -> None:
        if is_user(event):
            changed(event)

    return callback
