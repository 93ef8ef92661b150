"""Writes the bytes of one reply from the socket to the partial file."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial

from bulkpull.clock import Clock
from bulkpull.errors import AnswerLost
from bulkpull.transfer.byte_ranges import Segment
from bulkpull.transfer.partial_file import PartialFile
from bulkpull.transfer.range_responses import ERROR_PAGE_BYTES, refuse_error_page
from bulkpull.transport.http import StreamedReply
from bulkpull.transport.http_messages import LONGEST_HOLD_S

# One write of a megabyte costs a sixteenth of the thread hops of writes of 64 KiB. Larger ones fall out of the
# processor's cache before they are written, and were slower.
_WRITE_BYTES = 1 << 20
# Small pieces are copied and written one by one: this keeps memory low and each write short.
_WRITE_CHUNKS = 512
# A thread that reads and writes by itself is left alone for so long. To come back and be sent again costs as much as a
# few hundred kilobytes, and whoever stops a run waits for it.
_STEP_BYTES = 32 << 20
_STEP_S = 0.1
# A connection below the lowest rate for so long counts as stalled, even if it still sends bytes (fault 62, case C9).
WINDOW_S = 60.0


@dataclass(slots=True)
class Pour:
    """
    Writes one reply's bytes at `claim.position` and advances it.

    Args:
        arrived: Called with the number of received bytes, per chunk.
        slowest_bytes_per_s: Gives the least average rate of this connection, which depends on how many there are.
        since_s: When the reply began, by the clock's `monotonic`.
    """

    reply: StreamedReply
    claim: Segment
    into: PartialFile
    clock: Clock
    arrived: Callable[[int], None]
    written: Callable[[], None]
    slowest_bytes_per_s: Callable[[], float]
    since_s: float
    _held: list[bytes | memoryview] = field(default_factory=list)
    _held_bytes: int = 0
    _held_since_s: float = 0.0
    _window_bytes: int = 0

    async def run(self) -> None:
        """
        Run until the segment or the reply ends. Bytes received before a break are written before the error is raised.

        Raises:
            AnswerLost: The bytes broke off, or became a trickle.
            LinkExpired, StorageTrouble, FileGone: They are an error page of the storage host.
        """
        try:
            async with aclosing(self.reply.chunks()) as chunks:
                async for chunk in chunks:
                    if self.claim.position == 0:
                        refuse_error_page(bytes(chunk[:ERROR_PAGE_BYTES]), self.reply.headers)
                    is_due = self._take(chunk)
                    if self.claim.is_done:
                        break
                    if is_due:
                        await self._flush()
                        await self._write_through()
            await self._flush()
            await self._write_through()
        except AnswerLost:
            await self._flush()
            raise

    def _take(self, chunk: bytes | memoryview) -> bool:
        """Hold the chunk; whether it is time to write."""
        now_s = self.clock.monotonic()
        # The end of a claim may have come nearer since the reply began.
        piece = chunk[: max(0, self.claim.end - self.claim.position)]
        self._held_since_s = self._held_since_s if self._held else now_s
        self._held_bytes += len(piece)
        is_old = now_s - self._held_since_s >= LONGEST_HOLD_S
        is_due = self._held_bytes >= _WRITE_BYTES or len(self._held) >= _WRITE_CHUNKS or is_old
        self._held.append(piece if is_due else bytes(piece))  # held pieces live longer than the reply's own buffer
        self.claim.position += len(piece)
        self.arrived(len(piece))
        self._watch(len(piece), now_s)
        return is_due

    async def _flush(self) -> None:
        if self._held:
            chunks, offset = self._held, self.claim.position - self._held_bytes
            self._held, self._held_bytes = [], 0
            await self.into.write(chunks, offset=offset)
            self.written()

    async def _write_through(self) -> None:
        """Let the thread that reads the connection write as well. With a digest, two threads are faster."""
        claim = self.claim
        while not (claim.is_done or self.into.has_digest) and (tap := await self.reply.tapped()) is not None:
            claim.reserved_until = min(claim.position + _STEP_BYTES, claim.end)
            step = partial(tap.pour, at_most=claim.reserved_until - claim.position, for_s=_STEP_S)
            came_bytes = await self.into.write_from(step, offset=claim.position)
            claim.position += came_bytes
            if came_bytes:
                self.arrived(came_bytes)
                self.written()
            self._watch(came_bytes, self.clock.monotonic())

    def _watch(self, size_bytes: int, now_s: float) -> None:
        self._window_bytes += size_bytes
        elapsed_s = now_s - self.since_s
        if elapsed_s >= WINDOW_S:
            if self._window_bytes < self.slowest_bytes_per_s() * elapsed_s:
                raise AnswerLost(
                    "the download stalled",
                    why=f"{self._window_bytes:,} bytes in {elapsed_s:.0f} s",
                    fix="check the network; on a line that is always so slow, lower `minimum_bytes_per_second`",
                )
            self.since_s, self._window_bytes = now_s, 0
