"""Maps the path of a request to an endpoint and to the datasets that it concerns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bulkpull.simulator.service import Service
from bulkpull.simulator.validation import Fields

API_ROOT = "/insights/v1/mpn"
DIRECTORY = frozenset({"token", "devicecode", "discovery"})
"""Endpoints of the directory, which has forms in place of JSON and errors of its own."""

_METHODS: Mapping[tuple[str, bool], frozenset[str]] = {
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
    allowed = method in _METHODS[verb, subject is not None]
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
        endpoint=endpoint,
        verb=endpoint,
        method=method,
        subject=tenant,
        version=version,
        is_allowed=method == allowed,
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
