"""
The content of a report file: rows generated in blocks, never all at once.

A query with metrics, DISTINCT or ORDER BY reads all its rows first, or month by month where no group can span two
months. Any other query is generated block by block.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
import polars as pl

from bulkpull.simulator.generated_values import column_values
from bulkpull.simulator.listed_datasets import PROVENANCE, Column, Table, as_iso, written
from bulkpull.simulator.query_months import DEFAULT_MONTHS
from bulkpull.simulator.query_parser import ParsedCondition, ParsedOrdering
from bulkpull.simulator.row_numbers import DUPLICATE_FLAGS, are_repetitions, restated, source_rows
from bulkpull.simulator.scenario import Scenario

BLOCK_ROWS = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Extract:
    """
    The result of one query.

    Attributes:
        months: First days of the months it takes; `None` for a snapshot.
        edition: Which refresh of the data it is (`edition_at`).
        seed: The values follow from it; each tenant has its own.
        hidden: Columns that the role does not see, in lower case; empty in the file, or gone from it.
        window: The first and the last day that it takes, where it does not take whole months.
        provenance: What the column `Provenance` says in every row.
    """

    table: Table
    columns: tuple[Column, ...]
    conditions: tuple[ParsedCondition, ...]
    orderings: tuple[ParsedOrdering, ...]
    distinct: bool
    limit: int | None
    months: tuple[date, ...] | None
    edition: int
    tsv: bool
    seed: int
    hidden: frozenset[str] = frozenset()
    hidden_vanish: bool = False
    window: tuple[date, date] | None = None
    content: bytes | None = None
    provenance: str | None = None

    @property
    def key(self) -> str:
        """Equal for equal contents, so that reports share one file."""
        facts = (
            self.table.name, self.columns, self.conditions, self.orderings, self.distinct, self.limit, self.months,
            self.edition, self.tsv, self.seed,
            sorted(self.hidden), self.hidden_vanish, self.window, self.content, self.provenance,
        )  # fmt: skip
        return hashlib.sha256(repr(facts).encode()).hexdigest()

    @property
    def header(self) -> list[str]:
        """The names in the file's first line."""
        gone = self.hidden if self.hidden_vanish else frozenset()
        return [column.name for column in self.columns if column.origin.casefold() not in gone]

    @property
    def used(self) -> dict[str, Column]:
        """Every column that the answer depends on, by its name."""
        compared = [condition.column for condition in self.conditions]
        sorted_by = [ordering.column for ordering in self.orderings]
        times = [column for column in self.table.columns if self.window and column.origin == self.table.time_column]
        return {column.name: column for column in (*self.columns, *compared, *sorted_by, *times)}

    @property
    def aggregates(self) -> bool:
        """Whether rows of the data are put together (behaviour 63)."""
        return any(column.is_metric for column in self.used.values())

    @property
    def is_of_all(self) -> bool:
        """Whether each row depends on all others."""
        return self.distinct or bool(self.orderings) or (self.aggregates and not self.is_of_months)

    @property
    def is_of_months(self) -> bool:
        """Whether each row depends on its month alone: a column that tells the month is among those grouped by."""
        plain = {column.origin for column in self.columns if not column.is_metric}
        is_whole = self.distinct or self.orderings
        return self.months is not None and self.table.time_column in plain and not is_whole


def csv_blocks(extract: Extract, scenario: Scenario, *, block_rows: int = BLOCK_ROWS) -> Iterator[bytes]:
    """The file's text in blocks, each of whole rows; the first is the header line."""
    separator = "\t" if extract.tsv else ","
    schema = pl.DataFrame(schema=dict.fromkeys(extract.header, pl.String))
    yield schema.write_csv(separator=separator, line_terminator=scenario.line_ending).encode()
    for frame in frames(extract, scenario, block_rows=block_rows):
        text = frame.write_csv(separator=separator, line_terminator=scenario.line_ending, include_header=False)
        yield text.encode()


def sample(extract: Extract, scenario: Scenario) -> list[dict[str, Any]]:
    """The rows as JSON objects, for a test query; the extract's limit keeps them few."""
    rows: list[dict[str, Any]] = []
    for frame in frames(extract, scenario, block_rows=extract.limit or BLOCK_ROWS):
        rows += frame.to_dicts()
    return rows


def frames(extract: Extract, scenario: Scenario, *, block_rows: int) -> Iterator[pl.DataFrame]:
    """The rows in frames of at most `block_rows`; where a block ends changes no value."""
    blocks = _blocks(extract, scenario, block_rows=block_rows)
    made: Iterator[pl.DataFrame] = (_frame(extract, *block) for block in blocks)
    if extract.is_of_all:
        made = _arranged(list(made), extract).iter_slices(block_rows)
    elif extract.aggregates:
        made = _month_by_month(extract, scenario, block_rows=block_rows)
    left = extract.limit
    shown = [written(column) for column in extract.columns if column.name in extract.header]
    for whole in made:
        frame = whole.select(shown)
        if left is not None:
            frame = frame.head(left)
            left -= frame.height
        if frame.height:
            yield frame
        if left == 0:
            return


def _month_by_month(extract: Extract, scenario: Scenario, *, block_rows: int) -> Iterator[pl.DataFrame]:
    """The rows of one month after the other, each month aggregated on its own."""
    for _, blocks in groupby(_blocks(extract, scenario, block_rows=block_rows), key=itemgetter(0)):
        made = [_frame(extract, *block) for block in blocks]
        yield from _arranged(made, extract).iter_slices(block_rows)


