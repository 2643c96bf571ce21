"""Our own scripts in viser's page: run one, open a tab, scroll to an answer.

viser has no public way to run a script in its client. `gui.add_html` can be made to (the
``onerror`` of an image), but its content is mounted with the panel: after a reconnect with the
panel collapsed it never runs, and while the panel is open it runs again at every render. So this
sends the message by which viser itself brings in plotly: run once, panel or no panel, and kept in
recordings.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from typing import Any

import viser
from viser import _messages as viser_messages

from shaders import load


def run_script(
    scope: viser.GuiApi | viser.SceneApi, function: str, config: Mapping[str, Any]
) -> None:
    """Call a JavaScript function expression in the page of a client, or of all (the server's).

    ``config`` becomes the function's only argument, by way of JSON. A script sent to the server's
    scope is also run by every client that comes later, and again when one reconnects without a
    reload. Scripts run in the order in which they were sent; an error goes to the page's console.
    """
    call = f"({function})({json.dumps(dict(config))})"
    source = f"try {{ {call} }} catch (error) {{ console.error(error) }}"
    scope._websock_interface.queue_message(viser_messages.RunJavascriptMessage(source))


def answer_mark(answer: str) -> str:
    """HTML attribute of the element that holds an answer, for `reveal` to find.

    No other element of an answer may have the same name.
    """
    return f'data-vmem-answer="{html.escape(answer)}"'


def reveal(gui: viser.GuiApi, answer: str | None = None, tab: str | None = None) -> None:
    """Open a tab of the client's panel, and scroll to an answer as little as it takes.

    Send the answer first. One in a tab or folder that is not open is left where it is.
    """
    run_script(gui, load("reveal.js"), {"answer": answer, "tab": tab})


def is_connected(client: viser.ClientHandle) -> bool:
    """False once the client's connection is gone: what is sent to it then only piles up."""
    return not client._websock_connection.get_message_buffer().done
