"""
Every row of the fault matrix that a service can bring about: what it does to one dataset, and that it harms no other.

The rows are the simulator's data; `bulkpull simulate --fault ID` provokes the same ones by hand.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from fault_expectations import EXPECTATIONS, Expectation
from journeys.kit import assert_holds_what_the_csv_said, export
from support import FakeClock

from bulkpull.output.manifest import Manifest
from bulkpull.simulator import Simulator
from bulkpull.simulator.fault_matrix import FAULT_TABLE, HIT, QUICK, FaultRow


@pytest.mark.parametrize(
    "row", [pytest.param(row, marks=pytest.mark.fault(row.number), id=f"{row.id} {row.title}") for row in FAULT_TABLE]
)
async def test_a_fault_ends_as_its_row_says(row: FaultRow, tmp_path: Path) -> None:
    expectation = EXPECTATIONS.get(row.id, Expectation())
    clock = FakeClock()
    changes = {**QUICK, **row.settings, "requests_per_second": 500, "request_burst": 100}
    async with Simulator(row.scenario, clock=clock) as simulator:
        manifest = await export(simulator, tmp_path, clock=clock, **changes)
        if expectation.second_run:
            for fault in expectation.second_run:
                simulator.arm(fault)
            clock.advance(2)
            manifest = await export(simulator, tmp_path, clock=clock, **changes)
        check(row, expectation, manifest, simulator, tmp_path)
        for record in manifest.datasets:
            if record.status == "complete" and record.dataset != HIT:
                assert_holds_what_the_csv_said(tmp_path, manifest, record.dataset, await simulator.csv(record.dataset))


def check(row: FaultRow, expectation: Expectation, manifest: Manifest, simulator: Simulator, output: Path) -> None:
    reported = {record.dataset: record for record in manifest.datasets}
    assert manifest.exit_code in row.exit_codes, [record.reason for record in manifest.datasets]
    if row.expected is not None:
        assert reported[HIT].status == row.expected, reported[HIT].reason
    for record in manifest.datasets:
        if record.dataset not in (row.scenario.datasets or ()):
            assert record.status in ("unavailable", "failed")  # not offered here, or nothing could be asked
            continue
        assert (record.reason is None) == (record.status == "complete")
        if expectation.spares_others and record.dataset != HIT:
            assert record.status == "complete", record.reason
        assert (output / "latest" / record.dataset).exists() == (record.status == "complete") or expectation.second_run
    reason = (reported[HIT].reason or "").casefold() if HIT in reported else ""
    for word in expectation.reason_words:
        assert word.casefold() in reason
    if expectation.max_calls is not None:
        assert len([call for call in simulator.calls if call.endpoint != "blob"]) <= expectation.max_calls
    if expectation.reports_created is not None:
        assert simulator.service.created_reports[HIT] <= expectation.reports_created
    if expectation.queries_created is not None:
        assert simulator.service.created_queries[HIT] <= expectation.queries_created
    if row.expected == "complete":
        left = [report for report in simulator.service.reports.values() if report.dataset == HIT]
        assert len(left) <= expectation.reports_left
