"""The values of the domain: offered dataset, window, pull, query, report, execution, secure link."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Literal, get_args

FileFormat = Literal["csv", "tsv"]
"""Formats of a report's file (behaviour 94)."""
FILE_FORMATS: tuple[str, ...] = get_args(FileFormat)
DEFAULT_FORMAT: FileFormat = "csv"
CallbackMethod = Literal["GET", "POST"]
"""How the service calls an address when a report is ready."""
CALLBACK_METHODS: tuple[str, ...] = get_args(CallbackMethod)


@dataclass(frozen=True, slots=True)
class OfferedDataset:
    """
    A dataset as the service lists it today, in its own order and spelling (behaviour 49).

    Attributes:
        columns: Empty when it cannot be exported (behaviour 53).
        metrics: Aggregates that a query may select; some amounts are listed as nothing else (behaviours 63 and 159).
        date_ranges: TIMESPAN names that a query may use; empty for datasets without a time axis (behaviour 51).
        minimum_recurrence_h: The shortest recurrence of a scheduled report (behaviour 50).
    """

    name: str
    columns: tuple[str, ...]
    metrics: tuple[str, ...] = ()
    date_ranges: tuple[str, ...] = ()
    minimum_recurrence_h: int = 24


@dataclass(frozen=True, slots=True)
class Window:
    """The requested time, `[start, end)`, aware UTC."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Pull:
    """
    One dataset over one window, within one run.

    Attributes:
        dataset: The canonical name: the catalog's, whatever the user or the service wrote.
        columns: What the query selects, in its order: columns, then metrics.
        window: Days beyond what TIMESPAN can say; `None` for the query's own span.
        wider_timespan: A wider one than `timespan` that the dataset offers.
        source: For a selection the dataset that it reads, by its canonical name; `dataset` is its own name then.
        metrics, metrics_left_out: Those of `columns` that are metrics, and listed ones that the query does not select.
        metrics_choice: The value of the setting `metrics`, where that chose the metrics beside every listed column.
        indivisible: Its rows depend on all others of the window (metrics beside some of the columns, DISTINCT,
            ORDER BY, LIMIT), so that the answers for two windows are not the answer for both.
        columns_left_out: Listed columns whose names no query can carry.
        notes: What may surprise about the query, one sentence each.
        keeps_history: Its snapshot grows: windows that are published and not restated any more stay as they are.
    """

    dataset: str
    offered: OfferedDataset
    columns: tuple[str, ...]
    query_text: str
    window: Window | None = None
    timespan: str | None = None
    wider_timespan: str | None = None
    source: str | None = None
    metrics: tuple[str, ...] = ()
    metrics_left_out: tuple[str, ...] = ()
    metrics_choice: str | None = None
    indivisible: bool = False
    columns_left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    keeps_history: bool = False

    @property
    def metrics_chosen(self) -> bool:
        """Whether the setting chose the metrics, so that the dataset may be asked for without them if refused."""
        return self.metrics_choice is not None

    @property
    def reads(self) -> str:
        """The canonical name of the dataset whose columns these are."""
        return self.source or self.dataset


class QueryKind(StrEnum):
    USER_DEFINED = "userDefined"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Query:
    """A saved selection of columns on the service; nobody can delete those of kind `system` (behaviour 75)."""

    query_id: str
    name: str
    text: str
    kind: str = QueryKind.USER_DEFINED
    created_at: datetime | None = None
    description: str | None = None

    @property
    def is_system(self) -> bool:
        return self.kind.casefold() == QueryKind.SYSTEM.casefold()


class ReportStatus(StrEnum):
    """States of a report; only an Active one runs again (behaviours 89 and 90)."""

    ACTIVE = "Active"
    PAUSED = "Paused"
    INACTIVE = "Inactive"


@dataclass(frozen=True, slots=True)
class Report:
    """
    A report: it executes a query once or on a schedule.

    Attributes:
        execute_now: It runs once; afterwards it reads Inactive, which is no failure, and cannot be changed (90, 91).
        recurrence_h, recurrence_count: Hours between two executions, and how many in all; `None` for a one-off report,
            the count also for endless.
        query_text: `None` where the service does not tell it, and once its query is deleted.
        window: The days that it asks for in place of its query's TIMESPAN.
    """

    report_id: str
    name: str
    query_id: str
    status: str = ReportStatus.ACTIVE
    created_at: datetime | None = None
    start_at: datetime | None = None
    execute_now: bool = False
    recurrence_h: int | None = None
    recurrence_count: int | None = None
    description: str | None = None
    query_text: str | None = None
    modified_at: datetime | None = None
    format: str | None = None
    window: Window | None = None
    callback_url: str | None = None
    callback_method: str | None = None


@dataclass(frozen=True, slots=True)
class SecureLink:
    """
    The pre-signed address of a report's bytes. It is a credential: `url` is in no repr and must reach no log or file.

    It is used byte for byte (behaviour 123), without an Authorization header (120). Its `se` says when it expires.
    """

    url: str = field(repr=False)
    expires_at: datetime | None = None


class ExecutionStatus(StrEnum):
    """The documented states of an execution (behaviour 109)."""

    PENDING = "Pending"
    RUNNING = "Running"
    PAUSED = "Paused"
    COMPLETED = "Completed"


@dataclass(frozen=True, slots=True)
class Execution:
    """
    One execution of a report.

    Attributes:
        status: As the service wrote it; words beyond the documented four occur.
        link: Present once the execution is completed, and sometimes a little later (behaviour 113).
        generated_at: When the data were made, if the service says so in a way to be believed.
        unbelieved_at: What the service said of that, where it lies ahead of its own clock.
    """

    execution_id: str
    report_id: str
    status: str
    link: SecureLink | None = None
    generated_at: datetime | None = None
    unbelieved_at: datetime | None = None
    format: str | None = None
    data_redacted: bool = False

    @property
    def is_completed(self) -> bool:
        """The link may still be missing."""
        return self.status.casefold() == ExecutionStatus.COMPLETED.casefold()

    @property
    def has_failed(self) -> bool:
        """Whether the status reads failed, error or cancelled, which no document lists (behaviour 110)."""
        word = self.status.casefold()
        return any(mark in word for mark in ("fail", "error", "cancel", "abort"))


@dataclass(frozen=True, slots=True)
class DownloadedFile:
    """A complete and checked file, as the service stores it; `md5` is hexadecimal."""

    path: Path
    size_bytes: int
    etag: str | None = None
    md5: str | None = None
    vouched_by: tuple[str, ...] = ("length",)
    """What tells that the bytes are all there and unchanged: `length`, `md5`, `end_mark`, `readings`."""
