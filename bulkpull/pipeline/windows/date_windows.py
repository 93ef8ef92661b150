"""
Splits a long window into windows that the service can deliver, and a failed window into smaller ones (pure).

Windows follow calendar months, because the service keys its data by month. Each window is a separate pull, and all
pulls of a dataset become one snapshot.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from bulkpull.catalog import Catalog
from bulkpull.model import Pull, Window
from bulkpull.output.manifest import DatasetRecord
from bulkpull.pipeline.steps.naming import pull_fingerprint
from bulkpull.pipeline.windows.time_column import time_column_of
from bulkpull.snapshot_question import OPEN
from bulkpull.timespans import SERVICE_SPAN, span_days

# The service makes six months in one report by itself (behaviour 61); longer spans are requested month by month.
LONG = timedelta(days=184)
_DAY = timedelta(days=1)
# LIFETIME and similar spans do not say where the data begin.
_ENDLESS_DAYS = 100 * 366
_MARGIN = timedelta(days=31)
_DAYS_OF_A_MONTH = 30.4
_Step = Callable[[datetime], datetime]


def open_since(record: DatasetRecord) -> datetime | None:
    """Where a snapshot that grows begins; `None` for one that does not grow."""
    window = (record.question or {}).get("window")
    return datetime.fromisoformat(window[0]) if window and window[1] == OPEN else None


def history_starts(published: Mapping[str, DatasetRecord]) -> dict[str, datetime]:
    """Where the published snapshots that grow begin, by their names."""
    starts = {name: open_since(record) for name, record in published.items()}
    return {name: start for name, start in starts.items() if start is not None}


def split_by_month(
    window: Window, *, has_time_column: bool, history_start: datetime | None = None
) -> tuple[Window, ...]:
    """
    The months of `window`, the first and the last perhaps cut; `window` itself where it is not long.

    Args:
        has_time_column: Whether the dataset has a column that a window cuts along; without one it stays whole.
        history_start: As for `split_months`.
    """
    if not has_time_column or window.end - window.start <= LONG:
        return (window,)
    return split_months(window, history_start=history_start)


def split_months(window: Window, *, history_start: datetime | None = None) -> tuple[Window, ...]:
    """
    The months of `window`, the first and the last perhaps cut.

    Args:
        history_start: How far back the dataset reaches, as far as the service lists it. How far it really does is not
            documented (behaviour 84), so all before that is one window more.
    """
    edges = [window.start]
    if history_start is not None and window.start < history_start < window.end:
        edges.append(history_start)
    while (month := next_month(edges[-1])) < window.end:
        edges.append(month)
    edges.append(window.end)
    return tuple(Window(start, end) for start, end in pairwise(edges))


def history_start(ranges: Sequence[str], *, now: datetime) -> datetime | None:
    """The month with which a dataset's data begin, as far as the service lists it; `None` for not at all."""
    days = _widest_days(ranges)
    return None if days is None else first_of_month(now.astimezone(UTC) - timedelta(days=days) - _MARGIN)


def first_listed_month(ranges: Sequence[str], *, now: datetime) -> datetime:
    """The month with which a dataset's data begin; where the service lists no span, the one that a long span begins."""
    return history_start(ranges, now=now) or first_of_month(now.astimezone(UTC) - LONG)


def window_of_span(span: str | None, *, now: datetime) -> Window | None:
    """
    Whole months, with one to spare, from the first that a time span can reach, to the end of today.

    Args:
        span: A TIMESPAN; `None` for the service's own six months (behaviour 61).

    Returns:
        `None` where it is not known how far the span reaches.
    """
    begins = history_start([span or SERVICE_SPAN], now=now)
    return None if begins is None else Window(begins, _next_day(now.astimezone(UTC)))


def restated_from(ranges: Sequence[str], *, months: int | None, now: datetime) -> datetime:
    """
    The month from which on the service may still restate its data.

    Args:
        ranges: The spans that the service lists for the dataset: what the widest serves again counts.
        months: How many months before the present one; `None` leaves that to the spans.
    """
    days = (_widest_days(ranges) or LONG.days) if months is None else months * _DAYS_OF_A_MONTH
    return first_of_month(now.astimezone(UTC) - timedelta(days=days))


def split_in_half(window: Window) -> tuple[Window, Window] | None:
    """
    `window` in two, cut where a month begins if one does within it, else where a day does; as evenly as that allows.

    Returns:
        `None` for a day or less: no smaller window can be requested.
    """
    middle = window.start + (window.end - window.start) / 2
    edges = _edges(window, step=next_month) or _edges(window, step=_next_day)
    if not edges or window.end - window.start <= _DAY:
        return None
    cut = min(edges, key=lambda edge: abs(edge - middle))
    return Window(window.start, cut), Window(cut, window.end)


def _edges(window: Window, *, step: _Step) -> list[datetime]:
    edges: list[datetime] = []
    edge = step(window.start)
    while edge < window.end:
        edges.append(edge)
        edge = step(edge)
    return edges


def _widest_days(ranges: Sequence[str]) -> float | None:
    """The days of the widest listed span with a known start of the data; `None` where there is none."""
    known = (span_days(span) for span in ranges)
    return max((days for days in known if days is not None and days < _ENDLESS_DAYS), default=None)


def first_of_month(moment: datetime) -> datetime:
    """The beginning of its month."""
    return moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def next_month(moment: datetime) -> datetime:
    """The beginning of the month after its month."""
    return first_of_month(first_of_month(moment) + timedelta(days=32))


def _next_day(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0) + _DAY


def is_divisible(pull: Pull, catalog: Catalog) -> bool:
    """Whether the answers for two windows are the answer for both."""
    return time_column_of(pull, catalog) is not None and not pull.indivisible


def split_pull(pull: Pull, *, catalog: Catalog, now: datetime) -> list[Pull]:
    """The pulls of all windows, the oldest first; the pull itself where it has none, or a short one."""
    if pull.window is None:
        return [pull]
    begins = history_start(pull.offered.date_ranges, now=now)
    if pull.keeps_history:
        windows = split_months(pull.window, history_start=begins)
    else:
        windows = split_by_month(pull.window, has_time_column=is_divisible(pull, catalog), history_start=begins)
    return [replace(pull, window=window, keeps_history=False) for window in windows]


def with_halves(pull: Pull, splits: Collection[str]) -> Iterator[Pull]:
    """The pull of a window, and of the halves in which earlier runs requested it."""
    yield pull
    if pull.window is None or pull_fingerprint(pull) not in splits:
        return
    for half in split_in_half(pull.window) or ():
        yield from with_halves(replace(pull, window=half), splits)
