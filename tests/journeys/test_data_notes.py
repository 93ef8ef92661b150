"""Notes on the data of a snapshot: fewer rows, columns that nobody asked for, columns that the role does not see."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pytest
from journeys.kit import export, settings_for
from support import EventRecorder, FakeClock

from bulkpull.catalog import load_catalog
from bulkpull.events import Events
from bulkpull.output.freshness import find_freshness
from bulkpull.output.manifest import DatasetRecord, Manifest
from bulkpull.output.store import LocalStore
from bulkpull.pipeline.request import ExportRequest
from bulkpull.pipeline.run import Run
from bulkpull.simulator import ColumnDrift, Fault, Scenario, Simulator


def table(rows: int) -> dict[str, bytes]:
    return {"OfficeUsage": "".join(["Month,MPNId\r\n", *(f"2026-10-01,{n:04}\r\n" for n in range(rows))]).encode()}


async def nights(output: Path, *rows: int, **settings: Any) -> list[DatasetRecord]:
    """One export after the other of a dataset with so many rows."""
    port, records = 0, []
    for number in rows:
        drift = {"OfficeUsage": ColumnDrift(removed=office_columns_but("Month", "MPNId"))}
        async with Simulator(Scenario(tables=table(number), drift=drift), port=port) as simulator:
            port = int(simulator.api_base_url.split(":")[2].split("/")[0])
            manifest = await export(simulator, output, "OfficeUsage", metrics="none", **settings)
            records.append(manifest.datasets[0])
    return records


def office_columns_but(*kept: str) -> tuple[str, ...]:
    office = load_catalog().find("OfficeUsage")
    assert office is not None
    known = [*office.columns, *office.further_columns, *office.drift_columns]
    names = {name for column in known for name in (column.name, *column.aliases)}
    return tuple(sorted(names - set(kept)))


@pytest.mark.parametrize(("rows", "settings", "is_noted"), [
    (81, {}, False), (80, {}, False), (79, {}, True), (51, {"note_shrink": 0.5}, False),
    (49, {"note_shrink": 0.5}, True),
])  # fmt: skip
async def test_fewer_rows_by_more_than_note_shrink_are_a_note_in_manifest_and_status(
    tmp_path: Path, rows: int, settings: dict[str, Any], is_noted: bool
) -> None:
    _, record = await nights(tmp_path, 100, rows, **settings)
    (fresh,) = find_freshness(LocalStore(tmp_path))

    assert record.status == "complete"
    assert [note for note in record.notes if "where the snapshot before had 100" in note] != [] if is_noted else True
    assert (record.rows_before, fresh.rows_before) == ((100, 100) if is_noted else (None, None))
    assert any("note_shrink" in note for note in record.notes) == is_noted


async def test_a_column_that_nobody_asked_for_is_told_as_on_drift_says(tmp_path: Path) -> None:
    drift = {"OfficeUsage": ColumnDrift(removed=office_columns_but("MPNId"))}
    extra = {"OfficeUsage": b"MPNId,Surprise\r\n0012,x\r\n"}
    async with Simulator(Scenario(tables=extra, drift=drift)) as simulator:

        async def once(folder: str, on_drift: str) -> tuple[DatasetRecord, EventRecorder]:
            heard = EventRecorder()
            manifest = await export(
                simulator, tmp_path / folder, "OfficeUsage", metrics="none", on_drift=on_drift,
                listeners=[heard.events.append],
            )  # fmt: skip
            return manifest.datasets[0], heard

        warned, heard = await once("warn", "warn")
        again, heard_again = await once("warn", "warn")
        allowed, _ = await once("allow", "allow")
        failed, _ = await once("fail", "fail")

    assert (warned.status, warned.drift and warned.drift.unrequested) == ("complete", ["Surprise"])
    assert "the report has columns that were not requested, kept as text: Surprise" in warned.notes
    assert [facts["unrequested"] for facts in heard.of("drift.found")] == [["Surprise"]]
    assert (again.drift, heard_again.of("drift.found")) == (None, [])
    assert (allowed.status, allowed.notes) == ("complete", [])
    assert allowed.drift is not None
    assert failed.status == "failed"
    assert "not asked for: Surprise" in (failed.reason or "")


@pytest.mark.behaviour(23)
@pytest.mark.parametrize("redaction", ["empty", "vanish"])
async def test_withheld_columns_that_vanish_are_told_with_the_role_and_the_rest_is_published(
    tmp_path: Path, redaction: Literal["empty", "vanish"]
) -> None:
    async with Simulator(Scenario(rows=10, role="viewer", redaction=redaction)) as simulator:
        manifest = await export(simulator, tmp_path, "CustomersAndTenants")
    (record,) = manifest.datasets

    assert (record.status, record.data_redacted, record.rows) == ("complete", True, 10), record.reason
    assert any("Executive report viewer" in note for note in record.notes)
    left_out = [note for note in record.notes if "left withheld columns out" in note]
    assert len(left_out) == (redaction == "vanish")
    frame = pl.read_parquet([tmp_path / file.path for file in record.files], glob=False)
    assert frame.columns == [column.name for column in record.columns]
    hidden = left_out[0].partition("published: ")[2].split(", ") if left_out else []
    assert not set(hidden) & set(frame.columns)
    asked = (record.query or "").removeprefix("SELECT ").partition(" FROM ")[0].split(", ")
    assert [name for name in asked if name not in hidden] == frame.columns
    assert (len(hidden) > 0) == (redaction == "vanish")


async def test_a_column_that_is_missing_without_redaction_is_still_a_refusal(tmp_path: Path) -> None:
    short = {"OfficeUsage": b"MPNId\r\n0012\r\n"}
    drift = {"OfficeUsage": ColumnDrift(removed=office_columns_but("Month", "MPNId"))}
    async with Simulator(Scenario(tables=short, drift=drift)) as simulator:
        (record,) = (await export(simulator, tmp_path, "OfficeUsage", metrics="none")).datasets

    assert record.status == "failed"
    assert "lacks 'Month'" in (record.reason or "")


async def test_ids_and_bytes_are_those_of_the_snapshot_on_every_night(tmp_path: Path) -> None:
    """The first night by a one-off report, the second without news, the third by the scheduled report."""
    clock = FakeClock()

    async def night() -> DatasetRecord:
        settings = settings_for(simulator, tmp_path)
        manifest: Manifest = await Run(
            ExportRequest(("OfficeUsage",), nightly=True), settings, Events(), clock=clock
        ).export()
        return manifest.datasets[0]

    async with Simulator(Scenario(rows=10), clock=clock) as simulator:
        first = await night()
        clock.advance(3_600)
        second = await night()
        clock.advance(40 * 86_400)
        third = await night()
        queries = set(simulator.service.queries)

    assert [first.status, second.status, third.status] == ["complete", "skipped", "complete"], third.reason
    for name in ("query_id", "report_id", "execution_id", "downloaded_bytes", "vouched_by"):
        assert getattr(second, name) == getattr(first, name) != [], name
    assert first.downloaded_bytes > 0
    assert third.query_id in queries
    assert third.report_id != first.report_id


@pytest.mark.parametrize(
    ("fault", "least"),
    [
        (Fault("md5_wrong", dataset="Profile"), 1),
        (Fault("link_expired", dataset="Profile"), 1),
        (Fault("cut_gzip", dataset="Profile"), 1),
    ],
    ids=lambda value: getattr(value, "name", None),
)
async def test_what_was_fetched_again_counts_as_retried_and_not_as_downloaded(
    tmp_path: Path, fault: Fault, least: int
) -> None:
    async with Simulator(Scenario(rows=500, faults=(fault,))) as simulator:
        manifest = await export(simulator, tmp_path, "Profile", keep_raw=True)
    (record,) = manifest.datasets
    (raw,) = (tmp_path / "raw" / "Profile" / f"run={manifest.run_id}").iterdir()

    assert record.status == "complete", record.reason
    assert gzip.decompress(raw.read_bytes())
    assert manifest.requests.by_endpoint["blob"] == 1 + manifest.requests.retried >= 1 + least
    assert record.downloaded_bytes == raw.stat().st_size
