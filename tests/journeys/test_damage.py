"""What was harmed between two runs: the next one tells it, and loses nothing that was published."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import NamedTuple

import polars as pl
import pytest
from journeys.kit import export
from support import Told

from bulkpull.errors import DiskTrouble
from bulkpull.records.ledger import opened_ledger
from bulkpull.records.manifest import Current
from bulkpull.simulator import Scenario, Simulator


class Usage(NamedTuple):
    """As `shutil.disk_usage` answers."""

    total: int
    used: int
    free: int


@pytest.mark.fault(9)
async def test_a_damaged_ledger_is_told_and_the_run_goes_on(tmp_path: Path) -> None:
    told = Told()
    ledger = tmp_path / ".bulkpull" / "ledger.sqlite"
    async with Simulator(Scenario(rows=20)) as simulator:
        first = await export(simulator, tmp_path, "Profile", "OfficeUsage")
        ledger.write_bytes(ledger.read_bytes()[:5000])

        second = await export(simulator, tmp_path, "Profile", listeners=[told.events.append])

    (aside,) = (tmp_path / ".bulkpull").glob("ledger.damaged-*.sqlite")
    assert second.status == "complete"
    assert [fact["path"] for fact in told.of("ledger.set_aside")] == [str(aside)]
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
    told = Told()
    async with Simulator(Scenario(rows=20)) as simulator:
        first = await export(simulator, tmp_path, "Profile")
        path = tmp_path / first.datasets[0].files[0].path
        path.unlink() if harm == "remove" else path.write_bytes(path.read_bytes()[:-7])

        second = await export(simulator, tmp_path, "Profile", listeners=[told.events.append])

    assert [(event.name, event.dataset) for event in told.events if event.name == "snapshot.damaged"] == [
        ("snapshot.damaged", "Profile")
    ]
    assert first.datasets[0].files[0].path in " ".join(second.datasets[0].notes)
    assert Current.load(tmp_path).datasets["Profile"].run_id == second.run_id
    assert pl.read_parquet(tmp_path / "latest" / "Profile" / "*.parquet").height == first.datasets[0].rows


@pytest.mark.fault(6)
async def test_where_there_is_no_room_for_what_the_last_run_took_no_report_is_ordered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Simulator(Scenario(rows=20)) as simulator:
        await export(simulator, tmp_path, "Profile")
        monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1_000, 1_000, 0))

        with pytest.raises(DiskTrouble, match="not enough room for this run") as refused:
            await export(simulator, tmp_path, "Profile")

        assert refused.value.exit_code == 1
        assert dict(simulator.service.created_reports) == {"Profile": 1}
    async with opened_ledger(tmp_path / ".bulkpull", read_only=True) as ledger:
        assert [run.status for run in await ledger.runs()] == ["complete"]
