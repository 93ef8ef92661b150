"""Client and simulator in one process, with everything that passes between them held against the description."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from json import loads
from typing import Any

import pytest
from document import CheckedHttp, Got, Sent, check_answer
from support import START, EventRecorder, FakeClock

from bulkpull.config.settings import Settings
from bulkpull.insights import connect
from bulkpull.insights.client import InsightsClient
from bulkpull.simulator import Fault, Scenario, Simulator
from bulkpull.transport.http import Http, Request

TEXT = "SELECT SubscriptionId, Month FROM DynamicsUsage TIMESPAN LAST_MONTH"


@dataclass
class Stage:
    """A client that is signed in, the simulator that it speaks to, and the time that both live in."""

    client: InsightsClient
    http: CheckedHttp
    simulator: Simulator
    clock: FakeClock
    seen: set[str]
    """Operations that were called."""

    def sent(self, endpoint: str, method: str = "POST") -> int:
        """How many calls of that kind the simulator received."""
        return sum((call.endpoint, call.method) == (endpoint, method) for call in self.simulator.calls)


@asynccontextmanager
async def checked(
    monkeypatch: pytest.MonkeyPatch,
    *faults: Fault,
    grant: str = "password",
    version: int = 1,
    start: datetime = START,
    refresh_token: str | None = None,
    **scenario: Any,
) -> AsyncIterator[Stage]:
    """
    A client of a simulator; all that passes between them is held against the description.

    Args:
        version: Of the token endpoint.
    """
    clock, recorded, seen = FakeClock(start=start), EventRecorder(), set[str]()
    monkeypatch.setattr(CheckedHttp, "seen", seen, raising=False)
    monkeypatch.setattr(connect, "Http", CheckedHttp)
    small: dict[str, Any] = {"datasets": ("DynamicsUsage", "Profile"), "rows": 50}
    async with Simulator(Scenario(faults=faults, **(small | scenario)), clock=clock) as simulator:
        for name, value in simulator.environment.items():
            monkeypatch.setenv(name, value)
        if version == 2:
            monkeypatch.setenv("BULKPULL_TOKEN_URL", simulator.token_url.replace("/token", "/v2.0/token"))
        settings = Settings(grant=grant, **({"refresh_token": refresh_token} if refresh_token else {}))
        async with connect.connected(
            settings=settings, events=recorded.hub, clock=clock, random=lambda: 0.5
        ) as connection:
            assert isinstance(connection.http, CheckedHttp)
            yield Stage(connection.client, connection.http, simulator, clock, seen)


@dataclass
class Asker:
    """Asks a simulator anything at all; each answer is held against the description."""

    simulator: Simulator
    http: Http
    clock: FakeClock
    token: str = ""
    statuses: Counter[int] = field(default_factory=Counter)

    async def ask(self, method: str, path: str, *, json: Any = None, token: str | None = None, **headers: str) -> Any:
        """An answer of the API, as JSON."""
        bearer = {"Authorization": f"Bearer {self.token if token is None else token}"}
        return await self._send(Sent(method, f"{self.simulator.api_base_url}/{path}", bearer | headers, json))

    async def ask_token(self, form: dict[str, str], *, version: int = 1) -> Any:
        """An answer of a token endpoint."""
        url = self.simulator.token_url.format(tenant_id=self.simulator.scenario.tenant_id)
        return await self._send(Sent("POST", url.replace("/token", "/v2.0/token") if version == 2 else url, form=form))

    async def fetch(self, link: str, **headers: str) -> int:
        """The status that the storage host answers with."""
        sent = Sent("GET", link, {name.replace("_", "-"): value for name, value in headers.items()})
        async with self.http.stream(Request("GET", link, endpoint="blob", headers=sent.headers)) as reply:
            check_answer(sent, Got(reply.status, b"", reply.headers))
            return reply.status

    async def file(self, link: str) -> bytes:
        """A stored file, as it is stored."""
        async with self.http.stream(Request("GET", link, endpoint="blob")) as reply:
            return b"".join([chunk async for chunk in reply.chunks()])

    async def sign_in(self) -> None:
        """Take a new token."""
        self.token = (await self.ask_token(token_form(self.simulator.scenario))).get("access_token", "")

    async def _send(self, sent: Sent) -> Any:
        request = Request(sent.method, sent.url, endpoint="any", headers=sent.headers, json=sent.json, form=sent.form)
        reply = await self.http.send(request)
        self.statuses[reply.status] += 1
        check_answer(sent, Got(reply.status, reply.body, reply.headers))
        return loads(reply.body)

    async def query(self) -> str:
        made = await self.ask("POST", "ScheduledQueries", json={"Name": "A query", "Query": TEXT})
        return str(made["value"][0]["queryId"])

    async def report(self, **more: Any) -> str:
        body = {"ReportName": "A report", "QueryId": await self.query(), "ExecuteNow": True} | more
        return str((await self.ask("POST", "ScheduledReport", json=body))["value"][0]["reportId"])


@asynccontextmanager
async def asking(*faults: Fault, start: datetime = START, **scenario: Any) -> AsyncIterator[Asker]:
    """Somebody who is signed in and asks a simulator by plain HTTP."""
    clock, recorded = FakeClock(start=start), EventRecorder()
    small: dict[str, Any] = {"datasets": ("DynamicsUsage", "Profile"), "rows": 50, "query_quota": 10_000}
    async with (
        Simulator(Scenario(faults=faults, **(small | scenario)), clock=clock) as simulator,
        Http(ca_file=None, events=recorded.hub, clock=clock, user_agent="test") as http,
    ):
        asker = Asker(simulator, http, clock)
        await asker.sign_in()
        asker.statuses.clear()
        yield asker


def token_form(scenario: Scenario, **more: str) -> dict[str, str]:
    """The form of the password grant."""
    return {
        "resource": "https://api.partnercenter.microsoft.com",
        "client_id": scenario.client_id,
        "client_secret": scenario.client_secret,
        "grant_type": "password",
        "username": scenario.username,
        "password": scenario.password,
        "scope": "openid",
    } | more
