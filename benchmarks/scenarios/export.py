"""
A full export of twenty datasets, beside the documented steps, Airbyte's CDK and a dlt pipeline.

    twenty       reports that take up to a second and hold up to 3 MB; a throttled API
    half minute  ours alone: reports of up to 30 s, against the lower bound, and the memory of the parent process; in a
                 folder that was exported before, so that the usual durations are known
    two minutes  the same with reports of up to 120 s (full size only)
    allowance    ours alone: ten calls in ten seconds, reports of ten seconds, against the longer of the slowest report
                 and calls over allowance
    heavy, N     datasets of 600,000 rows each (full size only), N conversions at once, beside bare polars that converts
                 the same files one by one

All ask the same queries of the same service, which is empty at each start. Times are scaled alike for everybody: how
long reports take, how often somebody looks, how many calls a minute the API allows. A source of Airbyte ends in
records: the harness signs in for it and writes them to Parquet.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.environment import BUILD
from benchmarks.measure import Cost, cost_of
from benchmarks.result import OURS, Case, Result, Run
from benchmarks.scenarios.common import PROGRAM, Entry, Options, result_of, run_of, say, take_turns
from benchmarks.service import Service, served
from benchmarks.tables import differences
from bulkpull.catalog import load_catalog

NAME, TITLE = "export", "Full export"
_SHORTEST_S, _LONGEST_S, _LOOK_S = 1.0, 60.0, 60.0
_SCALE, _SMOKE_SCALE = 1 / 60, 1 / 600
_WAITING = {"half minute": 30.0, "two minutes": 120.0}
_HEAVY_ROWS, _HEAVY_SMALL_ROWS = 600_000, 6_000
_HEAVY_AT_ONCE = (1, 2, 4, 8)
_CALLS_PER_MIN = 300
_ALLOWANCE_PER_MIN = 10
_WINDOW_S = 60.0
_SMALLEST_BYTES, _LARGEST_BYTES = 1e6, 200e6
_ROW_BYTES = 230  # about; what counts is what is measured
_BY_SHARE = "peak MB: what all processes hold at one moment, pages that several map counted once"
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
    for name, longest_s in _WAITING.items():
        if options.wants_case(name) and (longest_s <= _LONGEST_S or options.size == "full" or name in options.cases):
            cases.append(_waiting(name, longest_s, options=options))
    if options.wants_case("allowance"):
        cases.append(_allowance(options))
    cases += _heavy(options)
    return result_of(NAME, cases, options=options, versions={})


def _twenty(options: Options) -> Case:
    scale = _SMOKE_SCALE if options.size == "smoke" else _SCALE
    largest = options.size_bytes or int(_LARGEST_BYTES * scale)
    parameters = _parameters(largest, scale=scale)
    case_options = replace(options, size_bytes=None).in_rounds(small=2)
    kept: dict[str, Path] = {}
    counts: list[dict[str, Any]] = []
    with served(**parameters) as service:
        latency_s = service.begin()["latency_s"]
        queries = _queries(service, scale=scale)
        python, versions = options.peers_python, options.peer_versions
        entries = [
            Entry(
                OURS,
                _ours(service, scale=scale, kept=kept, counts=counts, by_share=True),
                how="`bulkpull export`, its waits scaled",
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
                contenders=contenders, lower_bound_s=bound_s, verified=verified, facts=_facts(counts),
                notes=[_BY_SHARE])  # fmt: skip
    for path in kept.values():
        shutil.rmtree(path)
    return case


def _waiting(name: str, longest_s: float, *, options: Options) -> Case:
    """Ours alone, by a folder that has been exported before; bound by the slowest report's own time."""
    scale = longest_s / _LONGEST_S * (1 / 60 if options.size == "smoke" else 1)
    rounds = 3 if longest_s < _LONGEST_S and options.size == "full" else 1
    target, costs = BUILD / "exported-waiting", list[Cost]()
    words = _export_command(target)
    shutil.rmtree(target, ignore_errors=True)
    with served(**_parameters(3_000_000, scale=scale)) as service:
        begun = service.begin()
        latency_s = begun["latency_s"]
        slowest = max(latency_s, key=lambda name: latency_s[name])

        def work() -> Run:
            environment = _environment(begun, scale=scale)
            costs.append(cost_of(words, output=BUILD / "said", environment=environment, by_share=True))
            return run_of(costs[-1])

        def bound_s() -> float:
            return _bound_s(json.loads(costs[-1].output), slowest, latency_s)

        say(f"{name}: the first run, which knows no duration")
        first = work()
        facts = _facts([{**service.count(), "manifest": json.loads(costs[-1].output)}])
        facts["first run over its lower bound"] = round(first.wall_s / bound_s(), 3)
        contenders = take_turns([Entry(OURS, work, how="`bulkpull export`, which knows the durations of earlier runs")],
                                options=Options(options.size, None, rounds), case=name)  # fmt: skip
    shutil.rmtree(target)
    facts["MB of the parent process, median"] = round(max(cost.own_median_bytes for cost in costs) / 1e6, 1)
    facts["peak MB of the parent process"] = round(max(cost.own_peak_bytes for cost in costs) / 1e6, 1)
    return Case(name=name, title=f"twenty datasets, the slowest report takes {latency_s[slowest]:.1f} s",
                contenders=contenders, lower_bound_s=bound_s(), facts=facts,
                notes=[_BY_SHARE, "the calls are those of the first run"])  # fmt: skip


