"""
What becomes of rows, calls and objects when things go wrong: provoked faults, on us and on each peer.

Every fault strikes the same service in the same way; a contender that has not ended after a while is stopped. What
counts is read from outside: the rows that a reader finds, the calls and objects that the service saw, the exit status.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.environment import BUILD, commit, own_versions, peer_versions, peers_python
from benchmarks.result import OURS
from benchmarks.scenarios.common import say
from benchmarks.service import Service, served

_PAGE = Path(__file__).parent / "faults.md"
_SCRIPTS = Path(__file__).parent / "peers"
_DATASET, _ROWS = "AzureUsage", 20_000
# With a metric the service would add up rows that are alike in all columns, and a lost row could not be told from that.
_PLAIN = ("--metrics", "none")
_DEADLINE_S, _LOOK_S = 8.0, 0.25
# How long a contender may take: so much, and this many times what it takes where nothing goes wrong.
_LIMIT_S, _TIMES = 20.0, 3
_LONGEST_S = 180.0
_PEERS = {"documented steps": "steps.py", "airbyte-cdk": "airbyte.py", "dlt": "dlt_pipeline.py"}


@dataclass(frozen=True, slots=True)
class Provocation:
    """
    Something that goes wrong.

    Attributes:
        faults: Of the simulator, as its `Fault` takes them.
        kill: Kill the second of two runs at the moment when it first touches what the first has published.
    """

    name: str
    story: str
    faults: tuple[Mapping[str, Any], ...] = ()
    kill: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    What came of it.

    Attributes:
        rows: That a reader finds; `None` for files that cannot be read.
        exit_code: `None` when it had to be stopped.
        later_rows: What a reader finds after one more run without the fault, where that is asked.
    """

    rows: int | None
    calls: int
    created: int
    left: tuple[int, int]
    exit_code: int | None
    later_rows: int | None = None
    seconds: float = 0


@dataclass(slots=True)
class Contestant:
    """Somebody who exports one dataset; `words` of its command line, and the folder that its readers read."""

    name: str
    words: list[str]
    output: Path
    published: Path
    environment: Callable[[Mapping[str, str]], dict[str, str]] = dict


PROVOCATIONS = (
    Provocation("nothing", "no fault, to compare with"),
    Provocation("cut gzip", "the stored file ends at 60 % of itself, whole by its length and MD5",
                ({"name": "cut_gzip", "times": None, "args": {"keep": 0.6}},)),
    Provocation("two members", "the stored file has two gzip members, as RFC 1952 allows",
                ({"name": "two_members", "times": None},)),
    Provocation("crash", "killed at the moment when the second run touches what the first has published", kill=True),
    Provocation("endless job", f"the execution stays Running; the deadline is {_DEADLINE_S:.0f} s where there is one",
                ({"name": "execution_stuck", "times": None, "args": {"status": "Running"}},)),
    Provocation("failing poll", "three looks are answered 500, then all is well",
                ({"name": "http_status", "endpoint": "execution", "times": 3, "args": {"status": 500}},)),
    Provocation("failing polls", "every look is answered 500",
                ({"name": "http_status", "endpoint": "execution", "times": None, "args": {"status": 500}},)),
    Provocation("lost answer", "the report is created, and the connection is reset before the answer",
                ({"name": "reset_after_acting", "endpoint": "POST ScheduledReport", "times": 1},)),
    Provocation("expired link", "the first link is at its end when it is handed out", ({"name": "link_expired"},)),
)  # fmt: skip


def write_faults() -> Path:
    """Provoke all of them on everybody, and make the page."""
    _PAGE.write_text("\n".join(_lines(_provoke(PROVOCATIONS))), "utf-8")
    return _PAGE


def try_without_faults(*, alone: bool) -> list[str]:
    """
    Have everybody export where nothing goes wrong; no page is made.

    Args:
        alone: Only ours.

    Returns:
        A sentence for each contender that did not publish all rows; empty when all is well.
    """
    outcomes = _provoke(PROVOCATIONS[:1], alone=alone)[PROVOCATIONS[0].name]
    return [
        f"faults: {name} failed where nothing went wrong: {_described(outcome)}"
        for name, outcome in outcomes.items()
        if outcome is None or outcome.exit_code != 0 or outcome.rows != _ROWS
    ]


