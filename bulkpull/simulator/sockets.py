"""Connection faults that aiohttp does not offer: reset, close midway, write past the announced end."""

from __future__ import annotations

import socket
import struct

from aiohttp import web


def reset(request: web.Request) -> web.Response:
    """
    Cut the connection so that the other side sees a reset instead of an end.

    Returns:
        A response for aiohttp's sake; the connection is gone, so nobody gets it.
    """
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        if connection is not None:
            # With a linger time of zero the kernel drops what is unsent and sends a reset.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response()


def hang_up(request: web.Request) -> None:
    """Close the connection in order, after what was written has gone out."""
    if request.transport is not None:
        request.transport.close()


def write_raw(request: web.Request, data: bytes) -> None:
    """Write bytes past aiohttp, which would hold them to the announced length."""
    if request.transport is not None:
        request.transport.write(data)
