"""What was harmed between two runs: the next one tells it, and loses nothing that was published."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from journeys.kit import export
from support import Told

from bulkpull.records.ledger import opened_ledger
from bulkpull.simulator import Scenario, Simulator


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
    assert pl.read_parquet(tmp_path / "latest" / "OfficeUsage" / "part-00000.parquet").height == kept.rows
    async with opened_ledger(tmp_path / ".bulkpull", read_only=True) as fresh:
        assert [run.run_id for run in await fresh.runs()] == [second.run_id]
