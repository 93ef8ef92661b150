"""Maps a request to an endpoint, its datasets and a method of the service, and the result to an envelope with pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import anyio.to_thread

from bulkpull.simulator.api_replies import envelope
from bulkpull.simulator.faults import FaultBox
from bulkpull.simulator.report_data import sample
from bulkpull.simulator.request_validation import Fields
from bulkpull.simulator.service import Service, ServiceResult

API_ROOT = "/insights/v1/mpn"
DIRECTORY = frozenset({"token", "devicecode", "discovery"})
"""Endpoints of the directory, which has forms in place of JSON and errors of its own."""

_ALLOWED_METHODS: Mapping[tuple[str, bool], frozenset[str]] = {
    # endpoint, whether an id follows it
    ("ScheduledDataset", False): frozenset({"GET"}),
    ("ScheduledQueries", False): frozenset({"GET", "POST"}),
    ("ScheduledQueries", True): frozenset({"DELETE"}),
    ("testQueryResult", False): frozenset({"GET"}),
    ("ScheduledReport", False): frozenset({"GET", "POST"}),
    ("ScheduledReport", True): frozenset({"PUT", "DELETE"}),
    ("pause", True): frozenset({"PUT"}),
    ("resume", True): frozenset({"PUT"}),
    ("execution", True): frozenset({"GET"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """
    An API call, or a call of the directory: a token, a device code, or its metadata (`discovery`).

    Attributes:
        endpoint: As faults and calls name it; pause and resume are forms of `ScheduledReport`.
        verb: `pause`, `resume`, or the endpoint again.
        subject: Ids in the path, or the tenant of a token request.
        version: Of the token endpoint.
    """

    endpoint: str
    verb: str
    method: str
    subject: str | None = None
    version: int = 1
    is_allowed: bool = True
    params: Mapping[str, str] = field(default_factory=dict)


def find_route(method: str, path: str, params: Mapping[str, str]) -> Route | None:
    """The call that a request is; paths are matched without case. `None` when the service knows no such address."""
    parts = path.strip("/").split("/")
    lowered = [part.casefold() for part in parts]
    if (route := _directory_route(method, parts[0], lowered[1:])) is not None:
        return route
    root = API_ROOT.strip("/").split("/")
    if lowered[: len(root)] != root:
        return None
    rest, below = parts[len(root) :], lowered[len(root) :]
    match below:
        case ["scheduleddataset"]:
            verb, subject = "ScheduledDataset", None
        case ["scheduledqueries"]:
            verb, subject = "ScheduledQueries", None
        case ["scheduledqueries", "testqueryresult"]:
            verb, subject = "testQueryResult", None
        case ["scheduledqueries", _]:
            verb, subject = "ScheduledQueries", rest[1]
        case ["scheduledreport"]:
            verb, subject = "ScheduledReport", None
        case ["scheduledreport", "pause" | "resume" | "execution" as word, _]:
            verb, subject = word, rest[2]
        case ["scheduledreport", _]:
            verb, subject = "ScheduledReport", rest[1]
        case _:
            return None
    endpoint = "ScheduledReport" if verb in ("pause", "resume") else verb
    allowed = method in _ALLOWED_METHODS[verb, subject is not None]
    return Route(endpoint=endpoint, verb=verb, method=method, subject=subject, is_allowed=allowed, params=params)


def _directory_route(method: str, tenant: str, below: list[str]) -> Route | None:
    """A call of the directory that signs people and programs in, by the path below the tenant."""
    match below:
        case ["oauth2", "token"]:
            endpoint, version, allowed = "token", 1, "POST"
        case ["oauth2", "v2.0", "token"]:
            endpoint, version, allowed = "token", 2, "POST"
        case ["oauth2", "v2.0", "devicecode"]:
            endpoint, version, allowed = "devicecode", 2, "POST"
        case ["v2.0", ".well-known", "openid-configuration"]:
            endpoint, version, allowed = "discovery", 2, "GET"
        case _:
            return None
    return Route(
        endpoint=endpoint, verb=endpoint, method=method, subject=tenant, version=version, is_allowed=method == allowed
    )


def datasets_of(route: Route, body: Mapping[str, Any], service: Service) -> tuple[str, ...]:
    """Canonical names of the datasets that a call concerns, as far as the service can tell before it acts."""
    fields, params = Fields(body), Fields(route.params)
    found: list[str | None] = []
    match route.verb:
        case "ScheduledDataset":
            wanted = str(params.get("datasetName") or "").casefold()
            found = [name for name, table in service.tables.items() if table.listed_name.casefold() == wanted]
        case "ScheduledQueries" | "testQueryResult":
            name = params.get("queryName")
            named = [query.text for query in service.queries.values() if name and query.name == name]
            texts = [*named, fields.get("Query"), params.get("exportQuery"), params.get("queryId"), route.subject]
            found = [service.dataset_of_query(text) for text in texts if isinstance(text, str)]
        case _:
            query_id = fields.get("QueryId") or params.get("queryId")
            ids = (route.subject or params.get("reportId") or "").casefold().split(";")
            name = params.get("reportName")
            reports = [
                report
                for report in service.reports.values()
                if report.report_id in ids or (name and report.name == name)
            ]
            found = [report.dataset for report in reports]
            found += [service.dataset_of_query(query_id)] if isinstance(query_id, str) else []
    return tuple(dict.fromkeys(name for name in found if name))


_LISTINGS = frozenset({"ScheduledDataset", "ScheduledQueries", "ScheduledReport", "execution"})


@dataclass(frozen=True, slots=True)
class _Request:
    """The parts of a request that service methods use."""

    fields: Fields
    params: Fields
    subject: str
    correlation_id: str


_METHODS: Mapping[tuple[str, str], Callable[[Service, _Request], ServiceResult]] = {
    ("GET", "ScheduledDataset"): lambda service, call: service.list_datasets(call.params),
    ("POST", "ScheduledQueries"): lambda service, call: service.create_query(call.fields),
    ("GET", "ScheduledQueries"): lambda service, call: service.list_queries(call.params),
    ("DELETE", "ScheduledQueries"): lambda service, call: service.delete_query(call.subject),
    ("POST", "ScheduledReport"): lambda service, call: service.create_report(
        call.fields, correlation_id=call.correlation_id
    ),
    ("GET", "ScheduledReport"): lambda service, call: service.list_reports(call.params),
    ("PUT", "ScheduledReport"): lambda service, call: service.update_report(
        call.subject, call.fields, correlation_id=call.correlation_id
    ),
    ("DELETE", "ScheduledReport"): lambda service, call: service.delete_report(call.subject),
    ("PUT", "pause"): lambda service, call: service.pause_report(call.subject),
    ("PUT", "resume"): lambda service, call: service.resume_report(call.subject),
    ("GET", "execution"): lambda service, call: service.read_executions(call.subject, call.params),
}


async def perform(route: Route, body: Mapping[str, Any], service: Service, *, correlation_id: str) -> ServiceResult:
    """Let the service act on a call."""
    call = _Request(Fields(body), Fields(route.params), route.subject or "", correlation_id)
    if route.verb == "testQueryResult":
        # The one call that makes rows, which takes a moment.
        extract = service.test_query(call.params)
        return ServiceResult(await anyio.to_thread.run_sync(sample, extract, service.scenario))
    return _METHODS[route.method, route.verb](service, call)


def paged(
    answer: ServiceResult, route: Route, service: Service, *, faults: FaultBox, api_origin: str, foreign_origin: str
) -> dict[str, Any]:
    """The envelope of an answer; a listing longer than a page ends with a link to the next (behaviour 32)."""
    scenario, records, next_link = service.scenario, answer.records, None
    if route.method == "GET" and route.verb in _LISTINGS:
        path = route.verb if route.subject is None else f"ScheduledReport/execution/{route.subject}"
        skip = int(route.params.get("skip", "0")) if route.params.get("skip", "0").isdecimal() else 0
        size = scenario.page_size or len(records)
        page = records[skip : skip + size]
        following = skip + size
        if faults.take("next_link_loops", endpoint=route.endpoint):
            following = skip
            next_link = _next(path, route.params, skip=following)
        elif following < len(records):
            next_link = _next(path, route.params, skip=following)
        if next_link is not None and scenario.next_link == "absolute":
            next_link = f"{api_origin}{API_ROOT}/{next_link}"
        if faults.take("next_link_foreign_host", endpoint=route.endpoint):
            next_link = f"{foreign_origin}{API_ROOT}/{_next(path, route.params, skip=following)}"
        records = page
    redacted = scenario.role == "viewer" or faults.peek("redacted") is not None
    return envelope(records, message=answer.message, next_link=next_link, data_redacted=redacted)


def _next(path: str, params: Mapping[str, str], *, skip: int) -> str:
    return f"{path}?{urlencode({**params, 'skip': skip})}"
