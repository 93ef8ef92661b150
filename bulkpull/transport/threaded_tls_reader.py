"""
Reads a TLS connection in a worker thread, for a large body on a fast line.

An event loop that decrypts a gigabyte wakes up for every hundred kilobytes, and passes every megabyte to the thread
that writes. Here a worker thread reads, decrypts and writes piece by piece while the loop sleeps.

It uses public interfaces only. `ssl.SSLContext.wrap_bio` chooses the memory that receives the encrypted bytes, and a
paused transport stops reading its socket once it holds enough. This is verified, not assumed: the socket has bytes and
one round of the loop did not read them. Otherwise, as on a slow line, the loop continues. If both ever read at once,
TLS detects records out of order, and the connection counts as broken.
"""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

import anyio.lowlevel

from bulkpull.transport.http_messages import LONGEST_HOLD_S

# Fits into the processor's own cache, with the encrypted bytes beside it.
_PIECE_BYTES = 256 << 10
# How long the loop may take to leave the socket alone. On a fast line it takes some milliseconds.
_SETTLING_S = 0.05
# What is readable is read in the loop's second round, if it is read at all.
_ROUNDS = 3
# A thread that waits for bytes looks up this often: whoever stops a run waits for it.
_LOOK_UP_S = 0.05


class TappableConnection(ssl.SSLObject):
    """A TLS connection with access to its incoming encrypted bytes."""

    incoming: ssl.MemoryBIO


class TappableContext(ssl.SSLContext):
    """An SSL context whose connections a `ThreadedTlsReader` can read."""

    sslobject_class = TappableConnection

    def wrap_bio(self, incoming: ssl.MemoryBIO, *given: Any, **options: Any) -> TappableConnection:
        connection = super().wrap_bio(incoming, *given, **options)
        assert isinstance(connection, TappableConnection)
        connection.incoming = incoming
        return connection


class ThreadedTlsReader:
    """
    The rest of a body with a known length, read by worker threads, one `pour` at a time.

    It `is_lost` when the connection broke or was closed, and `has_overrun` when more came than the body has.
    """

    def __init__(self, connection: TappableConnection, line: socket.socket, *, missing_bytes: int) -> None:
        self.missing_bytes = missing_bytes
        self.is_lost = self.has_overrun = False
        self._connection, self._line = connection, line
        self._readable = select.poll()
        self._readable.register(line, select.POLLIN)
        self._cipher, self._piece = memoryview(bytearray(_PIECE_BYTES)), memoryview(bytearray(_PIECE_BYTES + 1))
        self._silent_since_s = time.monotonic()

    @classmethod
    async def into(cls, transport: asyncio.Transport, *, missing_bytes: int) -> ThreadedTlsReader | None:
        """Take over a paused transport; `None` if no `TappableContext` encrypts it, or the loop goes on reading it."""
        connection, held = transport.get_extra_info("ssl_object"), transport.get_extra_info("socket")
        if not isinstance(connection, TappableConnection) or held is None:
            return None
        tap = cls(connection, held.dup(), missing_bytes=missing_bytes)
        is_left_alone = False
        try:
            is_left_alone = await tap._is_left_alone()
        finally:
            if not is_left_alone:
                tap.close()
        return tap if is_left_alone else None

    @property
    def silence_s(self) -> float:
        return time.monotonic() - self._silent_since_s

    def pour(self, put: Callable[[memoryview], None], *, at_most: int, for_s: float) -> None:
        """
        Read and decrypt, in a worker thread, `at_most` bytes for about `for_s`, or until no more are there for a
        moment.

        `put` takes each piece, in the order of the body; it is only valid during the call.
        """
        until_s = time.monotonic() + for_s
        while at_most and self.missing_bytes and not self.is_lost and time.monotonic() < until_s:
            wanted_bytes = min(at_most, self.missing_bytes, _PIECE_BYTES)
            # One more than the body has: it tells that something else follows.
            came_bytes = self._fill(self._piece[: wanted_bytes + (wanted_bytes == self.missing_bytes)])
            if not came_bytes:
                return
            self._silent_since_s = time.monotonic()
            self.has_overrun = came_bytes > wanted_bytes
            piece = self._piece[: min(came_bytes, wanted_bytes)]
            at_most -= len(piece)
            self.missing_bytes -= len(piece)
            put(piece)
            if len(piece) < wanted_bytes:
                return

    def close(self) -> bool:
        """Leave the connection to the loop; whether it can be used again: the body has come, and nothing else."""
        self._line.close()
        unexpected = self.has_overrun or self._connection.pending() or self._connection.incoming.pending
        return not (self.missing_bytes or self.is_lost or unexpected)

    async def _is_left_alone(self) -> bool:
        until_s = time.monotonic() + _SETTLING_S
        while time.monotonic() < until_s:
            held_bytes, has_more = self._connection.incoming.pending, self._has_more(0)
            for _ in range(_ROUNDS):
                await anyio.lowlevel.checkpoint()
            if has_more and self._connection.incoming.pending == held_bytes:
                return True
        return False

    def _has_more(self, wait_s: float) -> bool:
        return bool(self._readable.poll(wait_s * 1_000))

    def _fill(self, piece: memoryview) -> int:
        filled_bytes, until_s = 0, time.monotonic() + _LOOK_UP_S
        while filled_bytes < len(piece):
            try:
                # With a buffer given, it returns how many bytes it put there.
                came_bytes = cast("int", self._connection.read(len(piece) - filled_bytes, piece[filled_bytes:]))
            except ssl.SSLWantReadError:
                if self._take_in(wait_s=until_s - time.monotonic()):
                    continue
                break
            except ssl.SSLError:
                came_bytes = 0
            if not came_bytes:
                self.is_lost = True
                break
            if not filled_bytes:
                until_s = time.monotonic() + LONGEST_HOLD_S
            filled_bytes += came_bytes
        return filled_bytes

    def _take_in(self, *, wait_s: float) -> bool:
        """Take in what the socket has; whether there was anything."""
        with suppress(BlockingIOError):
            return self._received()
        if wait_s > 0 and self._has_more(wait_s):
            with suppress(BlockingIOError):
                return self._received()
        return False

    def _received(self) -> bool:
        try:
            came_bytes = self._line.recv_into(self._cipher)
        except BlockingIOError:
            raise
        except OSError:  # not only `ConnectionError`: a network that is gone has other numbers
            came_bytes = 0
        self._connection.incoming.write(self._cipher[:came_bytes])
        self.is_lost |= not came_bytes
        return came_bytes > 0
