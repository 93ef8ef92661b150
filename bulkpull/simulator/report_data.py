"""
The content of a report file: rows generated in blocks, never all at once.

A query with metrics, DISTINCT or ORDER BY reads all its rows first, or month by month where no group can span two
months. Any other query is generated block by block.
"""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from itertools import chain, groupby
from typing import Any, Literal

import numpy as np
import polars as pl

from bulkpull.simulator.generated_values import column_values, month_number
from bulkpull.simulator.listed_datasets import PROVENANCE, Column, Table, as_iso, written
from bulkpull.simulator.query_months import DEFAULT_MONTHS
from bulkpull.simulator.query_parser import ParsedCondition, ParsedQuery

BLOCK_ROWS = 50_000
_NUMBERS = ("int", "decimal")
_ORDERS: dict[str, Callable[[pl.Expr, pl.Expr], pl.Expr]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Extract:
    """
    The result of one query.

    Attributes:
        months: First days of the months it takes; `None` for a snapshot.
        edition: Which refresh of the data it is.
        rows: How many rows six months of the dataset hold, or its snapshot.
        hidden: Columns that the role does not see, in lower case; empty in the file, or gone from it.
        window: The first and the last day that it takes, where it does not take whole months.
        content: Literal bytes in place of generated rows.
        provenance: What the column `Provenance` says in every row.
    """

    query: ParsedQuery
    months: tuple[date, ...] | None
    edition: int
    tsv: bool
    line_ending: Literal["\n", "\r\n"]
    seed: int
    rows: int
    hidden: frozenset[str] = frozenset()
    hidden_vanish: bool = False
    window: tuple[date, date] | None = None
    content: bytes | None = None
    provenance: str | None = None

    @property
    def table(self) -> Table:
        return self.query.table

    @property
    def key(self) -> str:
        """Equal for equal contents, so that reports share one file."""
        query = self.query
        facts = (
            query.table.name, query.columns, query.conditions, query.orderings, query.distinct, query.limit,
            self.months, self.edition, self.tsv, self.seed,
            sorted(self.hidden), self.hidden_vanish, self.window, self.content, self.provenance,
        )  # fmt: skip
        return hashlib.sha256(repr(facts).encode()).hexdigest()

    @property
    def header(self) -> list[str]:
        gone = self.hidden if self.hidden_vanish else frozenset()
        return [column.name for column in self.query.columns if column.origin.casefold() not in gone]

    @property
    def used(self) -> dict[str, Column]:
        """Every column that the answer depends on, by its name."""
        compared = (condition.column for condition in self.query.conditions)
        sorted_by = (ordering.column for ordering in self.query.orderings)
        times = (column for column in self.table.columns if self.window and column.origin == self.table.time_column)
        return {column.name: column for column in (*self.query.columns, *compared, *sorted_by, *times)}

    @property
    def aggregates(self) -> bool:
        """Whether rows of the data are put together (behaviour 63)."""
        return any(column.is_metric for column in self.used.values())

    @property
    def is_of_all(self) -> bool:
        """Whether each row depends on all others: none does that aggregates and has the month among its columns."""
        plain = {column.origin for column in self.query.columns if not column.is_metric}
        is_of_months = self.months is not None and self.table.time_column in plain
        return self.query.distinct or bool(self.query.orderings) or (self.aggregates and not is_of_months)


def csv_blocks(extract: Extract) -> Iterator[bytes]:
    """The file's text in blocks, each of whole rows; the first is the header line."""
    header = pl.DataFrame(schema=dict.fromkeys(extract.header, pl.String))
    for frame in chain([header], frames(extract, block_rows=BLOCK_ROWS)):
        text = frame.write_csv(
            separator="\t" if extract.tsv else ",", line_terminator=extract.line_ending, include_header=frame is header
        )
        yield text.encode()


def sample(extract: Extract) -> list[dict[str, Any]]:
    """The rows as JSON objects, for a test query; the query's limit keeps them few."""
    shown = frames(extract, block_rows=extract.query.limit or BLOCK_ROWS)
    return [row for frame in shown for row in frame.to_dicts()]


def frames(extract: Extract, *, block_rows: int) -> Iterator[pl.DataFrame]:
    """The rows in frames of at most `block_rows`; where a block ends changes no value."""
    left = extract.query.limit
    shown = [written(column) for column in extract.query.columns if column.name in extract.header]
    for block in _arranged_frames(extract, block_rows=block_rows):
        frame = block.select(shown)
        if left is not None:
            frame = frame.head(left)
            left -= frame.height
        if frame.height:
            yield frame
        if left == 0:
            return


def _arranged_frames(extract: Extract, *, block_rows: int) -> Iterator[pl.DataFrame]:
    """The rows with every column that is used: all at once, month by month, or block by block."""
    blocks = _blocks(extract, block_rows=block_rows)
    if extract.is_of_all:
        yield from _arranged([_frame(extract, *block) for block in blocks], extract).iter_slices(block_rows)
    elif extract.aggregates:
        for _, month_blocks in groupby(blocks, key=operator.itemgetter(0)):
            yield from _arranged([_frame(extract, *block) for block in month_blocks], extract).iter_slices(block_rows)
    else:
        for block in blocks:
            yield _frame(extract, *block)


def _blocks(extract: Extract, *, block_rows: int) -> Iterator[tuple[date | None, int, int]]:
    """Month, first row within it and number of rows, block by block."""
    share, rest = divmod(extract.rows, DEFAULT_MONTHS)
    for month in extract.months if extract.months is not None else (None,):
        # A month's share: any six months in a row hold exactly `extract.rows`.
        total = extract.rows if month is None else share + (month_number(month) % DEFAULT_MONTHS < rest)
        for first in range(0, total, block_rows):
            yield month, first, min(block_rows, total - first)


def _frame(extract: Extract, month: date | None, first: int, count: int) -> pl.DataFrame:
    table, used = extract.table, extract.used
    rows = np.arange(first, first + count, dtype=np.uint64)

    def values(column: Column) -> pl.Series:
        if column.origin.casefold() in extract.hidden:
            return pl.Series([None], dtype=pl.String).new_from_index(0, count)
        if column.origin == PROVENANCE:
            return pl.Series([extract.provenance], dtype=pl.String).new_from_index(0, count)
        return column_values(column, rows, seed=extract.seed, table=table, month=month, edition=extract.edition)

    frame = pl.DataFrame({name: values(column) for name, column in used.items()})
    for column in used.values():
        if extract.window is not None and column.origin == table.time_column:
            first_day, last_day = (pl.lit(day.isoformat()) for day in extract.window)
            frame = frame.filter(pl.col(column.name).cast(pl.String).is_between(first_day, last_day))
    return _filtered(frame, extract, metrics=False)


def _filtered(frame: pl.DataFrame, extract: Extract, *, metrics: bool) -> pl.DataFrame:
    for condition in extract.query.conditions:
        if condition.column.is_metric == metrics:
            frame = frame.filter(_predicate(condition))
    return frame


def _arranged(made: list[pl.DataFrame], extract: Extract) -> pl.DataFrame:
    query = extract.query
    frame = pl.concat(made) if made else pl.DataFrame(schema=dict.fromkeys(extract.used, pl.String))
    if extract.aggregates:
        frame = _filtered(_aggregated(frame, extract), extract, metrics=True)
    if query.distinct:
        frame = frame.unique([column.name for column in query.columns], keep="first", maintain_order=True)
    if query.orderings:
        frame = frame.sort(
            [_comparable(pl.col(ordering.column.name), ordering.column) for ordering in query.orderings],
            descending=[ordering.descending for ordering in query.orderings],
            nulls_last=True,
            maintain_order=True,
        )
    return frame


def _aggregated(frame: pl.DataFrame, extract: Extract) -> pl.DataFrame:
    """Every metric computed for each combination of the columns selected beside it (behaviour 63)."""
    beside = [column.name for column in extract.query.columns if not column.is_metric]
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


def _comparable(values: pl.Expr, column: Column) -> pl.Expr:
    return values.cast(pl.Float64, strict=False) if column.type in _NUMBERS else values.cast(pl.String)


def _predicate(condition: ParsedCondition) -> pl.Expr:
    """Comparison without case (behaviour 60), by number where the column holds numbers."""
    column = condition.column
    text = pl.col(column.name).cast(pl.String).str.to_lowercase()
    values = [as_iso(value, column) for value in condition.values]
    match condition.operator:
        case "=" | "IN":
            return text.is_in(values)
        case "!=" | "NOT IN":
            return ~text.is_in(values)
        case "LIKE" | "NOT LIKE":
            # As a regular expression: % is anything, _ is one character.
            special = {"%": ".*", "_": "."}
            pattern = "".join(special.get(char, pl.escape_regex(char)) for char in values[0])
            found = text.str.contains(f"(?s)^{pattern}$")
            return found if condition.operator == "LIKE" else ~found
        case _:
            compare = _ORDERS[condition.operator]
            return compare(_comparable(text, column), _comparable(pl.lit(values[0]), column))
