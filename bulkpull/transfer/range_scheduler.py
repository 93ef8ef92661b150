"""
Assigns byte ranges to streams: one front stream, and helpers that take segments from the end.

    file   ├──────────── front, going on →────────────┊◄── piece ──┊◄── piece ──┤
                         ▲ position                   ▲ end, moves to the left

The front stream requests everything up to the end of its gap at once, so a file that one connection fetches costs one
request. A helper takes its segment from the far end of the unassigned bytes. The front stops at the first helper
segment. Released segments go back to the front once they are adjacent.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bulkpull.transfer.byte_ranges import ByteRange, merged

ENDLESS = 1 << 62
"""The end of a file whose length is not known yet."""

# At 4 MB/s a piece of this size lasts an eighth of a second: longer than the round trip of a request, and short enough
# that at the end no stream waits long for the last one.
_SMALLEST_PIECE = 512 << 10
# The most bytes that a stall or a break affects; larger segments would hardly lower the cost of requests.
_LARGEST_PIECE = 32 << 20


@dataclass(slots=True, eq=False)
class Segment:
    """
    A byte range assigned to one stream; `position` is the next byte to arrive.

    Attributes:
        end: Where to stop; helpers lower the end of the front segment while it runs.
        response_end: Where the reply in progress ends by itself.
        reserved_until: No helper takes bytes below this offset, though they have not arrived yet.
        next_request_s: No request for it begins before this moment, monotonic seconds.
    """

    position: int
    end: int
    response_end: int = 0
    reserved_until: int = 0
    next_request_s: float = 0.0

    @property
    def is_done(self) -> bool:
        return self.position >= self.end

    @property
    def rest(self) -> ByteRange:
        return ByteRange(self.position, self.end)

    @property
    def shareable_bytes(self) -> int:
        """How many bytes a helper could take."""
        return self.end - max(self.position, self.reserved_until)


@dataclass(slots=True)
class RangeScheduler:
    """The unassigned gaps of a file, and the front segment."""

    gaps: list[ByteRange]
    front: Segment | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.gaps = merged(self.gaps)

    def claim_front(self) -> Segment | None:
        """Assign the whole first gap to the front stream; `None` when no gap is left."""
        self.front = None
        if self.gaps:
            gap = self.gaps.pop(0)
            self.front = Segment(gap.start, gap.end)
        return self.front

    def claim_piece(self, *, streams: int) -> Segment | None:
        """
        Assign a segment from the end of the unassigned bytes to a helper; `None` when too little is left.

        Segments shrink with the rest that `streams` share, so that all end at about the same time.
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
        """Return the rest of a helper's segment, to the front stream if its reply in progress brings these bytes."""
        self.gaps = merged([*self.gaps, claim.rest])
        front = self.front
        if front is None or front.is_done:
            return
        for gap in self.gaps:
            if gap.start == front.end and gap.end <= front.response_end:
                front.end = gap.end
                self.gaps.remove(gap)
                return  # gaps are merged, so only one can begin there

    def _unbegun_bytes(self) -> int:
        front = self.front.shareable_bytes if self.front is not None and self.front.end != ENDLESS else 0
        return front + sum(gap.size_bytes for gap in self.gaps)
