"""Sends a stored file's bytes in pieces, at a set rate, and cuts or stalls where a fault says so."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread
from aiohttp import web

from bulkpull.simulator.scenario import SimulatorClock

_PIECE_BYTES = 64 * 1024
_PIECES_PER_SECOND = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """A range of a file, or bytes in memory."""

    path: Path | None = None
    offset: int = 0
    length: int = 0
    literal: bytes = b""

    @property
    def size(self) -> int:
        return self.length if self.path is not None else len(self.literal)


@dataclass(frozen=True, slots=True, kw_only=True)
class SendPlan:
    """
    How to send a body; the defaults send it without any fault.

    Attributes:
        cut_after: Bytes after which it ends early; `resets` means by a reset instead of an orderly end.
        delimit: How the other side learns the length: `length`, `close` or `chunked`.
        stall_after, stall_s: Where and for how long it stands still.
        trickle_after, trickle_bytes_per_s: From where on it goes byte by byte.
        excess: Bytes beyond the announced length.
        bandwidth_bytes_per_s: Ceiling of the connection.
    """

    cut_after: int | None = None
    resets: bool = False
    delimit: str = "length"
    stall_after: int | None = None
    stall_s: float = 0.0
    trickle_after: int | None = None
    trickle_bytes_per_s: float = 0.05
    excess: bytes = b""
    bandwidth_bytes_per_s: float | None = None


async def send(
    request: web.Request, response: web.StreamResponse, body: Body, send_plan: SendPlan, *, clock: SimulatorClock
) -> web.StreamResponse:
    """Answer with a body; returns when it is out, or the connection is gone."""
    if send_plan.delimit == "close":
        return await _send_until_close(request, response, body, send_plan)
    # A client may hang up in the middle.
    with suppress(ConnectionError):
        return await _send_measured(request, response, body, send_plan, clock=clock)
    return response


async def _send_measured(
    request: web.Request, response: web.StreamResponse, body: Body, send_plan: SendPlan, *, clock: SimulatorClock
) -> web.StreamResponse:
    if send_plan.delimit == "length":
        response.content_length = body.size
    else:
        response.enable_chunked_encoding()
    await response.prepare(request)
    if request.method == "HEAD":
        await response.write_eof()
        return response
    if send_plan == SendPlan() and body.path is not None:
        await _send_file(request, body.path, body)
        await response.write_eof()
        return response
    await _send_pieces(response, body, send_plan, clock=clock)
    if send_plan.cut_after is not None and send_plan.resets:
        return reset(request)
    if send_plan.cut_after is not None or send_plan.excess:
        _write_raw(request, send_plan.excess)
        _hang_up(request)
    else:
        await response.write_eof()
    return response


async def _send_pieces(response: web.StreamResponse, body: Body, send_plan: SendPlan, *, clock: SimulatorClock) -> None:
    end = body.size if send_plan.cut_after is None else min(send_plan.cut_after, body.size)
    sent, began_at, stalled = 0, clock.monotonic(), False
    while sent < end:
        if send_plan.stall_after is not None and sent >= send_plan.stall_after and not stalled:
            stalled = True
            await clock.sleep(send_plan.stall_s)
        trickles = send_plan.trickle_after is not None and sent >= send_plan.trickle_after
        piece = await _read(body, at=sent, most=1 if trickles else _piece(send_plan, sent=sent, end=end))
        await response.write(piece)
        sent += len(piece)
        if trickles:
            await clock.sleep(1 / send_plan.trickle_bytes_per_s)
        elif send_plan.bandwidth_bytes_per_s:
            ahead_s = began_at + sent / send_plan.bandwidth_bytes_per_s - clock.monotonic()
            if ahead_s > 0:
                await clock.sleep(ahead_s)


async def _send_until_close(
    request: web.Request, response: web.StreamResponse, body: Body, send_plan: SendPlan
) -> web.StreamResponse:
    """As HTTP/1.0 does it: no length; the end of the connection is the end of the body."""
    end = body.size if send_plan.cut_after is None else min(send_plan.cut_after, body.size)
    lines = [
        f"HTTP/1.1 {response.status} OK",
        "Connection: close",
        *(f"{name}: {value}" for name, value in response.headers.items()),
    ]
    _write_raw(request, ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
    sent = 0
    while sent < end and request.method != "HEAD":
        piece = await _read(body, at=sent, most=min(_PIECE_BYTES, end - sent))
        _write_raw(request, piece)
        sent += len(piece)
    _hang_up(request)
    return web.Response()


async def _send_file(request: web.Request, path: Path, body: Body) -> None:
    """The kernel copies the file to the socket, so that the simulator does not bound a benchmark."""
    if not body.length:
        return
    async with await anyio.open_file(path, "rb") as file:
        if request.transport is None or request.transport.is_closing():
            raise ConnectionResetError
        await asyncio.get_running_loop().sendfile(request.transport, file.wrapped, body.offset, body.length)


def _piece(send_plan: SendPlan, *, sent: int, end: int) -> int:
    """How much to send at once: up to the next place where something happens."""
    most = _PIECE_BYTES
    if send_plan.bandwidth_bytes_per_s:
        most = min(most, max(1_024, int(send_plan.bandwidth_bytes_per_s / _PIECES_PER_SECOND)))
    stops = (stop for stop in (send_plan.stall_after, send_plan.trickle_after) if stop is not None and stop > sent)
    return min(most, min([end, *stops]) - sent)


async def _read(body: Body, *, at: int, most: int) -> bytes:
    path = body.path
    if path is None:
        return body.literal[at : at + most]

    def read() -> bytes:
        with path.open("rb", buffering=0) as file:
            file.seek(body.offset + at)
            return file.read(min(most, body.length - at))

    return await anyio.to_thread.run_sync(read)


def reset(request: web.Request) -> web.Response:
    """Cut the connection so that the other side sees a reset instead of an end."""
    if request.transport is not None:
        connection = request.transport.get_extra_info("socket")
        if connection is not None:
            # With a linger time of zero the kernel drops what is unsent and sends a reset.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()
    return web.Response()


def _hang_up(request: web.Request) -> None:
    """Close the connection in order, after what was written has gone out."""
    if request.transport is not None:
        request.transport.close()


def _write_raw(request: web.Request, data: bytes) -> None:
    """Write bytes past aiohttp, which would hold them to the announced length."""
    if request.transport is not None:
        request.transport.write(data)
