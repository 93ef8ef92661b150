"""The objects that the simulated service stores, and the records of queries and reports in its replies."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from bulkpull.simulator.faults import Fault
from bulkpull.simulator.query_parser import ParsedQuery

Window = tuple[datetime | None, datetime | None]
"""A start and an exclusive end, either of which may be open."""

# The share of a report's latency that it waits in the queue.
_QUEUED_SHARE = 0.3


@dataclass(slots=True, kw_only=True)
class StoredQuery:
    """A query as the service keeps it; a system query has no user (behaviour 74)."""

    query_id: str = field(default_factory=lambda: str(uuid4()))
    name: str
    description: str | None
    text: str
    user: str | None
    created_at: datetime

    @property
    def is_system(self) -> bool:
        return self.user is None

    @property
    def record(self) -> dict[str, Any]:
        """As replies show it, with the keys of the seed's reply."""
        return {
            "queryId": self.query_id,
            "name": self.name,
            "description": self.description,
            "query": self.text,
            "type": "system" if self.is_system else "userDefined",
            "user": self.user,
            "createdTime": wire_time(self.created_at),
        }


@dataclass(slots=True, kw_only=True)
class StoredExecution:
    """
    One execution of a report.

    Attributes:
        latency_s: How long it takes, without the time in which its report is paused.
        fault: What goes wrong with it; `reads` counts how often it was read with it.
        answerable: False when its query had fallen behind the live columns by then (behaviour 76): it never ends.
    """

    execution_id: str = field(default_factory=lambda: str(uuid4()))
    started_at: datetime
    latency_s: float
    fault: Fault | None = None
    reads: int = 0
    answerable: bool = True


@dataclass(slots=True, kw_only=True)
class ReportOrder:
    """
    What the user says of a report, with the service's own values for what was left out.

    Attributes:
        window: The two query times, which count for one-off reports only (behaviour 83).
        interval_h, count: `None` for an endless or a one-off report.
    """

    name: str
    description: str | None = None
    execute_now: bool = False
    start_at: datetime
    window: Window = (None, None)
    interval_h: int | None = None
    count: int | None = None
    format: str = "csv"
    callback_url: str | None = None
    callback_method: str | None = None


@dataclass(slots=True, kw_only=True)
class StoredReport(ReportOrder):
    """
    A report as the service keeps it.

    Attributes:
        query_text: `None` when somebody deleted the query, at `query_gone_at`; what was not done by then waits for
            ever (behaviour 109).
        made: How many of its scheduled times have passed, since `start_at`.
        pauses: When it was paused and resumed; the last pause may be open.
    """

    report_id: str = field(default_factory=lambda: str(uuid4()))
    query_id: str
    query_text: str | None
    parsed: ParsedQuery
    user: str
    created_at: datetime
    modified_at: datetime | None = None
    query_gone_at: datetime | None = None
    made: int = 0
    pauses: list[tuple[datetime, datetime | None]] = field(default_factory=list)
    executions: list[StoredExecution] = field(default_factory=list)
    next_execution: StoredExecution | None = None

    @property
    def dataset(self) -> str:
        return self.parsed.table.name

    @property
    def is_standing(self) -> bool:
        return not self.execute_now

    @property
    def is_paused(self) -> bool:
        return bool(self.pauses) and self.pauses[-1][1] is None

    @property
    def status(self) -> str:
        """Active, Paused or Inactive; a one-off report reads Inactive, which is no failure (behaviours 89 and 90)."""
        if self.is_paused:
            return "Paused"
        used_up = self.count is not None and self.made >= self.count
        return "Inactive" if self.execute_now or used_up else "Active"

    def was_paused_at(self, moment: datetime) -> bool:
        return any(begin <= moment and (end is None or moment < end) for begin, end in self.pauses)

    def completed_at(self, execution: StoredExecution) -> datetime | None:
        """When the execution is, was or will be done; `None` while a pause holds it up, and where it never ends."""
        if not execution.answerable:
            return None
        at, left = execution.started_at, timedelta(seconds=execution.latency_s)
        for begin, end in self.pauses:
            if end is not None and end <= at:
                continue
            if begin >= at + left:
                break
            left -= max(timedelta(0), begin - at)
            if end is None:
                return None
            at = end
        return at + left

    def status_of(self, execution: StoredExecution, *, now: datetime) -> str:
        """The execution's state as documented (behaviour 109), faults aside."""
        done_at = self.completed_at(execution)
        if self.query_gone_at is not None and (done_at is None or done_at >= self.query_gone_at):
            return "Pending"
        if done_at is not None and done_at <= now:
            return "Completed"
        if self.is_paused:
            return "Paused"
        waited_s = (now - execution.started_at).total_seconds()
        return "Pending" if waited_s < execution.latency_s * _QUEUED_SHARE else "Running"

    @property
    def recurrence(self) -> dict[str, int | None]:
        """Interval and count, as the records of the report and of its executions show them."""
        return {
            "recurrenceInterval": -1 if self.execute_now else self.interval_h,
            "recurrenceCount": 1 if self.execute_now else self.count,
        }

    @property
    def record(self) -> dict[str, Any]:
        """As replies show it; `CallbackMethod` has the seed's odd casing (behaviour 34)."""
        start, end = self.window
        times = {"queryStartTime": wire_time(start), "queryEndTime": wire_time(end)} if self.execute_now else {}
        return {
            "reportId": self.report_id,
            "reportName": self.name,
            "description": self.description,
            "queryId": self.query_id,
            "query": self.query_text,
            "user": self.user,
            "createdTime": wire_time(self.created_at),
            "modifiedTime": wire_time(self.modified_at),
            "executeNow": self.execute_now,
            **times,
            "startTime": wire_time(self.start_at),
            "reportStatus": self.status,
            **self.recurrence,
            "callbackUrl": self.callback_url,
            "CallbackMethod": self.callback_method,
            "format": self.format,
        }


def wire_time(moment: datetime | None) -> str | None:
    """A moment in the service's form: whole seconds, UTC, `Z`."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment is not None else None
