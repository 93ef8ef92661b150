"""Maps a request to a service method, and its result to the reply envelope with paging."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlencode

import anyio.to_thread

from bulkpull.simulator.faults import FaultBox
from bulkpull.simulator.report_data import Extract, sample
from bulkpull.simulator.responses import envelope
from bulkpull.simulator.routes import API_ROOT, Route
from bulkpull.simulator.service import Service, ServiceResult
from bulkpull.simulator.validation import Fields

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
        return ServiceResult(await anyio.to_thread.run_sync(partial(_rows, service.test_query(call.params), service)))
    return _METHODS[route.method, route.verb](service, call)


def _rows(extract: Extract, service: Service) -> list[dict[str, Any]]:
    return sample(extract, service.scenario)


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
