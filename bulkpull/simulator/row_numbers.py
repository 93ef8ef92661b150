"""
The numbers that the values of rows are drawn by: which rows a refresh restates, and which rows repeat others.

Refreshes happen at midnight UTC, at the documented interval of days. Each restates a quarter of the rows, always with
the first row of a month or snapshot: the bytes are the same between two refreshes and different after one
(behaviours 142 and 146).

A row that repeats a column's value of the row before is drawn by that row's number. Equal rows never share amounts, so
a query that aggregates has something to sum.
"""

from __future__ import annotations

from datetime import datetime

import numpy as np
import numpy.typing as npt

from bulkpull.simulator.listed_datasets import Column, Table

_TURNS = 4
# Row numbers stay below 2**32, with the month above; what a restatement adds lies between.
_EDITION_BIT = np.uint64(1 << 52)


def edition_at(table: Table, moment: datetime) -> int:
    """The number of the refresh that the data at `moment` come from; 0 for ever where no interval is documented."""
    return moment.date().toordinal() // table.refresh_days if table.refresh_days else 0


def restated(rows: npt.NDArray[np.uint64], *, edition: int) -> npt.NDArray[np.uint64]:
    """The numbers that the rows' values are drawn by: their own, mixed with the edition that last restated each."""
    if not edition:
        return rows
    since = (np.uint64(edition) + rows) % np.uint64(_TURNS)
    last = np.uint64(edition) - np.where(rows == 0, np.uint64(0), since)
    return rows + last * _EDITION_BIT  # the same again after 4,096 editions, which is eleven years of days


Rows = npt.NDArray[np.uint64]

DUPLICATE_FLAGS = frozenset({"isduplicaterowforpga", "isacrduplicateatpgalevel"})
"""Columns that carry 0 on exactly one row of a customer and 1 on its repetitions (behaviour 147), in lower case."""

_ALIKE_EVERY, _ALIKE_AT = np.uint64(16), np.uint64(9)
_REPEATED_EVERY, _REPEATED_AT = np.uint64(8), np.uint64(3)
# What differs between the repetitions of a customer: the partner that it is attributed to.
_PARTNER = ("mpnid", "partnername", "partnerlocation", "partnerattributiontype")


def are_repetitions(rows: Rows, table: Table) -> npt.NDArray[np.bool_]:
    """Which rows repeat the row before them for another attributed partner; none where no flag would say so."""
    if not any(column.name.casefold() in DUPLICATE_FLAGS for column in table.columns):
        return np.zeros(len(rows), dtype=np.bool_)
    repeats: npt.NDArray[np.bool_] = rows % _REPEATED_EVERY == _REPEATED_AT
    return repeats


def source_rows(rows: Rows, column: Column, table: Table) -> Rows:
    """The numbers of the rows that this column's values come from."""
    name = column.origin.casefold()
    borrows = np.zeros(len(rows), dtype=np.bool_)
    if not name.startswith(_PARTNER):
        borrows |= are_repetitions(rows, table)
    if column.kind != "amount":
        borrows |= rows % _ALIKE_EVERY == _ALIKE_AT
    return rows - borrows.astype(np.uint64)
