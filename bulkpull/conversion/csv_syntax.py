"""
The CSV syntax that is accepted, for the header line and the rows; anything else is an error.

Rules: RFC 4180 with LF or CRLF. A quote opens a field only at its start and closes it only at its end; outside quotes
a carriage return stands only before a line feed. Anything else is an error, because two readers would see two different
tables in it. Inside quotes both are content.
"""

from __future__ import annotations

import numpy as np

from bulkpull.conversion.csv_index import CsvIndex, just_before, positions, shift_right
from bulkpull.errors import FileDamaged, NotTheReport

BOM = b"\xef\xbb\xbf"
HEADER_ROW = 0  # the number of the header line where data rows count from 1


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
    """The refusal of a file whose last quote is not closed."""
    return FileDamaged("the report's file is damaged", why="it ends inside a quoted field")


def _named(row: int) -> str:
    return f"row {row:,}" if row else "the header line"
