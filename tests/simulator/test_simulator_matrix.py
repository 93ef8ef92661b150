"""The fault matrix as data: well-formed, and its faults strike on the ordinary journey."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from fault_expectations import EXPECTATIONS
from simulator_caller import Caller, StandingClock

from bulkpull.simulator import FAULT_TABLE, FaultRow, Simulator
from bulkpull.simulator.fault_matrix import HIT

SETTINGS = {"report_timeout_seconds", "one_off_quota_window_seconds", "max_unpacked_bytes"}
WITHOUT_SERVICE = {19, 20, 38, 72, 73, 74, 85, 87, 88, 89, 91, 92, 93, 94, 95, 96, 98, 99, 101, 102, 103, 104}
STRIKING = [row for row in FAULT_TABLE if row.scenario.faults]


def test_every_row_of_the_matrix_that_a_service_can_bring_about_is_in_the_table() -> None:
    assert {row.number for row in FAULT_TABLE} == set(range(13, 111)) - WITHOUT_SERVICE


def test_expectations_are_of_rows_in_the_table() -> None:
    assert set(EXPECTATIONS) <= {row.id for row in FAULT_TABLE}


def test_ids_are_unique_and_rows_in_order() -> None:
    ids = [row.id for row in FAULT_TABLE]
    numbers = [row.number for row in FAULT_TABLE]

    assert [item for item, count in Counter(ids).items() if count > 1] == []
    assert numbers == sorted(numbers)


@pytest.mark.parametrize("row", FAULT_TABLE, ids=lambda row: row.id)
def test_a_row_says_what_a_client_makes_of_it(row: FaultRow) -> None:
    failing = row.expected in ("failed", None)

    assert row.title
    assert row.exit_codes
    assert (0 in row.exit_codes) != failing
    assert set(row.settings) <= SETTINGS


class Journey:
    """
    A client without any skill: every step is tried some times, and whatever comes is taken.

    It is no model of a good client; it only walks past every place where a fault can strike.
    """

    def __init__(self, caller: Caller) -> None:
        self.caller = caller

    async def walk(self) -> None:
        caller = self.caller
        with suppress(KeyError, ValueError, aiohttp.ClientError):
            await caller.sign_in()
        for _ in range(3):
            await self.ask("GET", "/ScheduledDataset")
        query_id = await self.made("/ScheduledQueries", "queryId", Name="Ours", Query=self.query())
        ids = []
        for _ in range(2):
            report = {"ReportName": "Ours", "QueryId": query_id, "ExecuteNow": True}
            ids.append(await self.made("/ScheduledReport", "reportId", **report))
        for path in ("/ScheduledReport?reportName=Ours", "/ScheduledQueries?queryName=Ours"):
            await self.ask("GET", path)
        for _ in range(5):
            caller.clock.move(seconds=1)
            await self.ask("GET", f"/ScheduledReport/execution/{';'.join(filter(None, ids))}")
        for report_id in filter(None, ids):
            await self.download(report_id)
            await self.ask("DELETE", f"/ScheduledReport/{report_id}")

    def query(self) -> str:
        names = ", ".join(column.name for column in self.caller.simulator.service.tables[HIT].columns)
        return f"SELECT {names} FROM {HIT}"  # noqa: S608 - not SQL

    async def ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        url = f"{self.caller.simulator.api_base_url}{path}"
        headers = {"Authorization": f"Bearer {self.caller.token}"}
        with suppress(ValueError, aiohttp.ClientError):
            async with self.caller.session.request(
                method, url, headers=headers, allow_redirects=False, **options
            ) as reply:
                body = json.loads(await reply.read())
                return body if isinstance(body, dict) else {}
        return {}

    async def made(self, path: str, key: str, **body: Any) -> str | None:
        for _ in range(3):
            records = (await self.ask("POST", path, json=body)).get("value") or [{}]
            if records[0].get(key):
                return str(records[0][key])
        return None

    async def download(self, report_id: str) -> None:
        for headers in ({}, {"Range": "bytes=200-"}, {"Range": "bytes=300-"}):
            body = await self.ask("GET", f"/ScheduledReport/execution/{report_id}")
            records = body.get("value") or [{}]
            link = records[0].get("reportAccessSecureLink")
            if link:
                with suppress(aiohttp.ClientError):
                    await self.caller.fetch(link, **headers)


@pytest.mark.parametrize("row", STRIKING, ids=lambda row: row.id)
async def test_the_faults_of_a_row_strike_on_the_ordinary_journey(row: FaultRow) -> None:
    clock = StandingClock()
    scenario = replace(row.scenario, latency_s=(0.0, 0.0))
    async with Simulator(scenario, clock=clock) as simulator, aiohttp.ClientSession(auto_decompress=False) as session:
        session._retry_connection = False  # aiohttp would quietly repeat a GET that was reset
        await Journey(Caller(simulator, clock, session)).walk()

        missed = [fault.name for fault in scenario.faults if not simulator.times_fired(fault.name)]
    # What never uses itself up is asked after without being counted.
    assert [name for name in missed if name not in ("redacted", "joined_form_refused")] == []
