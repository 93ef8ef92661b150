"""The main job, end to end: what the service has arrives as Parquet, and says exactly what the CSV said."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

import polars as pl
import pytest
from blockbuster import BlockBuster
from journeys.kit import assert_holds_what_the_csv_said, export, settings_for

import bulkpull
from bulkpull.catalog import load_catalog
from bulkpull.events import Event
from bulkpull.model import Window
from bulkpull.simulator import ColumnDrift, Scenario, Simulator

PACKAGES = ("auth", "conversion", "insights", "observability", "output", "pipeline", "transfer", "transport")
"""What runs beside an event loop."""

TWENTY = [dataset.name for dataset in load_catalog().standard]
ABSENT = ["CompetencySummaryHistory", "CompetencyPeformanceRequirement"]
LISTED = [name for name in TWENTY if name not in ABSENT]


@pytest.mark.child_processes
@pytest.mark.behaviour(58, 159, 160)
async def test_eighteen_listed_datasets_arrive_and_hold_exactly_what_the_csv_said(tmp_path: Path) -> None:
    async with Simulator(Scenario(rows=300, latency_s=(0.0, 0.5))) as simulator:
        manifest = await export(simulator, tmp_path)

        assert (manifest.status, manifest.exit_code) == ("complete", 0)
        complete = [record for record in manifest.datasets if record.status == "complete"]
        assert [record.dataset for record in complete] == LISTED
        assert [record.dataset for record in manifest.datasets if record.status == "unavailable"] == ABSENT
        for record in complete:
            content = await simulator.csv(record.dataset)
            assert_holds_what_the_csv_said(tmp_path, manifest, record.dataset, content)
        assert simulator.service.reports == {}  # our one-off reports are gone from the service
    assert json.loads((tmp_path / "runs" / manifest.run_id / "manifest.json").read_text()) == manifest.as_dict()
    assert set(json.loads((tmp_path / "current.json").read_text())["datasets"]) == set(LISTED)
    assert sorted(path.name for path in (tmp_path / "latest").iterdir()) == sorted(LISTED)


@pytest.mark.behaviour(39, 106, 119)
async def test_eighteen_datasets_cost_two_calls_each_and_one_a_look(tmp_path: Path) -> None:
    async with Simulator(Scenario(rows=10, latency_s=(0.2, 1.0))) as simulator:
        manifest = await export(simulator, tmp_path, keep_reports=True)

    calls = manifest.requests.by_endpoint
    assert calls["token"] == 1
    assert calls["ScheduledDataset"] == 1
    assert calls["ScheduledQueries"] == 20  # one listing before, one after the creations
    assert calls["ScheduledReport"] == 18
    assert calls["blob"] == 18
    assert calls["execution"] <= 30
    assert manifest.requests.total == sum(calls.values())


@pytest.mark.behaviour(153)
async def test_an_execution_whose_ids_come_in_another_case_is_the_one_that_is_waited_for(tmp_path: Path) -> None:
    async with Simulator(Scenario(rows=10, id_casing="mixed")) as simulator:
        manifest = await export(simulator, tmp_path, "Profile")

        assert simulator.service.reports == {}
    (record,) = manifest.datasets
    assert (record.status, record.rows) == ("complete", 10)


async def test_a_second_run_uses_the_same_queries_and_makes_a_new_snapshot(tmp_path: Path) -> None:
    async with Simulator(Scenario(rows=10)) as simulator:
        first = await export(simulator, tmp_path, "Profile", "OfficeUsage")
        second = await export(simulator, tmp_path, "Profile", "OfficeUsage")
        created = [call for call in simulator.calls if call.endpoint == "ScheduledQueries" and call.method == "POST"]

    assert len(created) == 2
    assert first.run_id != second.run_id
    for run_id in (first.run_id, second.run_id):
        assert (tmp_path / "datasets" / "Profile" / f"run={run_id}").is_dir()
    assert (tmp_path / "latest" / "Profile").resolve().name == f"run={second.run_id}"


async def test_each_parquet_file_carries_its_lineage(tmp_path: Path) -> None:
    async with Simulator(Scenario(rows=10)) as simulator:
        manifest = await export(simulator, tmp_path, "Profile")

    (record,) = manifest.datasets
    lineage = pl.read_parquet_metadata(tmp_path / record.files[0].path)
    assert lineage["bulkpull.dataset"] == "Profile"
    assert lineage["bulkpull.run_id"] == manifest.run_id
    assert lineage["bulkpull.execution_id"] == record.execution_id
    assert len(lineage["bulkpull.query_sha256"]) == 64
    assert datetime.fromisoformat(lineage["bulkpull.generated_at"]).tzinfo is not None


async def test_raw_bytes_are_kept_on_demand_as_they_were_received(tmp_path: Path) -> None:
    stored = b"MpnId,PartnerName,PGA_MPNId,PGA_PartnerName,City,Country,HierarchyLevel\r\n" + b",".join([b"007"] * 7)
    async with Simulator(Scenario(edition="documents", tables={"Profile": stored}, gzip=False)) as simulator:
        manifest = await export(simulator, tmp_path, "Profile", keep_raw=True)

    (raw,) = (tmp_path / "raw" / "Profile" / f"run={manifest.run_id}").iterdir()
    assert (raw.name, raw.read_bytes()) == ("Profile.csv", stored)
    assert manifest.datasets[0].downloaded_bytes == len(stored)


@pytest.mark.behaviour(136, 138, 152, 184, 187, 188)
async def test_zeros_the_word_null_blanks_and_line_breaks_stay_as_they_are(tmp_path: Path) -> None:
    table = (
        "MpnId,PartnerName,PGA_MPNId,PGA_PartnerName,City,Country,HierarchyLevel\r\n"
        '0012,NULL,000000000000000000007," Contoso, Ltd. ","line one\r\nline two\nline three","say ""hi""",nan\r\n'
        "0E12,NA,,\"\",-,Ελλάδα 日本 🙂,' x '\r\n"
    ).encode()
    async with Simulator(Scenario(edition="documents", tables={"Profile": table})) as simulator:
        manifest = await export(simulator, tmp_path, "Profile")

    assert_holds_what_the_csv_said(tmp_path, manifest, "Profile", table)
    frame = bulkpull.scan(tmp_path, "profile").collect()
    assert frame.row(0) == (
        "0012", "NULL", "000000000000000000007", " Contoso, Ltd. ",
        "line one\r\nline two\nline three", 'say "hi"', "nan",
    )  # fmt: skip
    assert frame.row(1)[2:4] == (None, None)


