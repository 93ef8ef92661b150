"""
The stored files: generated once per content, block by block in a thread, and shared by all reports with that content.

No file is held in memory whole, except one that a content fault damages or that a scenario supplies.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from itertools import chain, islice
from pathlib import Path
from threading import Event

import anyio
import anyio.to_thread
from isal import igzip, isal_zlib

from bulkpull.simulator.content_faults import FASTEST, GZIP_BITS, damaged_file
from bulkpull.simulator.faults import Fault
from bulkpull.simulator.report_data import Extract, csv_blocks
from bulkpull.simulator.scenario import Scenario

_BOM = b"\xef\xbb\xbf"
_READ_BYTES = 1 << 20
# A file of at most so many rows in six months is generated once in the process, and kept as text.
_FEW_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of the storage host; its size is that of the compressed bytes, as in ranges (behaviours 129 and 130)."""

    path: Path
    size_bytes: int
    md5: bytes
    etag: str
    is_gzip: bool
    modified_at: datetime


class Closing(Exception):
    """The simulator stops while a file is being generated."""


class FileStore:
    """Makes and keeps stored files below `workdir`."""

    def __init__(self, workdir: Path, scenario: Scenario) -> None:
        self._workdir, self._scenario = workdir, scenario
        self._files: dict[str, StoredFile] = {}
        self._locks: dict[str, anyio.Lock] = {}
        self._closing = Event()

    async def fetch(self, extract: Extract, *, now: datetime, fault: Fault | None = None) -> StoredFile:
        """The stored file of this content, damaged when a content fault says so; made when it is first wanted."""
        key = hashlib.sha256(
            f"{extract.key}/{fault.name if fault else ''}/{fault.args if fault else ''}".encode()
        ).hexdigest()
        async with self._locks.setdefault(key, anyio.Lock()):
            if key not in self._files:
                make = partial(self._make, extract, key, now=now, fault=fault)
                self._files[key] = await anyio.to_thread.run_sync(make)
            return self._files[key]

    async def plain_text(self, extract: Extract) -> bytes:
        """The uncompressed text of this content, as one piece: for comparisons in tests."""
        return await anyio.to_thread.run_sync(lambda: b"".join(self._text(extract)))

    def close(self) -> None:
        """Stop making files; those that are under way end with `Closing`."""
        self._closing.set()

    def _make(self, extract: Extract, key: str, *, now: datetime, fault: Fault | None) -> StoredFile:
        path = self._workdir / f"{key}.bin"
        size_bytes, md5 = 0, hashlib.md5(usedforsecurity=False)
        with path.open("wb") as file:
            for block in self._stored_blocks(extract, fault):
                md5.update(block)
                size_bytes += file.write(block)
        return StoredFile(
            path=path,
            size_bytes=size_bytes,
            md5=md5.digest(),
            etag=f'"0x8D{key[:13].upper()}"',
            is_gzip=self._scenario.gzip,
            modified_at=now,
        )

    def _stored_blocks(self, extract: Extract, fault: Fault | None) -> Iterator[bytes]:
        literal = self._scenario.stored.get(extract.table.name)
        if fault is not None:
            text = b"".join(self._text(extract))
            yield damaged_file(fault, text, pack=lambda text: b"".join(self._packed(iter([text]))), tsv=extract.tsv)
        elif literal is not None:
            yield literal
        else:
            yield from self._packed(self._text(extract))

    def _text(self, extract: Extract) -> Iterator[bytes]:
        planted = self._scenario.tables.get(extract.table.name, extract.content)
        if planted is not None:
            blocks = _planted(planted)
        else:
            blocks = csv_blocks(extract) if extract.rows > _FEW_ROWS else iter(_few_blocks(extract))
        for block in chain([_BOM] if self._scenario.bom else [], blocks):
            if self._closing.is_set():
                raise Closing
            yield block

    def _packed(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """The text as one gzip file, where files are stored so."""
        if not self._scenario.gzip:
            yield from blocks
            return
        members, first = self._scenario.gzip_members, b""
        if members > 1:
            # The members but the last are cut from the first blocks: no reader may rely on where a member ends.
            first = b"".join(islice(blocks, 2))
            size = max(1, len(first) // members)
            for number in range(members - 1):
                yield igzip.compress(first[number * size : (number + 1) * size], FASTEST, mtime=0)
            first = first[(members - 1) * size :]
        packer = isal_zlib.compressobj(FASTEST, wbits=GZIP_BITS)
        for block in chain([first], blocks):
            yield packer.compress(block)
        yield packer.flush()


@lru_cache(maxsize=128)
def _few_blocks(extract: Extract) -> tuple[bytes, ...]:
    return tuple(csv_blocks(extract))


def _planted(content: bytes | Path) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    with content.open("rb") as file:
        while block := file.read(_READ_BYTES):
            yield block
