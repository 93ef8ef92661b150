"""
The stored files: generated once per content, block by block in a thread, and shared by all reports with that content.

No file is held in memory whole, except one that a content fault damages or that a scenario supplies.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path
from threading import Event
from typing import IO, Literal

import anyio
import anyio.to_thread
from isal import igzip, isal_zlib

from bulkpull.simulator.content_faults import spoiled_file
from bulkpull.simulator.faults import Fault
from bulkpull.simulator.report_data import Extract, csv_blocks
from bulkpull.simulator.scenario import Scenario

UTF8_BOM = b"\xef\xbb\xbf"
_FASTEST = 1
# zlib's way to ask for a gzip header and trailer.
_GZIP_BITS = 31
_READ_BYTES = 1 << 20
# A file of at most so many rows in six months is generated once in the process, and kept as text.
_FEW_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class StoredFile:
    """
    A file of the storage host.

    Attributes:
        size_bytes: Of the stored, mostly compressed, bytes; ranges and lengths speak of these (behaviours 129 and 130).
        etag: Quoted, and different for every content.
    """

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
        """The stored file of this content, spoiled when a content fault says so; made when it is first wanted."""
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
        return await anyio.to_thread.run_sync(lambda: b"".join(self._blocks(extract)))

    def close(self) -> None:
        """Stop making files; those that are under way end with `Closing`."""
        self._closing.set()

    def _make(self, extract: Extract, key: str, *, now: datetime, fault: Fault | None) -> StoredFile:
        path = self._workdir / f"{key}.bin"
        with path.open("wb") as raw:
            sink = _Digesting(raw)
            literal = self._scenario.stored.get(extract.table.name)
            if fault is not None:
                text = b"".join(self._blocks(extract))
                sink.write(spoiled_file(fault, text, compress=self._compress, tsv=extract.tsv))
            elif literal is not None:
                sink.write(literal)
            elif self._scenario.gzip:
                self._write_gzip(self._blocks(extract), sink)
            else:
                for block in self._blocks(extract):
                    sink.write(block)
        return StoredFile(
            path=path,
            size_bytes=sink.written,
            md5=sink.md5.digest(),
            etag=f'"0x8D{key[:13].upper()}"',
            is_gzip=self._scenario.gzip,
            modified_at=now,
        )

    def _blocks(self, extract: Extract) -> Iterator[bytes]:
        planted = self._scenario.tables.get(extract.table.name, extract.content)
        blocks = _generated(extract, self._scenario) if planted is None else _planted(planted)
        for block in chain([UTF8_BOM] if self._scenario.bom else [], blocks):
            if self._closing.is_set():
                raise Closing
            yield block

    def _write_gzip(self, blocks: Iterator[bytes], sink: _Digesting) -> None:
        members = self._scenario.gzip_members
        first = b""
        if members > 1:
            # The members but the last are cut from the first blocks: no reader may lean on where a member ends.
            first = next(blocks, b"") + next(blocks, b"")
            size = max(1, len(first) // members)
            for number in range(members - 1):
                sink.write(igzip.compress(first[number * size : (number + 1) * size], _FASTEST, mtime=0))
            first = first[(members - 1) * size :]
        packer = isal_zlib.compressobj(_FASTEST, wbits=_GZIP_BITS)
        for block in chain([first], blocks):
            sink.write(packer.compress(block))
        sink.write(packer.flush())

    def _compress(self, text: bytes) -> bytes:
        if not self._scenario.gzip:
            return text
        sink = _Digesting(io.BytesIO())
        self._write_gzip(iter([text]), sink)
        target = sink.target
        assert isinstance(target, io.BytesIO)
        return target.getvalue()


def _generated(extract: Extract, scenario: Scenario) -> Iterator[bytes]:
    name = extract.table.name
    rows = scenario.rows_of(name)
    if rows > _FEW_ROWS:
        return csv_blocks(extract, scenario)
    return iter(_few_blocks(extract, scenario.seed, rows, scenario.line_ending, scenario.is_header_only(name)))


@lru_cache(maxsize=128)
def _few_blocks(
    extract: Extract,
    seed: int,
    rows: int,
    line_ending: Literal["\n", "\r\n"],
    is_header_only: bool,  # noqa: FBT001 - cached by position
) -> tuple[bytes, ...]:
    """A small file, by all that its content depends on."""
    scenario = Scenario(seed=seed, rows=rows, line_ending=line_ending, header_only=is_header_only)
    return tuple(csv_blocks(extract, scenario))


def _planted(content: bytes | Path) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    with content.open("rb") as file:
        while block := file.read(_READ_BYTES):
            yield block


class _Digesting(io.RawIOBase):
    """Counts and hashes the bytes that it passes on."""

    def __init__(self, target: IO[bytes]) -> None:
        self.target, self.written = target, 0
        self.md5 = hashlib.md5(usedforsecurity=False)

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]  # the gzip writer passes bytes
        self.md5.update(data)
        self.written += len(data)
        self.target.write(data)
        return len(data)
