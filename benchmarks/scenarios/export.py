"""
A full export of twenty datasets, beside the documented steps, Airbyte's CDK and a dlt pipeline.

    twenty    reports that take 1 to 60 s and hold 1 to 200 MB, in small size a sixtieth of both; a throttled API
    minute    ours alone: reports that take up to a minute (in small size half of one), against the lower bound
    allowance ours alone: ten calls a minute, reports of a minute (in small size a sixth of both), against the longer of
              calls over allowance and the slowest report

All ask the same queries of the same service, which is empty at each start. Times are scaled alike for everybody: how
long reports take, how often somebody looks, how many calls a minute the API allows. A source of Airbyte ends in
records: the harness signs in for it and writes them to Parquet.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.environment import BUILD
from benchmarks.measure import cost_of
from benchmarks.result import OURS, Case, Result, Run
from benchmarks.scenarios.common import Entry, Options, result_of, run_of, take_turns
from benchmarks.service import Service, served
from benchmarks.tables import differences
from bulkpull.catalog import load_catalog

NAME, TITLE = "export", "Full export"
_SHORTEST_S, _LONGEST_S, _LOOK_S = 1.0, 60.0, 60.0
_CALLS_PER_MIN = 300
_ALLOWANCE_PER_MIN = 10
_WINDOW_S = 60.0
_SMALLEST_BYTES, _LARGEST_BYTES = 1e6, 200e6
_ROW_BYTES = 230  # about; what counts is what is measured
_HERE = Path(__file__).parents[1]
_PEERS = {
    "documented steps": (
        "steps.py",
        "requests",
        "requests: one dataset after another, a look every 60 s (scaled); the harness converts, by pyarrow",
    ),
    "airbyte-cdk": (
        "airbyte.py",
        "airbyte-cdk",
        "declarative AsyncRetriever, 20 jobs at once, a look every 5 s (scaled); the harness creates the queries",
    ),
    "dlt": (
        "dlt_pipeline.py",
        "dlt",
        "20 parallel resources yielding Arrow tables; the harness wrote the steps and the look every 60 s (scaled)",
    ),
}


def measure(options: Options) -> Result:
    """Measure all cases."""
    cases = []
    if options.wants_case("twenty"):
        cases.append(_twenty(options))
    if options.wants_case("minute"):
        cases.append(_minute(options))
    if options.wants_case("allowance"):
        cases.append(_allowance(options))
    return result_of(NAME, cases, options=options, versions={})


def _twenty(options: Options) -> Case:
    scale = {"smoke": 1 / 600, "small": 1 / 60, "full": 1.0}[options.size]
    largest = options.size_bytes or int(_LARGEST_BYTES * (min(1, scale)))
    parameters = _parameters(largest, scale=scale)
    # The documented steps take twenty minutes at full size.
    case_options = replace(
        options, size_bytes=None, wanted_rounds=options.wanted_rounds or (2 if options.size == "small" else 1)
    )
    kept: dict[str, Path] = {}
    counts: list[dict[str, Any]] = []
    with served(**parameters) as service:
        latency_s = service.begin()["latency_s"]
        queries = _queries(service, scale=scale)
        python, versions = options.peers_python, options.peer_versions
        entries = [
            Entry(
                OURS, _ours(service, scale=scale, kept=kept, counts=counts), how="`bulkpull export`, its waits scaled"
            )
        ]
        for name, (script, package, how) in _PEERS.items():
            work = _peer(name, script, service, queries=queries, scale=scale, kept=kept, python=python or "")
            missing = None if python else "it could not be installed"
            version = " ".join([package] * (package != name) + [versions.get(package, "")])
            entries.append(Entry(name, work, version=version, how=how, missing=missing))
        contenders = take_turns(entries, options=case_options, case="twenty")
        bound_s = _lower_bound(service, latency_s, scale=scale)
    verified = _verify(kept, queries)
    size = f"the largest report {largest / 1e6:.3g} MB, the slowest {max(latency_s.values()):.3g} s"
    case = Case(name="twenty", title=f"twenty datasets, {size}, {_CALLS_PER_MIN} calls a minute (scaled {scale:.3g})",
                contenders=contenders, lower_bound_s=bound_s, verified=verified, facts=_facts(counts))  # fmt: skip
    for path in kept.values():
        shutil.rmtree(path)
    return case


def _minute(options: Options) -> Case:
    """Ours alone; bound by the slowest report's own time."""
    counts: list[dict[str, Any]] = []
    kept: dict[str, Path] = {}
    scale = {"smoke": 1 / 60, "small": 0.5, "full": 1.0}[options.size]
    with served(**_parameters(3_000_000, scale=scale)) as service:
        latency_s = service.begin()["latency_s"]
        work = _ours(service, scale=scale, kept=kept, counts=counts)
        contenders = take_turns([Entry(OURS, work, how="`bulkpull export`")],
                                options=Options(options.size, None, 1), case="minute")  # fmt: skip
        slowest = max(latency_s, key=lambda name: latency_s[name])
        own = next(record for record in counts[-1]["manifest"]["datasets"] if record["dataset"] == slowest)
        bound_s = latency_s[slowest] + own["seconds"]["download"] + own["seconds"]["convert"]
    shutil.rmtree(kept[OURS])
    return Case(name="minute", title=f"twenty datasets, the slowest report takes {latency_s[slowest]:.1f} s",
                contenders=contenders, lower_bound_s=bound_s, facts=_facts(counts))  # fmt: skip


