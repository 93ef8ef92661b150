"""
The independent check: bytes → batches of whole rows, with what any reader must find in them.

It shares no code with the CSV reader that converts, and knows only quotes, separators and line ends: the reader
accepts short rows, rows cut in the middle, blank lines and stray carriage returns without a word, so what comes out
of it is compared with what was counted here (rows, and bytes of content, batch by batch).

Rules: RFC 4180 with LF or CRLF. A quote opens a field only at its start and closes it only at its end; anything else
is refused, because two readers would see two different tables in it. A line end inside quotes, and a carriage return
that no line feed follows, are content.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np

from bulkpull.errors import FileDamaged, NotTheReport
from bulkpull.tabular.marks import LF, QUOTE, Marks, count, find_marks, has, just_after, just_before, positions

# One row of that size is no row of a report but a quote that is never closed.
MAX_ROW_BYTES = 128 * 1024 * 1024

_BOM = b"\xef\xbb\xbf"
_LINE_ENDS = b"\r\n"


@dataclass(frozen=True, slots=True)
class Batch:
    """
    Some whole rows.

    Attributes:
        data: Their bytes, ready for a CSV reader; ends with a line end.
        rows: How many.
        first_row: The number of the first one among all data rows, from 1.
        content_bytes: The bytes of all fields without separators, line ends and quoting.
        nul_bytes: NUL characters among them.
    """

    data: bytes
    rows: int
    first_row: int
    content_bytes: int
    nul_bytes: int


def split_header(pieces: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """
    Take the first line, without its line end, off the file; what follows is the data.

    Raises:
        FileDamaged: The file ends inside quotes before the first line does.
        NotTheReport: The first line does not end within what a row may have.
    """
    start = b""
    while True:
        piece = next(pieces, b"")
        start += piece
        marks = find_marks(start, separator=LF)
        if marks.ends.size or not piece:
            break
        if len(start) > MAX_ROW_BYTES:
            raise NotTheReport("the report's file has no header line", why="its first line does not end")
    if not marks.ends.size and marks.open_quote:
        raise _ends_in_quotes()
    end = int(marks.ends[0]) if marks.ends.size else len(start)
    header, rest = start[:end].removesuffix(b"\r"), start[end + 1 :]

    def data() -> Iterator[bytes]:
        if rest:
            yield rest
        yield from pieces

    return header, data()


def batches(pieces: Iterator[bytes], *, fields: int, separator: int, batch_bytes: int) -> Iterator[Batch]:
    """
    Yield the data rows in batches of about `batch_bytes`, checked.

    Blank lines are tolerated where nothing follows them; where a row has one field only, a blank line is a row.

    Args:
        pieces: The bytes after the header line, cut anywhere.
        fields: How many fields each row must have.
        separator: The byte between two fields.

    Raises:
        FileDamaged: The file ends inside quotes.
        NotTheReport: A row has another number of fields, a line inside is blank, or quotes stand where none may.
    """
    row, carried, rest, wanted, ended = 1, b"", b"", batch_bytes, False
    while not ended:
        block, rest, ended = _gather(carried, rest, pieces, wanted=wanted)
        if ended and block and not block.endswith(b"\n"):
            block += b"\n"  # the last line may lack its end
        marks = find_marks(block, separator=separator)
        if ended and marks.open_quote:
            raise _ends_in_quotes()
        cut = marks.end_of_last_row
        if not cut:  # not one whole row: look at twice as much, so that a giant row costs no squared time
            if len(block) > MAX_ROW_BYTES:
                raise _refused(row, f"does not end within {MAX_ROW_BYTES:,} bytes, so a quote may never be closed")
            carried, rest = block + rest, b""
            wanted = 2 * len(carried)
            continue
        carried, wanted, marks = block[cut:], batch_bytes, marks if cut == len(block) else marks.up_to(cut)
        _check_quotes(marks, first_row=row)
        odd = _first_odd_row(marks, fields=fields)
        if odd is not None:
            start, found = marks.start_of_row(odd), marks.fields[odd]
            if found != 1 or block[start:cut].lstrip(b"\r")[:1] != b"\n":
                raise _refused(row + odd, f"has {found} fields instead of {fields}")
            if any(piece.strip(_LINE_ENDS) for piece in chain((block[start:], rest), pieces)):
                raise _refused(row + odd, "is a blank line")
            cut, marks, ended = start, marks.up_to(start), True
        if cut:
            batch = _batch(block[:cut], marks, first_row=row)
            row += batch.rows
            yield batch


def first_undecodable(batch: Batch, *, separator: int) -> tuple[int, int] | None:
    """The first byte of `batch` that is not UTF-8: its data row and its value; `None` when all of it is."""
    try:
        batch.data.decode("utf-8")
    except UnicodeDecodeError as error:
        marks = find_marks(batch.data, separator=separator)
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


def _first_odd_row(marks: Marks, *, fields: int) -> int | None:
    """The index of the first row that has not `fields` fields; `None` when all have."""
    odd = marks.fields != fields
    return int(odd.argmax()) if odd.any() else None


def _check_quotes(marks: Marks, *, first_row: int) -> None:
    """Refuse quotes that open a field elsewhere than at its start or close it elsewhere than at its end."""
    if not marks.opening.any():
        return
    starts = just_after(marks.separators | marks.line_ends | marks.closing)
    starts[0] |= np.uint64(1)
    # A row ends with a line feed, so there is a byte after each closing quote; after a carriage return as well.
    returns = marks.returns & just_before(marks.line_ends)
    stops = just_before(marks.separators | marks.line_ends | marks.opening | returns)
    wrong = (marks.opening & ~starts) | (marks.closing & ~stops)
    if wrong.any():
        row = int(np.searchsorted(marks.ends, positions(wrong)[0]))
        raise _refused(first_row + row, "has a quote in the middle of a field")


def _batch(block: bytes, marks: Marks, *, first_row: int) -> Batch:
    returns = count(marks.returns & just_before(marks.line_ends))
    content = len(block) - count(marks.separators) - marks.ends.size - returns
    if marks.opening.any():
        # Each quote is syntax, except one of each doubled pair.
        doubled = count(marks.opening & just_after(marks.closing))
        content -= count(marks.opening) + count(marks.closing) - doubled
    stray = count(marks.returns) > returns and bool((marks.returns & just_before(marks.separators)).any())
    return Batch(
        data=_guarded(block, marks) if stray or block.startswith(_BOM) else block,
        rows=marks.ends.size,
        first_row=first_row,
        content_bytes=content,
        nul_bytes=block.count(0) if 0 in block else 0,  # looking is much faster than counting
    )


def _guarded(block: bytes, marks: Marks) -> bytes:
    """
    The block with quotes around the few fields that the CSV reader would change.

    polars drops a carriage return in front of a separator, and takes U+FEFF at the start of a batch for a mark of
    the encoding.
    """
    at = positions(marks.separators | marks.line_ends)
    is_line_end = has(marks.line_ends, at)
    after_return = has(just_after(marks.returns), at)
    changed = after_return & ~is_line_end
    if block.startswith(_BOM):
        changed[0] = True
    fields = np.flatnonzero(changed)
    starts = np.where(fields > 0, at[fields - 1] + 1, 0)
    stops = at[fields] - (after_return & is_line_end)[fields]
    return np.insert(np.frombuffer(block, np.uint8), np.column_stack((starts, stops)).ravel(), QUOTE).tobytes()


def _refused(row: int, what: str) -> NotTheReport:
    return NotTheReport(
        f"row {row:,} of the report's file {what}",
        why="a table read from it would not be what the service wrote",
        fix="run the same command again, and look at that row with --keep-raw if it stays so",
    )


def _ends_in_quotes() -> FileDamaged:
    return FileDamaged("the report's file is damaged", why="it ends inside a quoted field")
