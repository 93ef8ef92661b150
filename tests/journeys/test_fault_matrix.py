"""
Every row of the fault matrix that a service can bring about: what it does to one dataset, and that it harms no other.

The rows are the simulator's data; `bulkpull simulate --fault ID` provokes the same ones by hand.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from journeys.kit import assert_holds_what_the_csv_said, export
from support import FakeClock

from bulkpull.output.manifest import Manifest
from bulkpull.simulator import Simulator
from bulkpull.simulator.fault_matrix import FAULT_TABLE, QUICK, FaultRow


@pytest.mark.parametrize(
    "row", [pytest.param(row, marks=pytest.mark.fault(row.number), id=f"{row.id} {row.title}") for row in FAULT_TABLE]
)
async def test_a_fault_ends_as_its_row_says(row: FaultRow, tmp_path: Path) -> None:
    clock = FakeClock()
    changes = {**QUICK, **row.settings, "requests_per_second": 500, "request_burst": 100}
    async with Simulator(row.scenario, clock=clock) as simulator:
        manifest = await export(simulator, tmp_path, clock=clock, **changes)
        if row.second_run:
            for fault in row.second_run:
                simulator.arm(fault)
            clock.advance(2)
            manifest = await export(simulator, tmp_path, clock=clock, **changes)
        check(row, manifest, simulator, tmp_path)
        for record in manifest.datasets:
            if record.status == "complete" and record.dataset != row.dataset:
                assert_holds_what_the_csv_said(tmp_path, manifest, record.dataset, await simulator.csv(record.dataset))


def check(row: FaultRow, manifest: Manifest, simulator: Simulator, output: Path) -> None:
    reported = {record.dataset: record for record in manifest.datasets}
    assert manifest.exit_code in row.exit_codes, [record.reason for record in manifest.datasets]
    if row.expected is not None:
        assert reported[row.dataset].status == row.expected, reported[row.dataset].reason
    for record in manifest.datasets:
        if record.dataset not in (row.scenario.datasets or ()):
            assert record.status in ("unavailable", "failed")  # not offered here, or nothing could be asked
            continue
        assert (record.reason is None) == (record.status == "complete")
        if row.spares_others and record.dataset != row.dataset:
            assert record.status == "complete", record.reason
        assert (output / "latest" / record.dataset).exists() == (record.status == "complete") or row.second_run
    reason = (reported[row.dataset].reason or "").casefold() if row.dataset in reported else ""
    for word in row.reason_words:
        assert word.casefold() in reason
    if row.max_calls is not None:
        assert len([call for call in simulator.calls if call.endpoint != "blob"]) <= row.max_calls
    if row.reports_created is not None:
        assert simulator.service.created_reports[row.dataset] <= row.reports_created
    if row.queries_created is not None:
        assert simulator.service.created_queries[row.dataset] <= row.queries_created
    if row.reports_left is not None:
        left = [report for report in simulator.service.reports.values() if report.dataset == row.dataset]
        assert len(left) <= row.reports_left
