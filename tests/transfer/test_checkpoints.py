"""When the journal is written, and when the disk is asked to be done."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from support import FakeClock

from bulkpull.transfer.partial_file import Checkpoints, PartialFile


@dataclass
class Kept:
    """A partial file that only notes what it is asked for."""

    path: Path
    clock: FakeClock
    sync_s: float = 0.0
    done_bytes: int = 0
    steps: list[tuple[str, float]] = field(default_factory=list)

    async def write_journal(self) -> None:
        self.steps.append(("write_journal", self.clock.monotonic()))

    async def fsync(self) -> None:
        self.steps.append(("fsync", self.clock.monotonic()))
        self.clock.advance(self.sync_s)

    def times(self, step: str) -> list[float]:
        return [at for name, at in self.steps if name == step]


async def run(folder: Path, *, seconds: float, sync_s: float = 0.0) -> Kept:
    clock = FakeClock()
    kept = Kept(folder / "report.part", clock, sync_s)
    checkpoints, end_s = (
        Checkpoints(cast("PartialFile", cast("Any", kept)), clock),
        clock.monotonic() + seconds,
    )
    while clock.monotonic() < end_s:
        clock.advance(0.01)
        if checkpoints.begin_if_due():
            await checkpoints.make(1_000)
    return kept


async def test_a_kill_costs_about_a_twentieth_of_what_came_before(tmp_path: Path) -> None:
    kept = await run(tmp_path, seconds=60.0)

    began_s = kept.times("write_journal")[0]
    for before_s, after_s in zip(kept.times("write_journal"), kept.times("write_journal")[1:], strict=False):
        assert after_s - before_s <= 0.1 + (after_s - began_s) / 20


async def test_a_transfer_of_a_few_seconds_asks_for_no_sync(tmp_path: Path) -> None:
    assert (await run(tmp_path, seconds=4.0)).times("fsync") == []


@pytest.mark.parametrize(("sync_s", "most"), [(0.01, 12), (2.0, 4)])
async def test_syncs_are_rare_and_rarer_on_a_slow_disk(tmp_path: Path, sync_s: float, most: int) -> None:
    found = len((await run(tmp_path, seconds=60.0, sync_s=sync_s)).times("fsync"))

    assert most / 2 <= found <= most
