"""
The n-th effect: for every n the n-th write, sync, rename, commit, call or child of the real command goes wrong, or it
is killed in its place; then the same command once more ends as if nothing had been.

One number a way by default, other ones for every seed; TRIALS=all takes each.
"""

from __future__ import annotations

import json
import os
import random
import sys
from pathlib import Path
from typing import Literal

import anyio
import polars as pl
import pytest
from support import THOROUGH
from trials.programs import EFFECTS, Ending, check_agreement, finish, reports_by_name, runs_in, start
from trials.readers import Known, check_readers, check_tidiness

from bulkpull.simulator import Scenario, Simulator

pytestmark = [
    pytest.mark.child_processes,
    pytest.mark.skipif(sys.platform != "linux", reason="descriptors are told apart by /proc"),
    pytest.mark.timeout(7_200 if THOROUGH else 900),
]

DATASETS = ("Profile", "OfficeUsage")
SCENARIO = Scenario(rows=12, datasets=DATASETS, latency_s={"*": 0.1})
FEW = 1
Way = Literal["fail", "full", "kill"]


async def run(simulator: Simulator, output: Path, *, strike: str | None = None) -> Ending:
    environment = {"EFFECTS_ROOT": str(output), "EFFECTS_LOG": str(output.parent / "effects.txt")}
    environment |= {"EFFECTS_STRIKE": strike} if strike else {}
    return await finish(await start(simulator, output, *DATASETS, script=EFFECTS, **environment))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, Known]:
    """How many effects an export has, and what it publishes."""
    output = tmp_path_factory.mktemp("undisturbed") / "out"

    async def export() -> Ending:
        async with Simulator(SCENARIO) as simulator:
            return await run(simulator, output)

    ending = anyio.run(export)
    assert ending.code == 0, ending.err
    known = {
        record["dataset"]: [pl.read_parquet([output / file["path"] for file in record["files"]], glob=False)]
        for record in ending.manifest["datasets"]
    }
    return len((output.parent / "effects.txt").read_text().splitlines()), known


def numbers(most: int, way: Way) -> list[int]:
    """Which effects to strike: all, or some spread over the run."""
    if THOROUGH:
        return list(range(1, most + 1))
    die = random.Random(f"{os.environ.get('TRIALS_SEED', '')}{way}")  # noqa: S311 - a choice of cases
    return [die.randrange(most * turn // FEW + 1, most * (turn + 1) // FEW + 1) for turn in range(FEW)]


@pytest.mark.fault(3, 7, 38, 95, 96, 98)
@pytest.mark.parametrize("way", ["fail", "full", "kill"])
async def test_after_the_nth_effect_went_wrong_the_same_command_ends_as_if_nothing_had_been(
    tmp_path: Path, undisturbed: tuple[int, Known], way: Way
) -> None:
    most, known = undisturbed
    troubles: list[str] = []
    for number in numbers(most, way):
        folder = tmp_path / f"{way}-{number}"
        folder.mkdir()
        try:
            await strike_and_mend(folder / "out", known, strike=f"{number}:{way}")
        except AssertionError as trouble:
            reported = (folder / "effects.txt").read_text().splitlines()
            troubles.append(f"{way} at {reported[number - 1] if number <= len(reported) else number}: {trouble}")
    assert not troubles, "\n".join(troubles)


async def strike_and_mend(output: Path, known: Known, *, strike: str) -> None:
    async with Simulator(SCENARIO) as simulator:
        first = await run(simulator, output, strike=strike)
        if not strike.endswith("kill"):
            check_agreement(first, output)
        if output.exists():
            check_readers(output, known, published=False)
        second = await run(simulator, output)

        assert second.code == 0, f"the second time: {second}"
        check_agreement(second, output)
        assert check_readers(output, known, published=True) == dict.fromkeys(DATASETS, 0)
        check_tidiness(output)
        created = reports_by_name(simulator)
        assert all(count == 1 for count in created.values()), f"created twice: {created}"
        runs = runs_in(output)
        for dataset in DATASETS:
            assert simulator.service.created_queries[dataset] == 1, "a query was stored twice"
            assert 1 <= simulator.service.created_reports[dataset] <= len(runs), f"more reports than runs: {runs}"
        assert simulator.service.reports == {}, "a report was left behind"
    assert json.loads((output / "current.json").read_text())["version"] == 1
    if strike.endswith("kill") and first.code < 0:
        assert len(runs) == 1 or runs[0][1] == "complete", f"the run was not carried on: {runs}"
