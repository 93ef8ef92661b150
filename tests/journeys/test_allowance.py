"""A full export under the live service's allowance: ten calls a minute, told with every reply."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from journeys.kit import export
from support import FakeClock, Told

from bulkpull.simulator import Scenario, Simulator

POLLING = {"poll_initial_seconds": 5, "poll_max_seconds": 60, "report_timeout_seconds": 3_600}


def api_calls(simulator: Simulator) -> Counter[str]:
    return Counter(call.endpoint for call in simulator.calls if call.endpoint not in ("blob", "token"))


@pytest.mark.behaviour(38, 172, 173)
async def test_a_full_export_uses_the_allowance_up_and_is_not_refused(tmp_path: Path) -> None:
    clock, told = FakeClock(), Told()
    scenario = Scenario(rows=5, requests_per_minute=10, latency_s={"*": 60.0})
    async with Simulator(scenario, clock=clock) as simulator:
        manifest = await export(simulator, tmp_path, clock=clock, listeners=[told.events.append], **POLLING)
        calls = api_calls(simulator)
        ordered = [call.endpoint for call in simulator.calls if call.method == "POST" and call.endpoint != "token"]
        offered = sum(simulator.service.created_reports.values())

    total = calls.total()
    assert manifest.status == "complete" or all(each.status != "failed" for each in manifest.datasets)
    assert manifest.requests.throttled == 0
    assert clock.elapsed_s <= 1.1 * max(total / 10 * 60, 60), (clock.elapsed_s, calls)
    assert total <= 2 * offered + calls["execution"] + 4
    # The first reports are ordered in the first minute, not after all queries.
    assert ordered[:8].count("POST ScheduledReport") >= 3 or ordered[:8].count("ScheduledReport") >= 3
    assert told.of("allowance.awaited")


@pytest.mark.behaviour(97, 172)
async def test_tidying_is_left_to_the_next_run_where_calls_are_few(tmp_path: Path) -> None:
    clock = FakeClock()
    scenario = Scenario(rows=5, requests_per_minute=10, latency_s={"*": 60.0}, datasets=("OfficeUsage", "Profile"))
    async with Simulator(scenario, clock=clock) as simulator:
        await export(simulator, tmp_path, "OfficeUsage", "Profile", clock=clock, **POLLING)
        first = set(simulator.service.reports)
        assert len(first) == 2
        clock.advance(3_600)
        before = clock.elapsed_s
        await export(simulator, tmp_path, "OfficeUsage", "Profile", clock=clock, **POLLING)

        assert not first & set(simulator.service.reports)
        assert len(simulator.service.reports) == 2
        assert clock.elapsed_s - before < 75  # nothing waited for the deletions


@pytest.mark.behaviour(173)
async def test_other_tools_that_use_up_the_allowance_cost_time_and_no_dataset(tmp_path: Path) -> None:
    clock = FakeClock()
    scenario = Scenario(rows=5, requests_per_minute=10, latency_s={"*": 60.0}, datasets=("OfficeUsage", "Profile"))
    async with Simulator(scenario, clock=clock) as simulator:
        simulator.spend_allowance(9)
        manifest = await export(simulator, tmp_path, "OfficeUsage", "Profile", clock=clock, **POLLING)

    assert {record.status for record in manifest.datasets if record.dataset in scenario.datasets} == {"complete"}
    assert manifest.requests.throttled == 0
