"""
What a query or a report shall be, and a change of a scheduled report. Each is one frozen value (pure).

The same value is checked before anything is sent, becomes the body of the call, and decides after a lost reply whether
an object on the service is its result. Each failed check is a `SettingsError` that states the rule:
the service's own messages are short (behaviours 41 to 43), and it accepts some invalid values but returns other data
(behaviours 82 and 83).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from bulkpull.clock import iso_utc
from bulkpull.errors import SettingsError, UnsafeAddress
from bulkpull.insights.responses import matches
from bulkpull.model import CALLBACK_METHODS, DEFAULT_FORMAT, FILE_FORMATS, Query, Report, ReportStatus, Window
from bulkpull.query import normalise
from bulkpull.redact import printable
from bulkpull.url_safety import Reach, check_address, reach_of

LONGEST_TEXT = 256
_OTHER_CALLBACK = "give a public https address without a user name in it"
_RECURRENCE_H = range(4, 2_161)
# Four hours, and some minutes for a clock that is wrong, and for the way there (behaviour 81).
_START_LEAD = timedelta(hours=4, minutes=5)
# The service keeps whole minutes or seconds of a start.
_SAME_START = timedelta(minutes=1)
# Names that no public name server knows.
_PRIVATE_DOMAINS = ("local", "localdomain", "localhost", "internal", "intranet", "lan", "home", "corp", "arpa")


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryDefinition:
    """A query to store."""

    name: str
    text: str
    description: str | None = None

    def check(self) -> None:
        """Raise `SettingsError` where the service would refuse it (behaviours 71 and 73)."""
        if not self.name.strip() or not all(character.isalnum() or character == " " for character in self.name):
            raise SettingsError(
                f"a query cannot be named {printable(self.name, most=40)!r}",
                why="letters, digits and blanks are allowed",
                fix="choose another name",
            )
        if not self.text.strip():
            raise SettingsError(f"the query {self.name!r} has no text")

    def body(self) -> Mapping[str, Any]:
        return without_none(Name=self.name, Description=self.description, Query=self.text)

    def describes(self, query: Query) -> bool:
        """Whether `query` equals this in every field; names need not be unique (behaviour 71)."""
        return (
            not query.is_system
            and matches(self.name, query.name)
            and normalise(query.text) == normalise(self.text)
            and _stripped(query.description) == _stripped(self.description)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _ReportFields:
    """
    What a new report and a change of one may both set; `None` is left out.

    Attributes:
        minimum_recurrence_h: The dataset's shortest recurrence, to be held against `recurrence_h`; it is not sent.
        callback_url: A public https address that the service calls after success, as a hint (behaviour 100).
    """

    name: str
    start_at: datetime | None = None
    description: str | None = None
    recurrence_h: int | None = None
    recurrence_count: int | None = None
    minimum_recurrence_h: int | None = None
    format: str | None = None
    callback_url: str | None = None
    callback_method: str | None = None

    def check(self, *, now: datetime) -> None:
        """Raise `SettingsError` for what the service would refuse (behaviours 50, 81, 87, 88 and 93 to 95)."""
        if not self.name.strip() or len(self.name) > LONGEST_TEXT or ";" in self.name:
            raise SettingsError(
                f"a report cannot be named {printable(self.name, most=40)!r}",
                why=f"a name has 1 to {LONGEST_TEXT} characters and no semicolon",
                fix="choose another name",
            )
        if (length := len(self.description or "")) > LONGEST_TEXT:
            raise SettingsError(
                f"the description of the report {self.name!r} is too long",
                why=f"it has {length} characters, {LONGEST_TEXT} are allowed",
                fix="give a shorter one",
            )
        _check_recurrence(self.recurrence_h, count=self.recurrence_count, minimum_h=self.minimum_recurrence_h)
        if self.format is not None and self.format.casefold() not in FILE_FORMATS:
            raise SettingsError(
                f"there is no report format {self.format!r}", why=f"{' and '.join(FILE_FORMATS)} are allowed"
            )
        _check_callback(self.callback_url or None, self.callback_method)
        if self.start_at is not None and self.start_at < now + _START_LEAD:
            raise SettingsError(
                f"a report cannot start at {iso_utc(self.start_at)}",
                why="the service takes four hours ahead and more, and five minutes are kept for clocks that differ",
                fix=f"the earliest is {iso_utc(earliest_start(now))}",
            )

    def body(self) -> Mapping[str, Any]:
        return without_none(
            ReportName=self.name,
            Description=self.description,
            StartTime=self.start_at and iso_utc(self.start_at),
            RecurrenceInterval=self.recurrence_h,
            RecurrenceCount=self.recurrence_count,
            Format=self.format and self.format.lower(),
            CallbackUrl=self.callback_url,
            CallbackMethod=self.callback_method and self.callback_method.upper(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportChange(_ReportFields):
    """
    A change of a scheduled report. Name and start are needed whatever changes, so the four hours count again (95).

    An empty `description` or `callback_url` is sent, to remove what is there. What becomes of `recurrence_count` when
    it is left out is not documented; say it to keep it.
    """

    start_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportDefinition(_ReportFields):
    """
    A report to create: it runs once at once, or on a schedule.

    Attributes:
        execute_now: Once, at once; otherwise from `start_at` (four hours ahead) every `recurrence_h` hours.
        window: Overrides the query's TIMESPAN; one-off reports only (behaviour 83).
        recurrence_count: Runs in all; `None` for endless.
    """

    query_id: str
    execute_now: bool = True
    window: Window | None = None
    format: str = DEFAULT_FORMAT

    def check(self, *, now: datetime) -> None:
        """Raise `SettingsError` for what the service would refuse (81 to 94), or would ignore in part (82, 83)."""
        _ReportFields.check(self, now=now)
        _check_callback(self.callback_url, self.callback_method)  # there is nothing yet that an empty one removes
        if not self.query_id.strip():
            raise SettingsError(f"the report {self.name!r} needs the id of a query")
        is_scheduled = (self.start_at, self.recurrence_h, self.recurrence_count) != (None, None, None)
        if self.execute_now and is_scheduled:
            raise SettingsError(
                f"the report {self.name!r} cannot run at once and on a schedule", why="one excludes the other"
            )
        if not self.execute_now and (self.start_at is None or self.recurrence_h is None):
            raise SettingsError(f"the scheduled report {self.name!r} needs a start and a recurrence")
        if not self.execute_now and self.window is not None:
            raise SettingsError(
                f"the scheduled report {self.name!r} cannot have a window",
                why="the service ignores it for scheduled reports",
            )
        if self.window is not None:
            check_span(self.window.start, self.window.end)

    def body(self) -> Mapping[str, Any]:
        return without_none(
            **_ReportFields.body(self),
            QueryId=self.query_id.strip(),
            ExecuteNow=self.execute_now,
            QueryStartTime=self.window and iso_utc(self.window.start),
            QueryEndTime=self.window and iso_utc(self.window.end),
        )

    def describes(self, report: Report) -> bool:
        """Whether `report` equals this in every field (92); an inactive schedule does not count (89)."""
        methods = {self.callback_method, report.callback_method}
        return (
            matches(self.name, report.name)
            and matches(self.query_id, report.query_id)
            and _stripped(report.description) == _stripped(self.description)
            and report.execute_now == self.execute_now
            and report.window == self.window
            and (self.execute_now or self._has_schedule_of(report))
            # Fields that the service adds or leaves out by itself do not count.
            and (report.format is None or report.format == self.format.casefold())
            and _stripped(report.callback_url) == _stripped(self.callback_url)
            and (None in methods or len({str(method).casefold() for method in methods}) == 1)
        )

    def _has_schedule_of(self, report: Report) -> bool:
        start_at, wanted_at = report.start_at, self.start_at
        starts = start_at is None or wanted_at is None or abs(start_at - wanted_at) < _SAME_START
        counts = max(report.recurrence_count or 0, 0) == (self.recurrence_count or 0)
        is_active = report.status.casefold() == ReportStatus.ACTIVE.casefold()
        return is_active and starts and counts and report.recurrence_h == self.recurrence_h


def earliest_start(now: datetime) -> datetime:
    """The first moment at which a schedule made now may begin, whole minutes."""
    return (now + _START_LEAD).replace(second=0, microsecond=0) + timedelta(minutes=1)


def check_span(start: datetime | None, end: datetime | None) -> None:
    """A window of a report or of a preview (behaviours 78 and 84)."""
    if start is not None and end is not None and end <= start:
        order = "where" if end == start else "before"
        raise SettingsError(
            f"the window ends ({iso_utc(end)}) {order} it begins ({iso_utc(start)})",
            fix="give an end that is later than the start",
        )


def _check_recurrence(hours: int | None, *, count: int | None, minimum_h: int | None) -> None:
    if hours is not None and hours not in _RECURRENCE_H:
        raise SettingsError(
            f"a report cannot recur every {hours} h",
            why=f"{_RECURRENCE_H[0]} to {_RECURRENCE_H[-1]} h are allowed",
            fix="choose a number of hours within these limits",
        )
    if hours is not None and minimum_h is not None and hours < minimum_h:
        raise SettingsError(
            f"a report cannot recur every {hours} h",
            why=f"the shortest interval of its dataset is {minimum_h} h",
            fix=f"choose {minimum_h} h or more",
        )
    if count is not None and count < 1:
        fix = "give a number of at least 1, or none for a report without end"
        raise SettingsError(f"a report cannot recur {count} times", why="1 and more are allowed", fix=fix)


def _check_callback(url: str | None, method: str | None) -> None:
    """Where and how the service tells that a report is done: a public https address, by GET or POST (behaviour 100)."""
    if method is not None and method.upper() not in CALLBACK_METHODS:
        raise SettingsError(f"there is no callback method {method!r}", why="GET and POST are allowed")
    if url is None:
        if method is not None:
            raise SettingsError("a callback method was given without an address", fix="name the address as well")
        return
    try:
        check_address(url, what="the callback address")
    except UnsafeAddress as refused:
        raise SettingsError(refused.what, why=refused.why, fix=_OTHER_CALLBACK) from None
    parts = urlsplit(url)
    if parts.scheme != "https" or not _is_public(parts.hostname or ""):
        raise SettingsError(
            "the callback address is not used",
            why="the service calls it, so it has to be https on a public host",
            fix=_OTHER_CALLBACK,
        )


def _is_public(host: str) -> bool:
    """Whether the service could reach that host; `127.1` and `0x7f.1` are addresses, as resolvers read them."""
    if reach_of(host) is not Reach.PUBLIC:
        return False
    above, _, last = host.casefold().rstrip(".").rpartition(".")
    return ":" in host or (bool(above) and last not in _PRIVATE_DOMAINS)


def without_none(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _stripped(text: str | None) -> str:
    return (text or "").strip()