@pytest.mark.behaviour(155)
@pytest.mark.fault(88)
async def test_a_value_that_does_not_fit_in_the_last_of_many_rows_turns_its_column_into_text(tmp_path: Path) -> None:
    header = "CustomerTenantId,CustomerTpid,WorkloadName,Month,PaidAvailableUnits,MonthlyActiveUsers,CustomerName,"
    header += "CustomerMarket,CustomerSegment,MPNId,PartnerName,PartnerLocationID,PartnerAttributionType,"
    header += "IsDuplicateRowForPGA\r\n"
    row = "A,007,Teams,2026-10-01,{units},12,Contoso,SE,SMB,0001,Contoso,1,CSP,0\r\n"
    rows = 100_000
    table = header + row.format(units=5) * (rows - 1) + row.format(units="1e2")
    async with Simulator(Scenario(edition="documents", tables={"OfficeUsage": table.encode()})) as simulator:
        manifest = await export(simulator, tmp_path, "OfficeUsage")

    (record,) = manifest.datasets
    columns = {column.name: column for column in record.columns}
    assert columns["PaidAvailableUnits"].type == "String"
    assert columns["PaidAvailableUnits"].misfit == {"row": rows, "value": "1e2"}
    assert columns["MonthlyActiveUsers"].type == "Int64"
    frame = bulkpull.scan(tmp_path, "OfficeUsage").collect()
    assert frame.height == rows
    assert frame["PaidAvailableUnits"][-1] == "1e2"
    assert frame["PaidAvailableUnits"][0] == "5"


