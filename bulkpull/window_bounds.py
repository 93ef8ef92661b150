"""Parses the start and end of a window from dates, datetimes or ISO texts, and writes them as ISO texts (pure)."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from bulkpull.clock import iso_utc
from bulkpull.errors import SettingsError
from bulkpull.model import Window
from bulkpull.timespans import span_days

_FIX = "give a day, such as date(2026, 1, 31) or '2026-01-31', or a datetime at midnight UTC"
FIRST_YEAR = 2000
"""No data of the service is older."""
_AHEAD = timedelta(days=366)


def day_of(given: object, *, name: str) -> date:
    """The day of a date, or of a datetime or an ISO text that is midnight UTC (also without a zone)."""
    value = given
    if isinstance(given, str):
        try:
            value = datetime.fromisoformat(given.strip())
        except ValueError:
            is_span = span_days(given) is not None
            fix = f"give a time span by its name: --timespan {given.strip().upper()}" if is_span else _FIX
            raise SettingsError(f"`{name}` is no day", why=f"{given!r} is not ISO 8601", fix=fix) from None
    if isinstance(value, datetime):
        moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        if moment.time() != time():
            text = f"{moment:%Y-%m-%dT%H:%M:%S.%f}".removesuffix(".000000")
            raise SettingsError(f"`{name}` has a time of day", why=f"{given} is {text}Z, not midnight UTC", fix=_FIX)
        return moment.date()
    if isinstance(value, date):
        return value
    raise SettingsError(f"`{name}` is no day", why=f"it is of type {type(given).__name__}", fix=_FIX)


def window_texts(window: Window | None) -> tuple[str, str] | None:
    """Start and end as the contract writes times."""
    return (iso_utc(window.start), iso_utc(window.end)) if window else None


def window_values(window: Window | None) -> dict[str, str] | None:
    """The window as a JSON object."""
    return {"start": iso_utc(window.start), "end": iso_utc(window.end)} if window else None


def window_of(since: date | str | None, until: date | str | None, *, now: datetime) -> Window | None:
    """The days `[since, until)` as a window, UTC; `None` for neither; `SettingsError` where no data can be in it."""
    first = None if since is None else day_of(since, name="since")
    last = None if until is None else day_of(until, name="until")
    if first is None:
        if last is None:
            return None
        raise SettingsError("`until` was given without `since`", fix="give the start of the window: --since 2026-01-01")
    _refuse_days_without_data(first, last, today=now.astimezone(UTC).date())
    start = datetime.combine(first, time(), UTC)
    end = datetime.combine(last, time(), UTC) if last else now.astimezone(UTC).replace(microsecond=0)
    if end <= start:
        raise SettingsError(
            f"the window ends ({end:%Y-%m-%d}) {'where' if end == start else 'before'} it begins ({start:%Y-%m-%d})",
            fix="give the earlier day by --since, and by --until the day after the last one",
        )
    return Window(start, end)


def _refuse_days_without_data(first: date, last: date | None, *, today: date) -> None:
    if first.year < FIRST_YEAR:
        raise SettingsError(
            f"`since` is {first.isoformat()}, and the service has no data from before {FIRST_YEAR}",
            fix=f"write the year with four digits: --since {today.year:04}-01-01",
        )
    if first > today:
        raise SettingsError(
            f"`since` is {first.isoformat()}, which is in the future",
            fix=f"give a day up to today, {today.isoformat()}",
        )
    if last is not None and last > today + _AHEAD:
        raise SettingsError(
            f"`until` is {last.isoformat()}, far in the future",
            fix=f"leave `until` out for everything up to now, or give a day up to {(today + _AHEAD).isoformat()}",
        )
