"""Each minute while a run lasts, one line tells how far it is, and the metrics file is renewed (issue 23, item 9)."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from journeys.kit import export
from prometheus_client.parser import text_string_to_metric_families
from support import FakeClock

from bulkpull.cli.error_output import write_json_line
from bulkpull.cli.log_output import LogListener
from bulkpull.cli.options import CommonOptions, LogFormat
from bulkpull.errors import ExecutionOverdue
from bulkpull.event_types import Event, restore_event
from bulkpull.observability.log_lines import as_entry, line_logger, log_event
from bulkpull.observability.progress import INTERVAL_S, Progress
from bulkpull.observability.prometheus import read_metrics, render_progress
from bulkpull.simulator import Fault, Scenario, Simulator

OUT = "/var/lib/bulkpull"
NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)


def event(name: str, dataset: str | None = None, **facts: object) -> Event:
    return restore_event(name, facts, dataset=dataset)


def progress(*events: Event) -> Progress:
    made = Progress(began_s=0.0)
    for happened in events:
        made.note(happened, now_s=10.0)
    return made


WAITING = (
    event("plan.made", pulls=5),
    event("pull.stepped", "Profile", step="poll"),
    event("pull.stepped", "AzureUsage", step="poll"),
    event("execution.changed", "AzureUsage", status="Running"),
    event("pull.stepped", "MSLearn", step="download"),
    event("download.progressed", "MSLearn", done_bytes=700, size_bytes=900),
    event("pull.finished", "OfficeUsage", status="complete", rows=3),
)


def samples(text: str) -> dict[tuple[str, str], float]:
    """Value by name and state of every sample."""
    return {
        (sample.name, sample.labels.get("state", sample.labels.get("dataset", ""))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_facts_tell_how_many_are_done_and_who_waits_for_what() -> None:
    summary = progress(*WAITING, event("quota.reached", wait_s=600)).as_event(now_s=70.0)

    assert {name: fact for name, fact in summary.facts.items() if fact is not None} == {
        "done": 1,
        "failed": 0,
        "total": 5,
        "elapsed_s": 70,
        "downloaded_bytes": 700,
        "waiting": "Profile",
        "running": "AzureUsage",
        "downloading": "MSLearn",
        "not_started": 1,
        "slowed_by": "quota of one-off reports reached: the next one in 9 min",
    }


class Conversions:
    """How many conversions are under way: a child process does them, which virtual time does not see."""

    def __init__(self) -> None:
        self.under_way = 0

    def __call__(self, happened: Event) -> None:
        if happened.name == "pull.stepped" and happened.facts["step"] == "convert":
            self.under_way += 1
        elif happened.name == "conversion.completed":
            self.under_way -= 1

    def are_under_way(self) -> bool:
        return self.under_way > 0


async def test_a_run_that_waits_for_hours_tells_so_each_minute_in_the_log_and_on_standard_error(tmp_path: Path) -> None:
    """In virtual time: the report stays Running until its deadline of two hours."""
    conversions = Conversions()
    clock, heard, lines = FakeClock(busy=conversions.are_under_way), [], io.StringIO()
    console = LogListener(CommonOptions(), write=lambda line: print(line, file=lines))

    def listen(happened: Event) -> None:
        if happened.name == "run.progressed":
            heard.append((clock.elapsed_s, dict(happened.facts)))

    stuck = Fault("execution_stuck", dataset="Profile", times=None)
    async with Simulator(Scenario(rows=10, faults=(stuck,)), clock=clock) as simulator:
        done = await export(
            simulator,
            tmp_path,
            "Profile",
            "OfficeUsage",
            clock=clock,
            listeners=[conversions, listen, console],
            report_attempts=1,
            report_timeout_seconds=7_200,
            poll_max_seconds=60,
        )

    assert isinstance({record.dataset: record.error for record in done.datasets}["Profile"], ExecutionOverdue)
    moments = [at_s for at_s, _ in heard]
    assert len(moments) >= 119
    assert max(later - before for before, later in pairwise(moments)) <= 2 * INTERVAL_S
    facts = heard[60][1]
    assert (facts["done"], facts["total"], facts["running"]) == (1, 2, "Profile"), facts
    log = (tmp_path / "runs" / done.run_id / "log.jsonl").read_text(encoding="utf-8").splitlines()
    assert sum(json.loads(line)["event"] == "run.progressed" for line in log) == len(heard)
    assert lines.getvalue().count("run.progressed") == len(heard)
    assert "done=1" in lines.getvalue()


async def test_the_metrics_file_is_renewed_each_minute_and_tells_the_end_at_the_end(tmp_path: Path) -> None:
    conversions, file = Conversions(), tmp_path / "bulkpull.prom"
    clock, seen = FakeClock(busy=conversions.are_under_way), list[tuple[float, dict[tuple[str, str], float]]]()
    stuck = Fault("execution_stuck", dataset="Profile", times=None)

    def listen(happened: Event) -> None:
        if happened.name == "run.progressed" and file.exists():
            seen.append((clock.now().timestamp(), samples(file.read_text(encoding="utf-8"))))

    async with Simulator(Scenario(rows=10, faults=(stuck,)), clock=clock) as simulator:
        await export(
            simulator, tmp_path / "out", "Profile", "OfficeUsage", clock=clock, listeners=[conversions, listen],
            metrics_file=file, report_attempts=1, report_timeout_seconds=1_800, poll_max_seconds=60,
        )  # fmt: skip
    ended = samples(file.read_text(encoding="utf-8"))

    assert len(seen) >= 25
    for now, values in seen:
        assert values["bulkpull_run_in_progress", ""] == 1
        assert now - values["bulkpull_run_progress_timestamp_seconds", ""] <= 2 * INTERVAL_S
    assert seen[-1][1]["bulkpull_run_progress_datasets", "done"] == 1
    assert ended["bulkpull_run_in_progress", ""] == 0
    assert ended["bulkpull_run_exit_code", ""] == 3
    assert not [name for name, _ in ended if name.startswith("bulkpull_run_progress")]


def test_what_earlier_runs_reached_stays_in_the_file_while_a_run_lasts() -> None:
    before = (
        "# TYPE bulkpull_dataset_last_success_timestamp_seconds gauge\n"
        f'bulkpull_dataset_last_success_timestamp_seconds{{dataset="AzureUsage",output="{OUT}"}} 50.0\n'
        'bulkpull_dataset_last_success_timestamp_seconds{dataset="AzureUsage",output="/elsewhere"} 60.0\n'
    )
    once = render_progress(before, progress(*WAITING), output=OUT, now=NOW, is_running=True)
    twice = render_progress(once, progress(*WAITING), output=OUT, now=NOW + timedelta(minutes=1), is_running=True)

    assert read_metrics(twice, output=OUT).dataset_success == {"AzureUsage": 50.0}
    values = samples(twice)
    assert values["bulkpull_run_progress_timestamp_seconds", ""] == (NOW + timedelta(minutes=1)).timestamp()
    assert values["bulkpull_run_progress_datasets", "not_started"] == 1
    assert values["bulkpull_run_progress_downloaded_bytes", ""] == 700


def test_an_unreadable_file_is_replaced_and_a_run_without_an_end_is_shown_as_over() -> None:
    values = samples(render_progress("{ this is JSON", progress(*WAITING), output=OUT, now=NOW, is_running=False))

    assert values["bulkpull_run_in_progress", ""] == 0
    assert not [name for name, state in values if state]


async def test_a_fault_in_a_run_comes_out_as_itself_beside_the_progress(tmp_path: Path) -> None:
    """The task that tells the progress makes no group of an error that the caller is to see."""

    def listen(happened: Event) -> None:
        if happened.name == "run.progressed":
            raise ValueError("the listener's own")

    clock = FakeClock()
    stuck = Fault("execution_stuck", dataset="Profile", times=None)
    async with Simulator(Scenario(rows=10, faults=(stuck,)), clock=clock) as simulator:
        done = await export(
            simulator, tmp_path, "Profile", clock=clock, listeners=[listen], report_attempts=1,
            report_timeout_seconds=600, poll_max_seconds=60,
        )  # fmt: skip

    assert done.status == "failed"


def test_every_log_writes_times_with_the_same_precision(capsys: pytest.CaptureFixture[str]) -> None:
    """Standard error in JSON, what the command itself says there, and `log.jsonl`: milliseconds and `Z`."""
    lines: list[str] = []
    LogListener(CommonOptions(log_format=LogFormat.JSON), write=lines.append)(event("run.started", run_id="r"))
    write_json_line("run.stopping", level="warning")
    entries: list[dict[str, Any]] = [json.loads(lines[0]), json.loads(capsys.readouterr().err)]
    log_event(line_logger(entries.append, level=0, finish=[as_entry]), event("run.started"), run_id="r", at=NOW)

    for entry in entries:
        moment = datetime.fromisoformat(entry["timestamp"])
        assert entry["timestamp"] == moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
