"""
When the data of a dataset change, and which of its rows (behaviours 142 and 146).

Refreshes happen at midnight UTC, at the documented interval of days. Each restates a quarter of the rows, always with
the first row of a month or snapshot: the bytes are the same between two refreshes and different after one.
"""

from __future__ import annotations

from datetime import datetime

import numpy as np
import numpy.typing as npt

from bulkpull.simulator.datasets import Table

_TURNS = 4
# Row numbers stay below 2**32, with the month above; what a restatement adds lies between.
_EDITION_BIT = np.uint64(1 << 52)


def edition_at(table: Table, moment: datetime) -> int:
    """The number of the refresh that the data at `moment` come from; 0 for ever where no interval is documented."""
    return moment.date().toordinal() // table.refresh_days if table.refresh_days else 0


def restated(rows: npt.NDArray[np.uint64], *, edition: int) -> npt.NDArray[np.uint64]:
    """
    The numbers that the rows' values are drawn by: their own, mixed with the edition that restated each of them last.

    Args:
        rows: Numbers within their month or snapshot.
        edition: 0 restates nothing.
    """
    if not edition:
        return rows
    since = (np.uint64(edition) + rows) % np.uint64(_TURNS)
    last = np.uint64(edition) - np.where(rows == 0, np.uint64(0), since)
    return rows + last * _EDITION_BIT  # the same again after 4,096 editions, which is eleven years of days
