"""
When to write the journal, and when to sync the file to disk.

A journal entry is cheap. The interval between entries is a twentieth of the time since the process opened the file, so
a kill costs about a twentieth of what it has fetched. A sync is slow and protects only against power loss: it runs
every few seconds and takes at most a tenth of the time.
"""

from __future__ import annotations

from dataclasses import dataclass

from bulkpull.clock import Clock
from bulkpull.output.disk_space import check_room
from bulkpull.transfer.partial_file import PartialFile

_SHORTEST_S = 0.05
_LONGEST_S = 5.0
_SHARE_OF_TIME = 1 / 20
_SYNC_EVERY_S = 5.0
_SYNC_SHARE = 10


@dataclass(slots=True)
class Checkpoints:
    partial: PartialFile
    clock: Clock
    _began_s: float
    _last_s: float
    _synced_s: float
    _sync_s: float = 0.0
    _under_way: bool = False

    @classmethod
    def of(cls, partial: PartialFile, *, clock: Clock) -> Checkpoints:
        now_s = clock.monotonic()
        return cls(partial, clock, now_s, now_s, now_s)

    def begin_if_due(self) -> bool:
        """Whether the next checkpoint is due; the caller that gets `True` makes it."""
        now_s = self.clock.monotonic()
        share_s = min(_LONGEST_S, (now_s - self._began_s) * _SHARE_OF_TIME)
        if self._under_way or now_s - self._last_s < max(_SHORTEST_S, share_s):
            return False
        self._under_way = True
        return True

    async def make(self, *, size_bytes: int | None) -> None:
        """Record the written bytes, and check the disk space for the rest (`DiskTrouble`); meanwhile writes go on."""
        try:
            await self.partial.write_journal()
            await check_room(self.partial.path.parent, needed_bytes=max(0, (size_bytes or 0) - self.partial.done_bytes))
            began_s = self.clock.monotonic()
            if began_s - self._synced_s >= max(_SYNC_EVERY_S, self._sync_s * _SYNC_SHARE):
                await self.partial.fsync()
                self._synced_s = self.clock.monotonic()
                self._sync_s = self._synced_s - began_s
        finally:
            self._last_s = self.clock.monotonic()
            self._under_way = False
