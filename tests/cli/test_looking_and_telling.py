"""`runs look`, `notify test`, settings that do not exist, and one format of time in every log."""

from __future__ import annotations

import json
import re
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from command_line import SMALL, Command, Serve

from bulkpull.cli import simulator_server as simulate
from bulkpull.cli.run_resume import awaited_reports
from bulkpull.event_types import RunStarted
from bulkpull.observability.log_lines import as_entry, line_logger, log_event
from bulkpull.output.ledger import StepEntry
from bulkpull.simulator import FAULT_TABLE, FaultRow

KEEP = "import sys; open(sys.argv[1], 'w').write(sys.stdin.read())"


def test_a_look_tells_which_reports_of_a_submitted_run_are_ready(command: Command, serve: Serve) -> None:
    simulator = serve(SMALL)
    run_id = command("export", "Profile", "MSLearn", "--submit-only", "--json").json()["run_id"]
    before = len(simulator.calls)

    outcome = command("runs", "look", "--json")

    looked = outcome.json()
    calls = [call for call in simulator.calls[before:] if call.endpoint != "token"]
    assert (outcome.code, looked["run_id"], looked["ready"], looked["waiting"]) == (0, run_id, 2, 0)
    assert sorted((report["dataset"], report["status"]) for report in looked["reports"]) == [
        ("MSLearn", "Completed"),
        ("Profile", "Completed"),
    ]
    assert [(call.method, call.endpoint) for call in calls] == [("GET", "execution")]
    assert f"bulkpull runs resume {run_id}" in command("runs", "look", run_id[:16]).err
    elsewhere = command("export", "Profile", "--submit-only", "--json", "--output", "else where").json()["run_id"]
    assert command("runs", "look", "--output", "else where").err.endswith(
        f"bulkpull runs resume {elsewhere} --output 'else where'\n"
    )
    assert command("runs", "resume", "--quiet").code == 0
    assert command("runs", "look").err == f"run {run_id}: it has no pending reports\n"


def test_a_look_at_no_run_is_wrong_usage(command: Command, serve: Serve) -> None:
    serve(SMALL)

    outcome = command("runs", "look", "--json")

    assert (outcome.code, outcome.json()["exit"]) == (2, 2)


def test_what_a_run_has_published_is_not_waited_for() -> None:
    def step(dataset: str, name: str, **facts: str) -> StepEntry:
        return StepEntry(dataset=dataset, step=name, facts=facts, at=datetime(2026, 11, 23, 2, tzinfo=UTC))

    steps = [step("A", "report", report_id="r-1"), step("B", "report", report_id="r-2"), step("A", "published")]

    assert awaited_reports(steps) == {"r-2": "B"}


def test_runs_that_only_created_are_listed_as_what_they_are(command: Command, serve: Serve) -> None:
    serve(SMALL)
    command("export", "Profile", "MSLearn", "--submit-only", "--quiet")

    (run,) = command("runs", "list", "--json").json()["runs"]

    assert (run["status"], run["datasets"]) == ("submitted", {"submitted": 2})


def test_a_notice_can_be_tried(command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    monkeypatch.setenv("BULKPULL_NOTIFY_COMMAND", shlex.join([sys.executable, "-c", KEEP, str(kept)]))

    outcome = command("notify", "test", "--json")

    assert outcome.code == 0
    assert outcome.json() == {"version": 1, "notices": [{"to": "notify_command", "sent": True, "why": None}]}
    reported = json.loads(kept.read_text(encoding="utf-8"))
    assert (reported["run_id"], reported["status"], reported["datasets"]) == ("test", "complete", [])


def test_a_notice_that_is_not_taken_is_told(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BULKPULL_NOTIFY_COMMAND", "no-such-program-anywhere")

    outcome = command("notify", "test")

    assert (outcome.code, outcome.out) == (1, "")
    assert "there is no program no-such-program-anywhere" in outcome.err


def test_where_nobody_is_to_be_told_a_trial_is_wrong_usage(command: Command) -> None:
    outcome = command("notify", "test")

    assert (outcome.code, outcome.out) == (2, "")
    assert "neither `notify_command` nor `notify_url` is set" in outcome.err


def test_a_variable_that_is_no_setting_is_told_as_a_key_of_the_file_is(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BULKPULL_RETAIN_RUN", "3")

    outcome = command("status")

    assert (outcome.code, outcome.out) == (2, "")
    assert "environment variable BULKPULL_RETAIN_RUN" in outcome.err
    assert "retain_runs" in outcome.err
    monkeypatch.setenv("BULKPULL_RETAIN_RUN", "")
    monkeypatch.setenv("BULKPULL_RUN_ID", "20261123T020000Z-aaaaaa")  # within a `notify_command`
    Path("bulkpull-data/.bulkpull").mkdir(parents=True)
    assert command("runs", "list").code == 0


def test_every_log_writes_times_alike(command: Command) -> None:
    outcome = command("status", "Nope", "--log-format", "json")

    form = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    assert re.fullmatch(form, json.loads(outcome.err.splitlines()[-1])["timestamp"])
    event = RunStarted(run_id="r")
    entries: list[Any] = []
    log_event(line_logger(entries.append, level=0, finish=[as_entry]), event, run_id="r")
    assert re.fullmatch(form, entries[0]["timestamp"])


@pytest.mark.parametrize("words", [("--log-format", "json"), ("--log-format=json",)])
def test_wrong_usage_is_one_json_object_as_well_where_log_lines_are(command: Command, words: tuple[str, ...]) -> None:
    outcome = command("export", *words, "--metrics", "some")

    (line,) = outcome.err.splitlines()
    reported = json.loads(line)
    assert outcome.code == reported["exit_code"] == 2
    assert reported["event"] == "command.failed"
    assert "--metrics" in reported["what"]


def test_a_run_logs_its_times_alike(command: Command, serve: Serve) -> None:
    serve(SMALL)

    outcome = command("export", "Profile", "--log-format", "json", "--json")

    logged = [json.loads(line) for line in outcome.err.splitlines()]
    kept = Path("bulkpull-data", "runs", outcome.json()["run_id"], "log.jsonl").read_text(encoding="utf-8")
    lengths = {len(line["timestamp"]) for line in [*logged, *map(json.loads, kept.splitlines())]}
    assert lengths == {len("2026-11-23T02:00:00.000Z")}


@pytest.mark.parametrize(
    "row", [row for row in FAULT_TABLE if row.scenario.datasets is not None][:5], ids=lambda r: r.id
)
def test_a_fault_that_is_served_says_which_datasets_are_offered(row: FaultRow) -> None:
    (reported,) = simulate.stage({}, latency=None, faults=(row.id,)).expectations

    for dataset in row.scenario.datasets or ():
        assert dataset in reported