def _allowance(options: Options) -> Case:
    """Ours alone; bound by the calls that the service allows, or by the slowest report."""
    counts: list[dict[str, Any]] = []
    kept: dict[str, Path] = {}
    scale = {"smoke": 1 / 60, "small": 1 / 6, "full": 1.0}[options.size]
    window_s = _WINDOW_S * scale
    parameters = {
        "rows": 1_000,
        "latency_s": {"*": _LONGEST_S * scale},
        "requests_per_minute": _ALLOWANCE_PER_MIN,
        "throttle_window_s": window_s,
    }
    with served(**parameters) as service:
        work = _ours(service, scale=scale, kept=kept, counts=counts)
        contenders = take_turns([Entry(OURS, work, how="`bulkpull export`")],
                                options=Options(options.size, None, 1), case="allowance")  # fmt: skip
        bound_s = max(counts[-1]["requests"] / _ALLOWANCE_PER_MIN * window_s, _LONGEST_S * scale)
    shutil.rmtree(kept[OURS])
    title = f"twenty datasets, {_ALLOWANCE_PER_MIN} calls in {window_s:.3g} s, reports of {_LONGEST_S * scale:.3g} s"
    return Case(name="allowance", title=title, contenders=contenders, lower_bound_s=bound_s, facts=_facts(counts))


def _parameters(largest_bytes: int, *, scale: float) -> dict[str, Any]:
    """Sizes and times spread evenly on a logarithmic scale, in an order that has neither follow the other."""
    names = [dataset.name for dataset in load_catalog().standard]
    smallest, last = largest_bytes * _SMALLEST_BYTES / _LARGEST_BYTES, len(names) - 1
    rows = {
        name: int(smallest * (largest_bytes / smallest) ** (at / last) / _ROW_BYTES) for at, name in enumerate(names)
    }
    latency = {
        name: scale * _SHORTEST_S * (_LONGEST_S / _SHORTEST_S) ** (((at * 7) % len(names)) / last)
        for at, name in enumerate(names)
    }
    return {"rows": rows, "latency_s": latency, "requests_per_minute": _CALLS_PER_MIN, "throttle_window_s": 60 * scale}


def _environment(begun: Mapping[str, Any], *, scale: float) -> dict[str, str]:
    """The client's settings, every time in them scaled."""
    return {
        **begun["environment"],
        "BULKPULL_POLL_INITIAL_SECONDS": f"{5 * scale}",
        "BULKPULL_POLL_MAX_SECONDS": f"{60 * scale}",
        "BULKPULL_REQUESTS_PER_SECOND": f"{10 / scale}",
        "BULKPULL_RATE_LIMIT_WINDOW_SECONDS": f"{_WINDOW_S * scale}",
    }


