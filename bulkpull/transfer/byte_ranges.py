"""
Byte ranges of a file: merged, missing, and how many new bytes count as progress (pure).

Progress is counted in shares of the file, so that one byte per request is none (case C10).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


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
    gaps: list[ByteRange] = []
    at = 0
    for stretch in merged(present):
        if stretch.start >= size_bytes:
            break
        if stretch.start > at:
            gaps.append(ByteRange(at, stretch.start))
        at = max(at, stretch.end)
    if at < size_bytes:
        gaps.append(ByteRange(at, size_bytes))
    return gaps


# A small file takes at most so many requests that bring progress. Of a large one, this much is worth a request.
_SHARES = 64
_LARGEST_SHARE_BYTES = 512 << 10
_SHARE_OF_UNKNOWN_BYTES = 64 << 10


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