def _heavy(options: Options) -> Iterator[Case]:
    """Ours with several numbers of conversions at once, and bare polars on the files that ours has kept."""
    wanted = [
        at_once for at_once in _HEAVY_AT_ONCE
        if options.wants_case(f"heavy, {at_once}") and (options.size == "full" or options.cases)
    ]  # fmt: skip
    if not wanted:
        return
    rows = _HEAVY_ROWS if options.size == "full" else _HEAVY_SMALL_ROWS
    counts: list[dict[str, Any]] = []
    kept: dict[str, Path] = {}
    once = Options(options.size, None, 1)
    parameters = {"requests_per_minute": _CALLS_PER_MIN, "throttle_window_s": _WINDOW_S * _SCALE}
    with served(rows=rows, latency_s={"*": 1.0}, **parameters) as service:
        say("heavy: the service makes its files")
        _ours(service, scale=_SCALE, kept=kept, counts=counts, settings={"BULKPULL_KEEP_RAW": "true"})()
        files = kept[OURS].rename(BUILD / "exported-heavy") / "raw"
        work = _bare_polars(files, python=options.peers_python or "")
        missing = None if options.peers_python else "it could not be installed"
        bare = take_turns([Entry("polars", work, version=options.peer_versions.get("polars", ""),
                                 how="scan_csv(…).sink_parquet(…) of the same files, one by one; no export",
                                 missing=missing)], options=once, case="heavy")  # fmt: skip
        for at_once in wanted:
            name = f"heavy, {at_once}"
            work = _ours(service, scale=_SCALE, kept=kept, counts=counts, by_share=True, conversions=at_once)
            ours = take_turns([Entry(OURS, work, how=f"`bulkpull export`, {at_once} at once")], options=once, case=name)
            title = f"twenty datasets of {rows:,} rows, conversions at once: {at_once}"
            yield Case(name=name, title=title, contenders=[*ours, *bare], facts=_facts(counts), notes=[_BY_SHARE])
    shutil.rmtree(kept[OURS])
    shutil.rmtree(files.parent)


def _bare_polars(files: Path, *, python: str) -> Callable[[], Run]:
    target = BUILD / "exported-polars"

    def work() -> Run:
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        script = str(_HERE / "peers" / "convert.py")
        cost = cost_of([python, script, "polars", str(files), str(target)], output=BUILD / "said", by_share=True)
        shutil.rmtree(target)
        return run_of(cost).model_copy(update=json.loads(cost.output))

    return work


def _allowance(options: Options) -> Case:
    """Ours alone; bound by the calls that the service allows, or by the slowest report."""
    counts: list[dict[str, Any]] = []
    kept: dict[str, Path] = {}
    scale = 1 / 60 if options.size == "smoke" else 1 / 6
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


def _ours(
    service: Service, *, scale: float, kept: dict[str, Path], counts: list[dict[str, Any]], by_share: bool = False,
    conversions: int = 0, settings: Mapping[str, str] | None = None,
) -> Callable[[], Run]:  # fmt: skip
    target = BUILD / "exported-ours"
    program = [PROGRAM]
    if conversions:
        program = [sys.executable, "-m", "benchmarks.ours_export", str(conversions)]

    def work() -> Run:
        shutil.rmtree(target, ignore_errors=True)
        begun = service.begin()
        words = _export_command(target, program=program)
        environment = {**_environment(begun, scale=scale), **(settings or {})}
        cost = cost_of(words, output=BUILD / "said", environment=environment, by_share=by_share)
        count, manifest = service.count(), json.loads(cost.output)
        counts.append({**count, "manifest": manifest, "own_peak_mb": round(cost.own_peak_bytes / 1e6, 1)})
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
        cost = cost_of(
            [python, str(_HERE / "peers" / script), str(BUILD / "job.json")], output=BUILD / "said", by_share=True
        )
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
    cost = cost_of(
        _export_command(target, slowest), output=BUILD / "said", environment=_environment(begun, scale=scale)
    )
    shutil.rmtree(target)
    return _bound_s(json.loads(cost.output), slowest, latency_s)


def _bound_s(manifest: Mapping[str, Any], slowest: str, latency_s: Mapping[str, float]) -> float:
    """The time of the slowest report, and of its transfer and conversion as this manifest has them."""
    seconds = next(record["seconds"] for record in manifest["datasets"] if record["dataset"] == slowest)
    return float(latency_s[slowest] + seconds["download"] + seconds["convert"])


def _export_command(target: Path, *datasets: str, program: Sequence[str] = (PROGRAM,)) -> list[str]:
    return [*program, "export", *datasets, "--output", str(target), "--quiet", "--json"]


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
