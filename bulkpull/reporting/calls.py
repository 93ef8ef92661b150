"""
Every call of the API as a value: method, path, parameters and body. Pure.

Ids come from the service and go into paths percent-encoded; bodies are PascalCase as documented.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode, urljoin

from bulkpull.clock import iso_utc
from bulkpull.errors import SettingsError
from bulkpull.model import Window
from bulkpull.reporting.wire import chunked

# Proxies and servers refuse addresses beyond about 2,000 characters (behaviour 69).
LONGEST_ADDRESS = 1_800
LONGEST_NAME = 256
RECURRENCE_H = range(4, 2_161)
# The service gives up after 100 s (behaviour 79), and it is waited for until it says so.
PREVIEW_PATIENCE_S = 130.0


@dataclass(frozen=True, slots=True)
class Call:
    """
    A call of the API, relative to its root.

    Attributes:
        endpoint: The name by which it is counted.
        told: What it does, as a verb with its object: "create the report X".
        creates: It makes something new each time it is sent.
        may_be_empty: Its success needs no body.
        patience_s: How long its answer may take, seconds; `None` for the usual.
    """

    method: str
    path: str
    endpoint: str
    told: str
    params: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    creates: bool = False
    may_be_empty: bool = False
    patience_s: float | None = None

    def address(self, api_base_url: str) -> str:
        """The whole address."""
        query = f"?{urlencode(self.params, quote_via=quote)}" if self.params else ""
        return f"{api_base_url.rstrip('/')}/{self.path}{query}"


def next_address(next_link: str, *, page_url: str, api_base_url: str) -> str:
    """
    The address of the next page; whether it may be asked is for the caller to judge.

    Args:
        next_link: Absolute, relative to the API's root, to its host (`/insights/…`), or a bare `?query`.
        page_url: The address of the page that named it.
    """
    base = api_base_url.rstrip("/")
    if "://" in next_link.partition("?")[0] or next_link.startswith(("//", "?")):
        return urljoin(page_url, next_link)
    on_host = urljoin(base, next_link)
    if next_link.startswith("/") and on_host.startswith(f"{base}/"):
        return on_host
    return f"{base}/{next_link.lstrip('/')}"


def _id(value: str) -> str:
    return quote(value.strip(), safe="")


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _flag(value: bool) -> str:  # noqa: FBT001 -- the flag is the whole subject
    return "true" if value else "false"


def list_datasets(name: str | None) -> Call:
    """Source: Get All Datasets API."""
    return Call("GET", "ScheduledDataset", "ScheduledDataset", "list the datasets", params=_given(datasetName=name))


def list_queries(*, name: str | None, query_id: str | None, include_system: bool) -> Call:
    """Source: Get Report Queries API."""
    params = _given(queryId=query_id and query_id.strip(), queryName=name)
    params["includeSystemQueries"] = _flag(include_system)
    return Call("GET", "ScheduledQueries", "ScheduledQueries", "list the queries", params=params)


def create_query(*, name: str, text: str, description: str | None) -> Call:
    """Source: Create Report Query API."""
    body = _given(Name=name, Description=description, Query=text)
    told = f"create the query {name!r}"
    return Call("POST", "ScheduledQueries", "ScheduledQueries", told, body=body, creates=True)


def delete_query(query_id: str) -> Call:
    """Source: Delete Report Queries API."""
    path = f"ScheduledQueries/{_id(query_id)}"
    return Call("DELETE", path, "ScheduledQueries", f"delete the query {query_id.strip()}", may_be_empty=True)


def preview_query(*, query_id: str | None, text: str | None, start: datetime | None, end: datetime | None) -> Call:
    """
    The test-query call; exactly one of `query_id` and `text`.

    Raises:
        SettingsError: Both or none are given, or the text is too long for an address (behaviour 69).

    Source: Try Report Queries API.
    """
    if (query_id is None) == (text is None):
        raise SettingsError("a query is previewed either by its id or by its text", why="both or none were given")
    params = _given(
        queryId=query_id and query_id.strip(),
        exportQuery=text,
        startTime=start and iso_utc(start),
        endTime=end and iso_utc(end),
    )
    path = "ScheduledQueries/testQueryResult"
    call = Call("GET", path, "testQueryResult", "preview the query", params=params, patience_s=PREVIEW_PATIENCE_S)
    if text is not None and len(call.address("")) > LONGEST_ADDRESS:
        raise SettingsError(
            "the query's text is too long to be previewed", fix="store it and preview it by its query id"
        )
    return call


def list_reports(*, report_id: str | None, name: str | None, query_id: str | None) -> Call:
    """Source: Get Scheduled Reports API."""
    params = _given(reportId=report_id and report_id.strip(), reportName=name, queryId=query_id and query_id.strip())
    return Call("GET", "ScheduledReport", "ScheduledReport", "list the reports", params=params)


def create_report(
    *,
    name: str,
    query_id: str,
    description: str | None,
    execute_now: bool,
    window: Window | None,
    start_at: datetime | None,
    recurrence_h: int | None,
    recurrence_count: int | None,
    format: str,  # noqa: A002 -- the service's word, and keyword only
) -> Call:
    """
    A report that runs once at once, or on a schedule.

    Raises:
        SettingsError: The service would refuse it (behaviours 81 to 93), or would ignore a part of it (82, 83).

    Source: Create Report API.
    """
    _check_report(name=name, recurrence_h=recurrence_h, recurrence_count=recurrence_count)
    if execute_now and (start_at or recurrence_h or recurrence_count):
        raise SettingsError(f"the report {name!r} cannot run at once and on a schedule", why="one excludes the other")
    if not execute_now and (start_at is None or recurrence_h is None):
        raise SettingsError(f"the scheduled report {name!r} needs a start and a recurrence")
    if not execute_now and window is not None:
        raise SettingsError(
            f"the scheduled report {name!r} cannot have a window", why="the service ignores it off one-off reports"
        )
    body = _given(
        ReportName=name,
        Description=description,
        QueryId=query_id.strip(),
        StartTime=start_at and iso_utc(start_at),
        ExecuteNow=execute_now,
        QueryStartTime=window and iso_utc(window.start),
        QueryEndTime=window and iso_utc(window.end),
        RecurrenceInterval=recurrence_h,
        RecurrenceCount=recurrence_count,
        Format=format,
    )
    told = f"create the report {name!r}"
    return Call("POST", "ScheduledReport", "ScheduledReport", told, body=body, creates=True)


def update_report(
    report_id: str, *, name: str, start_at: datetime, recurrence_h: int | None, recurrence_count: int | None
) -> Call:
    """Name and start are needed whatever changes (behaviour 95). Source: Update Report API."""
    _check_report(name=name, recurrence_h=recurrence_h, recurrence_count=recurrence_count)
    body = _given(
        ReportName=name,
        StartTime=iso_utc(start_at),
        RecurrenceInterval=recurrence_h,
        RecurrenceCount=recurrence_count,
    )
    path = f"ScheduledReport/{_id(report_id)}"
    return Call("PUT", path, "ScheduledReport", f"change the report {report_id.strip()}", body=body)


def _check_report(*, name: str, recurrence_h: int | None, recurrence_count: int | None) -> None:
    if not name.strip() or len(name) > LONGEST_NAME or ";" in name:
        raise SettingsError(
            f"a report cannot be named {name[:40]!r}", why=f"a name has 1 to {LONGEST_NAME} characters and no semicolon"
        )
    if recurrence_h is not None and recurrence_h not in RECURRENCE_H:
        raise SettingsError(
            f"a report cannot recur every {recurrence_h} h",
            why=f"{RECURRENCE_H[0]} to {RECURRENCE_H[-1]} h are allowed",
        )
    if recurrence_count is not None and recurrence_count < 1:
        raise SettingsError(f"a report cannot recur {recurrence_count} times")


def pause_report(report_id: str) -> Call:
    """Source: Pause Report Executions API."""
    path = f"ScheduledReport/pause/{_id(report_id)}"
    return Call("PUT", path, "ScheduledReport", f"pause the report {report_id.strip()}", may_be_empty=True)


def resume_report(report_id: str) -> Call:
    """Source: Resume Report Executions API."""
    path = f"ScheduledReport/resume/{_id(report_id)}"
    return Call("PUT", path, "ScheduledReport", f"resume the report {report_id.strip()}", may_be_empty=True)


def delete_report(report_id: str) -> Call:
    """Source: Delete Report API."""
    path = f"ScheduledReport/{_id(report_id)}"
    return Call("DELETE", path, "ScheduledReport", f"delete the report {report_id.strip()}", may_be_empty=True)


def list_executions(
    report_ids: Sequence[str], *, statuses: Sequence[str] | None, latest: bool, api_base_url: str
) -> Iterator[Call]:
    """
    As few calls as fit into addresses of `LONGEST_ADDRESS` characters, several ids joined by `;` (behaviour 106).

    Args:
        statuses: Sent as one filter, joined by `;`; `None` leaves the service's default, Completed (102).
        latest: Only each report's newest execution.

    Source: Get Report Executions API.
    """
    params = _given(executionStatus=";".join(statuses) if statuses else None)
    params["getLatestExecution"] = _flag(latest)

    def call(ids: Sequence[str]) -> Call:
        path = f"ScheduledReport/execution/{';'.join(ids)}"
        return Call("GET", path, "execution", "ask after the executions", params=params)

    room = LONGEST_ADDRESS - len(call(()).address(api_base_url))
    for ids in chunked([_id(each) for each in report_ids], most_characters=room):
        yield call(ids)
