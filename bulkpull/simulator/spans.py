"""The months that a query takes, from its TIMESPAN or from two moments."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from bulkpull.simulator.offer import Table

_MONTHS = {"LAST_MONTH": 1, "LAST_3_MONTHS": 3, "LAST_6_MONTHS": 6, "LAST_1_YEAR": 12}
# Without TIMESPAN the service takes six months (behaviour 61); the scenario counts rows over as many.
DEFAULT_MONTHS = 6


def months_of_span(table: Table, timespan: str | None, *, now: datetime) -> tuple[date, ...] | None:
    """First days of the months that end with the present one, oldest first; `None` for snapshots."""
    if table.time_column is None:
        return None
    count = table.lookback_months if timespan == "LIFETIME" else _MONTHS.get(timespan or "", DEFAULT_MONTHS)
    months = [now.date().replace(day=1)]
    while len(months) < count:
        months.append(_month_before(months[-1]))
    return tuple(reversed(months))


def months_between(
    table: Table, *, start: datetime | None, end: datetime | None, now: datetime, inclusive: bool = False
) -> tuple[date, ...] | None:
    """
    First days of months within `[start, end)` that the dataset reaches back to; `None` for snapshots.

    Args:
        inclusive: A month that begins at `end` belongs to it as well; no document says (behaviour 84).
    """
    reach = months_of_span(table, "LIFETIME", now=now)
    if reach is None:
        return None
    first = start.date() if start is not None else reach[-min(DEFAULT_MONTHS, len(reach))]
    last = end.date() if end is not None else now.date() + timedelta(days=1)
    return tuple(month for month in reach if first <= month < last or (inclusive and month == last))


def _month_before(month: date) -> date:
    return (month - timedelta(days=1)).replace(day=1)
