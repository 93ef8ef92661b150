"""The months that a query covers, from its TIMESPAN or from a start and an end."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta

from bulkpull.simulator.entities import Window
from bulkpull.simulator.listed_datasets import Table

_SPAN = re.compile(r"LAST_(?:(?P<count>\d+)_)?(?P<unit>DAY|MONTH|YEAR)S?")
_DAYS_OF_MONTH = 30
# Without TIMESPAN the service takes six months (behaviour 61); the scenario counts rows over as many.
DEFAULT_MONTHS = 6


def months_of_span(table: Table, timespan: str | None, *, now: datetime) -> tuple[date, ...] | None:
    """First days of the months that end with the present one, oldest first; `None` for snapshots."""
    if table.time_column is None:
        return None
    count = _length_months(timespan)
    if timespan == "LIFETIME":
        # The documented lookback, or the longest span that the dataset lists (behaviour 156).
        listed = (_length_months(span) for span in table.date_ranges if span != "LIFETIME")
        count = max([table.lookback_months, *listed])
    months = [now.date().replace(day=1)]
    while len(months) < count:
        months.append((months[-1] - timedelta(days=1)).replace(day=1))
    return tuple(reversed(months))


def months_between(
    table: Table, timespan: str | None, window: Window, *, now: datetime, inclusive: bool
) -> tuple[date, ...] | None:
    """The months that the window `[start, end)` touches, as far as the dataset reaches; without one, the TIMESPAN's."""
    start, end = window
    if start is None and end is None:
        return months_of_span(table, timespan, now=now)
    reach = months_of_span(table, "LIFETIME", now=now)
    if reach is None:
        return None
    first = start.date() if start is not None else reach[-min(DEFAULT_MONTHS, len(reach))]
    last = end.date() if end is not None else now.date() + timedelta(days=1)
    begun = [month for month in reach if month < last or (inclusive and month == last)]
    return tuple(month for month in begun if first < (month + timedelta(days=31)).replace(day=1))


def days_between(
    start: datetime | None, end: datetime | None, *, now: datetime, inclusive: bool
) -> tuple[date, date] | None:
    """The first and the last day that begins within `[start, end)`; `None` without either."""
    if start is None and end is None:
        return None
    last = end or now
    last_day = last.date() if inclusive or last != _midnight(last) else last.date() - timedelta(days=1)
    first = start or datetime.min.replace(tzinfo=now.tzinfo)
    first_day = first.date() if first == _midnight(first) else first.date() + timedelta(days=1)
    return first_day, last_day


def whole_months(start: datetime | None, end: datetime | None) -> Window:
    """The window of all months that `[start, end)` touches."""
    if end is not None and (first := _midnight(end.replace(day=1))) != end:
        end = (first + timedelta(days=32)).replace(day=1)
    return start and _midnight(start.replace(day=1)), end


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _length_months(timespan: str | None) -> int:
    """Months that a span covers, the present one among them; days count as the months they touch at least."""
    found = _SPAN.fullmatch(timespan or "")
    if found is None:
        return 1 if timespan in ("TODAY", "YESTERDAY") else DEFAULT_MONTHS
    count = int(found["count"] or 1)
    if found["unit"] == "DAY":
        return max(1, -(-count // _DAYS_OF_MONTH))
    return count * 12 if found["unit"] == "YEAR" else count
