"""What the simulator's tests share: a clock that stands until it is moved, and a caller that speaks plain HTTP."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
from yarl import URL

from bulkpull.simulator import Fault, Scenario, Simulator

START = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)


class StandingClock:
    """Time that moves only when somebody moves it, or sleeps."""

    def __init__(self, start: datetime = START) -> None:
        self._start, self.elapsed_s = start, 0.0
        self.sleeps_s: list[float] = []

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self.elapsed_s)

    def monotonic(self) -> float:
        return self.elapsed_s

    async def sleep(self, wait_s: float, /) -> None:
        self.sleeps_s.append(wait_s)
        self.elapsed_s += wait_s

    def move(self, **length: float) -> None:
        self.elapsed_s += timedelta(**length).total_seconds()


@dataclass(frozen=True)
class Got:
    """An answer, read to its end."""

    status: int
    raw: bytes
    headers: Any
    body: Any = None

    @property
    def records(self) -> list[dict[str, Any]]:
        records: list[dict[str, Any]] = self.body["value"]
        return records

    @property
    def message(self) -> str:
        return str(self.body["message"])

    @property
    def text(self) -> bytes:
        """The unpacked file."""
        return gzip.decompress(self.raw)


@dataclass
class Caller:
    """Calls a simulator as any HTTP client would, with a token of the password grant."""

    simulator: Simulator
    clock: StandingClock
    session: aiohttp.ClientSession
    token: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    async def call(self, method: str, path: str, **options: Any) -> Got:
        headers = {"Authorization": f"Bearer {self.token}", **self.headers, **options.pop("headers", {})}
        url = path if path.startswith("http") else f"{self.simulator.api_base_url}{path}"
        async with self.session.request(method, url, headers=headers, **options) as reply:
            raw = await reply.read()
            return Got(reply.status, raw, reply.headers, await reply.json())

    async def get(self, path: str, **params: Any) -> Got:
        return await self.call("GET", path, params=params)

    async def post(self, path: str, /, **body: Any) -> Got:
        return await self.call("POST", path, json=body)

    async def ask_token(self, *, version: int = 1, **changes: Any) -> Got:
        scenario = self.simulator.scenario
        form: dict[str, str | None] = {
            "resource": "https://api.partnercenter.microsoft.com",
            "client_id": scenario.client_id,
            "client_secret": scenario.client_secret,
            "grant_type": "password",
            "scope": "openid" if version == 1 else "https://api.partnercenter.microsoft.com/user_impersonation",
            "username": scenario.username,
            "password": scenario.password,
        }
        tenant = changes.pop("tenant", scenario.tenant_id) or ""
        form |= changes
        url = self.simulator.token_url.format(tenant_id=tenant)
        if version == 2:
            url = url.replace("/oauth2/token", "/oauth2/v2.0/token")
        data = {name: value for name, value in form.items() if value is not None}
        async with self.session.post(url, data=data) as reply:
            return Got(reply.status, await reply.read(), reply.headers, await reply.json())

    async def sign_in(self, **changes: Any) -> None:
        self.token = (await self.ask_token(**changes)).body["access_token"]

    async def query(self, text: str = "SELECT CustomerName, Month FROM OfficeUsage", name: str = "A query") -> str:
        reply = await self.post("/ScheduledQueries", Name=name, Query=text)
        assert reply.status == 200, reply.body
        return str(reply.records[0]["queryId"])

    async def report(self, query_id: str | None = None, **changes: Any) -> str:
        body = {"ReportName": "A report", "QueryId": query_id or await self.query(), "ExecuteNow": True, **changes}
        reply = await self.post("/ScheduledReport", **body)
        assert reply.status == 200, reply.body
        return str(reply.records[0]["reportId"])

    async def execution(self, report_id: str, **params: Any) -> Got:
        return await self.get(f"/ScheduledReport/execution/{report_id}", **params)

    async def link(self, report_id: str | None = None) -> str:
        reply = await self.execution(report_id or await self.report())
        return str(reply.records[0]["reportAccessSecureLink"])

    async def fetch(self, link: str, method: str = "GET", **headers: str) -> Got:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        address = URL(link, encoded=True)
        async with self.session.request(method, address, headers=named, allow_redirects=False) as reply:
            return Got(reply.status, await reply.read(), reply.headers)


@asynccontextmanager
async def calling(*faults: Fault, start: datetime = START, **parameters: Any) -> AsyncIterator[Caller]:
    """A simulator with a standing clock and a few rows, and a caller who is signed in."""
    clock = StandingClock(start)
    scenario = Scenario(faults=faults, **({"rows": 60} | parameters))
    async with (
        Simulator(scenario, clock=clock) as simulator,
        aiohttp.ClientSession(auto_decompress=False) as session,
    ):
        session._retry_connection = False  # aiohttp would quietly repeat a GET that was reset
        caller = Caller(simulator, clock, session)
        reply = await caller.ask_token(grant_type="refresh_token", refresh_token=scenario.refresh_token)
        caller.token = reply.body.get("access_token", "")
        yield caller
