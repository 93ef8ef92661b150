"""
When to make durable what has arrived: often enough that a kill costs little, seldom enough that the disk can follow.

A twentieth of the time since the process took the file up, so that a kill costs about a twentieth of what that process
has fetched; and never more than a tenth of the time goes into syncs.
"""

from __future__ import annotations

from dataclasses import dataclass

from bulkpull.clock import Clock
from bulkpull.transfer.partial import Partial
from bulkpull.transfer.room import check_room

_SHORTEST_S = 0.05
_LONGEST_S = 5.0
_SHARE_OF_TIME = 1 / 20
_SYNC_SHARE = 10


@dataclass(slots=True)
class Checkpoints:
    """The checkpoints of one partial file."""

    partial: Partial
    clock: Clock
    _began_s: float
    _last_s: float
    _sync_s: float = 0.0
    _under_way: bool = False

    @classmethod
    def of(cls, partial: Partial, *, clock: Clock) -> Checkpoints:
        """Begin to count the time now."""
        return cls(partial, clock, clock.monotonic(), clock.monotonic())

    def begin_if_due(self) -> bool:
        """Whether it is time for the next one; whoever is told so makes it."""
        now_s = self.clock.monotonic()
        share_s = min(_LONGEST_S, (now_s - self._began_s) * _SHARE_OF_TIME)
        if self._under_way or now_s - self._last_s < max(_SHORTEST_S, share_s, self._sync_s * _SYNC_SHARE):
            return False
        self._under_way = True
        return True

    async def make(self, *, size_bytes: int | None) -> None:
        """
        Make durable and vouch for what has been written, and look whether the rest has room; meanwhile writes go on.

        Raises:
            DiskTrouble: The disk is about to be full.
            OSError: The disk refused the sync.
        """
        began_s = self.clock.monotonic()
        try:
            await self.partial.vouch()
            await check_room(self.partial.path.parent, needed_bytes=max(0, (size_bytes or 0) - self.partial.done_bytes))
        finally:
            self._last_s = self.clock.monotonic()
            self._sync_s = self._last_s - began_s
            self._under_way = False
