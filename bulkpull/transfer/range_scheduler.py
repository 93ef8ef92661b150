"""
Who fetches what of a file: one front stream, and helpers that take pieces off its end.

    file   ├──────────── front, going on →────────────┊◄── piece ──┊◄── piece ──┤
                         ▲ at                         ▲ end, moves to the left

The front stream asks for everything up to the end of its gap in one request, so a file that one connection fetches
costs one request. A helper takes its piece off the far end of what nobody has begun. The front stops where it meets the
pieces. A piece that a helper gives back goes to the front again, as long as it lies next to it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bulkpull.transfer.byte_ranges import ByteRange, merged

ENDLESS = 1 << 62
"""The end of a file whose length is not known yet."""

# At 4 MB/s a piece of 2 MiB lasts half a second: long enough to be worth a request, and short enough that at the end
# no stream waits long for the last one.
_SMALLEST_PIECE = 2 << 20
# What a stall or a break can put in question; more would not lower the cost of requests noticeably.
_LARGEST_PIECE = 32 << 20


@dataclass(slots=True, eq=False)
class Segment:
    """
    A stretch that one stream fetches.

    Attributes:
        at: The next byte to arrive.
        end: Where to stop; helpers lower that of the front while it goes on.
        reach: Where the reply under way would end by itself.
        settled: Up to here no helper takes anything, though it has not arrived yet.
    """

    position: int
    end: int
    response_end: int = 0
    reserved_until: int = 0

    @property
    def is_done(self) -> bool:
        """Whether all its bytes have arrived."""
        return self.position >= self.end

    @property
    def rest(self) -> ByteRange:
        """What has not arrived yet."""
        return ByteRange(self.position, self.end)

    @property
    def shareable_bytes(self) -> int:
        """How much a helper could take of it."""
        return self.end - max(self.position, self.reserved_until)


@dataclass(slots=True)
class RangeScheduler:
    """
    What nobody fetches yet, and what the front fetches.

    Args:
        gaps: What is missing at the start, in order.
    """

    gaps: list[ByteRange]
    front: Segment | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.gaps = merged(self.gaps)

    def claim_front(self) -> Segment | None:
        """The first gap as a whole, for the front stream; `None` when nothing is left to begin."""
        self.front = None
        if self.gaps:
            gap = self.gaps.pop(0)
            self.front = Segment(gap.start, gap.end)
        return self.front

    def claim_piece(self, *, streams: int) -> Segment | None:
        """
        A piece off the end of what nobody has begun, for a helper; `None` when too little is left to share.

        Args:
            streams: How many share the rest. Pieces shrink with it, so that all end at about the same time.
        """
        size = min(max(self._unbegun_bytes() // (2 * streams), _SMALLEST_PIECE), _LARGEST_PIECE)
        if self.gaps:
            last = self.gaps.pop()
            start = last.start if last.size_bytes < 2 * size else last.end - size
            if start > last.start:
                self.gaps.append(ByteRange(last.start, start))
            return Segment(start, last.end)
        front = self.front
        if front is None or front.end == ENDLESS or front.shareable_bytes < size + _SMALLEST_PIECE:
            return None
        front.end -= size
        return Segment(front.end, front.end + size)

    def release(self, claim: Segment) -> None:
        """A helper fetches the rest of its piece no more."""
        front = self.front
        if front is not None and front.end == claim.position and not front.is_done and claim.end <= front.response_end:
            front.end = claim.end
        else:
            self.gaps = merged([*self.gaps, claim.rest])

    def _unbegun_bytes(self) -> int:
        front = self.front.shareable_bytes if self.front is not None and self.front.end != ENDLESS else 0
        return front + sum(gap.size_bytes for gap in self.gaps)
