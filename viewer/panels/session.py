"""The Session tab: where a walk begins, and its download."""

from __future__ import annotations

import numpy as np
import viser
from PIL import Image, ImageOps

from viewer.actions import Actions
from viewer.walk.workspace import Source
from vmem.errors import VMemError
from vmem.formats.photos import Sample, samples


class SessionPanel:
    """Sample gallery, upload, the procedural world, download."""

    def __init__(self, gui: viser.GuiApi, commands: Actions) -> None:
        self._about = gui.add_markdown("")
        upload = gui.add_upload_button(
            "Walk into your own photo", icon=viser.Icon.UPLOAD, mime_type="image/*"
        )

        @upload.on_upload
        def _(_: object) -> None:
            file = upload.value
            commands.open(Source(file.name, file.content))

        save = gui.add_button("Download this walk (.zip)", icon=viser.Icon.DOWNLOAD)
        save.on_click(lambda _: commands.export_walk())
        with gui.add_folder("Samples"):
            try:
                gallery = samples()
            except VMemError as error:
                gui.add_markdown(str(error))
                gallery = ()
            for sample in gallery:
                self._add_sample(gui, commands, sample)
            world = gui.add_button("Procedural world (exact geometry)", icon=viser.Icon.CUBE)
            world.on_click(lambda _: commands.open(Source("procedural world", None)))

    @staticmethod
    def _add_sample(gui: viser.GuiApi, commands: Actions, sample: Sample) -> None:
        with Image.open(sample.path) as image:
            picture = ImageOps.fit(image.convert("RGB"), (240, 120))
        gui.add_image(np.asarray(picture), format="jpeg", jpeg_quality=80)
        button = gui.add_button(sample.title, hint=f"{sample.kind}: {sample.credit}")
        button.on_click(lambda _: commands.open(Source(sample.title, sample.path)))

    @property
    def shown(self) -> str:
        """What the tab says of the walk, as Markdown."""
        return self._about.content

    def show(self, title: str, backend: str, remarks: tuple[str, ...]) -> None:
        """Say what this walk is made from. remarks: what was done to the photo."""
        lines = [f"**{title}**", "", backend, *(f"- {remark}" for remark in remarks)]
        self._about.content = "\n".join(lines)