async def test_a_column_once_published_as_text_stays_text(tmp_path: Path) -> None:
    async def month(units: str) -> str:
        table = f"CustomerTpid,PaidAvailableUnits,MonthlyActiveUsers\r\n007,1,{units}\r\n".encode()
        drift = {"OfficeUsage": ColumnDrift(removed=tuple(unwanted))}
        async with Simulator(Scenario(tables={"OfficeUsage": table}, drift=drift)) as simulator:
            (record,) = (await export(simulator, tmp_path, "OfficeUsage")).datasets
        return next(column.type for column in record.columns if column.name == "MonthlyActiveUsers")

    office = load_catalog().find("OfficeUsage")
    assert office is not None
    kept = ("CustomerTpid", "PaidAvailableUnits", "MonthlyActiveUsers")
    unwanted = [column.name for column in office.columns if column.name not in kept]

    assert [await month(units) for units in ("5", "about 5", "5")] == ["Int64", "String", "String"]


@pytest.mark.behaviour(32, 34, 126, 127, 136, 137, 138)
@pytest.mark.fault(26, 83, 86)
@pytest.mark.parametrize(
    "form",
    [
        {"key_casing": "pascal"},
        {"page_size": 3, "next_link": "relative"},
        {"page_size": 3, "next_link": "absolute"},
        {"bom": True, "line_ending": "\r\n"},
        {"bom": True, "line_ending": "\n"},
        {"content_encoding": False},
        {"gzip": False},
        {"tsv": True},
        {"gzip_members": 2},
        {"gzip_members": 7, "content_encoding": False, "bom": True, "tsv": True},
        {"header_only": True},
        {"content_md5": False, "etag": False, "ranges": False},
        {"joined_status": False},
        {"joined_status": False, "joined_ids": False},
        {"pending_without_status": "200"},
        {"dataset_names": {"Profile": "Profil"}},
    ],
    ids=lambda form: ", ".join(f"{name}={value}" for name, value in form.items()),
)
async def test_every_form_in_which_reports_come_is_read(tmp_path: Path, form: dict[str, object]) -> None:
    scenario = Scenario(rows=100, latency_s={"Profile": 0.2, "*": 0.0}, **form)  # type: ignore[arg-type]
    async with Simulator(scenario) as simulator:
        manifest = await export(simulator, tmp_path, "Profile", "AzureUsage", "MSLearn", "EMSUsage")
        assert manifest.status == "complete", [record.reason for record in manifest.datasets]

        plain = Scenario(rows=100, header_only=scenario.header_only)
        async with Simulator(plain) as reference:
            for record in manifest.datasets:
                content = await reference.csv(record.dataset)
                assert_holds_what_the_csv_said(tmp_path, manifest, record.dataset, content)


@pytest.mark.fault(90)
async def test_a_report_with_nothing_but_a_header_gives_an_empty_table_with_the_right_types(tmp_path: Path) -> None:
    async with Simulator(Scenario(header_only=True)) as simulator:
        manifest = await export(simulator, tmp_path, "OfficeUsage")

    frame = bulkpull.scan(tmp_path, "OfficeUsage").collect()
    assert (frame.height, manifest.datasets[0].rows) == (0, 0)
    assert frame.schema["MonthlyActiveUsers"] == pl.Int64
    assert frame.schema["CustomerTpid"] == pl.String


@pytest.mark.behaviour(84)
async def test_a_window_is_asked_for_by_the_report_and_told_in_the_manifest(tmp_path: Path) -> None:
    window = Window(datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC))
    asked: list[object] = []
    async with Simulator(Scenario(rows=10)) as simulator:
        manifest = await export(simulator, tmp_path, "OfficeUsage", "Profile", window=window)
        asked += [call for call in simulator.calls if call.method == "POST" and call.endpoint == "ScheduledReport"]

    reported = {record.dataset: record.window for record in manifest.datasets}
    assert reported == {"OfficeUsage": window, "Profile": None}
    written = {record["dataset"]: record["window"] for record in manifest.as_dict()["datasets"]}
    assert written["OfficeUsage"] == {"start": "2026-05-01T00:00:00Z", "end": "2026-06-01T00:00:00Z"}
    refused = next(record for record in manifest.datasets if record.dataset == "Profile")
    assert (refused.status, "no time axis" in str(refused.reason)) == ("failed", True)
    assert len(asked) == 1


