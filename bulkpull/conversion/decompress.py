"""Decompresses the stored file: detects gzip by its magic bytes, and checks every member's CRC and length."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path

from isal import isal_zlib

from bulkpull.errors import FileDamaged, NotTheReport, TooLarge

# Small pieces: the inflater runs twice as fast into 256 kB that stay in the processor's cache as into 8 MB.
READ_BYTES = 64 * 1024
PIECE_BYTES = 256 * 1024

_GZIP = b"\x1f\x8b"
_HEADER_BYTES, _DEFLATE = 10, 8
_HAS_HEADER_CHECKSUM, _HAS_EXTRA_FIELD, _HAS_NAME, _HAS_COMMENT = 2, 4, 8, 16
_TRAILER = struct.Struct("<II")  # CRC-32 and length of the unpacked bytes
_RAW_DEFLATE = -15
_OTHERS = {
    b"PK\x03\x04": "a zip archive",
    b"PK\x05\x06": "a zip archive",
    b"BZh": "packed by bzip2",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"\x28\xb5\x2f\xfd": "packed by zstd",
    b"\xfd7zXZ": "packed by xz",
    b"PAR1": "a Parquet file",
}
# A proxy may compress a compressed file again (fault 67); more layers are not a report.
_LAYERS = 2


def unpacked(
    source: Path,
    *,
    max_unpacked_bytes: int,
    read_bytes: int = READ_BYTES,
    on_gzip: Callable[[], None] = lambda: None,
) -> Iterator[bytes]:
    """
    Yield the unpacked bytes of `source` in pieces of at most 256 kB, none of them empty (behaviours 126, 127 and 190).

    Args:
        source: Gzip of one or more members, or plain; read `read_bytes` at once.
        on_gzip: Called when the file turns out to be gzip, whose checksums vouch for its content.

    Raises:
        FileDamaged: The gzip is cut, fails its CRC or its length, or is followed by something that is no gzip.
        NotTheReport: It is empty, or packed in another way.
        TooLarge: It unpacks to more than `max_unpacked_bytes`.
    """
    size = 0
    with source.open("rb") as file:
        content = _Source(iter(lambda: file.read(read_bytes), b""))
        for _ in range(_LAYERS):
            if not content.starts_with(_GZIP):
                break
            on_gzip()
            content = _Source(_gunzip(content))
        for magic, name in _OTHERS.items():
            if content.starts_with(magic):
                raise NotTheReport(
                    f"the report's file is {name}",
                    why="the service stores reports as CSV or TSV, plain or packed by gzip",
                    fix="look at the report's format with `bulkpull reports list`, then run the same command again",
                )
        while piece := content.take_any():
            size += len(piece)
            if size > max_unpacked_bytes:
                raise TooLarge(
                    f"the report's file unpacks to more than {max_unpacked_bytes:,} bytes",
                    why="that is the limit of `max_unpacked_bytes`",
                    fix="raise `max_unpacked_bytes` if a report of that size is expected",
                )
            yield piece
    if not size:
        raise NotTheReport("the report's file is empty", why="even a report without rows has a header line")


def _gunzip(source: _Source) -> Iterator[bytes]:
    """
    Unpack all gzip members in a row; zeros after the last one are padding, anything else is damage.

    Header and trailer are read here and not by the inflater, by the rules of Python's `gzip`: what comes out may not
    depend on where the file was cut into pieces, and inflaters differ in that once a header has optional fields.
    """
    while True:
        _skip_header(source)
        inflater, crc, size = isal_zlib.decompressobj(wbits=_RAW_DEFLATE), 0, 0
        waiting = b""
        while not inflater.eof:
            waiting = waiting or source.take_any()
            try:
                # Also at the end of the input: the inflater may still hold bytes that were read ahead.
                piece = inflater.decompress(waiting, PIECE_BYTES)
            except isal_zlib.IsalError as error:  # type: ignore[misc]  # its stub calls the class an instance
                raise _damaged(f"its packed data is broken ({error})") from None
            if piece:
                crc, size = isal_zlib.crc32(piece, crc), size + len(piece)
                yield piece
            elif not waiting and not inflater.eof:
                raise _cut()
            waiting = inflater.unconsumed_tail
        source.put_back(inflater.unused_data)
        if source.take(8) != _TRAILER.pack(crc, size & 0xFFFFFFFF):
            raise _damaged("its packed data does not match its checksum or its length")
        if not source.skip_zeros():
            return
        if not source.starts_with(_GZIP):
            raise _damaged("something else follows the end of its packed data")


class _Source:
    """A stream of bytes, read by count, whatever the size of the pieces in which it comes."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._waiting = b""

    def take(self, wanted: int) -> bytes:
        """The next bytes, exactly so many. Raises `FileDamaged` where the file ends before."""
        self._fill(wanted)
        if len(self._waiting) < wanted:
            raise _cut()
        taken, self._waiting = self._waiting[:wanted], self._waiting[wanted:]
        return taken

    def take_any(self) -> bytes:
        """The next bytes, as many as there are at hand; none at the end of the file."""
        taken, self._waiting = self._waiting or next(self._pieces, b""), b""
        return taken

    def put_back(self, rest: bytes) -> None:
        self._waiting = rest + self._waiting

    def skip_past(self, byte: int) -> None:
        """Skip everything up to and including the next such byte. Raises `FileDamaged` where there is none."""
        while (place := self._waiting.find(byte)) < 0:
            self._waiting = next(self._pieces, b"")
            if not self._waiting:
                raise _cut()
        self._waiting = self._waiting[place + 1 :]

    def skip_zeros(self) -> bool:
        """Skip zero bytes; whether anything else follows."""
        while piece := self.take_any():
            self._waiting = piece.lstrip(b"\0")
            if self._waiting:
                return True
        return False

    def starts_with(self, wanted: bytes) -> bool:
        self._fill(len(wanted))
        return self._waiting.startswith(wanted)

    def _fill(self, wanted: int) -> None:
        while len(self._waiting) < wanted and (piece := next(self._pieces, b"")):
            self._waiting += piece


def _skip_header(source: _Source) -> None:
    """Skip the header of a member (RFC 1952); as in Python's `gzip` its own checksum and its spare bits say nothing."""
    _, _, method, flags, *_ = source.take(_HEADER_BYTES)
    if method != _DEFLATE:
        raise _damaged(f"its packed data is packed by an unknown method ({method})")
    if flags & _HAS_EXTRA_FIELD:
        source.take(int.from_bytes(source.take(2), "little"))
    for flag in (_HAS_NAME, _HAS_COMMENT):
        if flags & flag:
            source.skip_past(0)
    if flags & _HAS_HEADER_CHECKSUM:
        source.take(2)


def _cut() -> FileDamaged:
    return _damaged("its packed data ends too early")


def _damaged(why: str) -> FileDamaged:
    return FileDamaged("the report's file is damaged", why=why)
