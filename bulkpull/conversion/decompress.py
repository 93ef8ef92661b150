"""Decompresses the stored file: detects gzip by its magic bytes, and checks every member's CRC and length."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from gzip import BadGzipFile
from io import BufferedReader
from pathlib import Path

from isal.igzip import IGzipFile
from isal.isal_zlib import IsalError

from bulkpull.errors import FileDamaged, NotTheReport, TooLarge

PIECE_BYTES = 256 * 1024
"""Pieces of this size stay in the processor's cache: the inflater runs twice as fast into them as into 8 MB."""

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
_LONGEST_MARK_BYTES = max(map(len, _OTHERS))
# A proxy may compress a compressed file again (fault 67); more layers are not a report.
_LAYERS = 2
_WRONG_END = "its packed data ends too early, or something else follows its end"


def unpacked(source: Path, *, max_unpacked_bytes: int, on_gzip: Callable[[], None] = lambda: None) -> Iterator[bytes]:
    """
    Yield the unpacked bytes of `source` in pieces of at most 256 kB, none of them empty (behaviours 126, 127 and 190).

    It is plain or gzip, of one or more members, which zeros may follow; `on_gzip` is called when the file turns out to
    be gzip, whose checksums vouch for its content.

    Raises:
        FileDamaged: The gzip is cut, fails its CRC or its length, or is followed by something that is no gzip.
        NotTheReport: It is empty, or packed in another way.
        TooLarge: It unpacks to more than `max_unpacked_bytes`.
    """
    try:
        yield from _pieces(source, max_unpacked_bytes, on_gzip)
    except EOFError:
        raise FileDamaged("the report's file is damaged", why=_WRONG_END) from None
    # The last one is of a header that is longer than igzip's buffer, half a megabyte.
    except (BadGzipFile, IsalError, OverflowError) as error:  # type: ignore[misc]  # its stub says an instance
        raise FileDamaged("the report's file is damaged", why=f"its packed data is broken ({error})") from None


def _pieces(source: Path, max_unpacked_bytes: int, on_gzip: Callable[[], None]) -> Iterator[bytes]:
    size = 0
    with source.open("rb") as file:
        content: BufferedReader | IGzipFile = file
        for _ in range(_LAYERS):
            if content.peek(_LONGEST_MARK_BYTES).startswith(_GZIP):
                on_gzip()
                content = IGzipFile(fileobj=content, mode="rb")  # type: ignore[no-untyped-call]  # it has no types
        for mark, name in _OTHERS.items():
            if content.peek(_LONGEST_MARK_BYTES).startswith(mark):
                raise NotTheReport(
                    f"the report's file is {name}",
                    why="the service stores reports as CSV or TSV, plain or packed by gzip",
                    fix="look at the report's format with `bulkpull reports list`, then run the same command again",
                )
        while piece := content.read1(PIECE_BYTES):
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
