"""Photos to walk into, one click away: the samples, the procedural world, the user's own."""

from __future__ import annotations

import html

import numpy as np
import viser
from PIL import Image, ImageOps

from viewer.actions import Actions
from viewer.page.html import data_url
from viewer.page.pointing import mark
from viewer.panels.elements import labelled_row
from viewer.walk.source import Source
from vmem.errors import VMemError
from vmem.formats.photos import Sample, samples

SIDE = 88
"""Of a thumbnail, in pixels: twice what the page gives it, for fine screens."""
WORLD = Source("procedural world", None)


class PhotosPanel:
    """A row of thumbnails, and a button for a photo of the user's own."""

    def __init__(self, gui: viser.GuiApi, commands: Actions) -> None:
        try:
            gallery, error = samples(), ""
        except VMemError as caught:
            gallery, error = (), str(caught)
        self.sources = {
            **{sample.path.stem: Source(sample.title, sample.path) for sample in gallery},
            "world": WORLD,
        }
        """By the argument of the marks "photo:argument" by which the page reports a click."""
        world = f"<span title='Procedural world: exact geometry' {mark('photo:world')}>world</span>"
        tiles = "".join(map(_tile, gallery)) + world
        note = html.escape(error) or "click one to walk into it"
        gui.add_html(f"{labelled_row('Photos', note)}<div class='vmem-photos'>{tiles}</div>")
        upload = gui.add_upload_button(
            "Walk into your own photo", icon=viser.Icon.UPLOAD, mime_type="image/*"
        )

        @upload.on_upload
        def _(_: object) -> None:
            file = upload.value
            commands.open(Source(file.name, file.content))


def _tile(sample: Sample) -> str:
    with Image.open(sample.path) as image:
        picture = data_url(np.asarray(ImageOps.fit(image.convert("RGB"), (SIDE, SIDE))))
    title = html.escape(f"{sample.title} ({sample.kind}: {sample.credit})", quote=True)
    return (
        f'<img src="{picture}" title="{title}" alt="{title}" {mark(f"photo:{sample.path.stem}")}>'
    )
