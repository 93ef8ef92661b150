"""A log of the requests to the simulator, without secrets; apart from the two servers, which both write it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(slots=True, kw_only=True)
class LoggedRequest:
    """
    A request as it was received; `status` follows with the answer.

    Attributes:
        at: The clock's time of its arrival.
        endpoint: ScheduledDataset, ScheduledQueries, testQueryResult, ScheduledReport, execution, token or blob; `None`
            for an address that the service does not know.
        status: HTTP status of the answer; `None` while there is none, and for a connection that was reset.
        path: Without the query, which may hold a signature.
        subject: The ids in the path (of a query, of one or several reports), or the execution whose file is fetched.
        body_keys: Keys of the JSON or form body; never its values.
    """

    at: datetime
    method: str
    path: str
    endpoint: str | None = None
    status: int | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    subject: str | None = None
    name: str | None = None
    body_keys: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    has_authorization: bool = False
    request_id: str | None = None
    correlation_id: str | None = None
    range: str | None = None
    if_match: str | None = None
    fault: str | None = None
