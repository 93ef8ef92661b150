"""Sends a stored file's bytes in pieces, at a set rate, and cuts or stalls where a fault says so."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
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
class SendPlan:
    """
    How to send a body; the defaults send it without any fault.

    Attributes:
        cut_after: Bytes after which it ends early; `resets` means by a reset instead of an orderly end.
        delimit: How the other side learns the length: `length`, `close` or `chunked`.
        pause_after: Bytes after which it pauses, once; or, where it `trickles`, after every further byte.
        excess: Bytes beyond the announced length.
    """

    cut_after: int | None = None
    resets: bool = False
    delimit: str = "length"
    pause_after: int = sys.maxsize
    pause_s: float = 0.0
    trickles: bool = False
    excess: bytes = b""
    bandwidth_bytes_per_s: float | None = None


async def send(
    request: web.Request,
    response: web.StreamResponse,
    path: Path,
    span: range,
    send_plan: SendPlan = SendPlan(),
    *,
    clock: SimulatorClock,
) -> web.StreamResponse:
    """Answer with these bytes of a file; returns when they are out, or the connection is gone."""
    part = span[: send_plan.cut_after]
    if send_plan.delimit == "close":
        return await _send_until_close(request, response, path, part)
    if send_plan.delimit == "length":
        response.content_length = len(span)
    else:
        response.enable_chunked_encoding()
    with suppress(ConnectionError):  # a client may hang up in the middle
        await response.prepare(request)
        if request.method != "HEAD":
            if send_plan == SendPlan():
                await _send_file(request, path, part)
            else:
                await _send_pieces(response, path, part, send_plan, clock=clock)
        if send_plan.cut_after is not None and send_plan.resets:
            return reset(request)
        if send_plan.cut_after is not None or send_plan.excess:
            _write_raw(request, send_plan.excess)
            _hang_up(request)
        else:
            await response.write_eof()
    return response


async def _send_pieces(
    response: web.StreamResponse, path: Path, span: range, send_plan: SendPlan, *, clock: SimulatorClock
) -> None:
    pace, pause_after = send_plan.bandwidth_bytes_per_s, send_plan.pause_after
    largest = min(_PIECE_BYTES, max(1_024, int(pace / _PIECES_PER_SECOND))) if pace else _PIECE_BYTES
    sent, began_at = 0, clock.monotonic()
    while sent < len(span):
        if sent >= pause_after and not send_plan.trickles:
            await clock.sleep(send_plan.pause_s)
            pause_after = sys.maxsize
        trickles = sent >= pause_after
        most = 1 if trickles else min(largest, pause_after - sent)
        piece = await _read(path, span[sent : sent + most])
        await response.write(piece)
        sent += len(piece)
        if trickles:
            await clock.sleep(send_plan.pause_s)
        elif pace:
            ahead_s = began_at + sent / pace - clock.monotonic()
            if ahead_s > 0:
                await clock.sleep(ahead_s)


async def _send_until_close(
    request: web.Request, response: web.StreamResponse, path: Path, span: range
) -> web.StreamResponse:
    """As HTTP/1.0 does it: no length; the end of the connection is the end of the body."""
    lines = [
        f"HTTP/1.1 {response.status} OK",
        "Connection: close",
        *(f"{name}: {value}" for name, value in response.headers.items()),
    ]
    _write_raw(request, ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
    _write_raw(request, await _read(path, span))
    _hang_up(request)
    return web.Response()


async def _send_file(request: web.Request, path: Path, span: range) -> None:
    """The kernel copies the file to the socket, so that the simulator does not bound a benchmark."""
    if not span:
        return
    async with await anyio.open_file(path, "rb") as file:
        if request.transport is None or request.transport.is_closing():
            raise ConnectionResetError
        await asyncio.get_running_loop().sendfile(request.transport, file.wrapped, span.start, len(span))


async def _read(path: Path, span: range) -> bytes:
    def read() -> bytes:
        with path.open("rb", buffering=0) as file:
            file.seek(span.start)
            return file.read(len(span))

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
