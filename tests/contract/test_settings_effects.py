"""Settings do what the contract says of them, where no other test looks at the whole way (contract, section 2)."""

from __future__ import annotations

from pathlib import Path

import pytest
from journeys.kit import export
from support import FakeClock

from bulkpull.events import Event
from bulkpull.simulator import Fault, Scenario, Simulator

THREE = ("Profile", "OfficeUsage", "MSLearn")


@pytest.mark.parametrize("attempts", [1, 3])
async def test_a_report_that_fails_is_asked_for_as_often_as_report_attempts_says(tmp_path: Path, attempts: int) -> None:
    fails = Fault("execution_fails", dataset="Profile", times=None)
    async with Simulator(Scenario(rows=5, faults=(fails,))) as simulator:
        manifest = await export(simulator, tmp_path, "Profile", report_attempts=attempts)
        created = sum((call.endpoint, call.method) == ("ScheduledReport", "POST") for call in simulator.calls)

    assert manifest.datasets[0].status == "failed"
    assert created == attempts


@pytest.mark.parametrize("attempts", [1, 3])
async def test_a_request_that_fails_is_sent_as_often_as_request_attempts_says(tmp_path: Path, attempts: int) -> None:
    clock, down = FakeClock(), Fault("http_status", endpoint="ScheduledDataset", times=None, args={"status": 503})
    async with Simulator(Scenario(rows=5, faults=(down,)), clock=clock) as simulator:
        manifest = await export(simulator, tmp_path, "Profile", clock=clock, request_attempts=attempts)
        sent = sum(call.endpoint == "ScheduledDataset" for call in simulator.calls)

    assert (manifest.datasets[0].status, manifest.exit_code) == ("failed", 3)
    assert sent == attempts


async def test_no_more_files_are_fetched_at_once_than_parallel_downloads_says(tmp_path: Path) -> None:
    under_way, most = set[str | None](), 0

    def listen(event: Event) -> None:
        nonlocal most
        if event.name == "pull.stepped" and event.facts["step"] == "download":
            under_way.add(event.dataset)
        elif event.name == "download.completed":
            under_way.discard(event.dataset)
        most = max(most, len(under_way))

    async with Simulator(Scenario(rows=5, datasets=THREE)) as simulator:
        manifest = await export(simulator, tmp_path, *THREE, listeners=[listen], parallel_downloads=1)

    assert (manifest.status, most) == ("complete", 1)


@pytest.mark.parametrize("keep", [False, True])
async def test_one_off_reports_stay_on_the_service_only_where_keep_reports_says_so(tmp_path: Path, keep: bool) -> None:
    async with Simulator(Scenario(rows=5)) as simulator:
        manifest = await export(simulator, tmp_path, "Profile", keep_reports=keep)
        left = list(simulator.service.reports)

    assert left == ([manifest.datasets[0].report_id] if keep else [])
