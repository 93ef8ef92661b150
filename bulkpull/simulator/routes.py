"""Maps a request to an operation of the service and to the datasets that it concerns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import anyio.to_thread

from bulkpull.simulator.entities import StoredQuery, StoredReport
from bulkpull.simulator.execution_list import Records
from bulkpull.simulator.report_data import Extract, sample
from bulkpull.simulator.request_validation import Fields
from bulkpull.simulator.service import Service
from bulkpull.simulator.stored_objects import QueryStore, ReportStore

API_ROOT = "/insights/v1/mpn"

Stored = StoredQuery | StoredReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """
    An API call, or a call of the directory: a token, a device code, or its metadata (`discovery`).

    `endpoint` is as faults and the log name it, `None` for an address that the service does not know. `address` is
    below the root of the API, with `{id}` for the `subject`; or below the tenant, which is the subject then.
    """

    endpoint: str | None = None
    method: str = ""
    address: str = ""
    subject: str | None = None
    is_allowed: bool = False

    @property
    def is_directory(self) -> bool:
        """Whether the directory answers, which takes forms in place of JSON and has errors of its own."""
        return self.endpoint in ("token", "devicecode", "discovery")


@dataclass(frozen=True, slots=True)
class ServiceCall:
    """A call of the API, and the service of the tenant that it is for."""

    service: Service
    route: Route
    body: Fields
    params: Fields
    token: str | None = field(repr=False)
    correlation_id: str

    @property
    def subject(self) -> str:
        return self.route.subject or ""

    @property
    def message(self) -> str | None:
        """What the envelope reports as done."""
        done, _ = _OPERATIONS[self.route.method, self.route.address]
        return f"{done} successfully" if done else None

    @property
    def queries(self) -> QueryStore:
        return self.service.query_store

    @property
    def reports(self) -> ReportStore:
        return self.service.report_store


_TEST_QUERY = "ScheduledQueries/testQueryResult"
_OPERATIONS: Mapping[
    tuple[str, str], tuple[str | None, Callable[[ServiceCall], Extract | Stored | Sequence[Stored] | Records]]
] = {
    # method and address below the root: what the envelope reports as done (behaviour 31), and how it is done
    ("GET", "ScheduledDataset"): ("Dataset fetched", lambda call: call.service.list_datasets(call.params)),
    ("GET", "ScheduledQueries"): ("Queries fetched", lambda call: call.queries.list(call.params)),
    ("POST", "ScheduledQueries"): ("Query created", lambda call: call.queries.create(call.body)),
    ("DELETE", "ScheduledQueries/{id}"): ("Query deleted", lambda call: call.service.delete_query(call.subject)),
    ("GET", _TEST_QUERY): (None, lambda call: call.service.test_query(call.params)),
    ("GET", "ScheduledReport"): ("Reports fetched", lambda call: call.reports.list(call.params)),
    ("POST", "ScheduledReport"): (
        "Report created",
        lambda call: call.reports.create(call.body, correlation_id=call.correlation_id),
    ),
    ("PUT", "ScheduledReport/{id}"): (
        "Report updated",
        lambda call: call.reports.update(call.subject, call.body, correlation_id=call.correlation_id),
    ),
    ("DELETE", "ScheduledReport/{id}"): ("Report deleted", lambda call: call.reports.delete(call.subject)),
    ("PUT", "ScheduledReport/pause/{id}"): ("Report paused", lambda call: call.reports.pause(call.subject)),
    ("PUT", "ScheduledReport/resume/{id}"): ("Report resumed", lambda call: call.reports.resume(call.subject)),
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


def find_route(method: str, path: str) -> Route:
    """The call that a request is; paths are matched without case."""
    tenant, _, below = path.strip("/").partition("/")
    if (found := _DIRECTORY_CALLS.get(below.casefold())) is not None:
        allowed, endpoint = found
        is_allowed = method == allowed
        return Route(endpoint=endpoint, method=method, address=below.casefold(), subject=tenant, is_allowed=is_allowed)
    root = API_ROOT + "/"
    whole = path.rstrip("/")
    if whole[: len(root)].casefold() != root:
        return Route()
    rest, subject = whole[len(root) :], None
    address = _ADDRESSES.get(rest.casefold())
    if address is None:
        parent, _, subject = rest.rpartition("/")
        address = _ADDRESSES.get(f"{parent}/{{id}}".casefold())
    if address is None:
        return Route()
    return Route(
        endpoint=_ENDPOINTS.get(address, address.partition("/")[0]),
        method=method,
        address=address,
        subject=subject,
        is_allowed=(method, address) in _OPERATIONS,
    )


def datasets_of(call: ServiceCall) -> tuple[str, ...]:
    """Canonical names of the datasets that a call concerns, as far as the service can tell before it acts."""
    service, body, params = call.service, call.body, call.params
    found: list[str | None] = []
    match call.route.endpoint:
        case "ScheduledDataset":
            wanted = str(params.get("datasetName") or "").casefold()
            found = [name for name, table in service.tables.items() if table.listed_name.casefold() == wanted]
        case "ScheduledQueries" | "testQueryResult":
            name = params.get("queryName")
            named = [query.text for query in service.queries.values() if name and query.name == name]
            texts = [*named, body.get("Query"), params.get("exportQuery"), params.get("queryId"), call.route.subject]
            found = [service.dataset_of_query(text) for text in texts if isinstance(text, str)]
        case _:
            query_id = body.get("QueryId") or params.get("queryId")
            ids = (call.subject or params.get("reportId") or "").casefold().split(";")
            name = params.get("reportName")
            found = [
                report.dataset
                for report in service.reports.values()
                if report.report_id in ids or (name and report.name == name)
            ]
            found += [service.dataset_of_query(query_id)] if isinstance(query_id, str) else []
    return tuple(dict.fromkeys(name for name in found if name))


async def perform(call: ServiceCall) -> Records:
    """Let the service act on a call; a `Refusal` is its answer where it does not."""
    _, operation = _OPERATIONS[call.route.method, call.route.address]
    result = operation(call)
    if isinstance(result, Extract):
        # A test query makes rows, which takes a moment.
        return await anyio.to_thread.run_sync(sample, result)
    items = [result] if isinstance(result, Stored) else result
    return [item if isinstance(item, dict) else item.record for item in items]
