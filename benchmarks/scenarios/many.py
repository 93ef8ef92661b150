"""
Many pulls of a few rows: does the last one cost what the first one did?

    whole          exports of twenty datasets with three rows each, again and again in one process
    bookkeeping    ledger and events alone, every pull in one run: what a pull costs beside its own work

There is no peer: what matters is the growth from the first hundred pulls to the last.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from benchmarks.environment import BUILD
from benchmarks.measure import cost_of
from benchmarks.result import OURS, Case, Contender, Result
from benchmarks.scenarios.common import Options, result_of, run_of, say
from benchmarks.service import served

NAME, TITLE = "many", "Many pulls"
_PULLS_A_RUN = 20
_MEMORY_DISK = Path("/dev/shm")  # noqa: S108 - a folder of a name that nobody else can guess is made in it


def measure(options: Options) -> Result:
    """Measure both cases."""
    BUILD.mkdir(parents=True, exist_ok=True)
    cases = []
    if options.wants_case("whole"):
        cases.append(_whole(pulls={"smoke": 100, "small": 200, "full": 2_000}[options.size]))
    if options.wants_case("bookkeeping"):
        cases.append(_bookkeeping(pulls={"smoke": 200, "small": 2_000, "full": 10_000}[options.size]))
    return result_of(NAME, cases, options=options, versions={})


def _whole(*, pulls: int) -> Case:
    say(f"whole: {pulls:,} pulls")
    with served(rows=3) as service, tempfile.TemporaryDirectory(dir=BUILD) as folder:
        environment = service.begin()["environment"]
        words = [sys.executable, "-m", "benchmarks.ours_many", folder, str(pulls // _PULLS_A_RUN)]
        cost = cost_of(words, output=BUILD / "said", environment=environment)
        count = service.count()
    blocks = [json.loads(line) for line in cost.output.splitlines()]
    first, last = blocks[0], blocks[-1]
    run = run_of(cost, requests=count["requests"], wire_bytes=count["wire_bytes"], rows=None)
    return Case(
        name="whole", title=f"{pulls:,} pulls of three rows in one process, twenty a run",
        contenders=[Contender(name=OURS, how="`bulkpull.export` again and again", runs=[run])],
        facts={
            "CPU ms a pull, first hundred": round(first["own_ms"], 1),
            "CPU ms a pull, last hundred": round(last["own_ms"], 1),
            "CPU ms of converters a pull, last hundred": round(last["children_ms"], 1),
            "memory after the first hundred, MB": round(first["mb"], 1),
            "memory at the end, MB": round(last["mb"], 1),
            "API calls a pull": round(count["requests"] / pulls, 2),
        },
    )  # fmt: skip


def _bookkeeping(*, pulls: int) -> Case:
    say(f"bookkeeping: {pulls:,} pulls")
    with tempfile.TemporaryDirectory(dir=_MEMORY_DISK if _MEMORY_DISK.is_dir() else BUILD) as folder:
        words = [sys.executable, "-m", "benchmarks.ours_bookkeeping", folder, str(pulls)]
        cost = cost_of(words, output=BUILD / "said")
    reported = json.loads(cost.output)
    return Case(
        name="bookkeeping", title=f"the steps of {pulls:,} pulls in one run: ledger and events, on a disk in memory",
        contenders=[Contender(name=OURS, how="every step of every pull noted durably", runs=[run_of(cost)])],
        facts={
            "CPU ms a pull, first hundred": round(reported["first_ms"], 2),
            "CPU ms a pull, at the end": round(reported["last_ms"], 2),
            "CPU ms a pull to read them all again": round(reported["reading_ms"], 3),
            "growth of memory, MB": round(reported["grown_mb"], 1),
        },
    )  # fmt: skip
