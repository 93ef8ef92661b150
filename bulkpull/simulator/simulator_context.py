"""What all parts of a simulator share: scenario, clock, faults, and a log of the requests without secrets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aiohttp import web

from bulkpull.simulator.faults import Fault, FaultBox
from bulkpull.simulator.scenario import Scenario, SimulatorClock


@dataclass(slots=True, kw_only=True)
class LoggedRequest:
    """
    A request as it was received.

    Attributes:
        endpoint: As faults name it; `None` for an address that the service does not know.
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


@dataclass(frozen=True, slots=True)
class Context:
    """The scenario, of one tenant or of the first; clock, faults and the log of requests are those of all."""

    scenario: Scenario
    clock: SimulatorClock
    faults: FaultBox
    calls: list[LoggedRequest] = field(default_factory=list)


class Host:
    """A server that logs its requests and applies faults to them."""

    def __init__(self, context: Context) -> None:
        self._scenario, self._clock, self._faults = context.scenario, context.clock, context.faults
        self._calls = context.calls

    def _note(self, request: web.Request, **more: Any) -> LoggedRequest:
        has_authorization = "Authorization" in request.headers or "X-AadUserTicket" in request.headers
        call = LoggedRequest(
            at=self._clock.now(), method=request.method, path=request.path, has_authorization=has_authorization, **more
        )
        self._calls.append(call)
        return call

    def _take(self, name: str, call: LoggedRequest) -> Fault | None:
        fault = self._faults.take(name, datasets=call.datasets, endpoint=call.endpoint or "", method=call.method)
        if fault is not None and call.fault is None:
            call.fault = fault.name
        return fault

    async def _answer_slowly(self, call: LoggedRequest) -> None:
        fault = self._take("slow_answer", call)
        if fault is not None:
            await self._clock.sleep(float(fault.args.get("seconds", 1.0)))
