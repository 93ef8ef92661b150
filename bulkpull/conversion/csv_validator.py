"""
An independent CSV check: splits bytes into batches of whole rows and counts their content.

Rules: RFC 4180 with LF or CRLF. A quote opens a field only at its start and closes it only at its end; outside quotes
a carriage return stands only before a line feed. Anything else is an error, because two readers would see two different
tables in it. Inside quotes both are content.

This shares no code with the CSV reader and knows only quotes, separators and line ends. The reader silently accepts
short rows, truncated rows, blank lines and stray carriage returns, so its result is compared with the counts made here
(rows and bytes of content, per batch). Each batch says how many bytes of the file it covers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bulkpull.conversion.csv_index import CsvIndex, count, index_csv, just_before, positions, shift_right
from bulkpull.errors import FileDamaged, NotTheReport

BOM = b"\xef\xbb\xbf"
HEADER_ROW = 0  # the number of the header line where data rows count from 1
# A row this long means an unclosed quote.
MAX_ROW_BYTES = 128 * 1024 * 1024
_LINE_ENDS = b"\r\n"


@dataclass(frozen=True, slots=True)
class Batch:
    """
    Some whole rows; the last batch may have none and then stands for blank lines at the end of the file.

    Attributes:
        data: Ready for a CSV reader; ends with a line end.
        first_row: Among all data rows, from 1.
        content_bytes: The bytes of all fields without separators, line ends and quoting.
        nul_bytes: NUL characters among them.
        quotes_empty: The quotes of a field are closed right where they open: it may be empty.
        size_bytes: Their size in the file.
        ends_open: The file ends with them, without a line end: the last value may be cut.
    """

    data: bytes
    rows: int
    first_row: int
    content_bytes: int
    nul_bytes: int
    size_bytes: int
    ends_open: bool = False
    quotes_empty: bool = False


def batches(pieces: Iterator[bytes], *, fields: int, separator: int, batch_bytes: int) -> Iterator[Batch]:
    """
    Yield the data rows in checked batches of about `batch_bytes`; `pieces` are the bytes after the header line.

    Blank lines are tolerated where nothing follows them; where a row has one field only, a blank line is a row.

    Raises:
        FileDamaged: The file ends inside quotes.
        NotTheReport: A row has another number of fields, a line inside is blank, or the rules are broken.
    """
    row, blank_row, blank_bytes = 1, 0, 0
    for data, marks, line_end_bytes in _blocks(pieces, separator=separator, batch_bytes=batch_bytes):
        size = len(data)
        whole = 0 if blank_row else size
        if not blank_row and (is_odd := marks.fields != fields).any():
            odd = int(is_odd.argmax())
            whole, found = marks.start_of_row(odd), marks.fields[odd]
            if data[whole] not in _LINE_ENDS:
                raise refused(row + odd, f"has {found} fields instead of {fields}")
            blank_row = row + odd
        if data[whole:].strip(_LINE_ENDS):
            raise refused(blank_row, "is a blank line")
        added_bytes = line_end_bytes if whole == size else 0
        if whole:
            whole_marks = marks if whole == size else marks.up_to(whole)
            batch = _batch(data[:whole], whole_marks, first_row=row, added_bytes=added_bytes)
            row += batch.rows
            yield batch
        blank_bytes += size - whole - (line_end_bytes - added_bytes)
    if blank_bytes:
        yield Batch(b"", rows=0, first_row=row, content_bytes=0, nul_bytes=0, size_bytes=blank_bytes)


def _blocks(pieces: Iterator[bytes], *, separator: int, batch_bytes: int) -> Iterator[tuple[bytes, CsvIndex, int]]:
    """
    Blocks of whole lines of about `batch_bytes` with their marks, in which quotes and carriage returns stand where they
    may; and how many bytes of the last line end were added, because the file lacks it.
    """
    row, carried, rest, wanted, ended = 1, b"", b"", batch_bytes, False
    while not ended:
        data, rest, ended = _gather(carried, rest, pieces, wanted=wanted)
        added_bytes = int(ended and data != b"" and not data.endswith(b"\n"))
        data += b"\n" * added_bytes
        marks = index_csv(data, separator=separator)
        if ended and marks.open_quote:
            check_quotes(marks, first_row=row)  # a quote inside a field is never closed
            raise ends_in_quotes()
        check_returns(marks, size_bytes=len(data), row=row)
        cut = marks.end_of_last_row
        if not cut:  # not one whole row: look at twice as much, so that a giant row costs no squared time
            if len(data) > MAX_ROW_BYTES:
                raise refused(row, f"does not end within {MAX_ROW_BYTES:,} bytes, so a quote may never be closed")
            carried, rest = data + rest, b""
            wanted = 2 * len(carried)
            continue
        carried, wanted = data[cut:], batch_bytes
        if carried:
            data, marks = data[:cut], marks.up_to(cut)
        check_quotes(marks, first_row=row)
        row += marks.ends.size
        yield data, marks, added_bytes


def first_undecodable(batch: Batch, *, separator: int) -> tuple[int, int] | None:
    """The first byte of `batch` that is not UTF-8: its data row and its value; `None` when all of it is."""
    try:
        batch.data.decode("utf-8")
    except UnicodeDecodeError as error:
        marks = index_csv(batch.data, separator=separator)
        return batch.first_row + int(np.searchsorted(marks.ends, error.start)), batch.data[error.start]
    return None


def _gather(carried: bytes, rest: bytes, pieces: Iterator[bytes], *, wanted: int) -> tuple[bytes, bytes, bool]:
    """
    `carried`, `rest` and what follows them, at least `wanted` bytes in all unless the file ends: then also `True`.

    What lies behind the last line end is the new rest: a row is hardly ever cut there, so the block need not be copied
    once more to cut it.
    """
    parts, size = [carried, rest], len(carried) + len(rest)
    while size < wanted:
        piece = next(pieces, b"")
        if not piece:
            return b"".join(parts), b"", True
        parts.append(piece)
        size += len(piece)
    last = parts.pop()
    end = last.rfind(b"\n") + 1
    return b"".join((*parts, last[:end])), last[end:], False


def _batch(block: bytes, marks: CsvIndex, *, first_row: int, added_bytes: int) -> Batch:
    content = len(block) - count(marks.separators) - marks.ends.size - count(marks.returns)
    quotes_empty = False
    if marks.opening.any():
        # Each quote is syntax, except one of each doubled pair.
        doubled = marks.opening & shift_right(marks.closing)
        content -= count(marks.opening) + count(marks.closing) - count(doubled)
        quotes_empty = bool((marks.closing & shift_right(marks.opening & ~doubled)).any())
    data = block
    if block.startswith(BOM):  # polars takes U+FEFF at the start for a mark of the encoding, but not within quotes
        stop = int(positions(marks.separators | marks.line_ends | marks.returns)[0])
        data = b'"' + block[:stop] + b'"' + block[stop:]
    return Batch(
        data=data,
        rows=marks.ends.size,
        first_row=first_row,
        content_bytes=content,
        nul_bytes=block.count(0) if 0 in block else 0,  # a search is much faster than a count
        size_bytes=len(block) - added_bytes,
        ends_open=added_bytes > 0 and not block.endswith(b"\r\n"),
        quotes_empty=quotes_empty,
    )


def check_returns(marks: CsvIndex, *, size_bytes: int, row: int) -> None:
    """Refuse a carriage return outside quotes without a line feed: one reader ends the row there, another does not."""
    if not marks.returns.any():
        return
    alone = positions(marks.returns & ~just_before(marks.line_ends))
    alone = alone[alone < size_bytes - 1]
    if alone.size:
        raise NotTheReport(
            f"{_named(row + int(np.searchsorted(marks.ends, alone[0])))} of the report's file has a carriage return "
            "(CR) that no line feed (LF) follows",
            why="its line ends are neither LF nor CRLF, so that readers would not agree on its rows",
            fix="run the same command again, and look at the line ends with --keep-raw if it happens again",
        )


def check_quotes(marks: CsvIndex, *, first_row: int) -> None:
    """Refuse quotes that open a field elsewhere than at its start or close it elsewhere than at its end."""
    if not marks.opening.any():
        return
    starts = shift_right(marks.separators | marks.line_ends | marks.closing)
    starts[0] |= np.uint64(1)
    # A row ends with a line feed, so there is a byte after each closing quote; after a carriage return as well.
    stops = just_before(marks.separators | marks.line_ends | marks.opening | marks.returns)
    wrong = (marks.opening & ~starts) | (marks.closing & ~stops)
    if wrong.any():
        row = int(np.searchsorted(marks.ends, positions(wrong)[0]))
        raise refused(first_row + row, "has a quote in the middle of a field")


def refused(row: int, what: str) -> NotTheReport:
    """The refusal of a row by its number (`HEADER_ROW` for the header line), and of what is wrong with it."""
    return NotTheReport(
        f"{_named(row)} of the report's file {what}",
        why="a table read from it would not be what the service wrote",
        fix="run the same command again, and look at that row with --keep-raw if it happens again",
    )


def ends_in_quotes() -> FileDamaged:
    return FileDamaged("the report's file is damaged", why="it ends inside a quoted field")


def _named(row: int) -> str:
    return f"row {row:,}" if row else "the header line"
