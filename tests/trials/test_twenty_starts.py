"""Twenty starts at once on one output folder: one runs, nineteen exit 5 and say who does."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from support import THOROUGH
from trials.programs import Ending, check_agreement, finish, start
from trials.readers import check_tidiness

from bulkpull.simulator import Scenario, Simulator

pytestmark = pytest.mark.child_processes

STARTS = 20 if THOROUGH else 3


@pytest.mark.fault(2)
@pytest.mark.timeout(600)
async def test_of_many_starts_at_once_one_runs_and_the_others_say_who_does(tmp_path: Path) -> None:
    output, endings = tmp_path / "out", dict[int, Ending]()
    async with Simulator(Scenario(rows=10, datasets=("Profile",), latency_s={"*": 3_600.0})) as simulator:

        async def one() -> None:
            process = await start(simulator, output, "Profile")
            endings[process.pid] = await finish(process)

        async with anyio.create_task_group() as group:
            for _ in range(STARTS):
                group.start_soon(one)
            while len(endings) < STARTS - 1 or not simulator.service.executions:
                await anyio.sleep(0.05)
            for execution in simulator.service.executions:
                execution.latency_s = 0.0  # only now can the one that runs come to its end

        assert dict(simulator.service.created_reports) == {"Profile": 1}
    (winner,) = (pid for pid, ending in endings.items() if ending.code == 0)
    check_agreement(endings.pop(winner), output)
    for ending in endings.values():
        refusal = ending.manifest
        assert (ending.code, refusal["status"], refusal["exit"]) == (5, "failed", 5), ending
        assert f"process {winner} on " in ending.err or "it has just started" in ending.err, ending.err
    check_tidiness(output)
