"""Maps a request to an operation of the service and its datasets, and the result to an envelope with pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import anyio.to_thread

from bulkpull.simulator.api_replies import envelope
from bulkpull.simulator.execution_list import Records
from bulkpull.simulator.faults import FaultBox
from bulkpull.simulator.report_data import Extract, sample
from bulkpull.simulator.request_validation import Fields
from bulkpull.simulator.service import Service
from bulkpull.simulator.stored_objects import QueryStore, ReportStore

API_ROOT = "/insights/v1/mpn"
DIRECTORY = frozenset({"token", "devicecode", "discovery"})
"""Endpoints of the directory, which has forms in place of JSON and errors of its own."""


@dataclass(frozen=True, slots=True)
class ServiceCall:
    """What an operation of the service needs to know of a request."""

    service: Service
    body: Fields
    params: Fields
    subject: str
    correlation_id: str

    @property
    def queries(self) -> QueryStore:
        return self.service.query_store

    @property
    def reports(self) -> ReportStore:
        return self.service.report_store


_TEST_QUERY = "ScheduledQueries/testQueryResult"
_OPERATIONS: Mapping[tuple[str, str], tuple[str | None, Callable[[ServiceCall], Records | Extract]]] = {
    # method and address below the root: what the envelope reports as done (behaviour 31), and how it is done
    ("GET", "ScheduledDataset"): ("Dataset fetched", lambda call: call.service.list_datasets(call.params)),
    ("GET", "ScheduledQueries"): (
        "Queries fetched",
        lambda call: [query.record for query in call.queries.list(call.params)],
    ),
    ("POST", "ScheduledQueries"): ("Query created", lambda call: [call.queries.create(call.body).record]),
    ("DELETE", "ScheduledQueries/{id}"): (
        "Query deleted",
        lambda call: [call.service.delete_query(call.subject).record],
    ),
    ("GET", _TEST_QUERY): (None, lambda call: call.service.test_query(call.params)),
    ("GET", "ScheduledReport"): (
        "Reports fetched",
        lambda call: [report.record for report in call.reports.list(call.params)],
    ),
    ("POST", "ScheduledReport"): (
        "Report created",
        lambda call: [call.reports.create(call.body, correlation_id=call.correlation_id).record],
    ),
    ("PUT", "ScheduledReport/{id}"): (
        "Report updated",
        lambda call: [call.reports.update(call.subject, call.body, correlation_id=call.correlation_id).record],
    ),
    ("DELETE", "ScheduledReport/{id}"): ("Report deleted", lambda call: [call.reports.delete(call.subject).record]),
    ("PUT", "ScheduledReport/pause/{id}"): ("Report paused", lambda call: [call.reports.pause(call.subject).record]),
    ("PUT", "ScheduledReport/resume/{id}"): ("Report resumed", lambda call: [call.reports.resume(call.subject).record]),
    ("GET", "ScheduledReport/execution/{id}"): (
        None,
        lambda call: call.service.execution_list.read(call.subject, call.params),
    ),
}
_ADDRESSES = {address.casefold(): address for _, address in _OPERATIONS}
_ENDPOINTS = {_TEST_QUERY: "testQueryResult", "ScheduledReport/execution/{id}": "execution"}
_DIRECTORY_CALLS = {
    # address below the tenant: method and endpoint
    "oauth2/token": ("POST", "token"),
    "oauth2/v2.0/token": ("POST", "token"),
    "oauth2/v2.0/devicecode": ("POST", "devicecode"),
    "v2.0/.well-known/openid-configuration": ("GET", "discovery"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """
    An API call, or a call of the directory: a token, a device code, or its metadata (`discovery`).

    Attributes:
        endpoint: As faults and the log name it; pause and resume are forms of `ScheduledReport`.
        address: Below the root of the API, with `{id}` for ids; below the tenant for a call of the directory.
        subject: Ids in the path, or the tenant of a call of the directory.
    """

    endpoint: str
    method: str
    address: str
    subject: str | None = None
    is_allowed: bool = True


def find_route(method: str, path: str) -> Route | None:
    """The call that a request is; paths are matched without case. `None` when the service knows no such address."""
    tenant, _, below = path.strip("/").partition("/")
    if (found := _DIRECTORY_CALLS.get(below.casefold())) is not None:
        allowed, endpoint = found
        is_allowed = method == allowed
        return Route(endpoint=endpoint, method=method, address=below.casefold(), subject=tenant, is_allowed=is_allowed)
    root = API_ROOT + "/"
    whole = path.rstrip("/")
    if whole[: len(root)].casefold() != root:
        return None
    rest, subject = whole[len(root) :], None
    address = _ADDRESSES.get(rest.casefold())
    if address is None:
        parent, _, subject = rest.rpartition("/")
        address = _ADDRESSES.get(f"{parent}/{{id}}".casefold())
    if address is None:
        return None
    return Route(
        endpoint=_ENDPOINTS.get(address, address.partition("/")[0]),
        method=method,
        address=address,
        subject=subject,
        is_allowed=(method, address) in _OPERATIONS,
    )


def datasets_of(route: Route, body: Fields, params: Fields, service: Service) -> tuple[str, ...]:
    """Canonical names of the datasets that a call concerns, as far as the service can tell before it acts."""
    found: list[str | None] = []
    match route.endpoint:
        case "ScheduledDataset":
            wanted = str(params.get("datasetName") or "").casefold()
            found = [name for name, table in service.tables.items() if table.listed_name.casefold() == wanted]
        case "ScheduledQueries" | "testQueryResult":
            name = params.get("queryName")
            named = [query.text for query in service.queries.values() if name and query.name == name]
            texts = [*named, body.get("Query"), params.get("exportQuery"), params.get("queryId"), route.subject]
            found = [service.dataset_of_query(text) for text in texts if isinstance(text, str)]
        case _:
            query_id = body.get("QueryId") or params.get("queryId")
            ids = (route.subject or params.get("reportId") or "").casefold().split(";")
            name = params.get("reportName")
            found = [
                report.dataset
                for report in service.reports.values()
                if report.report_id in ids or (name and report.name == name)
            ]
            found += [service.dataset_of_query(query_id)] if isinstance(query_id, str) else []
    return tuple(dict.fromkeys(name for name in found if name))


async def perform(route: Route, call: ServiceCall) -> Records:
    """Let the service act on a call; a `Refusal` is its answer where it does not."""
    _, operation = _OPERATIONS[route.method, route.address]
    result = operation(call)
    if isinstance(result, Extract):
        # A test query makes rows, which takes a moment.
        return await anyio.to_thread.run_sync(sample, result, call.service.scenario)
    return result


def paged(
    records: Records,
    route: Route,
    params: Mapping[str, str],
    service: Service,
    *,
    faults: FaultBox,
    origins: tuple[str, str],
) -> dict[str, Any]:
    """
    The envelope of an answer; a listing longer than a page ends with a link to the next (behaviour 32).

    `origins` are the API's own and a foreign one.
    """
    api_origin, foreign_origin = origins
    scenario, page, next_link = service.scenario, records, None
    if route.method == "GET" and route.address != _TEST_QUERY:
        path = route.address.replace("{id}", route.subject or "")
        skip = int(params.get("skip", "0")) if params.get("skip", "0").isdecimal() else 0
        following = skip + (scenario.page_size or len(records))
        page = records[skip:following]
        loops = faults.take("next_link_loops", endpoint=route.endpoint) is not None
        address = f"{path}?{urlencode({**params, 'skip': skip if loops else following})}"
        if loops or following < len(records):
            next_link = f"{api_origin}{API_ROOT}/{address}" if scenario.next_link == "absolute" else address
        if faults.take("next_link_foreign_host", endpoint=route.endpoint):
            next_link = f"{foreign_origin}{API_ROOT}/{address}"
    redacted = scenario.role == "viewer" or faults.peek("redacted") is not None
    done, _ = _OPERATIONS[route.method, route.address]
    message = f"{done} successfully" if done else None
    return envelope(page, message=message, next_link=next_link, data_redacted=redacted)
