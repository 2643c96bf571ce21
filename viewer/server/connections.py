"""Closing one browser's connection: viser 1.1.1 only closes all of them at once."""

from __future__ import annotations

import asyncio

import viser

TAKEN_OVER = 4001
"""Close code of a connection whose walk another one has taken over."""


def close_connection(
    server: viser.ViserServer, client_id: int, reason: str, *, after: float = 0.0
) -> None:
    """Close a client's connection with a word, ``after`` seconds, so that what was sent before gets
    through. Returns at once; harmless if it is gone. A dead connection is given up by itself."""
    websocket_server = server._websock_server
    connection = websocket_server._live_connections.get(client_id)
    loop = websocket_server._background_event_loop
    if connection is None or loop is None or loop.is_closed():
        return

    async def close() -> None:
        await asyncio.sleep(after)
        await connection.close(TAKEN_OVER, reason)

    asyncio.run_coroutine_threadsafe(close(), loop)
