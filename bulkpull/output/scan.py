"""
Reads several snapshots of a dataset as one table, with the run of each row, whatever their columns and types.

A column has one type over all snapshots: its common type, or the narrowest that holds all values, or else the text of
the report file. A column that a snapshot lacks is null there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path

import polars as pl

from bulkpull.conversion.file_formats import Source, format_of
from bulkpull.conversion.strftime_formats import write_dates
from bulkpull.conversion.type_inference import widen

RUN_COLUMN = "_run_id"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """
    One of the snapshots to be read.

    Attributes:
        files: All of them of one set of columns and types.
        formats: How the dates of a column were written in the report's file, in the notation of `strftime`.
        empty: Columns without a value, whose type means nothing.
    """

    run_id: str
    files: tuple[Path, ...]
    formats: Mapping[str, str] = field(default_factory=dict)
    empty: frozenset[str] = frozenset()


def scan_together(
    snapshots: Sequence[Snapshot], *, source: Callable[[Path], Source] = lambda file: file
) -> pl.LazyFrame:
    """
    All rows of the snapshots, in their order; loaded lazily.

    Returns:
        `_run_id`, then the columns of the last snapshot, then those that only earlier ones have.

    Raises:
        OSError: A snapshot is not there any more.
    """
    schemas = [scan_files(snapshot.files[:1], source=source).collect_schema() for snapshot in snapshots]
    types = common_types(schemas, empty=[snapshot.empty for snapshot in snapshots])
    frames = [
        scan_files(snapshot.files, source=source).select(
            pl.lit(snapshot.run_id).alias(RUN_COLUMN),
            *(_as(dtype, name, schema.get(name), snapshot.formats.get(name)) for name, dtype in types.items()),
        )
        for snapshot, schema in zip(snapshots, schemas, strict=True)
    ]
    return pl.concat(frames, how="vertical")


def scan_files(files: Sequence[Path], *, source: Callable[[Path], Source]) -> pl.LazyFrame:
    """The rows of the files of one snapshot, in their order; loaded lazily."""
    return format_of(files[0]).files.scan([source(file) for file in files])


def common_types(
    schemas: Sequence[Mapping[str, pl.DataType]], *, empty: Sequence[frozenset[str]]
) -> dict[str, pl.DataType]:
    """
    The type of each column that holds the values of all snapshots (pure).

    Args:
        empty: The columns of each that have no value, whose types do not count.
    """
    names = dict.fromkeys(name for schema in reversed(schemas) for name in schema)
    return {
        name: _common(
            [(schema[name], name in blank) for schema, blank in zip(schemas, empty, strict=True) if name in schema]
        )
        for name in names
    }


def _common(types: Iterable[tuple[pl.DataType, bool]]) -> pl.DataType:
    types = list(types)
    informative = [dtype for dtype, is_empty in types if not is_empty]
    if not informative:
        return types[-1][0]
    return reduce(lambda one, other: widen(one, other) or pl.String(), informative)


def _as(dtype: pl.DataType, name: str, stored: pl.DataType | None, form: str | None) -> pl.Expr:
    """A column in the common type; text as in the report's file, as far as it can be restored."""
    column = pl.col(name)
    if stored is None:
        return pl.lit(None, dtype).alias(name)
    if stored == dtype:
        return column
    if dtype != pl.String():
        return column.cast(dtype)  # of a wider one, or of a column without a value
    if stored.is_temporal():
        return write_dates(column, form) if form else column.dt.to_string("iso")
    if stored.is_decimal():
        # Zeros at the end are those of the type: 1.500000000000000000.
        return column.cast(pl.String).str.strip_chars_end("0").str.strip_chars_end(".")
    return column.cast(pl.String)