@pytest.mark.behaviour(23)
@pytest.mark.fault(52)
async def test_redacted_data_is_published_and_flagged(tmp_path: Path) -> None:
    async with Simulator(Scenario(rows=10, role="viewer")) as simulator:
        manifest = await export(simulator, tmp_path, "CustomersAndTenants")
        (record,) = manifest.datasets
        assert (record.status, record.data_redacted) == ("complete", True)
        assert "Executive report viewer" in record.notes[0]

        refused = await export(simulator, tmp_path, "CustomersAndTenants", fail_on_redacted=True)
    assert (refused.status, refused.exit_code) == ("failed", 3)


@pytest.mark.fault(97)
async def test_an_empty_answer_does_not_replace_good_data(tmp_path: Path) -> None:
    async with Simulator(Scenario(rows=10)) as simulator:
        good = await export(simulator, tmp_path, "Profile")
    async with Simulator(Scenario(header_only=True)) as simulator:
        held = await export(simulator, tmp_path, "Profile")
        assert (held.exit_code, held.datasets[0].status) == (3, "failed")
        assert "no rows" in (held.datasets[0].reason or "")
        assert (tmp_path / "latest" / "Profile").resolve().name == f"run={good.run_id}"

        published = await export(simulator, tmp_path, "Profile", on_shrink="publish")
    assert published.status == "complete"


@pytest.mark.behaviour(54)
@pytest.mark.fault(23)
async def test_drifted_columns_are_told_and_the_export_goes_on(tmp_path: Path) -> None:
    reported: list[Event] = []
    async with Simulator(Scenario(rows=10)) as simulator:
        await export(simulator, tmp_path, "Profile")
    drift = {"Profile": ColumnDrift(added=("NewColumn",), removed=("City",))}
    async with Simulator(Scenario(rows=10, drift=drift)) as simulator:
        refused = await export(simulator, tmp_path, "Profile", on_drift="fail")
        assert (refused.exit_code, refused.datasets[0].status) == (3, "failed")

        manifest = await export(simulator, tmp_path, "Profile", listeners=[reported.append])

    (record,) = manifest.datasets
    assert record.status == "complete"
    assert record.drift is not None
    assert (record.drift.appeared, record.drift.vanished) == (["NewColumn"], ["City"])
    assert "drift.found" in [event.name for event in reported]


async def test_a_misspelled_name_leaves_no_trace_and_a_new_dataset_is_exported(tmp_path: Path) -> None:
    new = {"AzureUsage": "AzureUsageNextGeneration"}
    async with Simulator(Scenario(rows=10, dataset_names=new)) as simulator:
        with pytest.raises(bulkpull.SettingsError, match="did you mean OfficeUsage"):
            await export(simulator, tmp_path / "out", "OficeUsage")
        assert not (tmp_path / "out").exists()

        manifest = await export(simulator, tmp_path / "out", "azureusagenextgeneration")
    assert [(record.dataset, record.status) for record in manifest.datasets] == [
        ("AzureUsageNextGeneration", "complete")
    ]


@pytest.mark.child_processes
async def test_nothing_blocks_the_event_loop(tmp_path: Path) -> None:
    ours = [f"bulkpull.{part}" for part in PACKAGES]
    assert [name for name in ours if find_spec(name) is None] == []
    async with Simulator(Scenario(rows=10)) as simulator:
        guard = BlockBuster(ours)
        guard.activate()
        try:
            manifest = await export(simulator, tmp_path, "Profile", keep_raw=True)
        finally:
            guard.deactivate()

    assert manifest.status == "complete", manifest.datasets[0].reason


@pytest.mark.child_processes
async def test_the_package_is_used_from_python_as_documented(tmp_path: Path) -> None:
    async with Simulator(Scenario(rows=10)) as simulator:
        manifest = await bulkpull.export(
            output=tmp_path, datasets=["AzureUsage"], settings=settings_for(simulator, tmp_path / "elsewhere")
        )

    assert manifest["status"] == "complete"
    assert bulkpull.scan(tmp_path, "AzureUsage").collect().height == manifest.datasets[0].rows == 10
    with pytest.raises(bulkpull.SettingsError, match="published there: AzureUsage"):
        bulkpull.scan(tmp_path, "OfficeUsage")
