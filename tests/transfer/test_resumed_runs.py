"""Runs that were cut off in the middle of a download: the same command goes on at the byte, and tidies up behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from journeys.kit import assert_holds_what_the_csv_said, export
from support import FakeClock

from bulkpull.events import Event
from bulkpull.simulator import Scenario, Simulator

SLOW = Scenario(rows={"OfficeUsage": 30_000, "*": 50}, bandwidth_bytes_per_s=200_000.0)


async def cut_off_in_mid_download(simulator: Simulator, output: Path, clock: FakeClock) -> int:
    """Interrupt an export when half of a file is written; gives the bytes that were there."""
    scope, done = anyio.CancelScope(), 0

    def listen(event: Event) -> None:
        nonlocal done
        if event.name == "download.progressed" and event.dataset == "OfficeUsage":
            size: Any = event.facts["size_bytes"]
            done = int(str(event.facts["done_bytes"]))
            if done >= size // 2:
                scope.cancel()

    with scope:
        await export(simulator, output, "OfficeUsage", clock=clock, listeners=[listen])
    assert scope.cancelled_caught
    return done


@pytest.mark.behaviour(130, 131)
@pytest.mark.fault(74, 93)
async def test_the_same_command_goes_on_at_the_byte_where_it_was_cut_off(tmp_path: Path) -> None:
    clock = FakeClock()
    async with Simulator(SLOW, clock=clock) as simulator:
        done = await cut_off_in_mid_download(simulator, tmp_path, clock)
        staging = tmp_path / ".bulkpull" / "staging"
        left = {path.name for path in staging.rglob("*") if path.is_file()}
        manifest = await export(simulator, tmp_path, "OfficeUsage", clock=clock)

        assert manifest.status == "complete"
        assert_holds_what_the_csv_said(tmp_path, manifest, "OfficeUsage", await simulator.csv("OfficeUsage"))
        first, second = [call for call in simulator.calls if call.endpoint == "blob"]
    assert left == {"report.part", "report.journal"}
    assert first.range is None
    assert second.range is not None
    assert int(second.range.removeprefix("bytes=").partition("-")[0]) >= done
    assert second.if_match is not None
    assert list(staging.iterdir()) == []


async def test_what_another_run_had_fetched_stays_as_long_as_that_run_can_be_carried_on(tmp_path: Path) -> None:
    """Disk use stays bounded: after a day the service has newer data, and nobody will want the rest of the old file."""
    clock, staging = FakeClock(), tmp_path / ".bulkpull" / "staging"
    async with Simulator(SLOW, clock=clock) as simulator:
        await cut_off_in_mid_download(simulator, tmp_path, clock)
        (cut_off,) = staging.iterdir()
        await export(simulator, tmp_path, "Profile", clock=clock)
        assert list(staging.iterdir()) == [cut_off]

        clock.advance(25 * 3600)
        manifest = await export(simulator, tmp_path, "Profile", clock=clock)

    assert manifest.status == "complete"
    assert list(staging.iterdir()) == []
    assert cut_off.name in manifest.notes[0]


async def test_a_file_that_was_fetched_before_the_run_was_cut_off_is_not_fetched_again(tmp_path: Path) -> None:
    clock, scope = FakeClock(), anyio.CancelScope()
    async with Simulator(SLOW, clock=clock) as simulator:
        with scope:
            await export(
                simulator, tmp_path, "OfficeUsage", clock=clock,
                listeners=[lambda event: scope.cancel() if event.name == "download.completed" else None],
            )  # fmt: skip
        manifest = await export(simulator, tmp_path, "OfficeUsage", clock=clock)
        starts = [call.range for call in simulator.calls if call.endpoint == "blob"]

    assert manifest.status == "complete"
    size = manifest.datasets[0].downloaded_bytes
    for asked in starts[1:]:
        assert asked is not None
        assert int(asked.removeprefix("bytes=").partition("-")[0]) >= 0.9 * size
