"""What windows leave on the service and in messages: every report known, every reason with its window."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import anyio
import anyio.lowlevel
import polars as pl
import pytest
from journeys.kit import ACCOUNT, export, settings_for
from journeys.test_windows_hold import MONTHLY, YEAR, Truth, at, names, of_months, pull, window
from support import FakeClock

from bulkpull.events import Events
from bulkpull.output.layout import Layout
from bulkpull.output.ledger import opened_ledger
from bulkpull.output.ledger_facts import ReportFacts
from bulkpull.output.manifest import DatasetRecord, Manifest
from bulkpull.pipeline.request import ExportRequest
from bulkpull.pipeline.run import Run
from bulkpull.simulator import Fault, Scenario, Simulator

NINE = window("2026-01-01", "2026-10-01")


async def created_by_the_ledger(output: Path) -> set[str]:
    async with opened_ledger(Layout(output).private, read_only=True) as ledger:
        return {entry.facts.report_id for entry in await ledger.noted(ReportFacts)}


@pytest.mark.case("W7")
@pytest.mark.behaviour(45)
async def test_a_creation_under_way_is_awaited_and_noted_when_the_run_is_interrupted(tmp_path: Path) -> None:
    clock, truth = FakeClock(), Truth(of_months("2025-11-01", 13))
    slow = Fault("slow_answer", endpoint="POST ScheduledReport", times=None, args={"seconds": 5})
    async with Simulator(Scenario(contents={MONTHLY: truth}, faults=(slow,)), clock=clock) as simulator:

        async def interrupt() -> None:
            while not simulator.service.reports:
                await anyio.lowlevel.checkpoint()
            scope.cancel()

        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as watching:
                watching.start_soon(interrupt)
                await export(simulator, tmp_path, MONTHLY, window=NINE, clock=clock)
        assert scope.cancelled_caught
        left = set(simulator.service.reports)

        assert left
        assert left == await created_by_the_ledger(tmp_path)
        manifest = await export(simulator, tmp_path, MONTHLY, window=NINE, clock=clock)
        assert simulator.service.created_reports[MONTHLY] == 9
        assert simulator.service.reports == {}
    assert names(tmp_path, manifest) == truth.within(NINE)


async def submit(simulator: Simulator, output: Path, clock: FakeClock) -> DatasetRecord:
    request = ExportRequest((MONTHLY,), window=NINE, submit_only=True)
    settings = settings_for(simulator, output, metrics="none")
    manifest = await Run(request, settings, Events(), account=ACCOUNT, clock=clock).export()
    return manifest.datasets[0]


@pytest.mark.case("W7")
async def test_submitting_that_is_refused_half_way_leaves_its_reports_to_the_next_run(tmp_path: Path) -> None:
    clock, truth = FakeClock(), Truth(of_months("2025-11-01", 13))
    refusal = Fault("http_status", endpoint="POST ScheduledReport", skip=4, args={"status": 400, "message": "no"})
    async with Simulator(Scenario(contents={MONTHLY: truth}, faults=(refusal,)), clock=clock) as simulator:
        refused = await submit(simulator, tmp_path, clock)
        assert len(simulator.service.reports) == 4
        assert await created_by_the_ledger(tmp_path) == set(simulator.service.reports)
        manifest = await export(simulator, tmp_path, MONTHLY, window=NINE, clock=clock, metrics="none")
        assert simulator.service.created_reports[MONTHLY] == 9
        assert simulator.service.reports == {}

    assert refused.status == "failed"
    assert any("stay on the service" in note for note in refused.notes), refused.notes
    assert names(tmp_path, manifest) == truth.within(NINE)


@pytest.mark.case("W7")
@pytest.mark.behaviour(86)
async def test_reports_of_an_earlier_run_that_fill_the_quota_are_waited_for(tmp_path: Path) -> None:
    clock, truth = FakeClock(), Truth(of_months("2025-11-01", 13))
    refusal = Fault("http_status", endpoint="POST ScheduledReport", skip=3, args={"status": 400, "message": "no"})
    scenario = Scenario(contents={MONTHLY: truth}, faults=(refusal,), unfinished_report_quota=3, latency_s=(30.0, 30.0))
    async with Simulator(scenario, clock=clock) as simulator:
        await submit(simulator, tmp_path, clock)
        assert len(simulator.service.reports) == 3
        manifest = await export(simulator, tmp_path, MONTHLY, window=NINE, clock=clock, metrics="none")
        assert simulator.service.created_reports[MONTHLY] == 9

    assert names(tmp_path, manifest) == truth.within(NINE)


@pytest.mark.case("W15")
@pytest.mark.parametrize("content", ["<html>an error page</html>", "A,B\r\n1,2\r\n", "\xff"])
async def test_the_reason_of_a_lost_window_names_its_days(content: str, tmp_path: Path) -> None:
    truth, clock = Truth(of_months("2025-11-01", 13)), FakeClock()

    def losing(start: datetime | None, end: datetime | None, made_at: datetime) -> bytes:
        return content.encode("latin-1") if start == at("2026-04-01") else truth(start, end, made_at)

    async with Simulator(Scenario(contents={MONTHLY: losing}), clock=clock) as simulator:
        manifest = await export(simulator, tmp_path, MONTHLY, window=NINE, clock=clock)

    assert "the window 2026-04-01 to 2026-05-01:" in str(manifest.datasets[0].reason)


@pytest.mark.case("W15")
async def test_the_reason_of_a_time_that_cannot_be_read_names_the_report_and_its_row(tmp_path: Path) -> None:
    truth, clock = Truth(of_months("2025-11-01", 13)), FakeClock()

    def odd(start: datetime | None, end: datetime | None, made_at: datetime) -> bytes:
        content = truth(start, end, made_at)
        return content.replace(b"2026-04-01", b"4th of 4") if start == at("2026-04-01") else content

    async with Simulator(Scenario(contents={MONTHLY: odd}), clock=clock) as simulator:
        manifest = await export(simulator, tmp_path, MONTHLY, window=NINE, clock=clock)

    reason = str(manifest.datasets[0].reason)
    assert "'4th of 4' in row 1 of the report of 2026-04-01 to 2026-05-01" in reason


@pytest.mark.case("W17")
async def test_rows_are_numbered_through_the_whole_snapshot(tmp_path: Path) -> None:
    truth, clock = Truth(of_months("2025-11-01", 13), inclusive=True), FakeClock()

    def odd(start: datetime | None, end: datetime | None, made_at: datetime) -> bytes:
        lines = truth(start, end, made_at).decode().split("\r\n")
        if start == at("2026-04-01"):
            place = lines[0].split(",").index("PaidAvailableUnits")
            cells = lines[2].split(",")
            cells[place] = "many"
            lines[2] = ",".join(cells)
        return "\r\n".join(lines).encode()

    async with Simulator(Scenario(contents={MONTHLY: odd}), clock=clock) as simulator:
        manifest = await export(simulator, tmp_path, MONTHLY, window=NINE, clock=clock)

    (record,) = manifest.datasets
    assert record.status == "complete", record.reason
    frame = pl.read_parquet([tmp_path / file.path for file in record.files], glob=False)
    (misfit,) = [column.misfit for column in record.columns if column.name == "PaidAvailableUnits"]
    assert misfit is not None
    assert frame["PaidAvailableUnits"][misfit["row"] - 1] == misfit["value"] == "many"
    assert misfit["row"] == 3 * 2 + 2


@pytest.mark.case("W17")
async def test_windows_that_are_asked_for_in_halves_are_one_note(tmp_path: Path) -> None:
    failures, once = Fault("execution_fails", times=3, skip=2), {"report_attempts": 1}
    _, record, _ = await pull(Truth(of_months("2025-11-01", 13)), YEAR, tmp_path, settings=once, faults=(failures,))

    assert record.status == "complete", record.reason
    (note,) = [note for note in record.notes if "in halves" in note]
    assert "run the same command again" not in note  # it came, and nothing is to be done


@pytest.mark.case("W17")
async def test_seconds_are_elapsed_time_not_the_sum_over_windows(tmp_path: Path) -> None:
    clock = FakeClock()
    _, record, _ = await pull(Truth(of_months("2025-11-01", 13)), YEAR, tmp_path, clock=clock, latency_s=(40.0, 40.0))

    spent = record.seconds
    assert spent.wait >= 40
    assert spent.submit + spent.wait + spent.download + spent.convert <= clock.elapsed_s + 0.01


@pytest.mark.case("W10")
async def test_two_exports_side_by_side_leave_one_stored_query(tmp_path: Path) -> None:
    """Both list the stored queries before either has made one."""
    clock, manifests = FakeClock(), list[Manifest]()
    scenario = Scenario(rows=12, api_latency_s=0.5)
    async with Simulator(scenario, clock=clock) as simulator:

        async def run(name: str) -> None:
            manifests.append(await export(simulator, tmp_path / name, MONTHLY, window=NINE, clock=clock))

        async with anyio.create_task_group() as group:
            group.start_soon(run, "one")
            group.start_soon(run, "other")
        ours = [query for query in simulator.service.queries.values() if query.name.startswith("bulkpull")]

        assert simulator.service.created_queries[MONTHLY] == 2
        assert len(ours) == 1
    assert [manifest.status for manifest in manifests] == ["complete", "complete"]
