"""The Session tab: where a walk begins, and taking it away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import viser
from PIL import Image, ImageOps

from viewer.walk.workspace import Source
from vmem.errors import VMemError
from vmem.formats.photos import Sample, samples

if TYPE_CHECKING:
    from viewer.browser.client import Client


class SessionPanel:
    """Sample gallery, upload, the procedural world, download."""

    def __init__(self, client: Client, gui: viser.GuiApi) -> None:
        self._about = gui.add_markdown("")
        upload = gui.add_upload_button(
            "Walk into your own photo", icon=viser.Icon.UPLOAD, mime_type="image/*"
        )

        @upload.on_upload
        def _(_: object) -> None:
            file = upload.value
            client.post(client.open, Source(file.name, file.content))

        save = gui.add_button("Download this walk (.zip)", icon=viser.Icon.DOWNLOAD)
        save.on_click(lambda _: client.post(client.export))
        with gui.add_folder("Samples"):
            try:
                gallery = samples()
            except VMemError as error:
                gui.add_markdown(str(error))
                gallery = ()
            for sample in gallery:
                self._add_sample(client, gui, sample)
            world = gui.add_button("Procedural world (exact geometry)", icon=viser.Icon.CUBE)
            world.on_click(lambda _: client.post(client.open, Source("procedural world", None)))

    @staticmethod
    def _add_sample(client: Client, gui: viser.GuiApi, sample: Sample) -> None:
        with Image.open(sample.path) as image:
            picture = ImageOps.fit(image.convert("RGB"), (240, 120))
        gui.add_image(np.asarray(picture), format="jpeg", jpeg_quality=80)
        button = gui.add_button(sample.title, hint=f"{sample.kind}: {sample.credit}")
        button.on_click(lambda _: client.post(client.open, Source(sample.title, sample.path)))

    def show(self, title: str, backend: str, notes: tuple[str, ...]) -> None:
        """What this walk is made from, honestly."""
        lines = [f"**{title}**", "", backend, *(f"- {note}" for note in notes)]
        self._about.content = "\n".join(lines)
