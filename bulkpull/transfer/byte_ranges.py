"""
Byte ranges of a file: merged, missing, assigned to streams, and how many new bytes count as progress (pure).

There is one front stream, and helpers take segments from the end:

    file   ├──────────── front, going on →────────────┊◄── piece ──┊◄── piece ──┤
                         ▲ position                   ▲ end, moves to the left

The front stream requests everything up to the end of its gap at once, so a file that one connection fetches costs one
request. A helper takes its segment from the far end of the unassigned bytes. The front stops at the first helper
segment. Released segments go back to the front once they are adjacent.

Progress is counted in shares of the file, so that one byte per request is none (case C10).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

ENDLESS = 1 << 62
"""The end of a file whose length is not known yet."""

# At 4 MB/s a piece of this size lasts an eighth of a second: longer than the round trip of a request, and short enough
# that at the end no stream waits long for the last one.
_SMALLEST_PIECE = 512 << 10
# The most bytes that a stall or a break affects; larger segments would hardly lower the cost of requests.
_LARGEST_PIECE = 32 << 20
# A small file takes at most so many requests that bring progress. Of a large one, this much is worth a request.
_SHARES = 64
_LARGEST_SHARE_BYTES = 512 << 10
_SHARE_OF_UNKNOWN_BYTES = 64 << 10


@dataclass(frozen=True, slots=True, order=True)
class ByteRange:
    """The bytes `[start, end)` of a file."""

    start: int
    end: int

    @property
    def size_bytes(self) -> int:
        return self.end - self.start


def merged(stretches: Iterable[ByteRange]) -> list[ByteRange]:
    """The same bytes in as few ranges as possible, in order; empty ranges are dropped."""
    whole: list[ByteRange] = []
    for stretch in sorted(stretches):
        if stretch.size_bytes <= 0:
            continue
        if whole and stretch.start <= whole[-1].end:
            whole[-1] = ByteRange(whole[-1].start, max(whole[-1].end, stretch.end))
        else:
            whole.append(stretch)
    return whole


def missing(present: Iterable[ByteRange], *, size_bytes: int) -> list[ByteRange]:
    """The ranges missing from a file of that size, in order; bytes beyond its end are ignored."""
    ranges = merged(present)
    starts = [0, *(stretch.end for stretch in ranges)]
    ends = [*(min(stretch.start, size_bytes) for stretch in ranges), size_bytes]
    return [ByteRange(start, end) for start, end in zip(starts, ends, strict=True) if start < end]


def share_of(size_bytes: int | None) -> int:
    """What counts as progress in a file of that size, bytes; `None` for a size that is not known yet."""
    if size_bytes is None:
        return _SHARE_OF_UNKNOWN_BYTES
    return max(1, min(size_bytes // _SHARES, _LARGEST_SHARE_BYTES))


@dataclass(slots=True)
class TransferProgress:
    """
    The highest offset that a transfer has reached.

    Bytes fetched again after a break do not count: a host that always breaks at the same offset makes no progress.
    """

    reached_bytes: int = 0

    def advanced(self, done_bytes: int, *, size_bytes: int | None) -> bool:
        """Whether another share has arrived since this last returned true."""
        if done_bytes - self.reached_bytes < share_of(size_bytes):
            return False
        self.reached_bytes = done_bytes
        return True


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
        front = self.front if self.front is not None and self.front.end != ENDLESS else None
        unbegun_bytes = sum(gap.size_bytes for gap in self.gaps) + (front.shareable_bytes if front else 0)
        size = min(max(unbegun_bytes // (2 * streams), _SMALLEST_PIECE), _LARGEST_PIECE)
        if self.gaps:
            last = self.gaps.pop()
            start = last.start if last.size_bytes < 2 * size else last.end - size
            if start > last.start:
                self.gaps.append(ByteRange(last.start, start))
            return Segment(start, last.end)
        if front is None or front.shareable_bytes < size + _SMALLEST_PIECE:
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
