"""A run ends when its time is over, with what it has; and a dataset that fails keeps what the service made for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from journeys.kit import export, watch_conversions
from support import FakeClock

from bulkpull.errors import (
    AnswerLost,
    AuthError,
    BulkpullError,
    ConverterDied,
    ExecutionOverdue,
    FileDamaged,
    FileGone,
    HeldBack,
    NotTheReport,
    RunOverdue,
    Unchanged,
)
from bulkpull.pipeline.report_deletion import is_worth_resuming
from bulkpull.pipeline.steps import fetch_execution
from bulkpull.simulator import Fault, Scenario, Simulator
from bulkpull.simulator.fault_matrix import QUICK

DATASETS = ("AzureUsage", "OfficeUsage")


def scenario(*faults: Fault) -> Scenario:
    return Scenario(datasets=DATASETS, rows=50, faults=faults)


@pytest.mark.case("C16")
async def test_a_run_whose_time_is_over_keeps_what_it_has_and_is_carried_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock(busy=watch_conversions(monkeypatch))
    stuck = Fault("execution_stuck", dataset="OfficeUsage", times=1)
    async with Simulator(scenario(stuck), clock=clock) as simulator:
        looks = {"poll_initial_seconds": 5.0, "poll_max_seconds": 60.0}
        changes = {**QUICK, **looks, "report_timeout_seconds": 50_000.0}
        first = await export(simulator, tmp_path, clock=clock, run_timeout_seconds=1_000.0, **changes)

        assert first.exit_code == 3
        assert clock.elapsed_s < 50_000  # what the report alone would have waited
        reported = {record.dataset: record for record in first.datasets}
        assert reported["AzureUsage"].status == "complete"
        assert isinstance(reported["OfficeUsage"].error, RunOverdue)
        assert "`run_timeout_seconds` (1,000 s) is over" in (reported["OfficeUsage"].reason or "")
        assert simulator.service.created_reports["OfficeUsage"] == 1

        second = await export(simulator, tmp_path, clock=clock, **QUICK)  # its report is stuck, and soon replaced

        assert (second.run_id, second.status) == (first.run_id, "complete")
        assert dict(simulator.service.created_reports) == {"AzureUsage": 1, "OfficeUsage": 2}


@pytest.mark.case("L1")
async def test_a_converter_that_dies_costs_neither_report_nor_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock()

    async def die(*_: object, **__: object) -> None:
        raise ConverterDied("the report's file was not converted")

    async with Simulator(scenario(), clock=clock) as simulator:
        with monkeypatch.context() as patch:
            patch.setattr(fetch_execution, "convert_report", die)
            first = await export(simulator, tmp_path, clock=clock, **QUICK)
        downloads = len([call for call in simulator.calls if call.endpoint == "blob"])
        assert first.exit_code == 3
        assert len(simulator.service.reports) == len(DATASETS)
        assert all("stays on the service" in " ".join(record.notes) for record in first.datasets if record.report_id)

        second = await export(simulator, tmp_path, clock=clock, **QUICK)

        assert second.status == "complete"
        assert len([call for call in simulator.calls if call.endpoint == "blob"]) == downloads
        assert dict(simulator.service.created_reports) == dict.fromkeys(DATASETS, 1)
        assert simulator.service.reports == {}


@pytest.mark.case("C11")
async def test_a_link_that_is_refused_for_good_leaves_the_report_to_the_next_run(tmp_path: Path) -> None:
    clock = FakeClock()
    refused = Fault("link_always_refused", dataset="AzureUsage", times=None)
    async with Simulator(scenario(refused), clock=clock) as simulator:
        first = await export(simulator, tmp_path, clock=clock, **QUICK)
        assert [record.status for record in first.datasets if record.dataset == "AzureUsage"] == ["failed"]
        assert [report.dataset for report in simulator.service.reports.values()] == ["AzureUsage"]

        simulator.disarm_all()
        second = await export(simulator, tmp_path, clock=clock, **QUICK)

        assert second.status == "complete"
        assert simulator.service.created_reports["AzureUsage"] == 1


@pytest.mark.case("L1", "W4")
@pytest.mark.fault(54, 58)
@pytest.mark.parametrize("trouble", ["blob_busy", "link_always_refused"])
async def test_a_passing_trouble_of_the_storage_host_costs_no_byte_that_has_arrived(
    tmp_path: Path, trouble: str
) -> None:
    clock = FakeClock()
    faults = (
        Fault("cut_after_bytes", dataset="AzureUsage", times=1, args={"after": 2_000}),
        Fault(trouble, dataset="AzureUsage", times=None, skip=1),
    )
    big = Scenario(datasets=DATASETS, rows=2_000, faults=faults)
    async with Simulator(big, clock=clock) as simulator:
        first = await export(simulator, tmp_path, clock=clock, **QUICK)
        assert [record.dataset for record in first.datasets if record.status == "failed"] == ["AzureUsage"]

        simulator.disarm_all()
        clock.advance(3_600)
        before = len(simulator.calls)
        second = await export(simulator, tmp_path, clock=clock, **QUICK)

    fetched = [call for call in simulator.calls[before:] if call.endpoint == "blob" and "AzureUsage" in call.datasets]
    assert second.status == "complete"
    assert second.run_id != first.run_id  # the other dataset was asked for anew
    assert simulator.service.created_reports["AzureUsage"] == 1
    assert [call.range for call in fetched] == ["bytes=2000-"]
    assert not list((tmp_path / ".bulkpull" / "parts").rglob("*.part"))


@pytest.mark.parametrize("kind", [FileDamaged, FileGone, ExecutionOverdue, Unchanged, NotTheReport, HeldBack])
def test_bytes_that_are_of_no_use_are_not_kept(kind: type[BulkpullError]) -> None:
    assert not is_worth_resuming(kind("x"))
    assert not is_worth_resuming(None)
    assert is_worth_resuming(AnswerLost("x"))
    assert is_worth_resuming(AuthError("x"))
