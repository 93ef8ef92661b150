"""Byte ranges: merging them, and finding what is missing."""

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
        """How many bytes it has."""
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
