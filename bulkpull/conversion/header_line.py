"""Reads the header line of a file by the same rules as its rows, and splits it into fields."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from bulkpull.conversion.csv_index import LF, index_csv, positions
from bulkpull.conversion.csv_syntax import BOM, HEADER_ROW, check_quotes, check_returns, ends_in_quotes, refused
from bulkpull.errors import NotTheReport

# A header of the service has a few hundred names at most. Names are matched in Python, one by one.
MAX_HEADER_BYTES = 4 * 1024 * 1024
MAX_COLUMNS = 20_000
SEPARATORS = b",\t"
"""The separators that a report's file may use."""


@dataclass(frozen=True, slots=True)
class Header:
    """
    The first line of the file.

    Attributes:
        size_bytes: What it takes of the file, with both.
        ends_open: The file ends with it, without a line end.
    """

    line: bytes
    size_bytes: int
    ends_open: bool = False


def split_header(pieces: Iterator[bytes]) -> tuple[Header, Iterator[bytes]]:
    """
    Take the first line off the file; what follows is the data.

    Raises:
        FileDamaged: The file ends inside quotes before the first line does.
        NotTheReport: The first line does not end within `MAX_HEADER_BYTES`, has a carriage return that no line feed
            follows, or a quote in the middle of a field.
    """
    parts, size = [], 0
    while size <= MAX_HEADER_BYTES and (piece := next(pieces, b"")):
        parts.append(piece)
        size += len(piece)
        if b"\n" in piece and index_csv(b"".join(parts).removeprefix(BOM), separator=LF).ends.size:
            break
    start = b"".join(parts)
    text = start.removeprefix(BOM)
    mark_bytes = len(start) - len(text)
    marks = index_csv(text, separator=LF)
    is_ended = marks.ends.size > 0
    end = int(marks.ends[0]) if is_ended else len(text)
    header_bytes = min(end + 1, len(text))
    check_returns(marks.up_to(header_bytes), size_bytes=header_bytes, row=HEADER_ROW)
    if not is_ended and marks.open_quote:
        _refuse_stray_quote(text)
    if end > MAX_HEADER_BYTES:
        raise NotTheReport(
            "the report's file has no header line",
            why=f"its first line does not end within {MAX_HEADER_BYTES:,} bytes",
            fix="look at the file with --keep-raw: a quote may never be closed, or it is another kind of file",
        )
    if not is_ended and marks.open_quote:
        raise ends_in_quotes()
    ends_open = not is_ended and not text.endswith(b"\r")
    header = Header(text[:end].removesuffix(b"\r"), mark_bytes + end + is_ended, ends_open)
    rest = text[end + 1 :]
    return header, chain([rest] if rest else [], pieces)  # an empty piece would be the end of the file


def _refuse_stray_quote(text: bytes) -> None:
    """Refuse a quote in the middle of a field, under every separator that a file may have: it swallows the line end."""
    refusals: list[NotTheReport] = []
    for separator in SEPARATORS:
        try:
            check_quotes(index_csv(text, separator=separator), first_row=HEADER_ROW)
        except NotTheReport as refusal:
            refusals.append(refusal)
    if len(refusals) == len(SEPARATORS):
        raise refusals[0]


def fields_of(line: bytes, *, separator: int) -> list[bytes]:
    """The fields of the header line, without their quoting."""
    row = line + b"\n"
    marks = index_csv(row, separator=separator)
    if marks.open_quote or marks.ends.size != 1 or marks.returns.any():
        raise refused(HEADER_ROW, "is not one line")
    check_quotes(marks, first_row=HEADER_ROW)
    fields = int(marks.fields[0])
    if fields > MAX_COLUMNS:
        raise NotTheReport(
            f"the report's file has {fields:,} columns",
            why=f"that is more than the {MAX_COLUMNS:,} that are converted",
            fix="select fewer columns, or look at the file with --keep-raw",
        )
    stops = positions(marks.separators | marks.line_ends).tolist()
    raw = [row[start:stop] for start, stop in zip([0, *(stop + 1 for stop in stops)], stops, strict=False)]
    return [field[1:-1].replace(b'""', b'"') if field.startswith(b'"') else field for field in raw]
