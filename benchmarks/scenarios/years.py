"""
Commands after years of nights: they should take as long as in the first week.

    young    after the first night
    old      a thousand snapshots in the folder, a thousand executions of each scheduled report, two thousand reports
             of others on the service

The same commands run against both by turns: a night without news, and what people look with.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime, timedelta

from benchmarks.environment import BUILD
from benchmarks.measure import cost_of
from benchmarks.result import OURS, Case, Result, Run
from benchmarks.scenarios.common import PROGRAM, Entry, Options, result_of, run_of, say, take_turns
from benchmarks.service import served

NAME, TITLE = "years", "After years"
_YOUNG = f"{OURS}, first week"
_DAY_H = 24.0
_EXECUTIONS = {"smoke": 5, "small": 1_000, "full": 1_000}
_REPORTS = {"smoke": 20, "small": 2_000, "full": 2_000}
_SNAPSHOTS = {"smoke": 3, "small": 50, "full": 50}
"""Of each of the twenty datasets."""


class _Folder:
    """An output folder after its first night, and the service that it is filled from."""

    def __init__(self, stack: ExitStack, name: str) -> None:
        self.path = BUILD / f"years-{name}"
        shutil.rmtree(self.path, ignore_errors=True)
        self.service = stack.enter_context(
            served(rows=50, refreshes=True, active_report_quota=10_000, query_quota=10_000)
        )
        self.environment = {
            **self.service.begin()["environment"],
            "BULKPULL_POLL_INITIAL_SECONDS": "0.25",
            "BULKPULL_POLL_MAX_SECONDS": "0.25",
            "BULKPULL_REQUESTS_PER_SECOND": "1000",
            "BULKPULL_REQUEST_BURST": "200",
            "BULKPULL_RETAIN_RUNS": "5000",
        }
        say(f"the first night: {name}")
        self.night()

    def night(self) -> Run:
        """One night."""
        before = self.service.count()["requests"]
        run = self.run("nightly", "--quiet", "--json")
        return run.model_copy(update={"requests": self.service.count()["requests"] - before})

    def run(self, *words: str) -> Run:
        """One command on this folder."""
        output = ["--output", str(self.path)] if words[0] not in ("reports", "executions") else []
        command = [PROGRAM, *words, *output]
        return run_of(cost_of(command, output=BUILD / "said", environment=self.environment))

    def age(self, *, executions: int, reports: int, snapshots: int) -> None:
        """Let years go by: executions and reports on the service, snapshots and runs in the folder."""
        say(f"{reports:,} reports of others, {executions:,} executions, {snapshots:,} snapshots of each dataset")
        words = [sys.executable, "-m", "benchmarks.ours_crowd", str(reports)]
        cost_of(words, output=BUILD / "said", environment=self.environment)
        self.service.later(_DAY_H * executions)
        self.night()
        self.night()
        self._multiply_snapshots(snapshots)

    def _multiply_snapshots(self, count: int) -> None:
        """Copies of the first run and of its snapshots, as runs of earlier days."""
        first = min(path for path in (self.path / "runs").iterdir() if path.is_dir())
        began = datetime.strptime(first.name.partition("-")[0], "%Y%m%dT%H%M%SZ")  # noqa: DTZ007 - only days are counted
        text = (first / "manifest.json").read_text("utf-8")
        for number in range(1, count):
            run_id = f"{began - timedelta(days=number):%Y%m%dT%H%M%SZ}-{number:06x}"
            (self.path / "runs" / run_id).mkdir()
            (self.path / "runs" / run_id / "manifest.json").write_text(text.replace(first.name, run_id), "utf-8")
            for snapshot in (self.path / "datasets").glob(f"*/run={first.name}"):
                copied = snapshot.with_name(f"run={run_id}")
                shutil.copytree(snapshot, copied)
                for file in copied.iterdir():
                    file.rename(copied / file.name.replace(first.name, run_id))

    @property
    def report_id(self) -> str:
        """A scheduled report of ours; those of others are on another dataset."""
        return str(self.service.count()["report_ids"]["OfficeUsage"])


def measure(options: Options) -> Result:
    """Measure every command on both folders."""
    BUILD.mkdir(parents=True, exist_ok=True)
    cases, size = [], options.size
    with ExitStack() as stack:
        young, old = _Folder(stack, "young"), _Folder(stack, "old")
        old.age(executions=_EXECUTIONS[size], reports=_REPORTS[size], snapshots=_SNAPSHOTS[size])
        young.night()
        young_id, old_id = young.report_id, old.report_id
        commands: dict[str, tuple[Callable[[], Run], Callable[[], Run]]] = {
            "night": (old.night, young.night),
            "status": (lambda: old.run("status", "--json"), lambda: young.run("status", "--json")),
            "verify": (
                lambda: old.run("runs", "verify", "--quick", "--json"),
                lambda: young.run("runs", "verify", "--quick", "--json"),
            ),
            "runs": (lambda: old.run("runs", "list", "--json"), lambda: young.run("runs", "list", "--json")),
            "reports": (lambda: old.run("reports", "list", "--json"), lambda: young.run("reports", "list", "--json")),
            "executions": (
                lambda: old.run("executions", old_id, "--json"),
                lambda: young.run("executions", young_id, "--json"),
            ),
        }
        for name, (after_years, in_first_week) in commands.items():
            if options.wants_case(name):
                cases.append(_case(name, after_years, in_first_week, options=options))
    return result_of(NAME, cases, options=options, versions={})


def _case(name: str, after_years: Callable[[], Run], in_first_week: Callable[[], Run], *, options: Options) -> Case:
    size = options.size
    entries = [
        Entry(OURS, after_years, how="after years"),
        Entry(_YOUNG, in_first_week, how="the same command after the first nights"),
    ]
    title = (
        f"{20 * _SNAPSHOTS[size]:,} snapshots, {_REPORTS[size]:,} reports of others, {_EXECUTIONS[size]:,} executions "
        "of each scheduled report"
    )
    alone = Options(size, wanted_rounds=options.rounds)  # the other contender is ours as well
    return Case(name=name, title=title, contenders=take_turns(entries, options=alone, case=name))
