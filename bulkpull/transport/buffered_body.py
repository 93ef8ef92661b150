"""
Reads a large body from the connection directly into large buffers.

aiohttp passes a body on in many small pieces that it has copied and joined. So once it has read the head of a large
response, a `BufferedBody` takes over the connection: the event loop decrypts into one of its buffers while another is
written to the disk. At the end of the body the connection is returned to aiohttp. That takes 2.0 to 2.4 processor
seconds for 1.5 GB over TLS (`python -m benchmarks download`), and 1.4 to 1.6 with a `ThreadedTlsReader` on a fast line;
aiohttp's own body takes 5 to 6, curl 1.9 to 2.0. uvloop or other sizes of buffers make it no faster.
"""

from __future__ import annotations

import asyncio
from collections import deque

import anyio

from bulkpull.transport.http_messages import LONGEST_HOLD_S
from bulkpull.transport.threaded_tls_reader import ThreadedTlsReader

# The unit of a write to the disk. Larger ones fall out of the processor's cache before they are written.
BUFFER_BYTES = 1 << 20
# One is filled, one is read, and one is between the two.
_BUFFERS = 3
# When a `ThreadedTlsReader` pays off: bytes received, their speed, and bytes still to come.
_SAMPLE_BYTES = 2 << 20
_FAST_BYTES_PER_S = 50e6
_WORTH_BYTES = 8 << 20
# After this many failures the transport will not be released.
_TAP_TRIES = 3


class BufferedBody(asyncio.BufferedProtocol):
    """
    The rest of a body with a known length: `first`, which has been read already, and then `missing_bytes`.

    It takes over `transport`, whose reading is paused, from the protocol `before`, which hears when the connection is
    lost. `read_s` is the longest silence. It `may_tap` where TLS, if any, runs on the socket itself: not within that of
    a proxy.
    """

    def __init__(
        self, transport: asyncio.Transport, *, first: bytes, missing_bytes: int, before: asyncio.BaseProtocol,
        read_s: float, may_tap: bool = True,
    ) -> None:  # fmt: skip
        self._transport, self._before, self._read_s = transport, before, read_s
        self._first, self._missing_bytes = first, missing_bytes
        self._loop = asyncio.get_running_loop()
        self._spare = [memoryview(bytearray(BUFFER_BYTES + 1)) for _ in range(_BUFFERS)]
        self._filling, self._filled_bytes = self._spare.pop(), 0
        self._ready: deque[tuple[memoryview, int]] = deque()
        self._lent: memoryview | None = None
        self._lost = self._is_paused = self._has_overrun = False
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._tap: ThreadedTlsReader | None = None
        self._tap_tries = _TAP_TRIES if may_tap else 0
        self._sample_bytes, self._sampled_s = 0, self._loop.time()
        transport.set_protocol(self)
        transport.resume_reading()

    async def read(self) -> bytes | memoryview:
        """
        What comes next, as soon as a buffer is full or some bytes have waited for a moment; empty at the end.

        It is only valid until the next call. `ConnectionError` or `TimeoutError` come after all that arrived before.
        """
        if self._first:
            first, self._first = self._first, b""
            return first
        if self._lent is not None:
            self._spare.append(self._lent)
            self._lent = None
            if self._is_paused:
                self._filling, self._is_paused = self._spare.pop(), False
                if not self._lost and self._tap is None:
                    self._transport.resume_reading()
        if not self._missing_bytes and not self._ready:
            return b""
        await self._wait()
        if not self._ready:
            raise ConnectionResetError
        self._lent, size_bytes = self._ready.popleft()
        return self._lent[:size_bytes]

    async def tapped(self) -> ThreadedTlsReader | None:
        """Where threads can read the rest of the body; `None` while it comes by `read`. Raises as `read`."""
        if self._tap is None and self._sample_bytes >= _SAMPLE_BYTES:
            sample_bytes, before_s = self._sample_bytes, self._sampled_s
            self._sample_bytes, self._sampled_s = 0, self._loop.time()
            if sample_bytes >= _FAST_BYTES_PER_S * (self._sampled_s - before_s):
                await self._try_tap()
        if self._tap is None or self._ready:
            return None
        if self._tap.is_lost:
            raise ConnectionResetError
        if self._tap.silence_s >= self._read_s:
            raise TimeoutError
        return self._tap if self._tap.missing_bytes else None

    async def _try_tap(self) -> None:
        if not self._tap_tries or self._missing_bytes < _WORTH_BYTES or self._lost:
            return
        self._tap_tries -= 1
        if not self._is_paused:
            self._transport.pause_reading()
        self._tap = await ThreadedTlsReader.into(self._transport, missing_bytes=self._missing_bytes)
        if self._tap is not None:
            self._missing_bytes = 0
            self._turn_over()
        elif not (self._is_paused or self._lost):
            self._transport.resume_reading()

    def end(self) -> bool:
        """Give the transport back; whether it can be used again: the body has come, and nothing else."""
        self._waiter = None
        if self._timer is not None:
            self._timer.cancel()
        self._transport.set_protocol(self._before)
        is_whole = not (self._missing_bytes or self._lost or self._has_overrun)
        if self._tap is not None:
            is_whole &= self._tap.close()
        if is_whole and (self._is_paused or self._tap is not None):
            self._transport.resume_reading()
        return is_whole

    async def _wait(self) -> None:
        """Until a buffer is ready or the connection is lost."""
        if self._ready or self._lost:
            return
        self._waiter = self._loop.create_future()
        if self._filled_bytes:
            self._hold()
        try:
            with anyio.fail_after(self._read_s):
                await self._waiter
        finally:
            self._waiter = None

    def _hold(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(LONGEST_HOLD_S, self._turn_over)

    def _turn_over(self) -> None:
        """Hand over what the buffer holds, and go on in the next."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._filled_bytes:
            self._ready.append((self._filling, self._filled_bytes))
            self._filled_bytes = 0
            if self._spare:
                self._filling = self._spare.pop()
            else:
                self._is_paused = True
                self._transport.pause_reading()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go."""
        del sizehint
        begin, left = self._filled_bytes, BUFFER_BYTES - self._filled_bytes
        # One more than the body has, to detect bytes that follow it.
        return self._filling[begin : begin + (left if left < self._missing_bytes else self._missing_bytes + 1)]

    def buffer_updated(self, nbytes: int) -> None:
        """Note how many bytes were written there."""
        arrived_bytes = min(nbytes, self._missing_bytes)
        self._has_overrun |= nbytes > arrived_bytes
        self._filled_bytes += arrived_bytes
        self._sample_bytes += arrived_bytes
        self._missing_bytes -= arrived_bytes
        if self._filled_bytes == BUFFER_BYTES or not self._missing_bytes:
            self._turn_over()
        elif self._waiter is not None:
            self._hold()

    def connection_lost(self, exc: Exception | None) -> None:
        """The other side has closed, or the connection broke."""
        self._lost = True
        self._turn_over()
        self._before.connection_lost(exc)
