"""Custom exports end to end: pulled, converted and published like datasets, under their own names."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from journeys.kit import ACCOUNT, settings_for

import bulkpull
from bulkpull.custom_query import Selection
from bulkpull.events import Events
from bulkpull.output.layout import Layout
from bulkpull.output.ledger import opened_ledger
from bulkpull.output.manifest import DatasetRecord, Manifest
from bulkpull.pipeline.request import ExportRequest, create_request
from bulkpull.pipeline.run import Run
from bulkpull.simulator import ColumnDrift, Scenario, Simulator

OFFERED = ("AzureUsage", "SeatsSubscriptionsAndRevenue", "Profile")
RECENT = Selection(
    name="recent",
    dataset="AzureUsage",
    select="Month, SubscriptionId, UsageQuantity",
    where="UsageQuantity > 5",
    order_by="UsageQuantity DESC",
    limit=20,
)


async def export(simulator: Simulator, output: Path, *names: str, queries: Any = (), **changes: Any) -> Manifest:
    settings = settings_for(simulator, output, **changes)
    return await bulkpull.export(datasets=names, queries=queries, settings=settings)


async def test_a_selection_holds_what_was_selected_and_leaves_the_whole_alone(tmp_path: Path) -> None:
    async with Simulator(Scenario(rows=200, datasets=OFFERED)) as simulator:
        whole = await export(simulator, tmp_path, "AzureUsage")
        manifest = await export(simulator, tmp_path, queries=[RECENT])

    (record,) = manifest.datasets
    assert (manifest.exit_code, record.dataset, record.source) == (0, "recent", "AzureUsage")
    frame = bulkpull.scan(tmp_path, "recent").collect()
    assert frame.columns == ["Month", "SubscriptionId", "UsageQuantity"]
    assert frame.schema["Month"] == bulkpull.scan(tmp_path, "AzureUsage").collect_schema()["Month"]
    assert frame["UsageQuantity"].to_list() == sorted(frame["UsageQuantity"], reverse=True)
    assert 0 < frame.height <= 20
    assert frame["UsageQuantity"].min() > 5  # type: ignore[operator]
    current = json.loads((tmp_path / "current.json").read_text(encoding="utf-8"))["datasets"]
    assert current["AzureUsage"]["run_id"] == whole.run_id
    assert current["recent"]["run_id"] == manifest.run_id
    assert pl.read_parquet_metadata(tmp_path / record.files[0].path)["bulkpull.dataset"] == "recent"


@pytest.mark.behaviour(59)
async def test_more_rows_than_the_limit_of_a_query_are_published_and_noted(tmp_path: Path) -> None:
    rows = b"Month,SubscriptionId,UsageQuantity\r\n" + b"".join(b"NOV-2026,%d,7\r\n" % n for n in range(21))
    async with Simulator(Scenario(tables={"AzureUsage": rows}, datasets=OFFERED)) as simulator:
        (more,) = (await export(simulator, tmp_path, queries=[RECENT])).datasets
        (all_wanted,) = (await export(simulator, tmp_path, queries=[RECENT.model_copy(update={"limit": 21})])).datasets

    assert (more.status, more.rows) == ("complete", 21)
    assert [note for note in more.notes if "LIMIT" in note] == [
        "its query asks for at most 20 rows (LIMIT), and the report came with 21: all of them are published"
    ]
    assert all_wanted.rows == 21
    assert not [note for note in all_wanted.notes if "LIMIT" in note]


@pytest.mark.behaviour(63)
async def test_metrics_arrive_as_numbers_and_a_note_says_that_they_aggregate(tmp_path: Path) -> None:
    selection = Selection(name="totals", dataset="AzureUsage", select="CustomerCount, CustomerMarket, ACR_USD")
    async with Simulator(Scenario(rows=200, datasets=OFFERED)) as simulator:
        manifest = await export(simulator, tmp_path, queries=[selection])

    (record,) = manifest.datasets
    assert [column.type for column in record.columns] == ["Int64", "String", "Decimal(38, 6)"]
    assert "a metric is computed for every combination" in record.notes[0]
    assert bulkpull.scan(tmp_path, "totals").collect()["CustomerMarket"].is_unique().all()


async def test_named_queries_of_the_settings_come_with_the_usual_export(tmp_path: Path) -> None:
    async with Simulator(Scenario(rows=20, datasets=OFFERED)) as simulator:
        named = await bulkpull.export(settings=settings_for(simulator, tmp_path, queries=[RECENT]))
        alone = await bulkpull.export(datasets=["RECENT"], settings=settings_for(simulator, tmp_path, queries=[RECENT]))

    assert named.datasets[-1].dataset == "recent"
    assert [record.dataset for record in named.datasets if record.status == "complete"] == [
        "SeatsSubscriptionsAndRevenue",
        "AzureUsage",
        "Profile",
        "recent",
    ]
    assert [record.dataset for record in alone.datasets] == ["recent"]


async def test_a_query_that_went_wrong_overnight_harms_no_dataset(tmp_path: Path) -> None:
    drift = {"AzureUsage": ColumnDrift(removed=("UsageQuantity",))}
    async with Simulator(Scenario(rows=20, datasets=OFFERED, drift=drift)) as simulator:
        settings = settings_for(simulator, tmp_path, queries=[RECENT])
        manifest = await bulkpull.export(settings=settings)

    assert manifest.exit_code == 3
    fates = {record.dataset: record.status for record in manifest.datasets if record.status != "unavailable"}
    assert fates == dict.fromkeys(OFFERED, "complete") | {"recent": "failed"}
    (failed,) = [record for record in manifest.datasets if record.status == "failed"]
    assert failed.reason is not None
    assert failed.source == "AzureUsage"
    assert failed.reason.startswith("recent: AzureUsage has no column UsageQuantity: it is documented")


@pytest.mark.behaviour(67, 73)
@pytest.mark.parametrize(
    "parts",
    [
        {"select": "Month, SubscriptonId"},
        {"where": "UsageQuantity > 'many'"},
        {"where": "IsACRDuplicateAtPGALevel = 'False'"},
        {"timespan": "LAST_7_DAYS"},
        {"order_by": "Mont"},
    ],
)
async def test_what_is_refused_has_created_nothing_and_leaves_no_trace(tmp_path: Path, parts: dict[str, str]) -> None:
    output = tmp_path / "out"
    async with Simulator(Scenario(rows=20, datasets=OFFERED)) as simulator:
        with pytest.raises(bulkpull.SettingsError):
            await export(simulator, output, queries=[Selection(name="wrong", dataset="AzureUsage", **parts)])

    assert {call.method for call in simulator.calls if call.endpoint != "token"} == {"GET"}
    assert not output.exists()


@pytest.mark.behaviour(76)
async def test_a_system_query_is_exported_by_its_id_unless_it_fell_behind(tmp_path: Path) -> None:
    azure = Selection(name="azure-by-id", system_query="d1a4d75e-5ca8-4847-845f-ee0a9be6f07b")
    dynamics = Selection(name="dynamics-by-id", system_query="6209a8fd-93af-442e-8b3f-3df0f77e8463")
    async with Simulator(Scenario(edition="documents", rows=20, datasets=("AzureUsage", "DynamicsUsage"))) as simulator:
        manifest = await export(simulator, tmp_path, queries=[azure, dynamics])

    fates = {record.dataset: (record.status, record.reason) for record in manifest.datasets}
    assert fates["azure-by-id"] == ("complete", None)
    status, reason = fates["dynamics-by-id"]
    assert status == "failed"
    assert "names PartnerLocationID, which the service does not list today" in str(reason)
    assert "did you mean PartnerLocation?" in str(reason)


@pytest.mark.case("N12")
async def test_types_stay_within_the_snapshots_of_one_question(tmp_path: Path) -> None:
    odd = b"Month,UsageQuantity\r\nNOV-2026,many\r\n"
    narrow = Selection(name="mine", dataset="AzureUsage", select="Month, UsageQuantity")
    wide = narrow.model_copy(update={"select": "Month, UsageQuantity, SubscriptionId"})

    async def run(simulator: Simulator, *names: str, queries: tuple[Selection, ...] = ()) -> DatasetRecord:
        settings = settings_for(simulator, tmp_path, on_drift="fail")
        request = create_request(names, settings=settings, selections=queries)
        manifest = await Run(request, settings, Events(), account=ACCOUNT).export()
        return manifest.datasets[0]

    async with Simulator(Scenario(tables={"AzureUsage": odd}, datasets=OFFERED)) as simulator:
        first = await run(simulator, queries=(narrow,))
    async with Simulator(Scenario(rows=20, datasets=OFFERED)) as simulator:
        second = await run(simulator, queries=(narrow,))
        whole = await run(simulator, "AzureUsage")
        third = await run(simulator, queries=(wide,))
        again = await run(simulator, queries=(narrow,))

    made = [first, second, whole, third, again]
    assert {record.status for record in made} == {"complete"}, [record.reason for record in made]
    types = [{column.name: column.type for column in record.columns}["UsageQuantity"] for record in made]
    assert types == ["String", "String", "Decimal(38, 6)", "Decimal(38, 6)", "String"]
    assert [record.drift for record in made] == [None] * 5


@pytest.mark.behaviour(63, 84)
async def test_a_long_window_is_asked_for_at_once_where_rows_depend_on_each_other(tmp_path: Path) -> None:
    plain = Selection(name="plain", dataset="AzureUsage", select="Month, SubscriptionId")
    totals = Selection(name="totals", dataset="AzureUsage", select="CustomerMarket, Month, CustomerCount")
    today = datetime.now(UTC).date()
    async with Simulator(Scenario(rows=60, datasets=OFFERED)) as simulator:
        settings = settings_for(simulator, tmp_path)
        manifest = await bulkpull.export(
            queries=[plain, totals], settings=settings, since=today - timedelta(days=300), until=today
        )

    parts = {record.dataset: len(record.parts) for record in manifest.datasets}
    assert manifest.exit_code == 0
    assert parts["plain"] > 9
    assert parts["totals"] == 1  # one window, shown as one part
    assert not bulkpull.scan(tmp_path, "totals").select("CustomerMarket", "Month").collect().is_duplicated().any()


async def test_a_run_of_selections_is_resumed_by_what_the_ledger_knows_of_it(tmp_path: Path) -> None:
    async with Simulator(Scenario(rows=20, datasets=OFFERED)) as simulator:
        settings = settings_for(simulator, tmp_path)
        request = ExportRequest(selections=(RECENT,), only_selections=True, submit_only=True)
        submitted = await Run(request, settings, Events()).export()
        async with opened_ledger(Layout(tmp_path).private, read_only=True) as ledger:
            (entry,) = await ledger.runs()
        then = ExportRequest.of_run(entry.request)
        collected = await Run(then, settings, Events(), resume=submitted.run_id).export()

    assert then.selections == (RECENT,)
    assert [record.dataset for record in collected.datasets] == ["recent"]
    assert collected.datasets[0].status == "complete"
    assert collected.datasets[0].report_id == submitted.datasets[0].report_id


async def test_nights_keep_selections_and_order_a_changed_one_at_once(tmp_path: Path) -> None:
    changed = RECENT.model_copy(update={"where": "UsageQuantity > 50", "limit": None})
    made: list[int] = []
    fates: list[tuple[str, int]] = []
    async with Simulator(Scenario(rows=60, datasets=OFFERED)) as simulator:
        for query in (RECENT, RECENT, changed, changed):
            before = len(simulator.calls)
            settings = settings_for(simulator, tmp_path, queries=[query])
            manifest = await Run(
                create_request(("recent",), settings=settings, nightly=True), settings, Events()
            ).export()
            posted = [call for call in simulator.calls[before:] if call.method == "POST" and call.endpoint != "token"]
            made.append(len(posted))
            fates.append((manifest.datasets[0].status, manifest.datasets[0].rows))

    first, second, third, fourth = fates
    assert [status for status, _ in fates] == ["complete", "skipped", "complete", "skipped"]
    assert made[1] == made[3] == 0
    assert first == ("complete", second[1])
    assert third[1] == fourth[1] != first[1]


async def test_a_second_export_of_a_selection_uses_the_stored_query_again(tmp_path: Path) -> None:
    async with Simulator(Scenario(rows=20, datasets=OFFERED)) as simulator:
        for _ in range(2):
            await export(simulator, tmp_path, queries=[RECENT])
        made = [call for call in simulator.calls if call.method == "POST" and call.endpoint == "ScheduledQueries"]

    assert len(made) == 1
