"""A snapshot that grows: each month once, in its latest reading, also when the service has forgotten it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from journeys.kit import ACCOUNT, settings_for
from journeys.test_windows_hold import ID_OF, MONTHLY, Truth, of_months
from support import FakeClock

import bulkpull
from bulkpull.custom_query import Selection
from bulkpull.events import Events
from bulkpull.model import Window
from bulkpull.output.current import Current
from bulkpull.output.manifest import Manifest
from bulkpull.output.store import LocalStore
from bulkpull.output.verify import Verifier
from bulkpull.pipeline.request import create_request
from bulkpull.pipeline.run import Run
from bulkpull.simulator import ColumnDrift, Scenario, Simulator

NAME = "OfficeHistory"
SPANS = {MONTHLY: ("LAST_MONTH",)}


async def grow(
    simulator: Simulator,
    output: Path,
    since: datetime | None,
    clock: FakeClock,
    *,
    nightly: bool = False,
    publish: str | None = None,
    **changes: Any,
) -> Manifest:
    """
    Export the history, with `--since` or as the settings alone ask for it.

    Args:
        publish: The run whose data were held back and are to be published.
    """
    settings = settings_for(simulator, output, **changes)
    selection = Selection(name=NAME, dataset=MONTHLY, keep="append")
    request = create_request(
        (),
        settings=settings,
        selections=(selection,),
        window=Window(since, clock.now()) if since else None,
        open_ended=True,
        nightly=nightly,
    )
    run = Run(request, settings, Events(), account=ACCOUNT, clock=clock, resume=publish)
    run.published_anyway = None if publish else ()
    return await run.export()


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
    until = record.window.end.date() if record.window else date.max
    months = [name for day, name in truth.rows if day and date(2024, 1, 1) <= day <= until]
    assert len(months) >= 23
    assert rows_of(tmp_path) == sorted(last_reading[name] for name in months)
    assert ordered <= 12 * 5
    assert record.window is not None
    assert record.window.start == datetime(2024, 1, 1, tzinfo=UTC)
    assert [f"{part.start:%Y-%m}" for part in record.parts] == [name.partition("/")[0] for name in months]


@pytest.mark.fault(10)
@pytest.mark.parametrize("harm", ["remove", "cut"])
async def test_a_damaged_month_that_is_kept_is_told_and_goes_into_no_new_snapshot(tmp_path: Path, harm: str) -> None:
    clock = FakeClock(start=datetime(2026, 3, 20, tzinfo=UTC))
    truth, since = Truth(of_months("2026-01-01", 12, rows_each=1)), datetime(2026, 1, 1, tzinfo=UTC)
    async with Simulator(Scenario(contents={MONTHLY: truth}, date_ranges=SPANS), clock=clock) as simulator:
        first = (await grow(simulator, tmp_path, since, clock)).datasets[0]
        path = tmp_path / first.files[0].path
        path.unlink() if harm == "remove" else path.write_bytes(path.read_bytes()[:-7])
        clock.advance(timedelta(days=70).total_seconds())
        ordered = simulator.service.created_reports[MONTHLY]
        record = (await grow(simulator, tmp_path, since, clock)).datasets[0]

        assert simulator.service.created_reports[MONTHLY] == ordered
    assert record.status == "failed"
    assert first.files[0].path in (record.reason or "")
    assert f"runs forget {NAME}" in (record.reason or "")
    assert Current.load(LocalStore(tmp_path)).datasets[NAME].run_id in path.parent.name


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

    assert "begins on 2026-01-01" in str(manifest.datasets[0].reason)
    assert pl.Series(rows_of(tmp_path)).to_list() == ["2026-01/0", "2026-02/0", "2026-03/0"]


async def test_a_night_grows_the_history_of_the_settings_from_where_it_began(tmp_path: Path) -> None:
    """The command line says `--since` once; each night after it replaces what may be restated, and keeps the rest."""
    clock = FakeClock(start=datetime(2026, 3, 20, tzinfo=UTC))
    truth = Truth(of_months("2025-10-01", 14, rows_each=1))
    async with Simulator(Scenario(contents={MONTHLY: truth}, date_ranges=SPANS), clock=clock) as simulator:
        await grow(simulator, tmp_path, datetime(2025, 10, 1, tzinfo=UTC), clock)
        nights = []
        for _ in range(3):
            clock.advance(timedelta(days=31).total_seconds())
            nights.append(await grow(simulator, tmp_path, None, clock, nightly=True))

    assert [(night.datasets[0].status, night.datasets[0].reason) for night in nights] == [("complete", None)] * 3
    record = nights[-1].datasets[0]
    assert record.window == Window(datetime(2025, 10, 1, tzinfo=UTC), datetime(2026, 6, 21, tzinfo=UTC))
    assert rows_of(tmp_path) == [name for _, name in of_months("2025-10-01", 9, rows_each=1)]
    assert [part.run_id is not None for part in record.parts] == [True] * 5 + [False] * 2


async def test_a_history_that_nobody_began_begins_with_what_the_dataset_lists(tmp_path: Path) -> None:
    clock = FakeClock(start=datetime(2026, 3, 20, tzinfo=UTC))
    truth = Truth(of_months("2025-10-01", 6, rows_each=1))
    async with Simulator(Scenario(contents={MONTHLY: truth}, date_ranges=SPANS), clock=clock) as simulator:
        manifest = await grow(simulator, tmp_path, None, clock, nightly=True)

    (record,) = manifest.datasets
    assert record.status == "complete", record.reason
    assert record.window is not None
    assert record.window.start == datetime(2026, 1, 1, tzinfo=UTC)
    assert rows_of(tmp_path) == ["2026-01/0", "2026-02/0", "2026-03/0"]


async def test_a_history_of_files_from_several_runs_is_whole_for_verify(tmp_path: Path) -> None:
    clock = FakeClock(start=datetime(2026, 3, 20, tzinfo=UTC))
    truth = Truth(of_months("2025-10-01", 14, rows_each=1))
    async with Simulator(Scenario(contents={MONTHLY: truth}, date_ranges=SPANS), clock=clock) as simulator:
        for since in (datetime(2025, 10, 1, tzinfo=UTC), None, None):
            await grow(simulator, tmp_path, since, clock)
            clock.advance(timedelta(days=31).total_seconds())

    findings = Verifier(LocalStore(tmp_path), quick=False, ask_ledger=lambda _: None).verify_all()
    assert [(problem.path, problem.what) for problem in findings.troubles] == []


async def test_a_history_is_not_cut_by_an_earlier_end(tmp_path: Path) -> None:
    clock = FakeClock(start=datetime(2026, 3, 20, tzinfo=UTC))
    truth = Truth(of_months("2026-01-01", 3, rows_each=1))
    async with Simulator(Scenario(contents={MONTHLY: truth}), clock=clock) as simulator:
        since = datetime(2026, 1, 1, tzinfo=UTC)
        await grow(simulator, tmp_path, since, clock)
        settings = settings_for(simulator, tmp_path)
        selection = Selection(name=NAME, dataset=MONTHLY, keep="append")
        shorter = Window(since, datetime(2026, 2, 1, tzinfo=UTC))
        request = create_request((), settings=settings, selections=(selection,), window=shorter)
        manifest = await Run(request, settings, Events(), account=ACCOUNT, clock=clock).export()

    assert "ends on 2026-03-20" in str(manifest.datasets[0].reason)
    assert rows_of(tmp_path) == ["2026-01/0", "2026-02/0", "2026-03/0"]


@pytest.mark.behaviour(54)
async def test_a_history_takes_up_new_columns_and_keeps_those_that_are_gone(tmp_path: Path) -> None:
    clock = FakeClock(start=datetime(2026, 3, 20, tzinfo=UTC))
    truth = Truth(of_months("2025-10-01", 14, rows_each=1))

    def with_column(start: datetime | None, end: datetime | None, made_at: datetime) -> bytes:
        header, *rows = truth(start, end, made_at).decode().split("\r\n")
        kept = [cell for cell in header.split(",") if cell != "EOU"]
        lines = [",".join([*row.split(",")[: len(kept)], "new"]) for row in rows if row]
        return "\r\n".join([",".join([*kept, "Region"]), *lines, ""]).encode()

    since = datetime(2025, 10, 1, tzinfo=UTC)
    async with Simulator(Scenario(contents={MONTHLY: truth}, date_ranges=SPANS), clock=clock) as simulator:
        await grow(simulator, tmp_path, since, clock)
    clock.advance(timedelta(days=31).total_seconds())
    drift = ColumnDrift(added=("Region",), removed=("EOU",))
    changed = Scenario(contents={MONTHLY: with_column}, date_ranges=SPANS, drift={MONTHLY: drift})
    async with Simulator(changed, clock=clock) as simulator:
        manifests = [await grow(simulator, tmp_path, since, clock) for _ in range(2)]

    assert [(done.datasets[0].status, done.datasets[0].reason) for done in manifests] == [("complete", None)] * 2
    frame = bulkpull.scan(tmp_path, NAME).collect()
    assert sorted(frame[ID_OF[MONTHLY]]) == [name for _, name in of_months("2025-10-01", 7, rows_each=1)]
    assert {"Region", "EOU"} <= set(frame.columns)
    assert frame["Region"].to_list().count("new") == 2
    assert "Region" in str(manifests[0].datasets[0].drift)
    files = [pl.read_parquet_schema(path) for path in (tmp_path / "latest" / NAME).glob("*.parquet")]
    assert all(schema == files[0] for schema in files)
    assert Verifier(LocalStore(tmp_path), quick=False, ask_ledger=lambda _: None).verify_all().troubles == []


@pytest.mark.behaviour(54)
@pytest.mark.case("N13", "N23")
async def test_a_column_that_is_gone_is_drift_of_a_history_once(tmp_path: Path) -> None:
    """Its older months still have the column, so that the snapshot alone does not show that it is gone."""
    clock = FakeClock(start=datetime(2026, 3, 20, tzinfo=UTC))
    truth = Truth(of_months("2025-10-01", 14, rows_each=1))

    def without_column(start: datetime | None, end: datetime | None, made_at: datetime) -> bytes:
        lines = [line.split(",") for line in truth(start, end, made_at).decode().split("\r\n") if line]
        place = lines[0].index("EOU")
        return "\r\n".join([*(",".join(line[:place] + line[place + 1 :]) for line in lines), ""]).encode()

    since = datetime(2025, 10, 1, tzinfo=UTC)
    async with Simulator(Scenario(contents={MONTHLY: truth}, date_ranges=SPANS), clock=clock) as simulator:
        await grow(simulator, tmp_path, since, clock)
    clock.advance(timedelta(days=31).total_seconds())
    gone = Scenario(
        contents={MONTHLY: without_column}, date_ranges=SPANS, drift={MONTHLY: ColumnDrift(removed=("EOU",))}
    )
    async with Simulator(gone, clock=clock) as simulator:
        held = await grow(simulator, tmp_path, since, clock, on_drift="fail")
        rows_while_held = rows_of(tmp_path)
        published = await grow(simulator, tmp_path, since, clock, on_drift="fail", publish=held.run_id)
        clock.advance(timedelta(days=31).total_seconds())
        later = await grow(simulator, tmp_path, since, clock, on_drift="fail")

    (refused,), (accepted,), (last,) = held.datasets, published.datasets, later.datasets
    assert refused.status == "failed"
    assert "vanished: EOU" in str(refused.reason)
    assert len(rows_while_held) == 6
    assert (accepted.status, accepted.drift and accepted.drift.vanished) == ("complete", ["EOU"])
    assert (last.status, last.drift) == ("complete", None)
    for record in (accepted, last):
        assert [column.name for column in record.columns if column.vanished] == ["EOU"]
    assert "EOU" in bulkpull.scan(tmp_path, NAME).collect().columns
    assert len(rows_of(tmp_path)) == 8


@pytest.mark.behaviour(142)
@pytest.mark.case("N23")
async def test_a_second_night_on_the_same_day_asks_for_no_month_of_a_history(tmp_path: Path) -> None:
    clock = FakeClock(start=datetime(2026, 3, 20, tzinfo=UTC))
    truth = Truth(of_months("2025-10-01", 14, rows_each=1))
    async with Simulator(Scenario(contents={MONTHLY: truth}, date_ranges=SPANS), clock=clock) as simulator:
        await grow(simulator, tmp_path, datetime(2025, 10, 1, tzinfo=UTC), clock, nightly=True)
        ordered = dict(simulator.service.created_reports)
        clock.advance(timedelta(hours=2).total_seconds())
        again = await grow(simulator, tmp_path, None, clock, nightly=True)
        assert simulator.service.created_reports == ordered
        clock.advance(timedelta(days=31).total_seconds())
        month_later = await grow(simulator, tmp_path, None, clock, nightly=True)

    (skipped,), (grown,) = again.datasets, month_later.datasets
    assert (skipped.status, skipped.rows) == ("skipped", 6)
    assert skipped.decision is not None
    assert (skipped.decision.action, "refreshed the data" in skipped.decision.reason) == ("skip", True)
    assert (grown.status, grown.rows) == ("complete", 7)
