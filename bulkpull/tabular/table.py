"""What is asked of a conversion, and what came of it: plain values that cross the border of the converting process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bulkpull.catalog import ColumnType

# In the metadata of a Parquet file, before the name of a column: how its dates were written (`forms`).
FORMAT_KEY = "bulkpull.format."


def is_same_form(one: str, other: str) -> bool:
    """Whether two forms differ in the padding of their numbers at most: many files fit both."""
    return one.replace("%-", "%") == other.replace("%-", "%")


@dataclass(frozen=True, slots=True)
class ColumnPlan:
    """
    A column as it was asked for.

    Attributes:
        declared: What the catalog says it holds.
        identifier: Stays text whatever its values look like (behaviour 152).
        aliases: Other headers under which it may come (behaviour 56).
        published_type: Its type in the last snapshot that had it; it is never left for one that holds less.
        published_empty: No snapshot had a value in it, so that its type binds nobody yet.
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
    """
    The first value that kept a column from its declared type.

    Attributes:
        row: The data row, counted from 1; the header does not count.
        value: The value, cut after 200 characters.
    """

    row: int
    value: str


@dataclass(frozen=True, slots=True)
class ConvertedColumn:
    """
    A column as it was published.

    Attributes:
        type: As the manifest shows it: `String`, `Int64`, `Decimal(38, 18)`, `Datetime(us, UTC)`, …
        misfit: The value that did not fit the declared type; `None` when the type held or was never tried.
        why_text: Why the column stays text although something narrower was declared.
        empty: Its type is only what was declared: neither this report nor an earlier one had a value in it.
        outgrown: The first value that the type published before could not hold, where a wider one than that is not yet
            text.
        format: How its dates were written, in the notation of `forms`; where this report has none, as before.
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
class ParquetFile:
    """A durable Parquet file: its rows, its size in bytes, and its SHA-256 in hex."""

    path: Path
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ConvertedTable:
    """
    A whole report as Parquet.

    Attributes:
        rows: As counted by the converter and by a count of its own over the bytes, which agree.
        columns: Those asked for, in that order.
        unpacked_bytes: The size of the CSV.
        extra_columns: In the file without having been asked for; kept as text, after the others.
        nul_bytes: NUL characters among the values; kept, and told because few readers expect them.
        left_out_rows: Rows of the file that lie on the edge to the next window (`Border`) and are not among `rows`.
        start_rows: Rows that lie on the edge to the window before.
        content_hash: XXH3 (128 bits, hexadecimal) of the unpacked bytes: which content this is, whatever packed it.
        is_gzip: The file was packed by gzip, so that its checksum and its length vouch for the content.
        ends_open: The file ends without a line end: its last value may be cut.
    """

    files: tuple[ParquetFile, ...]
    rows: int
    columns: tuple[ConvertedColumn, ...]
    unpacked_bytes: int
    extra_columns: tuple[str, ...]
    nul_bytes: int = 0
    left_out_rows: int = 0
    start_rows: int = 0
    content_hash: str = ""
    is_gzip: bool = False
    ends_open: bool = False


@dataclass(frozen=True, slots=True)
class Border:
    """
    Where a window meets others of the same dataset; both moments are aware, at the start of a day, UTC.

    Attributes:
        column: The dataset's time column.
        start: Rows at this moment are counted; `None` where nothing comes before.
        end: Rows at this moment are left to the next window; `None` where nothing follows.
    """

    column: str
    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """
    One conversion, as the parent process asks for it.

    Attributes:
        into: An existing folder that gets the Parquet file.
        metadata: Goes into the Parquet file's key-value metadata as it is.
        batch_bytes: Unpacked bytes to be worked on at once; what bounds the memory.
        border: Where the window meets others; `None` where it stands alone.
    """

    source: Path
    into: Path
    columns: tuple[ColumnPlan, ...]
    metadata: Mapping[str, str]
    max_unpacked_bytes: int
    batch_bytes: int
    border: Border | None = None
