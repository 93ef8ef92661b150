"""
Kills at random moments: whenever the real command dies, with the children it has, the same command ends the work, and
somebody who reads all the while never sees a snapshot that is not whole.

A few kills by default; TRIALS=all makes it a hundred, TRIALS_SEED chooses other moments.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import polars as pl
import pytest
from support import THOROUGH
from trials.onlooker import digest_of
from trials.programs import Ending, check_agreement, finish, kill, reports_by_name, runs_in, start, warm_script
from trials.readers import check_tidiness

from bulkpull.simulator import Scenario, Simulator

pytestmark = [
    pytest.mark.child_processes,
    pytest.mark.skipif(sys.platform != "linux", reason="the children of a process are listed by /proc"),
    pytest.mark.timeout(7_200 if THOROUGH else 900),
]

DATASETS = ("Profile", "OfficeUsage", "MSLearn") if THOROUGH else ("Profile", "OfficeUsage")
# Each round has other data, so that a mixture of two would show.
ROUNDS, KILLS = (10, 10) if THOROUGH else (2, 1)
ONLOOKER = Path(__file__).parent / "onlooker.py"


@asynccontextmanager
async def watched(output: Path, log: Path) -> AsyncIterator[None]:
    """Somebody reads in another process while the block lasts."""
    with log.open("wb") as reported:
        reader = await anyio.open_process(
            [sys.executable, "-c", warm_script(ONLOOKER), str(output)],
            stdin=subprocess.PIPE, stdout=reported, stderr=subprocess.PIPE,
        )  # fmt: skip
        try:
            yield
        finally:
            assert reader.stdin is not None
            assert reader.stderr is not None
            await reader.stdin.aclose()
            words = b"".join([chunk async for chunk in reader.stderr])
            await reader.wait()
    assert reader.returncode == 0, words.decode()


@pytest.mark.fault(3, 93, 95)
async def test_a_hundred_kills_leave_no_trace_and_no_reader_sees_half_a_snapshot(tmp_path: Path) -> None:
    die = random.Random(os.environ.get("TRIALS_SEED", "kills"))  # noqa: S311 - a choice of moments
    output, log = tmp_path / "out", tmp_path / "seen.jsonl"
    whole: set[tuple[str, str]] = set()
    port = 0  # that of the first round in all rounds: a folder belongs to one service, by its address
    async with watched(output, log):
        for number in range(ROUNDS):
            scenario = Scenario(seed=number, rows=20 + number, datasets=DATASETS, latency_s=(0.05, 0.3))
            async with Simulator(scenario, port=port) as simulator:
                port = urlsplit(simulator.api_base_url).port or 0
                began = time.monotonic()
                whole |= published(await carried_out(simulator, output), output)
                usual_s = time.monotonic() - began
                for _ in range(KILLS):
                    await killed_and_mended(simulator, output, after_s=die.uniform(0.0, usual_s))

    *sights, last = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    assert {(sight["dataset"], sight["digest"]) for sight in sights} <= whole
    assert {sight["way"] for sight in sights} == {"current.json", "latest"}
    assert last["looks"] > ROUNDS


async def killed_and_mended(simulator: Simulator, output: Path, *, after_s: float) -> None:
    """Kill the command, start it again, and see that nothing tells of it."""
    runs = len(runs_in(output))
    created = Counter(simulator.service.created_reports)
    victim = await start(simulator, output, *DATASETS)
    await anyio.sleep(after_s)
    kill(victim)
    await finish(victim)

    await carried_out(simulator, output)

    reported = f"killed after {after_s:.3f} s"
    new = len(runs_in(output)) - runs
    assert new in (1, 2), reported  # two when it had ended before it was killed
    assert all(status == "complete" for _, status in runs_in(output)), reported
    assert simulator.service.created_reports - created == Counter(dict.fromkeys(DATASETS, new)), reported
    assert simulator.service.created_queries == Counter(dict.fromkeys(DATASETS, 1)), reported
    assert set(reports_by_name(simulator).values()) == {1}, reported
    assert simulator.service.reports == {}, reported
    check_tidiness(output)


async def carried_out(simulator: Simulator, output: Path) -> Ending:
    ending = await finish(await start(simulator, output, *DATASETS))
    assert ending.code == 0, ending
    check_agreement(ending, output)
    return ending


def published(ending: Ending, output: Path) -> set[tuple[str, str]]:
    """Dataset and digest of all rows of each snapshot."""
    records: list[dict[str, Any]] = ending.manifest["datasets"]
    frames = {
        record["dataset"]: pl.read_parquet([output / file["path"] for file in record["files"]], glob=False)
        for record in records
    }
    return {(dataset, digest_of(frame.rows())) for dataset, frame in frames.items()}
