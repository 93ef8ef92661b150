"""The file as stored → the bytes of its CSV: by magic and not by name, every member, CRC and length checked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from isal import isal_zlib

from bulkpull.errors import FileDamaged, NotTheReport, TooLarge

# Small pieces: the inflater runs twice as fast into 256 kB that stay in the processor's cache as into 8 MB.
READ_BYTES = 64 * 1024
PIECE_BYTES = 256 * 1024

_GZIP = b"\x1f\x8b"
_OTHERS = {
    b"PK\x03\x04": "a zip archive",
    b"PK\x05\x06": "a zip archive",
    b"BZh": "packed by bzip2",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"\x28\xb5\x2f\xfd": "packed by zstd",
    b"\xfd7zXZ": "packed by xz",
    b"PAR1": "a Parquet file",
}
# A proxy may pack what was packed already (fault 67); more layers than that are nobody's report.
_LAYERS = 2


def unpacked(source: Path, *, max_unpacked_bytes: int, read_bytes: int = READ_BYTES) -> Iterator[bytes]:
    """
    Yield the unpacked bytes of `source` in pieces of at most 256 kB, none of them empty.

    Args:
        source: Gzip of one or more members, or plain.
        max_unpacked_bytes: The most that it may unpack to, bytes.
        read_bytes: How much to read at once, bytes.

    Raises:
        FileDamaged: The gzip is cut, fails its CRC or its length, or is followed by something that is no gzip.
        NotTheReport: It is empty, or packed in another way.
        TooLarge: It unpacks to more than `max_unpacked_bytes`.

    Source: behaviours 126 and 127.
    """
    size = 0
    with source.open("rb") as file:
        pieces: Iterator[bytes] = iter(lambda: file.read(read_bytes), b"")
        for _ in range(_LAYERS):
            start, pieces = _peek(pieces, len(_GZIP))
            if not start.startswith(_GZIP):
                break
            pieces = _gunzip(pieces)
        start, pieces = _peek(pieces, max(map(len, _OTHERS)))
        for magic, name in _OTHERS.items():
            if start.startswith(magic):
                raise NotTheReport(
                    f"the report's file is {name}",
                    why="the service stores reports as CSV or TSV, plain or packed by gzip",
                    fix="look at the report's format with `bulkpull reports list`, then run the same command again",
                )
        for piece in pieces:
            size += len(piece)
            if size > max_unpacked_bytes:
                raise TooLarge(
                    f"the report's file unpacks to more than {max_unpacked_bytes:,} bytes",
                    why="that is the limit of `max_unpacked_bytes`",
                    fix="raise `max_unpacked_bytes` if a report of that size is expected",
                )
            yield piece
    if not size:
        raise NotTheReport(
            "the report's file is empty",
            why="even a report without rows has a header line",
        )


def _peek(pieces: Iterator[bytes], wanted: int) -> tuple[bytes, Iterator[bytes]]:
    """The first `wanted` bytes (fewer at the end of the file), and an iterator that still has them."""
    start = b""
    while len(start) < wanted and (piece := next(pieces, b"")):
        start += piece

    def whole() -> Iterator[bytes]:
        if start:
            yield start
        yield from pieces

    return start, whole()


def _gunzip(packed: Iterator[bytes]) -> Iterator[bytes]:
    """Unpack all gzip members in a row; zeros after the last one are padding, anything else is damage."""
    waiting = b""
    while True:
        inflater = isal_zlib.decompressobj(wbits=31)  # 31: gzip, with its CRC and length checked
        while not inflater.eof:
            waiting = waiting or next(packed, b"")
            try:
                # Also with nothing left to feed: what was read ahead may still be inside the inflater.
                piece = inflater.decompress(waiting, PIECE_BYTES)
            except isal_zlib.IsalError as error:  # type: ignore[misc]  # its stub calls the class an instance
                raise _damaged(f"its packed data is broken ({error})") from None
            if piece:
                yield piece
            elif not waiting and not inflater.eof:
                raise _damaged("its packed data ends too early")
            waiting = inflater.unconsumed_tail
        waiting = inflater.unused_data.lstrip(b"\0")
        while len(waiting) < len(_GZIP) and (piece := next(packed, b"")):
            waiting = (waiting + piece).lstrip(b"\0")
        if not waiting:
            return
        if not waiting.startswith(_GZIP):
            raise _damaged("something else follows the end of its packed data")


def _damaged(why: str) -> FileDamaged:
    return FileDamaged("the report's file is damaged", why=why)
