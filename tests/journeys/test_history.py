"""A snapshot that grows: each month once, in its latest reading, also when the service has forgotten it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from journeys.kit import ACCOUNT, settings_for
from journeys.test_windows_hold import ID_OF, MONTHLY, Truth, of_months
from support import FakeClock

import bulkpull
from bulkpull.custom_query import Selection
from bulkpull.events import Events
from bulkpull.model import Window
from bulkpull.output.manifest import Manifest
from bulkpull.pipeline.request import asked_for
from bulkpull.pipeline.run import Run
from bulkpull.simulator import Scenario, Simulator

NAME = "OfficeHistory"
SPANS = {MONTHLY: ("LAST_MONTH",)}


async def grow(simulator: Simulator, output: Path, since: datetime, clock: FakeClock) -> Manifest:
    settings = settings_for(simulator, output)
    selection = Selection(name=NAME, dataset=MONTHLY, keep="append")
    request = asked_for(
        (), settings=settings, selections=(selection,), window=Window(since, clock.now()), open_ended=True
    )
    return await Run(request, settings, Events(), account=ACCOUNT, clock=clock).export()


def rows_of(output: Path) -> Sequence[str]:
    return sorted(bulkpull.scan(output, NAME).collect()[ID_OF[MONTHLY]].to_list())


@pytest.mark.timeout(600)
@pytest.mark.behaviour(146, 156)
async def test_a_folder_that_appends_for_two_years_holds_each_month_once_in_its_latest_reading(tmp_path: Path) -> None:
    """The service knows the last three months only, and restates the latest two of them."""
    clock = FakeClock(start=datetime(2024, 1, 20, tzinfo=UTC))
    last_reading: dict[str, str] = {}

    def restated(day: date | None, name: str, made_at: datetime) -> str:
        assert day is not None
        reported = f"{name} of {made_at:%Y-%m}" if made_at.date() - day < timedelta(days=62) else f"{name} old"
        last_reading[name] = reported
        return reported

    truth = Truth(of_months("2023-01-01", 48, rows_each=1), restated=restated)

    def remembered(start: datetime | None, end: datetime | None, made_at: datetime) -> bytes:
        forgotten = (made_at - timedelta(days=95)).date().replace(day=1)
        kept = [(day, name) for day, name in truth.rows if day and forgotten <= day <= made_at.date()]
        return Truth(kept, restated=restated)(start, end, made_at)

    since = datetime(2024, 1, 1, tzinfo=UTC)
    scenario = Scenario(contents={MONTHLY: remembered}, date_ranges=SPANS)
    async with Simulator(scenario, clock=clock) as simulator:
        manifests = []
        for _ in range(12):
            manifests.append(await grow(simulator, tmp_path, since, clock))
            clock.advance(timedelta(days=60, hours=21).total_seconds())
        ordered = simulator.service.created_reports[MONTHLY]

    records = [manifest.datasets[0] for manifest in manifests]
    assert [(record.status, record.reason) for record in records] == [("complete", None)] * 12
    record = records[-1]
    until = datetime.fromisoformat(record.window["end"]).date() if record.window else date.max
    months = [name for day, name in truth.rows if day and date(2024, 1, 1) <= day <= until]
    assert len(months) >= 23
    assert rows_of(tmp_path) == sorted(last_reading[name] for name in months)
    assert ordered <= 12 * 5
    assert record.window is not None
    assert record.window["start"] == "2024-01-01T00:00:00Z"
    assert [part.start[:7] for part in record.parts] == [name.partition("/")[0] for name in months]


async def test_a_month_that_comes_back_empty_keeps_its_rows(tmp_path: Path) -> None:
    clock = FakeClock(start=datetime(2026, 3, 20, tzinfo=UTC))
    truth = Truth(of_months("2026-01-01", 12, rows_each=1))
    since, emptied = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)

    def losing(start: datetime | None, end: datetime | None, made_at: datetime) -> bytes:
        if start == emptied and made_at > datetime(2026, 3, 20, 12, tzinfo=UTC):
            return Truth(())(start, end, made_at)
        return truth(start, end, made_at)

    async with Simulator(Scenario(contents={MONTHLY: losing}), clock=clock) as simulator:
        await grow(simulator, tmp_path, since, clock)
        clock.advance(86_400)
        manifest = await grow(simulator, tmp_path, since, clock)

    (record,) = manifest.datasets
    assert record.status == "complete", record.reason
    assert rows_of(tmp_path) == ["2026-01/0", "2026-02/0", "2026-03/0"]
    assert any("came without rows" in note for note in record.notes)


async def test_a_history_is_not_replaced_by_a_shorter_one(tmp_path: Path) -> None:
    clock = FakeClock(start=datetime(2026, 3, 20, tzinfo=UTC))
    truth = Truth(of_months("2026-01-01", 3, rows_each=1))
    async with Simulator(Scenario(contents={MONTHLY: truth}), clock=clock) as simulator:
        await grow(simulator, tmp_path, datetime(2026, 1, 1, tzinfo=UTC), clock)
        manifest = await grow(simulator, tmp_path, datetime(2026, 3, 1, tzinfo=UTC), clock)

    assert "begins at 2026-01-01" in str(manifest.datasets[0].reason)
    assert pl.Series(rows_of(tmp_path)).to_list() == ["2026-01/0", "2026-02/0", "2026-03/0"]
