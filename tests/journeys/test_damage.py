"""What was harmed between two runs: the next one tells it, and loses nothing that was published."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import NamedTuple

import polars as pl
import pytest
from journeys.kit import ACCOUNT, export, settings_for
from support import EventRecorder

from bulkpull.events import Events
from bulkpull.output.atomic_files import RESERVE_BYTES
from bulkpull.output.current import Current
from bulkpull.output.ledger import opened_ledger
from bulkpull.output.store import LocalStore
from bulkpull.pipeline.request import ExportRequest
from bulkpull.pipeline.run import Run
from bulkpull.simulator import Scenario, Simulator


class Usage(NamedTuple):
    """As `shutil.disk_usage` answers."""

    total: int
    used: int
    free: int


@pytest.mark.fault(9)
async def test_a_damaged_ledger_is_told_and_the_run_goes_on(tmp_path: Path) -> None:
    recorded = EventRecorder()
    ledger = tmp_path / ".bulkpull" / "ledger.sqlite"
    async with Simulator(Scenario(rows=20)) as simulator:
        first = await export(simulator, tmp_path, "Profile", "OfficeUsage")
        ledger.write_bytes(ledger.read_bytes()[:5000])

        second = await export(simulator, tmp_path, "Profile", listeners=[recorded.events.append])

    (aside,) = (tmp_path / ".bulkpull").glob("ledger.damaged-*.sqlite")
    assert second.status == "complete"
    assert [fact["path"] for fact in recorded.of("ledger.set_aside")] == [str(aside)]
    assert str(aside) in " ".join(second.notes)
    assert json.loads((tmp_path / "runs" / second.run_id / "manifest.json").read_text())["notes"] == second.notes
    (kept,) = (record for record in first.datasets if record.dataset == "OfficeUsage")
    assert pl.read_parquet(tmp_path / "latest" / "OfficeUsage" / "*.parquet").height == kept.rows
    async with opened_ledger(tmp_path / ".bulkpull", read_only=True) as fresh:
        assert [run.run_id for run in await fresh.runs()] == [second.run_id]


@pytest.mark.fault(10)
@pytest.mark.parametrize("harm", ["remove", "cut"])
async def test_a_published_file_that_was_removed_or_altered_is_told_and_published_anew(
    tmp_path: Path, harm: str
) -> None:
    recorded = EventRecorder()
    async with Simulator(Scenario(rows=20)) as simulator:
        first = await export(simulator, tmp_path, "Profile")
        path = tmp_path / first.datasets[0].files[0].path
        path.unlink() if harm == "remove" else path.write_bytes(path.read_bytes()[:-7])

        second = await export(simulator, tmp_path, "Profile", listeners=[recorded.events.append])

    assert [(event.name, event.dataset) for event in recorded.events if event.name == "snapshot.damaged"] == [
        ("snapshot.damaged", "Profile")
    ]
    assert first.datasets[0].files[0].path in " ".join(second.datasets[0].notes)
    assert Current.load(LocalStore(tmp_path)).datasets["Profile"].run_id == second.run_id
    assert pl.read_parquet(tmp_path / "latest" / "Profile" / "*.parquet").height == first.datasets[0].rows


@pytest.mark.fault(10)
@pytest.mark.parametrize("content_md5", [True, False], ids=["same MD5", "same content"])
async def test_a_night_publishes_a_damaged_snapshot_anew_although_the_data_are_the_same(
    tmp_path: Path, content_md5: bool
) -> None:
    async with Simulator(Scenario(rows=20, content_md5=content_md5)) as simulator:
        first = await export(simulator, tmp_path, "Profile")
        (tmp_path / first.datasets[0].files[0].path).unlink()

        request = ExportRequest(("Profile",), nightly=True)
        night = await Run(request, settings_for(simulator, tmp_path), Events(), account=ACCOUNT).export()

    assert [record.status for record in night.datasets] == ["complete"]
    assert pl.read_parquet(tmp_path / "latest" / "Profile" / "*.parquet").height == first.datasets[0].rows


@pytest.mark.fault(6)
async def test_where_there_is_no_room_for_what_the_last_run_took_no_report_is_ordered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Simulator(Scenario(rows=20)) as simulator:
        first = await export(simulator, tmp_path, "Profile")
        monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1_000, 1_000, 0))

        second = await export(simulator, tmp_path, "Profile")

        assert "not enough room" in (second.datasets[0].reason or "")
        assert second.exit_code == 3
        assert dict(simulator.service.created_reports) == {"Profile": 1}
    assert Current.load(LocalStore(tmp_path)).datasets["Profile"].run_id == first.run_id
    async with opened_ledger(tmp_path / ".bulkpull", read_only=True) as ledger:
        assert [run.status for run in await ledger.runs()] == ["failed", "complete"]


@pytest.mark.case("O2")
async def test_one_dataset_without_room_costs_no_other_and_the_next_night_is_a_new_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Simulator(Scenario(rows={"Profile": 5, "OfficeUsage": 20_000})) as simulator:
        first = await export(simulator, tmp_path, "Profile", "OfficeUsage")
        sizes = {record.dataset: record.downloaded_bytes + record.files[0].bytes for record in first.datasets}
        free_bytes = RESERVE_BYTES + sizes["OfficeUsage"] // 2
        plain = shutil.disk_usage

        def usage(path: Path) -> Usage:
            total, used, _ = plain(path)
            # The transfer's own look, with its reserve, is not what is tried here.
            return Usage(total, used, free_bytes if path == tmp_path else 1 << 40)

        monkeypatch.setattr(shutil, "disk_usage", usage)
        second = await export(simulator, tmp_path, "Profile", "OfficeUsage")
        monkeypatch.undo()
        third = await export(simulator, tmp_path, "Profile", "OfficeUsage")

    statuses = {record.dataset: record.status for record in second.datasets}
    assert statuses == {"Profile": "complete", "OfficeUsage": "failed"}
    assert third.status == "complete"
    assert third.run_id != second.run_id
