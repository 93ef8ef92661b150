"""Builds every API call as a value. Pure. Ids of the service go into paths percent-encoded; bodies are PascalCase."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote, urlencode

from bulkpull.clock import iso_utc
from bulkpull.errors import SettingsError
from bulkpull.insights.definitions import QueryDefinition, ReportChange, ReportDefinition, check_span, without_none
from bulkpull.insights.responses import chunked
from bulkpull.transport.pacer import Urgency
from bulkpull.url_safety import join_address

# Proxies and servers refuse addresses beyond about 2,000 characters (behaviour 69).
LONGEST_ADDRESS = 1_800
# Path, names of parameters and two times.
_REST_OF_PREVIEW = 150
# The service gives up after 100 s (behaviour 79), and it is waited for until it says so.
PREVIEW_PATIENCE_S = 130.0
_NEXT_PAGE = "the address of the next page"


def new_id() -> str:
    """An id of a request or of a run, for support (behaviour 44)."""
    return str(uuid.uuid4())


@dataclass(frozen=True, slots=True)
class Call:
    """
    A call of the API at `path` below its root, or at `url`. Its request id stays the same over all retries.

    `operation` says what it does, as a verb with its object: "create the report X". Its answer may take `patience_s`.
    What is `optional` a later run can do as well: a 429 ends it, and delays other clean-up calls alone (behaviour 37).
    """

    method: str
    path: str
    operation: str
    name: str | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    may_be_empty: bool = False
    patience_s: float | None = None
    urgency: Urgency = Urgency.USUAL
    optional: bool = False
    url: str | None = None
    request_id: str = field(default_factory=new_id, compare=False)

    @property
    def endpoint(self) -> str:
        """The name of the call in counts and messages."""
        return self.name or self.path.partition("/")[0]

    @property
    def creates(self) -> bool:
        """Whether it makes something new each time it is sent (behaviour 45)."""
        return self.method == "POST"

    def at(self, url: str) -> Call:
        """The same call at another address, for the next page of a listing; it has a request id of its own."""
        return replace(self, url=url, request_id=new_id())

    def address(self, api_base_url: str) -> str:
        if self.url is not None:
            return self.url
        query = f"?{urlencode(self.params, quote_via=quote)}" if self.params else ""
        return f"{api_base_url.rstrip('/')}/{self.path}{query}"


def next_address(next_link: str, *, page_url: str, api_base_url: str) -> str:
    """The next page's address: absolute, relative to the API's root or host (`/insights/…`), or a bare `?query`."""
    base = api_base_url.rstrip("/")
    if "://" in next_link.partition("?")[0] or next_link.startswith(("//", "?")):
        return join_address(page_url, next_link, what=_NEXT_PAGE)
    on_host = join_address(base, next_link, what=_NEXT_PAGE)
    if next_link.startswith("/") and on_host.startswith(f"{base}/"):
        return on_host
    return f"{base}/{next_link.lstrip('/')}"


def _id(value: str) -> str:
    return quote(value.strip(), safe="")


def _flag(value: bool) -> str:  # noqa: FBT001 -- the flag is the whole subject
    return "true" if value else "false"


def list_datasets(name: str | None) -> Call:
    return Call("GET", "ScheduledDataset", "list the datasets", params=without_none(datasetName=name))


def list_queries(*, name: str | None, query_id: str | None, include_system: bool, only_system: bool = False) -> Call:
    params = without_none(queryId=query_id and query_id.strip(), queryName=name)
    params["includeSystemQueries"] = _flag(include_system or only_system)
    if only_system:
        params["includeOnlySystemQueries"] = _flag(True)
    return Call("GET", "ScheduledQueries", "list the queries", params=params)


def create_query(definition: QueryDefinition) -> Call:
    definition.check()
    operation = f"create the query {definition.name!r}"
    return Call("POST", "ScheduledQueries", operation, body=definition.body())


def preview_query(*, query_id: str | None, text: str | None, start: datetime | None, end: datetime | None) -> Call:
    """The test-query call; `SettingsError` if it has not exactly one of id and text, or the text is too long (69)."""
    check_span(start, end)
    if (query_id is None) == (text is None):
        raise SettingsError(
            "a query can be previewed by its id or by its text, not both", why="both or none were given"
        )
    params = without_none(
        queryId=query_id and query_id.strip(),
        exportQuery=text,
        startTime=start and iso_utc(start),
        endTime=end and iso_utc(end),
    )
    if text is not None and not fits_into_address(text):
        raise SettingsError(
            "the query's text is too long to be previewed", fix="store it and preview it by its query id"
        )
    path = "ScheduledQueries/testQueryResult"
    return Call("GET", path, "preview the query", name="testQueryResult", params=params, patience_s=PREVIEW_PATIENCE_S)


def fits_into_address(query_text: str) -> bool:
    """Whether a query can be previewed by its text, which travels in the address (behaviour 69)."""
    return len(quote(query_text, safe="")) <= LONGEST_ADDRESS - _REST_OF_PREVIEW


def list_reports(*, report_id: str | None, name: str | None, query_id: str | None) -> Call:
    params = without_none(
        reportId=report_id and report_id.strip(), reportName=name, queryId=query_id and query_id.strip()
    )
    return Call("GET", "ScheduledReport", "list the reports", params=params)


def create_report(definition: ReportDefinition, *, now: datetime) -> Call:
    definition.check(now=now)
    operation, urgency = f"create the report {definition.name!r}", Urgency.REPORT
    return Call("POST", "ScheduledReport", operation, body=definition.body(), urgency=urgency)


def update_report(report_id: str, change: ReportChange, *, now: datetime) -> Call:
    change.check(now=now)
    return Call(
        "PUT", f"ScheduledReport/{_id(report_id)}", f"change the report {report_id.strip()}", body=change.body()
    )


def switch_report(report_id: str, verb: Literal["pause", "resume"]) -> Call:
    path = f"ScheduledReport/{verb}/{_id(report_id)}"
    return Call("PUT", path, f"{verb} the report {report_id.strip()}", may_be_empty=True)


def delete(kind: Literal["query", "report"], item_id: str) -> Call:
    path = f"{'ScheduledQueries' if kind == 'query' else 'ScheduledReport'}/{_id(item_id)}"
    return Call("DELETE", path, f"delete the {kind} {item_id.strip()}", may_be_empty=True)


def list_executions(
    report_ids: Sequence[str],
    *,
    statuses: Sequence[str] | None,
    latest: bool,
    api_base_url: str,
    execution_ids: Sequence[str] | None = None,
) -> Iterator[Call]:
    """
    As few calls as fit into addresses of `LONGEST_ADDRESS` characters, several ids joined by `;` (behaviour 106).

    Without `statuses` the service's default counts, Completed (102). `SettingsError` for too many execution ids.
    """
    params = without_none(
        executionId=";".join(execution_id.strip() for execution_id in execution_ids) if execution_ids else None,
        executionStatus=";".join(statuses) if statuses else None,
    )
    params["getLatestExecution"] = _flag(latest)

    def call(ids: Sequence[str]) -> Call:
        path = f"ScheduledReport/execution/{';'.join(ids)}"
        return Call("GET", path, "ask after the executions", name="execution", params=params)

    room = LONGEST_ADDRESS - len(call(()).address(api_base_url))
    if execution_ids and room < max(map(len, report_ids), default=0):
        raise SettingsError("too many execution ids for one call", fix="ask for fewer, or for all of the report")
    for ids in chunked([_id(report_id) for report_id in report_ids], most_characters=room):
        yield call(ids)
