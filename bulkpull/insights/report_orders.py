"""
What is ordered from the service: a query, a report, a change of a scheduled report. Each is one frozen value (pure).

The same value is checked before anything is sent, becomes the body of the call, and decides after a lost reply whether
an object on the service is its result (`lost_creation`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bulkpull.clock import iso_utc
from bulkpull.errors import SettingsError
from bulkpull.insights import validation
from bulkpull.model import DEFAULT_FORMAT, Window


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryOrder:
    """A query to store."""

    name: str
    text: str
    description: str | None = None

    def check(self) -> None:
        """Raise `SettingsError` where the service would refuse it."""
        validation.check_query_text(name=self.name, text=self.text)

    def body(self) -> Mapping[str, Any]:
        return without_none(Name=self.name, Description=self.description, Query=self.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOrder:
    """
    A report that runs once at once, or on a schedule; `None` for what is not asked for.

    Attributes:
        name: Up to 256 characters without semicolon.
        execute_now: Once, at once; otherwise from `start_at` (four hours ahead) every `recurrence_h` hours.
        window: Overrides the query's TIMESPAN; one-off reports only (behaviour 83).
        recurrence_count: Runs in all; `None` for endless.
        minimum_recurrence_h: The dataset's shortest recurrence, to be held against `recurrence_h`; it is not sent.
        format: `csv` or `tsv`.
        callback_url: A public https address that the service calls after success, as a hint (behaviour 100).
        callback_method: `GET` or `POST`, which is the service's default.
    """

    name: str
    query_id: str
    description: str | None = None
    execute_now: bool = True
    window: Window | None = None
    start_at: datetime | None = None
    recurrence_h: int | None = None
    recurrence_count: int | None = None
    minimum_recurrence_h: int | None = None
    format: str = DEFAULT_FORMAT
    callback_url: str | None = None
    callback_method: str | None = None

    def check(self, *, now: datetime) -> None:
        """Raise `SettingsError` for what the service would refuse (81 to 94), or would ignore in part (82, 83)."""
        _check_schedule(self, now=now)
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
            validation.check_span(self.window.start, self.window.end)

    def body(self) -> Mapping[str, Any]:
        window = self.window
        return without_none(
            **_schedule_body(self),
            QueryId=self.query_id.strip(),
            ExecuteNow=self.execute_now,
            QueryStartTime=window and iso_utc(window.start),
            QueryEndTime=window and iso_utc(window.end),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportChange:
    """
    A change of a scheduled report. Name and start are needed whatever changes, so the four hours count again (95).

    Attributes:
        start_at: At least four hours ahead.
        description, callback_url: An empty text is sent, to remove what is there; `None` is left out.
        recurrence_count: What becomes of it when it is left out is not documented; say it to keep it.
    """

    name: str
    start_at: datetime
    description: str | None = None
    recurrence_h: int | None = None
    recurrence_count: int | None = None
    minimum_recurrence_h: int | None = None
    format: str | None = None
    callback_url: str | None = None
    callback_method: str | None = None

    def check(self, *, now: datetime) -> None:
        _check_schedule(self, now=now)

    def body(self) -> Mapping[str, Any]:
        return without_none(**_schedule_body(self))


def _check_schedule(order: ReportOrder | ReportChange, *, now: datetime) -> None:
    validation.check_texts(name=order.name, description=order.description)
    validation.check_recurrence(
        hours=order.recurrence_h, count=order.recurrence_count, minimum_h=order.minimum_recurrence_h
    )
    validation.check_format(order.format)
    is_removed = isinstance(order, ReportChange) and not order.callback_url
    validation.check_callback(None if is_removed else order.callback_url, order.callback_method)
    validation.check_start(order.start_at, now=now)


def _schedule_body(order: ReportOrder | ReportChange) -> dict[str, Any]:
    return {
        "ReportName": order.name,
        "Description": order.description,
        "StartTime": order.start_at and iso_utc(order.start_at),
        "RecurrenceInterval": order.recurrence_h,
        "RecurrenceCount": order.recurrence_count,
        "Format": order.format and order.format.lower(),
        "CallbackUrl": order.callback_url,
        "CallbackMethod": order.callback_method and order.callback_method.upper(),
    }


def without_none(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
