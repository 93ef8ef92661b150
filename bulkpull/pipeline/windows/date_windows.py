"""
The windows of a dataset: whether it can have one, and how a long or failed one is split into smaller ones (pure).

Windows follow calendar months, because the service keys its data by month. Each window is a separate pull, and all
pulls of a dataset become one snapshot.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from bulkpull.catalog import load_catalog
from bulkpull.clock import iso_utc
from bulkpull.errors import SettingsError
from bulkpull.model import Pull, Window
from bulkpull.output.manifest import DatasetRecord
from bulkpull.pipeline.steps.naming import pull_fingerprint
from bulkpull.requested_data import OPEN
from bulkpull.timespans import SERVICE_SPAN, has_time_axis, span_days

# The service makes six months in one report by itself (behaviour 61); longer spans are requested month by month.
LONG = timedelta(days=184)
_DAY = timedelta(days=1)
# LIFETIME and similar spans do not say where the data begin.
_ENDLESS_DAYS = 100 * 366
_MARGIN = timedelta(days=31)
_DAYS_OF_A_MONTH = 30.4


def time_column_of(pull: Pull) -> str | None:
    """The column that windows cut along, as the query names it; `None` where the rows do not have it."""
    known = load_catalog().find(pull.reads)
    if known is None or known.time_column is None:
        return None
    columns = ((name, known.column(name)) for name in pull.columns)
    return next((name for name, column in columns if column and column.name == known.time_column), None)


def why_no_window(pull: Pull) -> str | None:
    """Why the rows of a pull cannot be compared with a window; `None` if they can."""
    if not has_time_axis(pull.offered.date_ranges):
        return "it has no time axis"
    if time_column_of(pull) is not None:
        return None
    known = load_catalog().find(pull.reads)
    if known is None or known.time_column is None:
        return "its time column is not documented"
    return f"its time column {known.time_column} is not selected"


def window_instead_of(timespan: str) -> str:
    """The note on a pull with a window where a time span was requested as well."""
    return f"the time span {timespan} is not used, because --since and --until take its place"


def with_usable_window(pull: Pull, *, named: bool) -> Pull:
    """
    The pull with its window, if its rows can be compared with it; else without a window, and with a note.

    Raises:
        SettingsError: The rows of a pull that the user named cannot be compared with the window.
    """
    why = why_no_window(pull) if pull.window else None
    if why is None:
        return pull
    if named:
        raise SettingsError(
            f"{pull.dataset}: a window cannot be kept for it, because {why}",
            fix="leave --since and --until out for it, or select its time column",
        )
    return replace(pull, window=None, notes=(*pull.notes, f"exported whole, without the window: {why}"))


def is_divisible(pull: Pull) -> bool:
    """Whether the answers for two windows are the answer for both."""
    return time_column_of(pull) is not None and not pull.indivisible


def describe_window(window: Window) -> str:
    """A window as messages name it: its days, where it consists of days."""
    start, end = (iso_utc(edge).removesuffix("T00:00:00Z") for edge in (window.start, window.end))
    return f"{start} to {end}"


def open_since(record: DatasetRecord) -> datetime | None:
    """Where a snapshot that grows begins; `None` for one that does not grow."""
    window = (record.question or {}).get("window")
    return datetime.fromisoformat(window[0]) if window and window[1] == OPEN else None


def split_months(window: Window, *, history_start: datetime | None = None) -> tuple[Window, ...]:
    """The months of `window`, perhaps cut; all before the listed `history_start` is one window more (behaviour 84)."""
    edges = [window.start]
    if history_start is not None and window.start < history_start < window.end:
        edges.append(history_start)
    edges += [*_edges(Window(edges[-1], window.end), step=next_month), window.end]
    return tuple(Window(start, end) for start, end in pairwise(edges))


def split_in_half(window: Window) -> tuple[Window, Window] | None:
    """`window` in two, cut most evenly where a month begins, else where a day does; `None` for a day or less."""
    middle = window.start + (window.end - window.start) / 2
    edges = _edges(window, step=next_month) or _edges(window, step=_next_day)
    if not edges or window.end - window.start <= _DAY:
        return None
    cut = min(edges, key=lambda edge: abs(edge - middle))
    return Window(window.start, cut), Window(cut, window.end)


def split_pull(pull: Pull, *, now: datetime) -> list[Pull]:
    """The pulls of all windows, the oldest first; the pull itself where it has none, or a short one."""
    if pull.window is None:
        return [pull]
    windows: Sequence[Window] = [pull.window]
    if pull.keeps_history or (is_divisible(pull) and pull.window.end - pull.window.start > LONG):
        windows = split_months(pull.window, history_start=history_start(pull.offered.date_ranges, now=now))
    return [replace(pull, window=window, keeps_history=False) for window in windows]


def halves_of(pull: Pull) -> list[Pull]:
    """The pulls of both halves of a window; none where it cannot be split."""
    halves = split_in_half(pull.window) if pull.window else None
    return [replace(pull, window=half) for half in halves or ()]


def with_halves(pull: Pull, splits: Collection[str]) -> Iterator[Pull]:
    """The pull of a window, and of the halves in which earlier runs requested it."""
    yield pull
    if pull.window is not None and pull_fingerprint(pull) in splits:
        for half in halves_of(pull):
            yield from with_halves(half, splits)


def history_start(ranges: Sequence[str], *, now: datetime) -> datetime | None:
    """The month with which a dataset's data begin, as far as the service lists it; `None` for not at all."""
    days = _widest_days(ranges)
    return None if days is None else first_of_month(now.astimezone(UTC) - timedelta(days=days) - _MARGIN)


def first_listed_month(ranges: Sequence[str], *, now: datetime) -> datetime:
    """The month with which a dataset's data begin; where the service lists no span, the one that a long span begins."""
    return history_start(ranges, now=now) or first_of_month(now.astimezone(UTC) - LONG)


def window_of_span(span: str | None, *, now: datetime) -> Window | None:
    """
    Whole months, one to spare, from the first that a TIMESPAN can reach to the end of today; `None` if that is unknown.

    No `span` is the service's own six months (behaviour 61).
    """
    begins = history_start([span or SERVICE_SPAN], now=now)
    return None if begins is None else Window(begins, _next_day(now.astimezone(UTC)))


def restated_from(ranges: Sequence[str], *, months: int | None, now: datetime) -> datetime:
    """The first month that the service may still restate: `months` back, or as far as its widest span reaches."""
    days = (_widest_days(ranges) or LONG.days) if months is None else months * _DAYS_OF_A_MONTH
    return first_of_month(now.astimezone(UTC) - timedelta(days=days))


def _widest_days(ranges: Sequence[str]) -> float | None:
    """The days of the widest listed span with a known start of the data; `None` where there is none."""
    known = (span_days(span) for span in ranges)
    return max((days for days in known if days is not None and days < _ENDLESS_DAYS), default=None)


def first_of_month(moment: datetime) -> datetime:
    return moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def next_month(moment: datetime) -> datetime:
    """The beginning of the month after its month."""
    return first_of_month(first_of_month(moment) + timedelta(days=32))


def _next_day(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0) + _DAY


def _edges(window: Window, *, step: Callable[[datetime], datetime]) -> list[datetime]:
    """Where a step begins within the window."""
    edges: list[datetime] = []
    edge = step(window.start)
    while edge < window.end:
        edges.append(edge)
        edge = step(edge)
    return edges
