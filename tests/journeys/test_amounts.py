"""Amounts, end to end: what is listed as a metric only arrives with its values, or its absence is noted."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from journeys.kit import assert_holds_what_the_csv_said, export, settings_for
from support import EventRecorder, FakeClock

from bulkpull.events import Events
from bulkpull.model import OfferedDataset, Window
from bulkpull.output.manifest import DatasetRecord, Manifest
from bulkpull.pipeline.request import ExportRequest
from bulkpull.pipeline.run import Run
from bulkpull.simulator import Fault, Scenario, Simulator
from bulkpull.simulator.api_replies import bad_request

DATASET = "AzureUsage"
METRIC = "ACR_USD"
WORDS = {
    "names": "Incorrect column name",
    "syntax": "Invalid query: syntax error near ','",
    "too long": "The query is too long",
    "nothing": "Bad request",
}


def selects_metrics(text: str, simulator: Simulator) -> bool:
    """Whether a query selects a listed metric of any dataset."""
    listed = {metric.name.casefold() for table in simulator.service.tables.values() for metric in table.metrics}
    columns = {column.name.casefold() for table in simulator.service.tables.values() for column in table.columns}
    selected = text.partition(" FROM ")[0].removeprefix("SELECT ").split(", ")
    return any(name.casefold() in listed - columns for name in selected)


def refuse_at_query(simulator: Simulator, words: str, *, always: bool = False) -> None:
    """From now on the service refuses to store a query with metrics, or any query."""
    shelf: Any = simulator.service.query_store
    create = shelf.create

    def refusing(body: Any) -> Any:
        if always or selects_metrics(body.required("Query"), simulator):
            raise bad_request(words)
        return create(body)

    shelf.create = refusing


def refuse_at_report(simulator: Simulator, words: str, *, always: bool = False) -> None:
    """From now on the service stores every query, and refuses reports on those with metrics, or all."""
    desk: Any = simulator.service.report_store
    create = desk.create

    def refusing(body: Any, **rest: Any) -> Any:
        text = simulator.service.query_store.find(body.required("QueryId")).text
        if always or selects_metrics(text, simulator):
            raise bad_request(words)
        return create(body, **rest)

    desk.create = refusing


Refuse = Callable[..., None]


def record_of(manifest: Manifest, dataset: str = DATASET) -> DatasetRecord:
    (record,) = (item for item in manifest.datasets if item.dataset == dataset)
    return record


def queries_sent(simulator: Simulator) -> int:
    return sum(call.endpoint == "ScheduledQueries" and call.method == "POST" for call in simulator.calls)


def frame_of(output: Path, record: DatasetRecord) -> pl.DataFrame:
    return pl.read_parquet([output / file.path for file in record.files], glob=False)


async def offered_by(simulator: Simulator, dataset: str) -> OfferedDataset:
    table = simulator.service.tables[dataset]
    return OfferedDataset(
        table.listed_name,
        tuple(column.name for column in table.columns),
        tuple(metric.name for metric in table.metrics),
        tuple(table.date_ranges),
    )


@pytest.mark.behaviour(58, 159, 160, 161, 162, 171)
async def test_a_full_export_of_the_live_list_holds_every_listed_column_and_every_amount(tmp_path: Path) -> None:
    async with Simulator(Scenario(rows=40, edition="live")) as simulator:
        manifest = await export(simulator, tmp_path)

        complete = [record for record in manifest.datasets if record.status == "complete"]
        absent = {record.dataset for record in manifest.datasets if record.status == "unavailable"}
        for record in complete:
            offered = await offered_by(simulator, record.dataset)
            columns = [column.name for column in record.columns]
            assert columns == [*offered.columns, *record.metrics]
            truth = await simulator.csv(record.dataset, columns)
            assert_holds_what_the_csv_said(tmp_path, manifest, record.dataset, truth)
            frame = frame_of(tmp_path, record)
            assert all(frame[metric].dtype.is_numeric() for metric in record.metrics)

    assert (manifest.status, manifest.exit_code, len(complete)) == ("complete", 0, 18)
    assert "testQueryResult" not in manifest.requests.by_endpoint  # it cuts at 100 rows without a sign
    assert absent == {"CompetencySummaryHistory", "CompetencyPeformanceRequirement"}
    amounts = {record.dataset: len(record.metrics) for record in complete if record.metrics}
    assert amounts == {
        "CustomersAndTenants": 7,
        "SeatsSubscriptionsAndRevenue": 8,
        "AzureUsage": 1,
        "DynamicsUsage": 1,
        "ResellerPerformance": 1,
        "TeamsUsageMeetingsAndCalls": 1,
    }


@pytest.mark.behaviour(139, 159, 160, 161)
async def test_every_column_and_every_amount_arrives_as_the_service_sent_it(tmp_path: Path) -> None:
    async with Simulator(Scenario(rows=60, datasets=(DATASET, "Profile"))) as simulator:
        manifest = await export(simulator, tmp_path, DATASET, "Profile")
        offered = await offered_by(simulator, DATASET)
        record = record_of(manifest)
        columns = [column.name for column in record.columns]
        truth = await simulator.csv(DATASET, columns)

    assert METRIC in record.metrics
    assert columns == [*offered.columns, *record.metrics]
    assert sorted((*record.metrics, *record.metrics_left_out)) == sorted(offered.metrics)
    assert_holds_what_the_csv_said(tmp_path, manifest, DATASET, truth)
    assert frame_of(tmp_path, record)[METRIC].dtype.is_decimal()
    assert record_of(manifest, "Profile").metrics == []


@pytest.mark.behaviour(160)
async def test_none_and_all_are_obeyed_and_are_other_queries(tmp_path: Path) -> None:
    async with Simulator(Scenario(rows=20, datasets=(DATASET,))) as simulator:
        offered = await offered_by(simulator, DATASET)
        none = record_of(await export(simulator, tmp_path / "none", DATASET, metrics="none"))
        everything = record_of(await export(simulator, tmp_path / "all", DATASET, metrics="all"))

    assert (none.metrics, none.metrics_left_out) == ([], list(offered.metrics))
    assert (everything.metrics, everything.metrics_left_out) == (list(offered.metrics), [])
    assert none.query != everything.query


@pytest.mark.behaviour(163)
async def test_the_sums_of_all_windows_are_the_sums_of_the_whole(tmp_path: Path) -> None:
    window = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC))
    clock = FakeClock()
    async with Simulator(Scenario(rows=60, datasets=(DATASET,)), clock=clock) as simulator:
        manifest = await export(simulator, tmp_path, DATASET, window=window, clock=clock)
        record = record_of(manifest)
        columns = [column.name for column in record.columns]
        truth = await simulator.csv(DATASET, columns, window=(window.start, window.end))

    assert len(record.parts) > 6
    frame, rows = frame_of(tmp_path, record), list(csv.DictReader(io.StringIO(truth.decode("utf-8-sig"), newline="")))
    assert record.rows == frame.height == len(rows)
    for metric in record.metrics:
        whole = sum(Decimal(row[metric] or "0") for row in rows)
        assert whole > 0
        assert sum((value for value in frame[metric] if value is not None), Decimal()) == whole


@pytest.mark.behaviour(163)
async def test_fewer_rows_of_the_first_snapshot_with_sums_are_explained(tmp_path: Path) -> None:
    notes: list[str] = []
    for rows, metrics in ((200, "none"), (40, "amounts"), (20, "amounts")):
        async with Simulator(Scenario(rows=rows, datasets=(DATASET,))) as simulator:
            record = record_of(await export(simulator, tmp_path, DATASET, metrics=metrics))
        assert record.status == "complete", record.reason
        notes.append(" ".join(note for note in record.notes if "are now one row, with the sums of" in note))

    before, first, later = notes
    assert (before, later) == ("", "")
    assert "where the snapshot before, without metrics, had" in first
    assert f"with the sums of {METRIC}" in first


@pytest.mark.behaviour(68, 73)
@pytest.mark.parametrize("refuse", [refuse_at_query, refuse_at_report])
@pytest.mark.parametrize("words", WORDS.values(), ids=WORDS)
async def test_a_query_refused_because_of_its_metrics_is_asked_once_more_without_them(
    refuse: Refuse, words: str, tmp_path: Path
) -> None:
    recorded = EventRecorder()
    async with Simulator(Scenario(rows=20, datasets=(DATASET,))) as simulator:
        refuse(simulator, words)
        manifest = await export(simulator, tmp_path, DATASET, listeners=[recorded.events.append])
        offered = await offered_by(simulator, DATASET)
        record = record_of(manifest)
        truth = await simulator.csv(DATASET, list(offered.columns))
        assert simulator.service.reports == {}

    assert (manifest.status, record.status, manifest.exit_code) == ("complete", "complete", 0)
    assert (record.metrics, record.metrics_left_out) == ([], list(offered.metrics))
    assert METRIC not in (record.query or "")
    (note,) = (note for note in record.notes if "exported without" in note)
    assert METRIC in note
    assert words in note
    (event,) = recorded.of("metrics.refused")
    assert METRIC in str(event["metrics"])
    assert words in str(event["reason"])
    assert_holds_what_the_csv_said(tmp_path, manifest, DATASET, truth)


@pytest.mark.behaviour(68, 110)
async def test_an_execution_that_fails_because_of_the_metrics_is_not_tried_with_them_again(tmp_path: Path) -> None:
    fault = Fault("execution_fails", dataset=DATASET, args={"status": "Failed: the metric ACR_USD is not supported"})
    async with Simulator(Scenario(rows=20, datasets=(DATASET,), faults=(fault,))) as simulator:
        record = record_of(await export(simulator, tmp_path, DATASET))
        created = simulator.service.created_reports[DATASET]

    assert (record.status, record.metrics, created) == ("complete", [], 2)
    assert any("is not supported" in note for note in record.notes)


@pytest.mark.behaviour(68, 83)
async def test_metrics_that_only_windows_are_refused_for_cost_no_further_report_for_all(tmp_path: Path) -> None:
    failures, clock = Fault("execution_fails", dataset=DATASET, times=2), FakeClock()
    async with Simulator(Scenario(rows=20, datasets=(DATASET,), faults=(failures,)), clock=clock) as simulator:
        desk: Any = simulator.service.report_store
        create = desk.create

        def refusing(body: Any, **rest: Any) -> Any:
            text = simulator.service.query_store.find(body.required("QueryId")).text
            if body.get("QueryStartTime") and selects_metrics(text, simulator):
                raise bad_request("Incorrect column name")
            return create(body, **rest)

        desk.create = refusing
        record = record_of(await export(simulator, tmp_path, DATASET, clock=clock))
        created = simulator.service.created_reports[DATASET]

    assert (record.status, record.metrics, created) == ("complete", [], 2 + len(record.parts))
    assert record.window is not None
    assert any("exported without" in note for note in record.notes)


@pytest.mark.behaviour(42)
@pytest.mark.parametrize("refuse", [refuse_at_query, refuse_at_report])
async def test_a_refusal_that_is_not_due_to_the_metrics_stays_the_failure_it_is(refuse: Refuse, tmp_path: Path) -> None:
    async with Simulator(Scenario(rows=20, datasets=(DATASET,))) as simulator:
        refuse(simulator, "Invalid table name", always=True)
        record = record_of(await export(simulator, tmp_path, DATASET))

        assert record.status == "failed"
        assert "Invalid table name" in (record.reason or "")
        assert METRIC in (record.query or "")
        assert not any("exported without" in note for note in record.notes)
        before = queries_sent(simulator)
        await export(simulator, tmp_path, DATASET)
        assert queries_sent(simulator) == before + (2 if refuse is refuse_at_query else 0)  # nothing is remembered


@pytest.mark.behaviour(68)
async def test_a_refusal_is_remembered_for_the_folder_and_tried_again_after_a_week(tmp_path: Path) -> None:
    clock = FakeClock()
    async with Simulator(Scenario(rows=20, datasets=(DATASET,)), clock=clock) as simulator:
        refuse_at_query(simulator, WORDS["names"])
        sent = []
        for _ in range(9):
            record = record_of(await export(simulator, tmp_path, DATASET, clock=clock))
            assert (record.status, record.metrics) == ("complete", [])
            assert any(METRIC in note and WORDS["names"] in note for note in record.notes)
            sent.append(queries_sent(simulator))
            clock.advance(timedelta(days=1).total_seconds())

    with_metrics = [later - earlier for earlier, later in zip([0, *sent], sent, strict=False)]
    assert with_metrics == [2, 0, 0, 0, 0, 0, 0, 1, 0]  # the query with them, then that without; a week later again


@pytest.mark.behaviour(68)
@pytest.mark.parametrize(("on_drift", "status"), [("warn", "complete"), ("fail", "failed")])
async def test_amounts_that_the_snapshot_has_and_the_service_refuses_now_are_schema_drift(
    on_drift: str, status: str, tmp_path: Path
) -> None:
    async with Simulator(Scenario(rows=20, datasets=(DATASET,))) as simulator:
        first = record_of(await export(simulator, tmp_path, DATASET))
        refuse_at_report(simulator, WORDS["syntax"])  # the query is stored already
        record = record_of(await export(simulator, tmp_path, DATASET, on_drift=on_drift))

    assert METRIC in first.metrics
    assert record.status == status
    assert record.drift is not None
    assert METRIC in record.drift.vanished
    assert any("exported without" in note for note in record.notes)
    current = pl.read_parquet(tmp_path / "latest" / DATASET / "*.parquet")
    assert (METRIC in current.columns) == (on_drift == "fail")


@pytest.mark.behaviour(68, 89)
async def test_nights_live_on_a_report_without_metrics_and_try_with_them_once_a_week(tmp_path: Path) -> None:
    clock = FakeClock()
    scenario = Scenario(rows=20, datasets=(DATASET,), refreshes=True)
    async with Simulator(scenario, clock=clock) as simulator:
        refuse_at_query(simulator, WORDS["names"])
        ids, published = [], 0
        for _ in range(9):
            run = Run(ExportRequest((DATASET,), nightly=True), settings_for(simulator, tmp_path), Events(), clock=clock)
            began_at = clock.now()
            manifest = await run.export()
            record = record_of(manifest)
            assert manifest.exit_code == 0
            assert record.metrics == []
            published += record.status == "complete"
            (standing,) = simulator.service.standing_reports(DATASET)
            assert METRIC not in str(standing.query_text)
            ids.append(standing.report_id)
            clock.advance((began_at + timedelta(days=1) - clock.now()).total_seconds())

    assert len(set(ids)) == 1
    assert published >= 2


async def test_a_night_that_is_refused_with_and_without_metrics_tells_the_first_refusal(tmp_path: Path) -> None:
    async with Simulator(Scenario(rows=20, datasets=(DATASET,))) as simulator:
        shelf: Any = simulator.service.query_store

        def refusing(body: Any) -> Any:
            kind = "of a metric" if selects_metrics(body.required("Query"), simulator) else "of a column"
            raise bad_request(f"Incorrect name {kind}")

        shelf.create = refusing
        request = ExportRequest((DATASET,), nightly=True)
        manifest = await Run(request, settings_for(simulator, tmp_path), Events(), clock=FakeClock()).export()

    record = record_of(manifest)
    assert (record.status, manifest.exit_code) == ("failed", 3)
    assert "Incorrect name of a metric" in str(record.reason)
    (note,) = [note for note in record.notes if "no scheduled report could be created" in note]
    assert "Incorrect name of a metric" in note
    assert "of a column" not in f"{record.reason} {record.notes}"


@pytest.mark.behaviour(56)
async def test_a_listed_name_that_no_query_can_carry_costs_only_itself(tmp_path: Path) -> None:
    recorded = EventRecorder()
    async with Simulator(Scenario(rows=20, datasets=(DATASET, "Profile"))) as simulator:
        listing: Any = simulator.service
        list_datasets = listing.list_datasets

        def odd(params: Any) -> Any:
            records = list_datasets(params)
            for entry in records:
                entry["selectableColumns"] = ["Has Azure", *entry["selectableColumns"]]
                entry["availableMetrics"] = [*entry["availableMetrics"], "Cost (USD)"]
            records.insert(0, {"datasetName": None, "selectableColumns": ["A"]})
            records.append({"datasetName": "../etc", "selectableColumns": ["A"]})
            return records

        listing.list_datasets = odd
        manifest = await export(simulator, tmp_path, DATASET, "Profile", listeners=[recorded.events.append])

    assert [record.status for record in manifest.datasets] == ["complete", "complete"]
    for record in manifest.datasets:
        assert any("'Has Azure' is left out" in note for note in record.notes)
        assert any("'Cost (USD)' is left out" in note for note in record.notes)
        assert "Cost (USD)" in record.metrics_left_out
    assert any("without a name" in note for note in manifest.notes)
    assert any("../etc" in note for note in manifest.notes)
    assert any("Has Azure" in str(facts["reason"]) for facts in recorded.of("plan.noted"))


@pytest.mark.behaviour(180)
async def test_a_stored_query_of_the_same_name_and_another_text_is_not_used(tmp_path: Path) -> None:
    async with Simulator(Scenario(rows=10, datasets=("Profile",))) as simulator:
        first = record_of(await export(simulator, tmp_path, "Profile"), "Profile")
        shelf = simulator.service.query_store
        (ours,) = (query for query in shelf.stored.values() if query.name.startswith("bulkpull"))
        del shelf.stored[ours.query_id]
        other = shelf.keep(name=ours.name, text="SELECT City FROM Profile", description=None)
        again = record_of(await export(simulator, tmp_path, "Profile"), "Profile")

    assert again.query_id != other.query_id
    assert [column.name for column in again.columns] == [column.name for column in first.columns]
