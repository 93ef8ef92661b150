"""
Which rows repeat each other: rows equal in every column, and rows that repeat a customer for another partner.

Values are drawn by row number. A row that repeats a column's value of the row before is drawn by that row's number.
Equal rows never share amounts, so a query that aggregates has something to sum.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bulkpull.simulator.datasets import Column, Table

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
    """
    The numbers of the rows that this column's values come from.

    Args:
        rows: Numbers within their month or snapshot.
    """
    name = column.origin.casefold()
    borrows = np.zeros(len(rows), dtype=np.bool_)
    if not name.startswith(_PARTNER):
        borrows |= are_repetitions(rows, table)
    if column.kind != "amount":
        borrows |= rows % _ALIKE_EVERY == _ALIKE_AT
    return rows - borrows.astype(np.uint64)
