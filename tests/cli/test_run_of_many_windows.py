"""A run of hundreds of windows fits on one screen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bulkpull.cli.run_details import LedgerFacts, describe, run_lines
from bulkpull.output.ledger import RunEntry, StepEntry

BEGAN = datetime(2026, 11, 23, 2, tzinfo=UTC)
WINDOWS = 300
A_SCREEN = 24


@pytest.mark.case("W17")
def test_three_hundred_windows_fit_on_a_screen() -> None:
    steps = [
        StepEntry("AzureUsage", step, at, {"mark": f"{number:012x}", "rows": number})
        for number in range(WINDOWS)
        for step, at in [
            (step, BEGAN + timedelta(seconds=10 * number + place))
            for place, step in enumerate(("report", "execution", "downloaded", "converted"))
        ]
    ]
    entry = RunEntry("20261123T020000Z-abcdef", BEGAN, {"datasets": ["azureusage"]}, status="complete")

    lines = run_lines(describe(entry.run_id, LedgerFacts(entry, steps=steps), None))

    assert len(lines) <= A_SCREEN
    assert any("times 300" in line for line in lines)
