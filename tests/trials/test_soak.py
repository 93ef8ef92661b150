"""
Soak: a process that exports again and again, night after night in virtual time, holds no more at its end than early on.

Some twenty pulls by default; TRIALS=all makes it ten thousand.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sqlite3
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from journeys.kit import export
from support import THOROUGH, FakeClock
from trials.programs import children_of

from bulkpull.simulator import Scenario, Simulator

pytestmark = pytest.mark.child_processes

RUNS = 500 if THOROUGH else 9
# By then every pool has its threads, and retention has begun to take away.
SETTLED = 100 if THOROUGH else 6
DAY_S = 86_400.0
RETAINED = 3
# All that the service offers, when there is time.
DATASETS = () if THOROUGH else ("Profile", "OfficeUsage")


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a process holds, and what it has on the disk."""

    tasks: int
    descriptors: int
    children: int
    snapshots: int
    staged: int
    rows_of_a_run: int


def holdings(output: Path) -> Holdings:
    gc.collect()
    ledger = sqlite3.connect(f"{(output / '.bulkpull' / 'ledger.sqlite').as_uri()}?mode=ro", uri=True)
    try:
        (rows,) = ledger.execute(
            "SELECT count(*) FROM step WHERE run_id = (SELECT run_id FROM run ORDER BY rowid DESC LIMIT 1)"
        ).fetchone()
    finally:
        ledger.close()
    return Holdings(
        tasks=len(asyncio.all_tasks()),
        descriptors=len(list(Path("/proc/self/fd").iterdir())),
        children=len(children_of(os.getpid())),
        snapshots=len(list((output / "datasets").glob("*/run=*"))),
        staged=len(list((output / ".bulkpull" / "staging").iterdir())),
        rows_of_a_run=rows,
    )


def resident_kb() -> int:
    status = Path("/proc/self/status").read_text("ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])


@pytest.mark.skipif(sys.platform != "linux", reason="what a process holds is shown by /proc")
@pytest.mark.timeout(7_200 if THOROUGH else 600)
async def test_a_long_life_leaves_nothing_behind(tmp_path: Path) -> None:
    clock = FakeClock()
    early: Holdings | None = None
    early_kb = 0
    async with Simulator(Scenario(rows=3, refreshes=True), clock=clock) as simulator:
        for number in range(RUNS):
            manifest = await export(simulator, tmp_path, *DATASETS, clock=clock, retain_runs=RETAINED)
            assert manifest.status == "complete"
            clock.advance(2 * DAY_S)
            simulator.calls.clear()
            if number == SETTLED:
                early, early_kb = holdings(tmp_path), resident_kb()
        late = holdings(tmp_path)

    assert early is not None
    assert late == early
    if THOROUGH:  # memory settles late: a short life tells nothing of it
        assert resident_kb() < early_kb * 1.2
