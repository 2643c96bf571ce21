"""GUI elements that run commands, and when viser may call what they run."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import viser
from viser import IconName

from viewer.actions import Actions
from viewer.commands import Command
from viewer.page.pointing import mark


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


def command_group(
    gui: viser.GuiApi, commands: Actions, label: str, group: Sequence[Command]
) -> None:
    """Buttons side by side that run commands, each named by the command's label and key."""
    by_name = {command.labelled(): command for command in group}
    buttons = gui.add_button_group(label, tuple(by_name))
    buttons.on_click(at_once(lambda _: by_name[buttons.value].run(commands)))


class Choice:
    """Options side by side of which one is on, and lit: viser's own groups show none as chosen."""

    def __init__(self, gui: viser.GuiApi, name: str, label: str, options: Sequence[str]) -> None:
        """``name``: of the marks "name:option" by which the page reports a click."""
        self._name, self._label, self._options = name, label, tuple(options)
        self._html = gui.add_html("")
        self.chosen = ""
        """The option that is on."""

    def show(self, chosen: str) -> None:
        """Light an option."""
        self.chosen = chosen
        buttons = "".join(
            f'<span aria-pressed="{str(option == chosen).lower()}" '
            f"{mark(f'{self._name}:{option}')}>{option}</span>"
            for option in self._options
        )
        self._html.content = labelled_row(self._label, f"<div class='vmem-choice'>{buttons}</div>")


def labelled_row(label: str, content: str) -> str:
    """HTML content beside its label, as viser lays out its own elements."""
    return f"<div class='vmem-labelled'><span>{label}</span><div>{content}</div></div>"


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
