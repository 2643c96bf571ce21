"""The Session tab: what this walk is made from, and its download."""

from __future__ import annotations

import viser

from viewer.actions import Actions


class SessionPanel:
    """Says what the walk is, and packs it."""

    def __init__(self, gui: viser.GuiApi, commands: Actions) -> None:
        self._about = gui.add_markdown("")
        save = gui.add_button("Download this walk (.zip)", icon=viser.Icon.DOWNLOAD)
        save.on_click(lambda _: commands.export_walk())

    @property
    def shown(self) -> str:
        """What the tab says of the walk, as Markdown."""
        return self._about.content

    def show(self, title: str, backend: str, remarks: tuple[str, ...]) -> None:
        """Say what this walk is made from. remarks: what was done to the photo."""
        lines = [f"**{title}**", "", backend, *(f"- {remark}" for remark in remarks)]
        self._about.content = "\n".join(lines)
