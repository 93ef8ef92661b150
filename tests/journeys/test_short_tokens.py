"""Tokens that end while reports are made: renewed in time, without the password going out again."""

from __future__ import annotations

from pathlib import Path

import pytest
from journeys.kit import export
from support import FakeClock

from bulkpull.simulator import Scenario, Simulator


@pytest.mark.behaviour(3, 7, 18)
@pytest.mark.fault(16)
async def test_tokens_of_three_seconds_outlast_an_export_of_eight_and_the_password_goes_out_once(
    tmp_path: Path,
) -> None:
    clock = FakeClock()
    scenario = Scenario(rows=60, datasets=("Profile", "OfficeUsage", "MSLearn"), latency_s=(8, 8), token_lifetime_s=3)
    async with Simulator(scenario, clock=clock) as simulator:
        manifest = await export(simulator, tmp_path, clock=clock)

        asked = [call for call in simulator.calls if call.endpoint == "token"]
        dead = [call for call in simulator.calls if call.endpoint != "token" and call.status == 401]

    assert manifest.status == "complete"
    assert clock.elapsed_s >= 8
    assert len(asked) >= 3
    assert [number for number, call in enumerate(asked) if "password" in call.body_keys] == [0]
    assert len(dead) <= 2
