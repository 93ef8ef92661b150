"""
Decides whether an object on the service is the result of a creation whose reply was lost (pure).

One rule for all commands: it equals the request in every requested field, it was created after the request was sent,
and it was not known before. Any other object is neither adopted nor deleted.

Names need not be unique (behaviours 71 and 92) and listings may lag, so a name alone proves nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from bulkpull.insights.definitions import QueryDefinition, ReportDefinition
from bulkpull.model import Query, Report, ReportStatus
from bulkpull.query import normalise

# Between the clock of a gateway, whose `Date` is known, and that of the machine that stores what was made.
_CLOCK_MARGIN = timedelta(seconds=30)
# Used until a reply has carried the service's time.
_UNKNOWN_CLOCK_MARGIN = timedelta(minutes=10)
# The service keeps whole minutes or seconds of a start.
_SAME_START = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Creation:
    """
    When a creation was requested, and which objects were known then.

    Nothing created for this request is older than `not_before`, by the service's clock. With `name_is_unique` no other
    request uses this name, so any object with it belongs to this request, even if that was first sent some minutes ago.
    """

    not_before: datetime
    known_ids: Collection[str] = ()
    name_is_unique: bool = False

    @classmethod
    def at(cls, now: datetime, *, skew_s: float | None, known_ids: Collection[str], name_is_unique: bool) -> Creation:
        """A creation that is requested `now`; the service's clock is ahead by `skew_s`, if that is known."""
        margin = _CLOCK_MARGIN
        if skew_s is None or name_is_unique:
            # A name of its own is proof enough: then whichever clock is behind counts, and a request sent before.
            skew_s, margin = min(0.0, skew_s or 0.0), _UNKNOWN_CLOCK_MARGIN
        not_before = now + timedelta(seconds=skew_s) - margin
        return cls(not_before=not_before, known_ids=frozenset(known_ids), name_is_unique=name_is_unique)

    def may_have_brought(self, its_id: str, created_at: datetime | None) -> bool:
        """Whether an object of that id and age may come from this request."""
        if self.name_is_unique:
            return created_at is None or created_at >= self.not_before
        return its_id not in self.known_ids and created_at is not None and created_at >= self.not_before


def is_answered_by_query(definition: QueryDefinition, query: Query, creation: Creation) -> bool:
    """Whether `query` is the result of this definition."""
    return (
        creation.may_have_brought(query.query_id, query.created_at)
        and not query.is_system
        and _same_text(query.name, definition.name)
        and normalise(query.text) == normalise(definition.text)
        and _stripped(query.description) == _stripped(definition.description)
    )


def is_answered_by_report(definition: ReportDefinition, report: Report, creation: Creation) -> bool:
    """Whether `report` is the result of this request; an inactive schedule does not count (behaviour 89)."""
    methods = {definition.callback_method, report.callback_method}
    return (
        creation.may_have_brought(report.report_id, report.created_at)
        and _same_text(report.name, definition.name)
        and _same_text(report.query_id, definition.query_id)
        and _stripped(report.description) == _stripped(definition.description)
        and report.execute_now == definition.execute_now
        and report.window == definition.window
        and (definition.execute_now or _is_same_schedule(definition, report))
        # Fields that the service adds or leaves out by itself do not count.
        and (report.format is None or report.format == definition.format.casefold())
        and _stripped(report.callback_url) == _stripped(definition.callback_url)
        and (None in methods or len({str(method).casefold() for method in methods}) == 1)
    )


def _is_same_schedule(definition: ReportDefinition, report: Report) -> bool:
    start_at, wanted_at = report.start_at, definition.start_at
    starts = start_at is None or wanted_at is None or abs(start_at - wanted_at) < _SAME_START
    counts = max(report.recurrence_count or 0, 0) == (definition.recurrence_count or 0)
    is_active = report.status.casefold() == ReportStatus.ACTIVE.casefold()
    return is_active and starts and counts and report.recurrence_h == definition.recurrence_h


def _same_text(one: str, other: str) -> bool:
    return one.strip().casefold() == other.strip().casefold()


def _stripped(text: str | None) -> str:
    return (text or "").strip()