def _provoke(provocations: Sequence[Provocation], *, alone: bool = False) -> dict[str, dict[str, Outcome | None]]:
    BUILD.mkdir(parents=True, exist_ok=True)
    table: dict[str, dict[str, Outcome | None]] = {}
    limits_s: dict[str, float] = {}
    with served(rows={_DATASET: _ROWS, "*": 10}) as service:
        query = _query(service)
        for provocation in provocations:
            table[provocation.name] = {}
            for contestant in _contestants(query, alone=alone):
                say(f"{provocation.name}: {contestant.name}")
                limit_s = limits_s.get(contestant.name, _LONGEST_S)
                outcome = _outcome(provocation, contestant, service, limit_s=limit_s)
                table[provocation.name][contestant.name] = outcome
                if outcome is not None:
                    limits_s.setdefault(contestant.name, _LIMIT_S + _TIMES * outcome.seconds)
    return table


def _contestants(query: str, *, alone: bool) -> list[Contestant]:
    target, python = BUILD / "faulty", None if alone else peers_python()
    bulkpull = str(Path(sys.executable).parent / "bulkpull")
    ours = Contestant(
        OURS, [bulkpull, "export", _DATASET, *_PLAIN, "--output", str(target), "--quiet", "--json"], target,
        target / "latest" / _DATASET, environment=_own_environment,
    )  # fmt: skip
    if python is None:
        return [ours]
    job = BUILD / "job.json"
    reported = {"queries": {_DATASET: query}, "poll_s": _LOOK_S, "output": str(target), "deadline_s": _DEADLINE_S}

    def with_job(given: Mapping[str, str]) -> dict[str, str]:
        job.write_text(json.dumps({**reported, "environment": dict(given)}), "utf-8")
        return {}

    peers = [
        Contestant(name, [python, str(_SCRIPTS / script), str(job)], target,
                   target / "tables" / "azure_usage" if name == "dlt" else target / _DATASET, environment=with_job)
        for name, script in _PEERS.items()
    ]  # fmt: skip
    return [ours, *peers]


def _own_environment(given: Mapping[str, str]) -> dict[str, str]:
    return {**given, "BULKPULL_POLL_INITIAL_SECONDS": f"{_LOOK_S}", "BULKPULL_POLL_MAX_SECONDS": f"{_LOOK_S}",
            "BULKPULL_REPORT_TIMEOUT_SECONDS": f"{_DEADLINE_S}"}  # fmt: skip


def _query(service: Service) -> str:
    contestant = _contestants("", alone=True)[0]
    shutil.rmtree(contestant.output, ignore_errors=True)
    environment = contestant.environment(service.begin()["environment"])
    done = subprocess.run(contestant.words, env={**os.environ, **environment}, check=True, capture_output=True)
    return str(json.loads(done.stdout)["datasets"][0]["query"])


def _outcome(provocation: Provocation, contestant: Contestant, service: Service, *, limit_s: float) -> Outcome | None:
    """`None` where there is nothing to provoke."""
    if provocation.kill and contestant.name == "airbyte-cdk":
        return None  # a source publishes nothing
    shutil.rmtree(contestant.output, ignore_errors=True)
    contestant.output.mkdir(parents=True)
    environment = {**os.environ, **contestant.environment(service.begin()["environment"])}
    if provocation.kill:
        _run(contestant, environment, limit_s=limit_s)
    for fault in provocation.faults:
        service.fault(**fault)
    began_s = time.perf_counter()
    run = _run_until_it_publishes if provocation.kill else _run
    exit_code = run(contestant, environment, limit_s=limit_s)
    seconds = time.perf_counter() - began_s
    rows, later = _rows(contestant.published), None
    if provocation.kill:
        _run(contestant, environment, limit_s=limit_s)
        later = _rows(contestant.published)
    count = service.count()
    return Outcome(
        rows, count["requests"], count["created"], (count["queries"], count["reports"]), exit_code, later, seconds
    )


