"""
A night after the first, with and without news, beside the documented steps and Airbyte's CDK.

    without news    nothing has been made since: what does it cost to find that out?
    with news       a month later on the service: every dataset has been refreshed

Ours keeps a standing report for each dataset. The documented steps read the executions of the reports of the first
night and fetch what is latest. Airbyte's CDK has no memory of a job: it creates every report again. News or none are
the same to both of them, so they are measured once.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.environment import BUILD
from benchmarks.measure import cost_of
from benchmarks.result import OURS, Case, Contender, Result, Run
from benchmarks.scenarios.common import PROGRAM, Entry, Options, result_of, run_of, say, take_turns
from benchmarks.service import Service, served

NAME, TITLE = "nightly", "A later night"
_ROWS = {"smoke": 50, "small": 2_000, "full": 2_000}
_LOOK_S = 0.25
_NEWS_AFTER_H = 31 * 24.0
_HERE = Path(__file__).parents[1]
_OURS = BUILD / "nights"


class _Nights:
    """The services of all contenders after their first night, one for each."""

    def __init__(self, stack: ExitStack, *, rows: int, python: str | None) -> None:
        self._stack, self._rows, self._python = stack, rows, python or ""
        self.ours = self._service()
        self.environment = {
            **self.ours.begin()["environment"],
            "BULKPULL_POLL_INITIAL_SECONDS": f"{_LOOK_S}", "BULKPULL_POLL_MAX_SECONDS": f"{_LOOK_S}",
            "BULKPULL_REQUESTS_PER_SECOND": "200", "BULKPULL_REQUEST_BURST": "50",
        }  # fmt: skip
        shutil.rmtree(_OURS, ignore_errors=True)
        say("the first night: bulkpull")
        self.created = 0
        self.calls: dict[str, int] = {}
        self.night()
        manifest = json.loads((BUILD / "said").read_text("utf-8"))
        # What the service does not offer has no query, and nobody exports it.
        self.queries = {record["dataset"]: record["query"] for record in manifest["datasets"] if record["query"]}

    def night(self) -> Run:
        """One night of ours."""
        before = self.ours.count()
        words = [PROGRAM, "nightly", "--output", str(_OURS), "--quiet", "--json"]
        cost = cost_of(words, output=BUILD / "said", environment=self.environment)
        after = self.ours.count()
        self.created = after["created"] - before["created"]
        self.calls = {name: count - before["by_endpoint"].get(name, 0) for name, count in after["by_endpoint"].items()}
        return self._run(cost, before, after)

    @property
    def facts(self) -> dict[str, float]:
        """Of the latest night of ours."""
        calls = {f"calls of {name}": count for name, count in self.calls.items() if count}
        return {"objects created": self.created, **calls}

    def peer(self, script: str) -> Callable[[], Run]:
        """The nights of a peer, after its first one."""
        service, target = self._service(), BUILD / f"nights-{script.removesuffix('.py')}"
        job: dict[str, Any] = {"queries": self.queries, "poll_s": _LOOK_S, "output": str(target),
                               "environment": service.begin()["environment"]}  # fmt: skip
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)

        def night() -> Run:
            before = service.count()
            (BUILD / "job.json").write_text(json.dumps(job), "utf-8")
            cost = cost_of(
                [self._python, str(_HERE / "peers" / script), str(BUILD / "job.json")], output=BUILD / "said"
            )
            return self._run(cost, before, service.count())

        say(f"the first night: {script}")
        night()
        if script == "steps.py":
            job["reports"] = service.count()["report_ids"]
        return night

    def _service(self) -> Service:
        return self._stack.enter_context(
            served(rows=self._rows, refreshes=True, active_report_quota=1_000, query_quota=1_000)
        )

    def _run(self, cost: Any, before: Mapping[str, Any], after: Mapping[str, Any]) -> Run:
        return run_of(cost, requests=after["requests"] - before["requests"],
                      wire_bytes=after["wire_bytes"] - before["wire_bytes"])  # fmt: skip


def measure(options: Options) -> Result:
    """Measure both nights."""
    BUILD.mkdir(parents=True, exist_ok=True)
    versions, cases, options = options.peer_versions, [], options.in_rounds(small=2)
    with ExitStack() as stack:
        nights = _Nights(stack, rows=_ROWS[options.size], python=options.peers_python)
        works = _works(nights, options)
        for name, title in (("without news", "nothing was made since the night before"),
                            ("with news", "a month later: every dataset was refreshed")):  # fmt: skip
            if not options.wants_case(name):
                continue
            news = name == "with news"
            requests = f"requests {versions.get('requests', '')}"
            entries = [
                Entry(
                    item,
                    _after_a_month(nights, work) if news and item == OURS else work,
                    how=how,
                    version=requests if item == "documented steps" else versions.get(item, ""),
                )
                for item, (work, how) in works.items()
                if not news or item == OURS
            ]
            contenders = _with_missing(take_turns(entries, options=options, case=name), options)
            cases.append(Case(name=name, title=f"twenty datasets, {title}", contenders=contenders, facts=nights.facts))
    return result_of(NAME, cases, options=options, versions={})


def _works(nights: _Nights, options: Options) -> dict[str, tuple[Callable[[], Run], str]]:
    works = {OURS: (nights.night, "`bulkpull nightly`")}
    if options.peers_python is None:
        return works
    for name, script, how in (
        ("documented steps", "steps.py", "reads the executions of the first night's reports, fetches, converts"),
        ("airbyte-cdk", "airbyte.py", "creates every report again"),
    ):
        if options.wants(name):
            works[name] = (nights.peer(script), how)
    return works


def _after_a_month(nights: _Nights, work: Callable[[], Run]) -> Callable[[], Run]:
    def night() -> Run:
        nights.ours.later(_NEWS_AFTER_H)
        return work()

    return night


def _with_missing(contenders: list[Contender], options: Options) -> list[Contender]:
    if options.peers_python is not None:
        return contenders
    names = [name for name in ("documented steps", "airbyte-cdk") if options.wants(name)]
    return [*contenders, *(Contender(name=name, skipped="it could not be installed") for name in names)]
