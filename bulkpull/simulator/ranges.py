"""Range and condition headers, as the storage host understands them (behaviours 130 and 131)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

# A read of a few bytes is somebody looking at size and ETag, not the fetch that a content fault waits for.
_PROBE_BYTES = 16
# The two forms that the storage host documents; it knows no suffix ranges (`bytes=-n`) and no lists of ranges.
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass(frozen=True, slots=True)
class RequestedRange:
    """Bytes `[start, end)` of a stored file."""

    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start


class NotSatisfiable(Exception):
    """The range begins at the end of the file or beyond it."""


def read_range(header: str | None, *, size: int) -> RequestedRange | None:
    """The stretch that a Range header asks for; `None` for the whole file, also when the header is of no known form."""
    found = _RANGE.fullmatch(header.strip()) if header else None
    if found is None:
        return None
    first, last = found.groups()
    start, end = int(first), min(int(last) + 1, size) if last else size
    if last and int(last) < start:
        return None
    if start >= size:  # also at 0 of an empty file
        raise NotSatisfiable
    return RequestedRange(start, end)


def begins_a_fetch(header: str | None) -> bool:
    """Whether a request reads the file from its first byte, and more of it than a look at size and ETag needs."""
    found = _RANGE.fullmatch(header.strip()) if header else None
    if found is None:
        return True
    first, last = found.groups()
    return int(first) == 0 and (not last or int(last) >= _PROBE_BYTES)


def precondition_fails(headers: Mapping[str, str], *, etag: str | None) -> bool:
    """Whether `If-Match` names another file than this one."""
    wanted = headers.get("If-Match")
    return wanted is not None and not _names(wanted, etag)


def is_unchanged(headers: Mapping[str, str], *, etag: str | None) -> bool:
    """Whether `If-None-Match` names this file."""
    known = headers.get("If-None-Match")
    return known is not None and _names(known, etag)


def _names(header: str, etag: str | None) -> bool:
    """Whether a list of tags has this one; the quotes around a tag may be missing (documented for `If-Match`)."""
    tags = [tag.strip() for tag in header.split(",")]
    return "*" in tags or (etag is not None and (etag in tags or etag.strip('"') in tags))