def _run(contestant: Contestant, environment: Mapping[str, str], *, limit_s: float) -> int | None:
    process = subprocess.Popen(
        contestant.words, env=dict(environment), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        return process.wait(limit_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return None


def _run_until_it_publishes(contestant: Contestant, environment: Mapping[str, str], *, limit_s: float) -> int | None:
    """Killed at the first change of what readers see or of the folder that it lies in; `None` when it was."""
    watched = [contestant.published]
    if contestant.name == OURS:
        watched = [contestant.output / "datasets", contestant.output / "current.json", contestant.output / "latest"]
    before = _state(watched)
    process = subprocess.Popen(
        contestant.words, env=dict(environment), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    ends_s = time.monotonic() + limit_s
    while process.poll() is None and time.monotonic() < ends_s:
        if _state(watched) != before:
            process.kill()
            process.wait()
            return None
    return process.wait()


def _state(watched: list[Path]) -> set[tuple[str, int, int]]:
    state = set()
    for root in watched:
        for path in (root, *root.rglob("*")):
            try:
                facts = path.lstat()
            except FileNotFoundError:
                continue
            state.add((str(path), facts.st_size, facts.st_mtime_ns))
    return state


def _rows(published: Path) -> int | None:
    """What a reader finds: the rows of all files; `None` when one of them cannot be read."""
    files = sorted(published.glob("*.parquet")) if published.is_dir() else []
    try:
        return sum(int(pl.scan_parquet(file).select(pl.len()).collect().item()) for file in files)
    except (pl.exceptions.PolarsError, OSError):
        return None


_HEAD = f"""\
# When things go wrong

The same service, the same fault, and what a reader finds afterwards. Made by `python -m benchmarks faults`;
nobody writes it by hand. One dataset of {_ROWS:,} rows, a look every {_LOOK_S} s. Whoever takes {_LIMIT_S:.0f} s more
than {_TIMES} times what it takes where nothing goes wrong is stopped. *Said so* means that the exit status was not 0.

How the peers are set up stands in [README.md](README.md). What they do not do themselves, the harness does for
them: the documented steps and dlt get a loop that looks until the execution is completed, Airbyte's job
deadline is set to {_DEADLINE_S:.0f} s as ours is, and its records are written down for it.
"""


def _lines(table: Mapping[str, Mapping[str, Outcome | None]]) -> Iterator[str]:
    yield _HEAD
    versions = peer_versions()
    names = list(next(iter(table.values())))
    yield f"| | {' | '.join(names)} |\n| --- |{' --- |' * len(names)}"
    stories = {item.name: item.story for item in PROVOCATIONS}
    for name, outcomes in table.items():
        cells = [_described(outcome) for outcome in outcomes.values()]
        yield f"| **{name}**: {stories[name]} | {' | '.join(cells)} |"
    packages = ("requests", "airbyte-cdk", "dlt", "pyarrow")
    reported = ", ".join(f"{package} {versions[package]}" for package in packages if package in versions)
    yield f"\nMeasured at commit {commit()} with bulkpull {own_versions()['bulkpull']}, {reported}.\n"


def _described(outcome: Outcome | None) -> str:
    if outcome is None:
        return "– (a source publishes nothing; its destination would)"
    rows = "**unreadable file**" if outcome.rows is None else _described_rows(outcome)
    words = [rows]
    if outcome.later_rows is not None:
        words.append(f"{outcome.later_rows:,} rows after the next run")
    elif outcome.exit_code is None:
        words.append(f"**had to be stopped after {outcome.seconds:.0f} s**")
    elif outcome.rows != _ROWS:
        words.append("said so" if outcome.exit_code else "**said nothing**")
    elif outcome.exit_code:
        words.append("**said that it failed**")
    queries, reports = outcome.left
    words.append(f"{outcome.calls:,} calls")
    words.append(f"left on the service: {queries} of queries, {reports} of reports")
    return "; ".join(words)


def _described_rows(outcome: Outcome) -> str:
    if outcome.rows == _ROWS:
        return f"all {_ROWS:,} rows"
    is_quiet = outcome.rows and outcome.exit_code == 0
    return f"**{outcome.rows:,} of {_ROWS:,} rows**" if is_quiet else f"{outcome.rows:,} rows"
