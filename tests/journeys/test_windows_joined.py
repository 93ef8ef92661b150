"""Long windows: asked for by month, joined in one snapshot, nothing twice and nothing left out."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from journeys.kit import ACCOUNT, Killed, export, lose, rows_of_csv, settings_for
from support import START, FakeClock

from bulkpull.events import Event, Events, Listener
from bulkpull.model import Window
from bulkpull.output.manifest import Manifest
from bulkpull.pipeline.request import ExportRequest
from bulkpull.pipeline.run import Run
from bulkpull.simulator import Fault, Scenario, Simulator, content_faults

DATASET = "OfficeUsage"
COUNT = "MonthlyActiveUsers"
DAY = re.compile(rb"\d{4}-\d\d-\d\d")
# FakeClock stands at 2026-11-23: the whole of it lies within what the dataset reaches back to.
YEAR = Window(datetime(2025, 12, 1, tzinfo=UTC), datetime(2026, 11, 20, tzinfo=UTC))


def cells(output: Path, manifest: Manifest) -> Counter[tuple[str | None, ...]]:
    (record,) = manifest.datasets
    frame = pl.read_parquet([output / file.path for file in record.files], glob=False)
    assert frame.height == record.rows == sum(file.rows for file in record.files)
    return Counter(tuple(None if cell is None else str(cell) for cell in row) for row in frame.rows())


async def whole(**scenario: Any) -> Counter[tuple[str | None, ...]]:
    """What one report over the whole window holds, by another way than ours."""
    clock = FakeClock()
    async with Simulator(Scenario(rows=90, **scenario), clock=clock) as simulator:
        content = await simulator.csv(DATASET, window=(YEAR.start, YEAR.end))
    return Counter(tuple(row) for row in rows_of_csv(content)[1])


@pytest.mark.behaviour(83, 84)
@pytest.mark.parametrize("inclusive_end", [False, True])
async def test_a_long_window_is_a_pull_a_month_and_one_snapshot(inclusive_end: bool, tmp_path: Path) -> None:
    """Nobody documents whether the end of a window is inclusive: either way each row is there once."""
    clock = FakeClock()
    async with Simulator(Scenario(rows=90, inclusive_end=inclusive_end), clock=clock) as simulator:
        manifest = await export(simulator, tmp_path, DATASET, window=YEAR, clock=clock)

        assert simulator.service.created_reports[DATASET] == len(manifest.datasets[0].parts) == 12
        assert simulator.service.reports == {}
    (record,) = manifest.datasets
    assert record.status == "complete"
    assert cells(tmp_path, manifest) == await whole()
    assert [f"{part.start:%Y-%m}" for part in record.parts] == [
        "2025-12",
        *(f"2026-{month:02}" for month in range(1, 12)),
    ]
    assert any("came twice" in note for note in record.notes) == inclusive_end


async def test_a_window_of_a_month_that_always_fails_is_split_down_to_days(tmp_path: Path) -> None:
    clock = FakeClock()
    march = Window(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 5, 1, tzinfo=UTC))
    failures = Fault("execution_fails", times=4)  # the whole twice, then one of its halves twice
    async with Simulator(Scenario(rows=90, faults=(failures,)), clock=clock) as simulator:
        manifest = await export(simulator, tmp_path, DATASET, window=march, clock=clock)

        assert simulator.service.reports == {}
        content = await simulator.csv(DATASET, window=(march.start, march.end))
    (record,) = manifest.datasets
    assert record.status == "complete"
    assert len(record.parts) > 1
    assert cells(tmp_path, manifest) == Counter(tuple(row) for row in rows_of_csv(content)[1])
    assert any("in halves" in note for note in record.notes)


async def test_what_fails_for_every_day_is_lost_with_its_reason_and_leaves_nothing_behind(tmp_path: Path) -> None:
    clock = FakeClock()
    days = Window(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 3, tzinfo=UTC))
    async with Simulator(Scenario(rows=90, faults=(Fault("execution_fails", times=None),)), clock=clock) as simulator:
        manifest = await export(simulator, tmp_path, DATASET, window=days, clock=clock)

        assert simulator.service.reports == {}
    (record,) = manifest.datasets
    assert (record.status, manifest.exit_code) == ("failed", 3)
    assert "failed" in str(record.reason)
    assert not (tmp_path / "current.json").exists()


async def test_windows_that_came_with_different_types_agree_on_one(tmp_path: Path) -> None:
    """A column that is a number in one month and text in another makes every engine refuse the two together."""
    clock, odd = FakeClock(), Fault("odd_value", args={"column": COUNT})
    async with Simulator(Scenario(rows=90, faults=(odd,)), clock=clock) as simulator:
        manifest = await export(simulator, tmp_path, DATASET, window=YEAR, clock=clock)
    (record,) = manifest.datasets
    (column,) = [item for item in record.columns if item.name == COUNT]
    assert record.status == "complete"
    assert (column.type, column.misfit and column.misfit["value"]) == ("String", "n/a")
    frame = pl.read_parquet([tmp_path / file.path for file in record.files], glob=False)
    assert frame[COUNT].to_list().count("n/a") == 1


@pytest.mark.case("W9")
@pytest.mark.behaviour(155, 185)
async def test_the_first_month_that_a_window_writes_in_another_form_is_named_as_what_keeps_the_column_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def in_letters(fields: list[bytes], is_header: bool) -> list[bytes]:
        if is_header:
            return fields
        return [
            datetime.fromisoformat(field.decode()).strftime("%b-%Y").upper().encode() if DAY.fullmatch(field) else field
            for field in fields
        ]

    monkeypatch.setitem(content_faults._FIELD_FAULTS, "reordered_header", ("all", in_letters))
    clock = FakeClock()
    async with Simulator(Scenario(rows=90, faults=(Fault("reordered_header"),)), clock=clock) as simulator:
        manifest = await export(simulator, tmp_path, DATASET, window=YEAR, clock=clock)
    (record,) = manifest.datasets
    (column,) = [item for item in record.columns if item.name == "Month"]
    months = pl.read_parquet([tmp_path / file.path for file in record.files], glob=False)["Month"].to_list()
    in_form = [len(month) == len("APR-2023") for month in months]
    assert (column.type, any(in_form), all(in_form)) == ("String", True, False)
    assert column.misfit is not None
    assert column.misfit["value"] == months[column.misfit["row"] - 1]
    assert "in the form" in str(column.why_text)


@pytest.mark.behaviour(61, 83)
@pytest.mark.fault(45)
async def test_a_plain_export_whose_report_fails_twice_comes_in_windows_and_says_so(tmp_path: Path) -> None:
    clock = FakeClock()
    failures = Fault("execution_fails", dataset=DATASET, times=2)
    async with Simulator(Scenario(rows=90, faults=(failures,)), clock=clock) as simulator:
        manifest = await export(simulator, tmp_path, DATASET, clock=clock)

        (record,) = manifest.datasets
        assert record.status == "complete", record.reason
        assert record.window is not None
        start, end = record.window.start, record.window.end
        content = await simulator.csv(DATASET, window=(start, end))
        assert simulator.service.created_reports[DATASET] == 2 + len(record.parts)
        assert simulator.service.reports == {}
    asked = [call for call in simulator.calls if call.endpoint == "ScheduledReport" and call.method != "GET"]
    # A failed report is deleted before the next one is ordered.
    assert [call.method for call in asked[:5]] == ["POST", "DELETE", "POST", "DELETE", "POST"]
    assert start <= START - timedelta(days=180)
    assert len(record.parts) > 1
    assert record.timespan is None
    assert cells(tmp_path, manifest) == Counter(tuple(row) for row in rows_of_csv(content)[1])
    assert any("because one report for all failed" in note for note in record.notes)


@pytest.mark.fault(45)
@pytest.mark.parametrize(("dataset", "most"), [(DATASET, 12), ("Profile", 2)])
async def test_where_windows_fail_too_or_are_impossible_the_first_failure_is_the_reason(
    dataset: str, most: int, tmp_path: Path
) -> None:
    clock, failures = FakeClock(), Fault("execution_fails", dataset=dataset, times=None)
    async with Simulator(Scenario(rows=90, faults=(failures,)), clock=clock) as simulator:
        manifest = await export(simulator, tmp_path, dataset, clock=clock)

        assert 2 <= simulator.service.created_reports[dataset] <= most
        assert simulator.service.reports == {}
    (record,) = manifest.datasets
    assert (record.status, record.window) == ("failed", None)
    assert "the window" not in str(record.reason)


def killed_in_windows(name: str) -> Listener:
    """A listener that ends the process at the event `name` of a window, after the report for all was tried twice."""
    ordered = 0

    def listen(event: Event) -> None:
        nonlocal ordered
        ordered += event.name == "report.created"
        if ordered > 3 and event.name == name:
            raise Killed

    return listen


@pytest.mark.fault(45)
@pytest.mark.parametrize("name", ["report.created", "execution.changed", "conversion.completed"])
@pytest.mark.parametrize("anew", [False, True], ids=["resumed", "another request"])
async def test_a_run_killed_in_the_windows_of_a_failed_report_is_carried_on_in_them(
    name: str, anew: bool, tmp_path: Path
) -> None:
    """The report for all is not asked for again, no window is ordered twice, and nothing stays on the service."""
    clock = FakeClock()
    failures = Fault("execution_fails", dataset=DATASET, times=2)
    async with Simulator(Scenario(rows=90, faults=(failures,)), clock=clock) as simulator:
        settings = settings_for(simulator, tmp_path)
        cut = Events(killed_in_windows(name))
        await lose(Run(ExportRequest((DATASET,)), settings, cut, account=ACCOUNT, clock=clock))
        left = len(simulator.service.reports)
        names = (DATASET, "Profile") if anew else (DATASET,)
        manifest = await export(simulator, tmp_path, *names, clock=clock)

        record = manifest.datasets[0]
        assert left > 0
        assert record.status == "complete", record.reason
        assert record.window is not None
        start, end = record.window.start, record.window.end
        content = await simulator.csv(DATASET, window=(start, end))
        assert simulator.service.created_reports[DATASET] == 2 + len(record.parts)
        assert simulator.service.reports == {}
    assert any("because one report for all failed" in note for note in record.notes)
    frame = pl.read_parquet([tmp_path / file.path for file in record.files], glob=False)
    assert frame.height == record.rows == len(rows_of_csv(content)[1])


@pytest.mark.fault(45)
async def test_once_its_windows_are_published_a_dataset_is_asked_for_in_one_report_again(tmp_path: Path) -> None:
    clock = FakeClock()
    failures = Fault("execution_fails", dataset=DATASET, times=2)
    async with Simulator(Scenario(rows=90, faults=(failures,)), clock=clock) as simulator:
        first = await export(simulator, tmp_path, DATASET, clock=clock)
        second = await export(simulator, tmp_path, DATASET, clock=clock)

    assert len(first.datasets[0].parts) > 1
    assert (second.datasets[0].status, second.datasets[0].window) == ("complete", None)


@pytest.mark.behaviour(37)
@pytest.mark.fault(45, 100)
async def test_a_throttled_deletion_of_a_failed_report_delays_no_other_call(tmp_path: Path) -> None:
    clock = FakeClock()
    faults = (
        Fault("execution_fails", dataset=DATASET, times=1),
        Fault("throttle", endpoint="DELETE ScheduledReport", args={"retry_after": 3000}),
    )
    async with Simulator(Scenario(rows=90, faults=faults), clock=clock) as simulator:
        manifest = await export(simulator, tmp_path, DATASET, clock=clock)

    (record,) = manifest.datasets
    assert record.status == "complete", record.reason
    assert clock.elapsed_s < 600
    assert manifest.requests.throttled == 1
