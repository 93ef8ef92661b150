"""
An independent CSV check: splits bytes into batches of whole rows and counts their content.

It shares no code with the CSV reader and knows only quotes, separators and line ends. The reader silently accepts short
rows, truncated rows, blank lines and stray carriage returns, so its result is compared with the counts made here (rows
and bytes of content, per batch). `csv_syntax` has the rules. Each batch says how many bytes of the file it covers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bulkpull.conversion.csv_index import CsvIndex, count, index_csv, positions, shift_right
from bulkpull.conversion.csv_syntax import BOM, check_quotes, check_returns, ends_in_quotes, refused

# A row this long means an unclosed quote.
MAX_ROW_BYTES = 128 * 1024 * 1024

_LINE_ENDS = b"\r\n"


@dataclass(frozen=True, slots=True)
class Batch:
    """
    Some whole rows; the last batch may have none and then stands for blank lines at the end of the file.

    Attributes:
        data: Their bytes, ready for a CSV reader; ends with a line end.
        first_row: The number of the first one among all data rows, from 1.
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
    Yield the data rows in batches of about `batch_bytes`, checked.

    Blank lines are tolerated where nothing follows them; where a row has one field only, a blank line is a row.

    Args:
        pieces: The bytes after the header line, cut anywhere.

    Raises:
        FileDamaged: The file ends inside quotes.
        NotTheReport: A row has another number of fields, a line inside is blank, or quotes or carriage returns stand
            where none may.
    """
    row, blank_row, blank_bytes = 1, 0, 0
    for block in _blocks(pieces, separator=separator, batch_bytes=batch_bytes):
        marks, size = block.marks, len(block.data)
        whole = 0 if blank_row else size
        if not blank_row and (odd := _first_odd_row(marks, fields=fields)) is not None:
            whole, found = marks.start_of_row(odd), marks.fields[odd]
            if block.data[whole] not in _LINE_ENDS:
                raise refused(row + odd, f"has {found} fields instead of {fields}")
            blank_row = row + odd
        if block.data[whole:].strip(_LINE_ENDS):
            raise refused(blank_row, "is a blank line")
        added = block.added_bytes if whole == size else 0
        if whole:
            batch = _batch(
                block.data[:whole], marks if whole == size else marks.up_to(whole), first_row=row, added_bytes=added
            )
            row += batch.rows
            yield batch
        blank_bytes += size - whole - (block.added_bytes - added)
    if blank_bytes:
        yield Batch(b"", rows=0, first_row=row, content_bytes=0, nul_bytes=0, size_bytes=blank_bytes)


@dataclass(frozen=True, slots=True)
class _Block:
    """Whole lines with their marks; of its last bytes, `added_bytes` are the line end that the file lacks."""

    data: bytes
    marks: CsvIndex
    added_bytes: int


def _blocks(pieces: Iterator[bytes], *, separator: int, batch_bytes: int) -> Iterator[_Block]:
    """Blocks of whole lines of about `batch_bytes`, in which quotes and carriage returns stand where they may."""
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
        yield _Block(data, marks, added_bytes)


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


def _first_odd_row(marks: CsvIndex, *, fields: int) -> int | None:
    """The index of the first row that has not `fields` fields; `None` when all have."""
    odd = marks.fields != fields
    return int(odd.argmax()) if odd.any() else None


def _batch(block: bytes, marks: CsvIndex, *, first_row: int, added_bytes: int) -> Batch:
    content = len(block) - count(marks.separators) - marks.ends.size - count(marks.returns)
    quotes_empty = False
    if marks.opening.any():
        # Each quote is syntax, except one of each doubled pair.
        doubled = marks.opening & shift_right(marks.closing)
        content -= count(marks.opening) + count(marks.closing) - count(doubled)
        quotes_empty = bool((marks.closing & shift_right(marks.opening & ~doubled)).any())
    return Batch(
        data=_guarded(block, marks) if block.startswith(BOM) else block,
        rows=marks.ends.size,
        first_row=first_row,
        content_bytes=content,
        nul_bytes=block.count(0) if 0 in block else 0,  # a search is much faster than a count
        size_bytes=len(block) - added_bytes,
        ends_open=added_bytes > 0 and not block.endswith(b"\r\n"),
        quotes_empty=quotes_empty,
    )


def _guarded(block: bytes, marks: CsvIndex) -> bytes:
    """The block with quotes around its first field: polars takes U+FEFF at the start for a mark of the encoding."""
    stop = int(positions(marks.separators | marks.line_ends | marks.returns)[0])
    return b'"' + block[:stop] + b'"' + block[stop:]
