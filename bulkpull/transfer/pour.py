"""One reply's bytes, from the socket to the partial file."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing

from bulkpull.clock import Clock
from bulkpull.errors import AnswerLost
from bulkpull.transfer.partial import Partial
from bulkpull.transfer.replies import ERROR_PAGE_BYTES, refuse_error_page
from bulkpull.transfer.sharing import Claim
from bulkpull.transport.http import StreamedReply

# One write of a megabyte costs a sixteenth of the thread hops of writes of 64 KiB. Larger ones fall out of the
# processor's cache before they are written, and were slower.
_WRITE_BYTES = 1 << 20
# The kernel takes 1024 buffers at once.
_WRITE_CHUNKS = 512
# On a slow line a megabyte takes seconds, which a kill must not cost.
_LONGEST_HOLD_S = 0.03
# A connection that gives less than this for a whole window is a stalled one, whatever its trickle says (fault 62).
_SLOWEST_BYTES_PER_S = 1_024
_WINDOW_S = 60.0


async def pour(
    reply: StreamedReply, claim: Claim, *, into: Partial, clock: Clock, arrived: Callable[[int], None],
    written: Callable[[], None],
    since_s: float,
) -> None:  # fmt: skip
    """
    Write the reply's bytes at `claim.at` and move it along, until the claim or the reply ends.

    What arrived before a break is written before the break is told.

    Args:
        arrived: Told how many bytes have come, chunk by chunk.
        written: Told after each write.
        since_s: When the reply began, by the clock's `monotonic`.

    Raises:
        AnswerLost: The bytes broke off, or became a trickle.
        LinkExpired, StorageTrouble, FileGone: They are an error page of the storage host.
        OSError: The disk refused them.
    """
    held: list[bytes | memoryview] = []
    held_bytes, held_since_s = 0, 0.0
    window_began_s, window_bytes = since_s, 0

    async def flush() -> None:
        nonlocal held, held_bytes
        if held:
            chunks, offset = held, claim.at - held_bytes
            held, held_bytes = [], 0
            await into.write(chunks, offset=offset)
            written()

    try:
        async with aclosing(reply.chunks()) as chunks:
            async for chunk in chunks:
                if claim.at == 0:
                    refuse_error_page(bytes(chunk[:ERROR_PAGE_BYTES]))
                now_s = clock.monotonic()
                # The end of a claim may have come nearer since the reply began.
                piece = chunk if claim.at + len(chunk) <= claim.end else chunk[: max(0, claim.end - claim.at)]
                held_since_s = held_since_s if held else now_s
                held_bytes += len(piece)
                is_old = now_s - held_since_s >= _LONGEST_HOLD_S
                is_due = held_bytes >= _WRITE_BYTES or len(held) >= _WRITE_CHUNKS or is_old
                held.append(piece if is_due else bytes(piece))  # what is held outlives the reply's own buffer
                claim.at += len(piece)
                arrived(len(piece))
                if claim.is_done:
                    break
                if is_due:
                    await flush()
                window_bytes += len(piece)
                if now_s - window_began_s >= _WINDOW_S:
                    if window_bytes < _SLOWEST_BYTES_PER_S * _WINDOW_S:
                        raise AnswerLost("the download stalled", why=f"{window_bytes} bytes in {_WINDOW_S:.0f} s")
                    window_began_s, window_bytes = now_s, 0
    except AnswerLost:
        await flush()
        raise
    await flush()
