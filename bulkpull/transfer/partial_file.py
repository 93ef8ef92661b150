"""
The partial file on disk: large writes at given offsets, checksums, durability.

Measured on one TLS stream of 1.5 GB (`python -m benchmarks download`): on a fast network, the cost of writing decides.

- One thread hop a megabyte. A hop per 64 KiB, as aiofiles makes it, costs more than the write.
- Checksums do not let go of the interpreter's lock: they are faster than getting it back.
- Within the hop it is written by 128 KiB. A file system that keeps its cache in large folios (ext4 since Linux 6.16)
  allocates one for each write, and memory of a megabyte in one piece is what a virtual machine has to get from its host
  first: 1.5 GB took 0.5 to 0.8 seconds of the processor by 64 or 128 KiB, 1.9 to 2.8 by 512 KiB or 1 MiB.
- Chunks are written as they came: joining them first would copy every byte once more, under the interpreter's lock.
- One descriptor for all streams: `pwrite` names its offset, so that nobody seeks.
- The sync runs beside the transfer, which never waits for it. It costs nearly as much processor time as everything
  else, so a transfer of a few seconds does without.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import anyio.to_thread
from isal.isal_zlib import crc32

from bulkpull import platforms
from bulkpull.clock import Clock
from bulkpull.output.disk_space import check_room
from bulkpull.transfer.byte_ranges import ByteRange, merged
from bulkpull.transfer.journal import JournaledRange, append_ranges, begin_journal, load_journal
from bulkpull.transfer.range_responses import Version

# The most bytes that a damaged checksum costs.
_EXTENT_BYTES = 16 << 20
_READ_BYTES = 1 << 20
_WRITE_BYTES = 128 << 10
_CATCH_UP_BYTES = 32 << 20

# Seconds between two checkpoints, and their share of the time since the file was opened.
_SHORTEST_INTERVAL_S, _LONGEST_INTERVAL_S = 0.05, 5.0
_INTERVAL_SHARE = 1 / 20
_SYNC_EVERY_S = 5.0
# A sync is followed by so many times its own duration without one.
_SYNC_PAUSE_FACTOR = 10

Put = Callable[[bytes | memoryview], None]
"""Takes the next piece of the file."""


@dataclass(slots=True)
class PartialFile:
    """
    The bytes received so far of one version of a file, `done_bytes` in all; made by `opened`.

    An extent is known by its end, where the next write continues it; `_unrecorded` are those that the journal lacks.
    """

    path: Path
    journal: Path
    _descriptor: int
    _extents: dict[int, JournaledRange] = field(default_factory=dict)
    _unrecorded: set[int] = field(default_factory=set)
    _is_durable: bool = True
    _keeps_journal: bool = False
    _digest: _Digest | None = None
    done_bytes: int = 0

    @classmethod
    async def opened(cls, path: Path) -> PartialFile:
        """Open the file at `path`, made when there is none; its journal lies beside it."""
        flags = os.O_RDWR | os.O_CREAT
        descriptor = await anyio.to_thread.run_sync(platforms.current().open_file, path, flags)
        return cls(path, path.with_suffix(".journal"), descriptor)

    async def close(self) -> None:
        """Close the file; bytes that are not in the journal may be fetched again."""
        await anyio.to_thread.run_sync(self._close)

    async def rename(self, path: Path) -> None:
        """Give the file another name in its folder, replacing what was there; the journal keeps its own."""
        here = platforms.current()

        def work() -> None:
            if not here.renames_open_files:
                self._close()
            here.replace_file(self.path, path)
            if self._descriptor < 0:
                self._descriptor = here.open_file(path, os.O_RDWR)

        await anyio.to_thread.run_sync(work)
        self.path = path

    def remove(self) -> None:
        if not platforms.current().renames_open_files:
            self._close()
        self.path.unlink(missing_ok=True)
        self.journal.unlink(missing_ok=True)

    @property
    def has_digest(self) -> bool:
        """Whether an MD5 is made of the bytes as they are written."""
        return self._digest is not None

    @property
    def complete_ranges(self) -> list[ByteRange]:
        return merged(extent.stretch for extent in self._extents.values())

    async def begin(self, version: Version, *, execution_id: str, url: str) -> None:
        """Drop all bytes and start with this version. A file that cannot be pinned gets no journal (fault 66)."""

        def work() -> None:
            # In this order: at no moment does a journal speak of bytes that belong to another version.
            self.journal.unlink(missing_ok=True)
            # A file that was cut to nothing is written out by ext4 as soon as it is closed (`auto_da_alloc`), and the
            # transfer would wait for the disk: 0.4 s for 1.5 GB.
            if os.fstat(self._descriptor).st_size:
                os.ftruncate(self._descriptor, 0)
            if version.is_pinned:
                begin_journal(self.journal, version, execution_id=execution_id, url=url)

        self._start_with([])
        await anyio.to_thread.run_sync(work)
        self._keeps_journal = version.is_pinned
        self._digest = _Digest() if version.md5 else None

    async def resume(self, *, execution_id: str, url: str) -> Version | None:
        """
        Reuse what an earlier process left: the ranges of its journal whose checksums still match.

        Returns the version that the bytes belong to; `None` when there is nothing to resume.
        """
        found = await anyio.to_thread.run_sync(load_journal, self.journal, execution_id, url)
        if found is None:
            return None
        version, extents = found
        sound = [extent for extent in extents if await anyio.to_thread.run_sync(self._is_sound, extent)]

        def work() -> None:
            # No later write would overwrite bytes that a crash has left beyond the end of the file (case C56).
            size_bytes = version.size_bytes
            if size_bytes is not None and os.fstat(self._descriptor).st_size > size_bytes:
                os.ftruncate(self._descriptor, size_bytes)
            begin_journal(self.journal, version, execution_id=execution_id, url=url, extents=sound)

        await anyio.to_thread.run_sync(work)
        self._start_with(sound)
        self._keeps_journal = True
        self._digest = _Digest() if version.md5 else None
        return version

    async def write(self, chunks: Sequence[bytes | memoryview], *, offset: int) -> None:
        """Put bytes where they belong; no two streams write to the same place."""

        def pour(put: Put) -> None:
            for chunk in chunks:
                put(chunk)

        await self.write_from(pour, offset=offset)

    async def write_from(self, pour: Callable[[Put], None], *, offset: int) -> int:
        """Let `pour` bring the bytes in their order, in the thread that writes them; returns how many came."""
        extent = self._extents.get(offset)
        if extent is None or extent.stretch.size_bytes >= _EXTENT_BYTES:
            extent = JournaledRange(ByteRange(offset, offset), 0)
        crc, at = extent.crc, offset

        def put(piece: bytes | memoryview) -> None:
            nonlocal crc, at
            _write_all(self._descriptor, piece, at)
            if self._digest is not None and self._digest.at == at:
                self._digest.update(piece)
            crc, at = crc32(piece, crc), at + len(piece)

        # Cancellation takes effect only after the thread has ended, so that received bytes are kept.
        await anyio.to_thread.run_sync(pour, put)
        if at > offset:
            self._is_durable = False
            if extent.stretch.size_bytes:
                del self._extents[offset]
                self._unrecorded.discard(offset)
            self._extents[at] = JournaledRange(ByteRange(extent.stretch.start, at), crc)
            self._unrecorded.add(at)
            self.done_bytes += at - offset
        return at - offset

    async def write_journal(self) -> None:
        """Record the written ranges, so that they survive the end of the process; a power loss, only after `fsync`."""
        if not self._keeps_journal or not self._unrecorded:
            return
        ends, self._unrecorded = self._unrecorded, set()
        extents = [self._extents[end] for end in sorted(ends)]
        try:
            await anyio.to_thread.run_sync(append_ranges, self.journal, extents)
        except BaseException:
            self._unrecorded |= ends & self._extents.keys()  # one that grew meanwhile has another end
            raise

    async def fsync(self) -> None:
        if self._is_durable:
            return

        def work() -> None:
            # With its own descriptor: stopping a run does not wait for a slow disk, and closes the other one.
            descriptor = platforms.current().open_file(self.path, os.O_RDWR)
            try:
                platforms.current().sync_data(descriptor)
            finally:
                os.close(descriptor)

        self._is_durable = True
        try:
            await anyio.to_thread.run_sync(work, abandon_on_cancel=True)
        except BaseException:
            self._is_durable = False
            raise

    async def md5(self, *, size_bytes: int) -> bytes:
        """The digest of the whole file; what came out of order is read from the disk for it."""
        digest = self._digest or _Digest()
        while digest.at < size_bytes:
            until = min(size_bytes, digest.at + _CATCH_UP_BYTES)
            await anyio.to_thread.run_sync(digest.catch_up, self._descriptor, until)
        return digest.state.digest()

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _start_with(self, recorded: list[JournaledRange]) -> None:
        self._extents = {extent.stretch.end: extent for extent in recorded}
        self._unrecorded.clear()
        self.done_bytes = sum(extent.stretch.size_bytes for extent in self._extents.values())

    def _is_sound(self, extent: JournaledRange) -> bool:
        crc, at = 0, extent.stretch.start
        for block in _blocks(self._descriptor, extent.stretch):
            crc, at = crc32(block, crc), at + len(block)
        return (at, crc) == (extent.stretch.end, extent.crc)


@dataclass(slots=True)
class Checkpoints:
    """
    When to write the journal, and when to sync the file to disk.

    A journal entry is cheap. The interval between entries is a twentieth of the time since the process opened the file,
    so a kill costs about a twentieth of what it has fetched. A sync is slow and protects only against power loss: it
    runs every few seconds and takes at most a tenth of the time.
    """

    partial: PartialFile
    clock: Clock
    _began_s: float = field(init=False)
    _last_s: float = field(init=False)
    _synced_s: float = field(init=False)
    _sync_s: float = 0.0
    _under_way: bool = False

    def __post_init__(self) -> None:
        self._began_s = self._last_s = self._synced_s = self.clock.monotonic()

    def begin_if_due(self) -> bool:
        """Whether the next checkpoint is due; the caller that gets `True` makes it."""
        now_s = self.clock.monotonic()
        share_s = min(_LONGEST_INTERVAL_S, (now_s - self._began_s) * _INTERVAL_SHARE)
        if self._under_way or now_s - self._last_s < max(_SHORTEST_INTERVAL_S, share_s):
            return False
        self._under_way = True
        return True

    async def make(self, size_bytes: int | None) -> None:
        """Record the written bytes, and check the disk space for the rest (`DiskTrouble`); meanwhile writes go on."""
        try:
            await self.partial.write_journal()
            await check_room(self.partial.path.parent, needed_bytes=max(0, (size_bytes or 0) - self.partial.done_bytes))
            began_s = self.clock.monotonic()
            if began_s - self._synced_s >= max(_SYNC_EVERY_S, self._sync_s * _SYNC_PAUSE_FACTOR):
                await self.partial.fsync()
                self._synced_s = self.clock.monotonic()
                self._sync_s = self._synced_s - began_s
        finally:
            self._last_s = self.clock.monotonic()
            self._under_way = False


@dataclass(slots=True)
class _Digest:
    """MD5 in the file's order: updated as the bytes are written in order, else read from the disk."""

    state: hashlib._Hash = field(default_factory=lambda: hashlib.md5(usedforsecurity=False))
    at: int = 0

    def update(self, piece: bytes | memoryview) -> None:
        self.state.update(piece)
        self.at += len(piece)  # last: another stream's thread asks for it

    def catch_up(self, descriptor: int, until: int) -> None:
        for block in _blocks(descriptor, ByteRange(self.at, until)):
            self.update(block)
        if self.at < until:
            raise OSError(f"the partial file ends at byte {self.at}, not at {until}")


def _blocks(descriptor: int, stretch: ByteRange) -> Iterator[bytes]:
    at = stretch.start
    while at < stretch.end:
        block = platforms.current().read_at(descriptor, min(_READ_BYTES, stretch.end - at), at)
        if not block:
            return
        yield block
        at += len(block)


def _write_all(descriptor: int, piece: bytes | memoryview, offset: int) -> None:
    rest = memoryview(piece)
    while rest:
        # Shorter than asked for on a disk that is nearly full, or after a signal: the next one tells which.
        written_bytes = platforms.current().write_at(descriptor, rest[:_WRITE_BYTES], offset)
        rest, offset = rest[written_bytes:], offset + written_bytes
