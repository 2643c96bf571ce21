"""Our own scripts in viser's page.

viser has no public way to run a script in its client. `gui.add_html` sets innerHTML, where
``<script>`` does not run but the ``onerror`` of an image does.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from typing import Any

import viser


def script_html(function: str, config: Mapping[str, Any]) -> str:
    """HTML that calls a JavaScript function expression once, when it enters the page.

    ``config`` becomes the function's only argument, by way of JSON. The page may run it again when
    the panel is mounted anew, so the function must tolerate a second call.
    """
    call = f"({function})({json.dumps(dict(config))})"
    return f'<img src="data:," alt="" hidden onerror="{html.escape(call, quote=True)}">'


def is_connected(client: viser.ClientHandle) -> bool:
    """False once the client's connection is gone: what is sent to it then only piles up."""
    return not client._websock_connection.get_message_buffer().done