def _ours(service: Service, *, scale: float, kept: dict[str, Path], counts: list[dict[str, Any]]) -> Callable[[], Run]:
    target = BUILD / "exported-ours"

    def work() -> Run:
        shutil.rmtree(target, ignore_errors=True)
        begun = service.begin()
        words = [str(Path(sys.executable).parent / "bulkpull"), "export", "--output", str(target), "--quiet", "--json"]
        cost = cost_of(words, output=BUILD / "said", environment=_environment(begun, scale=scale))
        count, manifest = service.count(), json.loads(cost.output)
        counts.append({**count, "manifest": manifest})
        kept[OURS] = target
        rows = sum(record["rows"] for record in manifest["datasets"])
        return run_of(cost, rows=rows, requests=count["requests"], wire_bytes=count["wire_bytes"])

    return work


def _peer(
    name: str, script: str, service: Service, *, queries: Mapping[str, str], scale: float, kept: dict[str, Path],
    python: str,
) -> Callable[[], Run]:  # fmt: skip
    target = BUILD / f"exported-{script.removesuffix('.py')}"

    def work() -> Run:
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        begun = service.begin()
        job = {
            "environment": begun["environment"],
            "queries": queries,
            "poll_s": _LOOK_S * scale,
            "output": str(target),
        }
        (BUILD / "job.json").write_text(json.dumps(job), "utf-8")
        cost = cost_of([python, str(_HERE / "peers" / script), str(BUILD / "job.json")], output=BUILD / "said")
        count = service.count()
        kept[name] = target
        return run_of(cost, rows=int(cost.output), requests=count["requests"], wire_bytes=count["wire_bytes"])

    return work


def _queries(service: Service, *, scale: float) -> dict[str, str]:
    """The queries that ours asks, for all to ask the same; it also warms everything up."""
    kept: dict[str, Path] = {}
    counts: list[dict[str, Any]] = []
    _ours(service, scale=scale, kept=kept, counts=counts)()
    # What the service does not offer has no query, and nobody exports it.
    return {record["dataset"]: record["query"] for record in counts[0]["manifest"]["datasets"] if record["query"]}


def _lower_bound(service: Service, latency_s: Mapping[str, float], *, scale: float) -> float:
    """The slowest report, and its own transfer and conversion when it has the machine to itself."""
    slowest = max(latency_s, key=lambda name: latency_s[name])
    begun, target = service.begin(), BUILD / "exported-one"
    shutil.rmtree(target, ignore_errors=True)
    words = [
        str(Path(sys.executable).parent / "bulkpull"),
        "export",
        slowest,
        "--output",
        str(target),
        "--quiet",
        "--json",
    ]
    cost = cost_of(words, output=BUILD / "said", environment=_environment(begun, scale=scale))
    shutil.rmtree(target)
    seconds = json.loads(cost.output)["datasets"][0]["seconds"]
    return float(latency_s[slowest] + seconds["download"] + seconds["convert"])


def _facts(counts: list[dict[str, Any]]) -> dict[str, float]:
    """Of the last round."""
    count = counts[-1]
    looks = count["by_endpoint"].get("execution", 0)
    asked = sum(bool(record["query"]) for record in count["manifest"]["datasets"])
    return {
        "API calls": count["requests"],
        "looks among them": looks,
        "API calls beyond two per dataset and one per look": count["requests"] - looks - 2 * asked,
        "calls throttled": count["throttled"],
        "calls throttled after the first 429": count["throttled after the first"],
    }


def _verify(kept: Mapping[str, Path], queries: Mapping[str, str]) -> str:
    peers = [name for name in kept if name != OURS]
    notes = []
    for name in peers:
        unequal = {}
        for dataset in queries:
            folder = _folder_of(kept[name], dataset)
            found = differences(kept[OURS] / "latest" / dataset / "*.parquet", folder / "*.parquet", ordered=False)
            if found:
                unequal[dataset] = found
        if unequal:
            reported = "; ".join(f"{dataset}: {', '.join(found[:3])}" for dataset, found in unequal.items())
            notes.append(f"{name} differs in {len(unequal)} datasets ({reported})")
    equal = [name for name in peers if not any(note.startswith(f"{name} ") for note in notes)]
    return "; ".join([f"rows and values of all datasets against {', '.join(equal)}" if equal else "nothing", *notes])


def _folder_of(root: Path, dataset: str) -> Path:
    """Dlt writes table names in snake case, below the name of its dataset."""
    folded = dataset.casefold()
    below = root / "tables" if (root / "tables").is_dir() else root
    return next(path for path in below.iterdir() if path.name.replace("_", "").casefold() == folded)
