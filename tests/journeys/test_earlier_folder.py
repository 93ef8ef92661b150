"""
A folder that version 0.1.0 filled is taken over: it gets an account, and its snapshots get their questions.

`earlier_folder` is what that version left of a night, and of an export of the last month, over six rows a dataset; its
ledger is kept as text.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

from journeys.kit import settings_for
from support import FakeClock

from bulkpull.events import Events
from bulkpull.output.manifest import Manifest
from bulkpull.output.owner import load_owner
from bulkpull.output.store import LocalStore
from bulkpull.output.verify import Verifier
from bulkpull.pipeline.request import ExportRequest
from bulkpull.pipeline.run import Run
from bulkpull.simulator import Scenario, Simulator

EARLIER = Path(__file__).parent / "earlier_folder"
ADDRESS = "https://api.contoso.example/insights/v1/mpn"


def unpack(output: Path, *, address: str) -> None:
    """The folder as version 0.1.0 left it, of the service at `address`."""
    shutil.copytree(EARLIER, output, ignore=shutil.ignore_patterns("ledger.sql"))
    for manifest in output.glob("runs/*/manifest.json"):
        manifest.write_text(manifest.read_text("utf-8").replace(ADDRESS, address), "utf-8")
    (output / ".bulkpull").mkdir()
    ledger = sqlite3.connect(output / ".bulkpull" / "ledger.sqlite")
    ledger.executescript((EARLIER / "ledger.sql").read_text("utf-8").replace(ADDRESS, address))
    ledger.close()


async def test_a_folder_of_version_0_1_is_taken_over(tmp_path: Path) -> None:
    output, clock, manifests = tmp_path / "out", FakeClock(), list[Manifest]()
    async with Simulator(Scenario(datasets=("Profile", "OfficeUsage"), rows=6, seed=7), clock=clock) as simulator:
        unpack(output, address=simulator.api_base_url)
        for _ in range(2):
            clock.advance(86_400)
            request = ExportRequest(("Profile", "OfficeUsage"), nightly=True)
            run = Run(request, settings_for(simulator, output, metrics="none"), Events(), clock=clock)
            manifests.append(await run.export())
        account = settings_for(simulator, output).account

    first, second = manifests
    profile, usage = first.datasets
    owner = load_owner(LocalStore(output))
    assert owner is not None
    assert owner.account == account
    assert [note for note in first.notes if "from now on it belongs to" in note]
    assert (first.exit_code, second.exit_code, second.notes) == (0, 0, [])
    # The night's snapshot answers tonight's question, and what was published since of the last month does not.
    assert profile.decision is not None
    assert "scheduled report is gone" in profile.decision.reason
    assert usage.decision is not None
    assert "another question" in usage.decision.reason
    assert (usage.status, usage.timespan, usage.rows) == ("complete", "LAST_6_MONTHS", 6)
    current = json.loads((output / "current.json").read_text("utf-8"))["datasets"]
    assert all(snapshot["question_sha256"] for snapshot in current.values())
    verifier = Verifier(LocalStore(output), quick=False, ask_ledger=lambda _: None)
    assert verifier.verify_all().troubles == []
