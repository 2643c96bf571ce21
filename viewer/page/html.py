"""Pictures inside HTML."""

from __future__ import annotations

import base64
import io
from typing import Literal

from PIL import Image

from vmem.arrays import U8


def data_url(rgb: U8, kind: Literal["JPEG", "PNG"] = "JPEG") -> str:
    """A picture (H, W, 3) u8 as a data URL; JPEG for photos, PNG where every pixel counts."""
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, kind, quality=80)
    body = base64.b64encode(buffer.getvalue()).decode()
    return f"data:image/{kind.lower()};base64,{body}"
