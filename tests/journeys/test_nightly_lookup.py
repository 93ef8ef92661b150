"""How `nightly` asks after its scheduled reports: together, without the one that is refused, and in a known form."""

from __future__ import annotations

from pathlib import Path

import pytest
from journeys.kit import ACCOUNT, QUICK, settings_for
from support import FakeClock

from bulkpull.events import Events
from bulkpull.output.manifest import Manifest
from bulkpull.pipeline.request import ExportRequest
from bulkpull.pipeline.run import Run
from bulkpull.simulator import Fault, LoggedRequest, Scenario, Simulator

DATASETS = ("AzureUsage", "CLASAzurePropensity", "CustomersAndTenants", "OfficeUsage", "Profile")


async def night(simulator: Simulator, output: Path, *, clock: FakeClock) -> tuple[Manifest, list[LoggedRequest]]:
    """One night, and its looks at executions; then a day passes."""
    before = len(simulator.calls)
    run = Run(
        ExportRequest(DATASETS, nightly=True), settings_for(simulator, output, **QUICK), Events(), clock=clock,
        account=ACCOUNT,
    )  # fmt: skip
    manifest = await run.export()
    clock.advance(86_400)
    return manifest, [call for call in simulator.calls[before:] if call.endpoint == "execution"]


@pytest.mark.behaviour(107)
@pytest.mark.fault(41)
async def test_a_form_that_the_service_refuses_is_tried_once_and_not_in_later_nights(tmp_path: Path) -> None:
    clock = FakeClock()
    async with Simulator(Scenario(datasets=DATASETS, rows=5, joined_ids=False), clock=clock) as simulator:
        await night(simulator, tmp_path, clock=clock)
        manifest, looks = await night(simulator, tmp_path, clock=clock)

    assert manifest.exit_code == 0
    assert [call.status for call in looks if ";" in (call.subject or "")] == []


@pytest.mark.fault(41)
async def test_a_scheduled_report_that_spoils_the_call_is_found_by_halving_and_costs_no_other_dataset(
    tmp_path: Path,
) -> None:
    clock = FakeClock()
    async with Simulator(Scenario(datasets=DATASETS, rows=5), clock=clock) as simulator:
        await night(simulator, tmp_path, clock=clock)
        simulator.arm(Fault("one_id_spoils_batch", dataset="OfficeUsage", times=None))
        manifest, looks = await night(simulator, tmp_path, clock=clock)

    assert {record.status for record in manifest.datasets if record.dataset != "OfficeUsage"} <= {"complete", "skipped"}
    first_night_look = [call for call in looks if call.params.get("executionStatus") == "Completed"]
    assert len(first_night_look) <= 7  # the whole, and two halves at each of three levels
    assert any(call.status == 200 and ";" in (call.subject or "") for call in looks)


@pytest.mark.fault(41)
@pytest.mark.case("N3")
async def test_late_reports_are_looked_at_by_halving_too(tmp_path: Path) -> None:
    clock = FakeClock()
    async with Simulator(Scenario(datasets=DATASETS, rows=5), clock=clock) as simulator:
        await night(simulator, tmp_path, clock=clock)
        simulator.arm(Fault("execution_stuck", times=None, args={"status": "Running"}))
        simulator.arm(Fault("one_id_spoils_batch", dataset="OfficeUsage", times=None))
        manifest, looks = await night(simulator, tmp_path, clock=clock)

    assert len(manifest.datasets) == len(DATASETS)
    for record in manifest.datasets:
        assert record.decision is not None
        assert "its status is Running" in record.decision.reason
    looks_at_late = [call for call in looks if call.params.get("executionStatus") == "Pending;Running;Paused"]
    assert looks_at_late[0].status == 400
    assert len(looks_at_late) <= 7  # the whole, and two halves at each of three levels


@pytest.mark.fault(41)
@pytest.mark.case("N3")
async def test_a_late_report_that_the_service_refuses_by_itself_is_asked_for_once(tmp_path: Path) -> None:
    clock = FakeClock()
    async with Simulator(Scenario(datasets=DATASETS, rows=5), clock=clock) as simulator:
        await night(simulator, tmp_path, clock=clock)
        simulator.arm(Fault("execution_stuck", times=None, args={"status": "Running"}))
        refusal = {"status": 400, "body": '{"statusCode": 400, "message": "bad id"}'}
        simulator.arm(Fault("http_status", endpoint="execution", dataset="OfficeUsage", times=None, args=refusal))
        manifest, looks = await night(simulator, tmp_path, clock=clock)

    reasons = {record.dataset: record.decision.reason for record in manifest.datasets if record.decision}
    assert "none is pending or running" in reasons.pop("OfficeUsage")
    assert all("its status is Running" in reason for reason in reasons.values())
    assert len(reasons) == len(DATASETS) - 1
    assert [call.status for call in looks if call.params.get("executionStatus") == "Pending;Running;Paused"] == [200]
