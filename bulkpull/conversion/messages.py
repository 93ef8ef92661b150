"""The request and the result of a conversion: plain values exchanged with the conversion process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bulkpull.catalog import ColumnType
from bulkpull.conversion.output_formats import PARQUET, TableFormat

# In the metadata of a file, before the name of a column: how its dates were written (`date_formats`).
FORMAT_KEY = "bulkpull.format."


def is_same_form(one: str, other: str) -> bool:
    """Whether two forms differ in the padding of their numbers at most: many files fit both."""
    return one.replace("%-", "%") == other.replace("%-", "%")


@dataclass(frozen=True, slots=True)
class ColumnPlan:
    """
    A requested column: `declared` is its type in the catalog.

    Attributes:
        identifier: Stays text whatever its values look like (behaviour 152).
        aliases: Other headers under which it may come (behaviour 56).
        published_type: Its type in the last snapshot that had it; it is never replaced by one that holds less.
        published_empty: No snapshot had a value in it, so that its published type may change freely.
        published_format: How its dates were written there.
        amount: It is a metric: a number, whole ones as Int64 until a value needs Decimal.
        flag_words: All words that a truth value is written in, where they are known.
    """

    name: str
    declared: ColumnType
    identifier: bool = False
    aliases: tuple[str, ...] = ()
    published_type: str | None = None
    published_empty: bool = False
    published_format: str | None = None
    amount: bool = False
    flag_words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Misfit:
    """A value that did not fit: its data row (from 1, the header does not count), and its first 200 characters."""

    row: int
    value: str


@dataclass(frozen=True, slots=True)
class ConvertedColumn:
    """
    A column as it was published.

    Attributes:
        type: As the manifest shows it: `String`, `Int64`, `Decimal(38, 6)`, `Datetime(us, UTC)`, …
        misfit: The first value that did not fit the declared type.
        why_text: Why the column stays text although something narrower was declared.
        empty: Its type is only what was declared: neither this report nor an earlier one had a value in it.
        outgrown: The first value that the published type could not hold, where a wider type than that is not yet text.
        format: How its dates were written, in the notation of `date_formats`; as before where it has none.
    """

    name: str
    type: str
    declared: ColumnType
    misfit: Misfit | None = None
    why_text: str | None = None
    empty: bool = False
    outgrown: Misfit | None = None
    format: str | None = None


@dataclass(frozen=True, slots=True)
class TableFile:
    """A durable file of a table; its SHA-256 in hex."""

    path: Path
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class WindowBounds:
    """
    The window [start, end) that the rows of a file must lie in; aware moments.

    Attributes:
        form: How the file writes its times, in the notation of `date_formats`, where that is known from elsewhere.
        keep_edge: Keep what lies on the day of `end`: the file of the next window does not have it.
        skip_first_day: Leave out the day of `start`: the file of the window before has a later reading of it.
        skip_undated: Hashes (64 bits) of rows without a time that are left out: other windows have the same rows.
    """

    column: str
    start: datetime
    end: datetime
    form: str | None = None
    keep_edge: bool = False
    skip_first_day: bool = False
    skip_undated: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class WindowRows:
    """
    Counts of the rows outside of a file's window (`before`, `after`) and at its edges.

    Attributes:
        left_out: Rows that are not in the table, for whatever reason.
        edge, first_day: Rows on the day of the window's end, and on that of its start; with a digest of each.
        edges_are_days: All of these lie at the first moment of their day.
        undated: Rows without a time, and the hash (64 bits) of each.
        unread: Rows whose time cannot be read.
        earliest, latest: UTC.
        only_first_days: Every time lies on the first day of its month, so that a row stands for a whole month.
        form: How the times are written; `None` where they do not show it, or in several ways.
        is_ambiguous: Day and month may stand the other way round.
    """

    left_out: int = 0
    edge: int = 0
    edge_digest: int = 0
    first_day: int = 0
    first_day_digest: int = 0
    edges_are_days: bool = True
    undated: int = 0
    undated_hashes: tuple[int, ...] = ()
    unread: int = 0
    first_unread: Misfit | None = None
    before: int = 0
    after: int = 0
    first_outside: Misfit | None = None
    earliest: datetime | None = None
    latest: datetime | None = None
    only_first_days: bool = True
    form: str | None = None
    is_ambiguous: bool = False


@dataclass(frozen=True, slots=True)
class ConversionResult:
    """
    A whole report as typed files.

    Attributes:
        rows: As counted by the converter and by an independent count over the bytes, which agree.
        columns: The requested ones that are in the file, in the requested order.
        extra_columns: In the file without having been requested; kept as text, after the others.
        nul_bytes: NUL characters among the values; kept, and reported because few readers expect them.
        content_hash: XXH3 (128 bits, hexadecimal) of the unpacked bytes, however they were packed.
        is_gzip: The file was packed by gzip, so that its checksum and its length vouch for the content.
        ends_open: The file ends without a line end: its last value may be cut.
        lacking_columns: Requested and not in the file, because the user's role does not see them.
    """

    files: tuple[TableFile, ...]
    rows: int
    columns: tuple[ConvertedColumn, ...]
    unpacked_bytes: int
    extra_columns: tuple[str, ...]
    nul_bytes: int = 0
    window: WindowRows | None = None
    content_hash: str = ""
    is_gzip: bool = False
    ends_open: bool = False
    lacking_columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ConversionRequest:
    """
    One conversion; its file gets into the existing folder `into`.

    Attributes:
        batch_bytes: Unpacked bytes that are worked on at once; bounds the memory.
        is_redacted: The service withholds data from the user's role, so that columns may be missing (behaviour 23).
    """

    source: Path
    into: Path
    columns: tuple[ColumnPlan, ...]
    metadata: Mapping[str, str]
    max_unpacked_bytes: int
    batch_bytes: int
    bounds: WindowBounds | None = None
    is_redacted: bool = False
    table_format: TableFormat = PARQUET


@dataclass(frozen=True, slots=True)
class WideningRequest:
    """
    A published file that is written again, under the same name into the folder `into`.

    Attributes:
        types: All columns of the new file in their order, each with its type as the manifest shows it, which holds all
            values of the present one. A column that the file lacks is empty; names are compared without case.
    """

    source: Path
    into: Path
    types: Mapping[str, str]
