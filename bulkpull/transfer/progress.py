"""Measures progress in shares of the file, so that one byte per request does not count as progress (case C10)."""

from __future__ import annotations

from dataclasses import dataclass

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
        """Whether another share has come since the last time that this said so."""
        if done_bytes - self.reached_bytes < share_of(size_bytes):
            return False
        self.reached_bytes = done_bytes
        return True