def _blocks(extract: Extract, scenario: Scenario, *, block_rows: int) -> Iterator[tuple[date | None, int, int]]:
    """Month, first row within it and number of rows, block by block."""
    if scenario.is_header_only(extract.table.name):
        return
    rows = scenario.rows_of(extract.table.name)
    for month in extract.months if extract.months is not None else (None,):
        total = rows if month is None else _rows_of_month(month, rows)
        for first in range(0, total, block_rows):
            yield month, first, min(block_rows, total - first)


def _rows_of_month(month: date, rows: int) -> int:
    """A month's share: any six months in a row hold exactly `rows`."""
    share, rest = divmod(rows, DEFAULT_MONTHS)
    return share + (_ordinal(month) % DEFAULT_MONTHS < rest)


def _ordinal(month: date) -> int:
    return month.year * 12 + month.month - 1


def _frame(extract: Extract, month: date | None, first: int, count: int) -> pl.DataFrame:
    table = extract.table
    base = np.uint64((_ordinal(month) if month is not None else 0) << 32)
    rows = np.arange(first, first + count, dtype=np.uint64)

    def values(column: Column) -> pl.Series:
        if column.origin.casefold() in extract.hidden:
            return pl.Series([None], dtype=pl.String).new_from_index(0, count)
        if column.origin == PROVENANCE:
            return pl.Series([extract.provenance], dtype=pl.String).new_from_index(0, count)
        if column.name.casefold() in DUPLICATE_FLAGS:
            return pl.Series(are_repetitions(rows, table).astype(np.int64)).cast(pl.String)
        keys = restated(source_rows(rows, column, table), edition=extract.edition) + base
        is_time = column.origin == table.time_column
        return column_values(column, keys, seed=extract.seed, dataset=table.name, month=month, is_time=is_time)

    frame = pl.DataFrame({name: values(column) for name, column in extract.used.items()})
    if extract.window is not None:
        first_day, last_day = extract.window
        for column in extract.used.values():
            if column.origin == table.time_column:
                days = pl.col(column.name).cast(pl.String)
                frame = frame.filter((days >= first_day.isoformat()) & (days <= last_day.isoformat()))
    for condition in extract.conditions:
        if not condition.column.is_metric:
            frame = frame.filter(_predicate(condition))
    return frame


def _arranged(made: list[pl.DataFrame], extract: Extract) -> pl.DataFrame:
    """All rows of the blocks, in the shape and order that the query asks for."""
    used = extract.used
    frame = pl.concat(made) if made else pl.DataFrame(schema=dict.fromkeys(used, pl.String))
    if extract.aggregates:
        frame = _aggregated(frame, extract)
        for condition in extract.conditions:
            if condition.column.is_metric:
                frame = frame.filter(_predicate(condition))
    if extract.distinct:
        frame = frame.unique([column.name for column in extract.columns], keep="first", maintain_order=True)
    if extract.orderings:
        frame = frame.sort(
            [_sortable(ordering.column) for ordering in extract.orderings],
            descending=[ordering.descending for ordering in extract.orderings],
            nulls_last=True,
            maintain_order=True,
        )
    return frame


def _aggregated(frame: pl.DataFrame, extract: Extract) -> pl.DataFrame:
    """Every metric computed for each combination of the columns selected beside it (behaviour 63)."""
    beside = [column.name for column in extract.columns if not column.is_metric]
    shapes = [_total(column) if column.is_metric else pl.col(name).first() for name, column in extract.used.items()
              if name not in beside]  # fmt: skip
    if not beside:
        return frame.select(shapes)
    return frame.group_by(beside, maintain_order=True).agg(shapes)


def _total(metric: Column) -> pl.Expr:
    """The sum, written as the other amounts are; nothing where nothing may be seen."""
    kind = pl.Int64() if metric.type == "int" else pl.Decimal(38, 6)
    numbers = pl.col(metric.name).cast(kind, strict=False)
    return pl.when(numbers.count() > 0).then(numbers.sum().cast(pl.String)).alias(metric.name)


def _sortable(column: Column) -> pl.Expr:
    text = pl.col(column.name)
    return text.cast(pl.Float64, strict=False) if column.type in ("int", "decimal") else text.cast(pl.String)


def _predicate(condition: ParsedCondition) -> pl.Expr:
    """Comparison without case (behaviour 60), by number where the column holds numbers."""
    text = pl.col(condition.column.name).cast(pl.String).str.to_lowercase()
    values = [as_iso(value, condition.column) for value in condition.values]
    match condition.operator:
        case "=" | "IN":
            return text.is_in(values)
        case "!=" | "NOT IN":
            return ~text.is_in(values)
        case "LIKE" | "NOT LIKE":
            found = text.str.contains(_pattern(values[0]))
            return found if condition.operator == "LIKE" else ~found
        case _:
            return _order(condition, text)


def _order(condition: ParsedCondition, text: pl.Expr) -> pl.Expr:
    column, value = text, pl.lit(as_iso(condition.values[0], condition.column))
    if condition.column.type in ("int", "decimal"):
        column, value = text.cast(pl.Float64, strict=False), value.cast(pl.Float64, strict=False)
    match condition.operator:
        case "<":
            return column < value
        case "<=":
            return column <= value
        case ">":
            return column > value
        case _:
            return column >= value


def _pattern(like: str) -> str:
    """A LIKE pattern as a regular expression: % is anything, _ is one character."""
    special = {"%": ".*", "_": "."}
    return "(?s)^" + "".join(special.get(char, pl.escape_regex(char)) for char in like) + "$"
