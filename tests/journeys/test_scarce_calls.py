"""A full export under the live service's allowance: ten calls a minute, named in every reply."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from journeys.kit import export
from support import EventRecorder, FakeClock

from bulkpull.simulator import LoggedRequest, Scenario, Simulator

POLLING: dict[str, Any] = {"poll_initial_seconds": 5, "poll_max_seconds": 60, "report_timeout_seconds": 3_600}


def until_last_look_s(calls: Sequence[LoggedRequest]) -> float:
    """
    Seconds from the first call to the look that found the last report ready.

    Virtual time may pass while another process converts, so the end of the run says less.
    """
    looks = [call.at for call in calls if call.endpoint == "execution"]
    return (looks[-1] - calls[0].at).total_seconds()


def api_calls(calls: Sequence[LoggedRequest]) -> Counter[str]:
    return Counter(str(call.endpoint) for call in calls if call.endpoint not in ("blob", "token"))


@pytest.mark.behaviour(38, 97, 172, 173)
async def test_a_run_ends_as_soon_as_calls_and_reports_allow_on_the_first_night_and_on_the_next(tmp_path: Path) -> None:
    """The last report cannot be created before the window that its number falls in, and takes a minute from then."""
    clock = FakeClock()
    scenario = Scenario(rows=5, requests_per_minute=10, latency_s={"*": 60.0})
    async with Simulator(scenario, clock=clock) as simulator:
        for night in range(2):
            began_s, before = clock.elapsed_s, len(simulator.calls)
            manifest = await export(simulator, tmp_path, clock=clock, **POLLING)
            took_s, calls = clock.elapsed_s - began_s, simulator.calls[before:]

            by_endpoint = api_calls([call for call in calls if call.method != "DELETE"])
            needed = by_endpoint.total() - by_endpoint["execution"]
            shortest_s = 60 * (math.ceil(needed / 10) - 1) + 60
            assert sum(record.status == "complete" for record in manifest.datasets) == 18
            assert manifest.requests.throttled == 0
            assert needed <= (2 * 18 + 4 if night == 0 else 18 + 4)
            assert took_s <= 1.1 * shortest_s
            if night == 0:
                assert took_s <= 1.1 * max(api_calls(calls).total() / 10 * 60, 60)
            clock.advance(86_400)


@pytest.mark.behaviour(38, 172, 173)
async def test_a_full_export_uses_the_allowance_up_and_is_not_refused(tmp_path: Path) -> None:
    clock, recorded = FakeClock(), EventRecorder()
    scenario = Scenario(rows=5, requests_per_minute=10, latency_s={"*": 60.0})
    async with Simulator(scenario, clock=clock) as simulator:
        manifest = await export(simulator, tmp_path, clock=clock, listeners=[recorded.events.append], **POLLING)
        calls = api_calls(simulator.calls)
        created = [call.endpoint for call in simulator.calls if call.method == "POST" and call.endpoint != "token"]
        offered = sum(simulator.service.created_reports.values())

    total = calls.total()
    assert not [record for record in manifest.datasets if record.status == "failed"]
    assert manifest.requests.throttled == 0
    assert until_last_look_s(simulator.calls) <= 1.1 * max(total / 10 * 60, 60)
    assert total <= 2 * offered + calls["execution"] + 4
    # The first reports are created in the first minute, not after all queries.
    assert created[:8].count("ScheduledReport") >= 3
    assert recorded.of("allowance.awaited")


@pytest.mark.behaviour(97, 172)
async def test_tidying_is_left_to_the_next_run_where_calls_are_few(tmp_path: Path) -> None:
    clock = FakeClock()
    scenario = Scenario(rows=5, requests_per_minute=10, latency_s={"*": 60.0}, datasets=("OfficeUsage", "Profile"))
    async with Simulator(scenario, clock=clock) as simulator:
        await export(simulator, tmp_path, "OfficeUsage", "Profile", clock=clock, **POLLING)
        first = set(simulator.service.reports)
        assert len(first) == 2
        clock.advance(3_600)
        before = len(simulator.calls)
        await export(simulator, tmp_path, "OfficeUsage", "Profile", clock=clock, **POLLING)

        assert not first & set(simulator.service.reports)
        assert len(simulator.service.reports) == 2
        assert until_last_look_s(simulator.calls[before:]) < 75  # nothing waited for the deletions


@pytest.mark.behaviour(172)
async def test_a_later_night_ends_as_soon_as_its_reports_whatever_is_left_to_tidy(tmp_path: Path) -> None:
    clock = FakeClock()
    scenario = Scenario(rows=5, requests_per_minute=10, latency_s={"*": 60.0})
    async with Simulator(scenario, clock=clock) as simulator:
        await export(simulator, tmp_path, clock=clock, **POLLING)
        clock.advance(86_400)
        before = len(simulator.calls)
        manifest = await export(simulator, tmp_path, clock=clock, **POLLING)

    calls = simulator.calls[before:]
    untidy = [call for call in calls if call.endpoint not in ("blob", "token") and call.method != "DELETE"]
    assert manifest.requests.throttled == 0
    assert until_last_look_s(calls) <= 1.1 * max(len(untidy) / 10 * 60 + 60, 60)


@pytest.mark.behaviour(173)
async def test_other_tools_that_use_up_the_allowance_cost_time_and_no_dataset(tmp_path: Path) -> None:
    clock = FakeClock()
    scenario = Scenario(rows=5, requests_per_minute=10, latency_s={"*": 60.0}, datasets=("OfficeUsage", "Profile"))
    async with Simulator(scenario, clock=clock) as simulator:
        simulator.spend_allowance(9)
        manifest = await export(simulator, tmp_path, "OfficeUsage", "Profile", clock=clock, **POLLING)

    assert {record.status for record in manifest.datasets if record.dataset in ("OfficeUsage", "Profile")} == {
        "complete"
    }
    assert manifest.requests.throttled == 0
