"""`--plan`: what `export` and `nightly` would do for each dataset, and why, with reads only."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from command_line import SMALL, Command, Outcome, Serve

from bulkpull.simulator import Fault, Simulator

DATASETS = ("Profile", "OfficeUsage")
OUTPUT = Path("bulkpull-data")


def state_of(simulator: Simulator) -> tuple[Any, ...]:
    """Everything that a plan may not change, on the service and on the disk."""
    files = {path: path.read_bytes() for path in sorted(OUTPUT.rglob("*")) if path.is_file()}
    service = simulator.service
    return files, set(service.reports), set(service.queries), dict(service.created_reports)


def planned(command: Command, simulator: Simulator, *words: str) -> dict[str, Any]:
    """The plan of a command, which changes nothing."""
    before, first_call = state_of(simulator), len(simulator.calls)
    outcome = command(*words, "--plan", "--json")
    assert outcome.code == 0, outcome.err
    assert state_of(simulator) == before
    assert {call.method for call in simulator.calls[first_call:] if call.endpoint != "token"} == {"GET"}
    values: dict[str, Any] = outcome.json()
    return values


def decisions_of(outcome: Outcome) -> dict[str, Any]:
    return {record["dataset"]: record["decision"] for record in outcome.json()["datasets"]}


def rows_of(plan: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["dataset"]: row for row in plan["plan"]}


@pytest.mark.case("N4")
@pytest.mark.parametrize(
    ("commands", "actions"),
    [
        ([("export", *DATASETS)], {"order_report"}),
        ([("export", *DATASETS), ("export", *DATASETS)], {"order_report"}),
        ([("nightly", *DATASETS)], {"order_report"}),
        ([("nightly", *DATASETS), ("nightly", *DATASETS)], {"skip"}),
        ([("export", *DATASETS, "--submit-only"), ("export", *DATASETS)], {"collect_report"}),
        ([("export", *DATASETS, "--submit-only"), ("export", DATASETS[1])], {"collect_report"}),
        ([("nightly", *DATASETS), ("nightly", *DATASETS, "--timespan", "LAST_MONTH")], {"order_report", "skip"}),
    ],
    ids=["first", "again", "first night", "second night", "submitted", "submitted by another run", "another span"],
)
def test_a_plan_tells_the_decision_that_the_run_then_makes(
    command: Command, serve: Serve, commands: list[tuple[str, ...]], actions: set[str]
) -> None:
    simulator = serve(SMALL)
    *earlier, last = commands
    for words in earlier:
        command(*words, "--quiet")
    rows = rows_of(planned(command, simulator, *last))
    decisions = decisions_of(command(*last, "--json"))

    assert {name: row["decision"] for name, row in rows.items()} == decisions
    assert {decision["action"] for decision in decisions.values()} == actions
    for row in rows.values():
        assert row["decision"]["reason"] in row["reason"]


def test_a_plan_says_that_the_output_cannot_be_written_in_place_of_free_room(
    command: Command, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulator = serve(SMALL)
    monkeypatch.setattr(os, "access", lambda _path, mode: not mode & os.W_OK)  # a disk that is mounted read-only
    plan = planned(command, simulator, "export", *DATASETS)
    shown = " ".join(command("export", *DATASETS, "--plan").err.split())

    assert plan["estimate"]["can_write"] is False
    assert f"note: {Path.cwd()} cannot be written, so a run would end at once: no permission" in shown
    assert "are free" not in shown


def test_a_plan_names_the_run_that_it_resumes_and_what_that_run_left(command: Command, serve: Serve) -> None:
    simulator = serve(SMALL)
    submitted = command("export", *DATASETS, "--submit-only", "--json").json()["run_id"]
    plan = planned(command, simulator, "export", *DATASETS)
    shown = command("export", *DATASETS, "--plan")

    assert plan["resumes"] == submitted
    assert plan["estimate"]["reports"] == 0
    assert {(row["action"], row["reports"]) for row in plan["plan"]} == {("collect", 0)}
    assert f"it resumes run {submitted}" in " ".join(shown.err.split())
    assert "of an earlier run answer the same question" in " ".join(shown.out.split())


@pytest.mark.case("W4", "W12")
def test_a_plan_counts_the_windows_that_are_still_to_be_created(command: Command, serve: Serve) -> None:
    simulator = serve(SMALL)
    months = ("export", "OfficeUsage", "--since", "2025-01-01", "--until", "2025-10-01")
    assert rows_of(planned(command, simulator, *months))["OfficeUsage"]["reports"] == 9
    refused = Fault("http_status", endpoint="POST ScheduledReport", times=None, skip=4, args={"status": 403})
    simulator.arm(refused)
    assert command(*months, "--submit-only", "--quiet").code != 0
    simulator.disarm_all()
    created = sum(simulator.service.created_reports.values())
    row = rows_of(planned(command, simulator, *months))["OfficeUsage"]
    assert command(*months, "--quiet").code == 0

    assert (row["action"], row["reports"]) == ("collect", 9 - 4)
    assert row["reports"] == sum(simulator.service.created_reports.values()) - created


@pytest.mark.case("N22")
def test_the_plan_of_a_history_counts_the_months_that_are_asked_for_again(command: Command, serve: Serve) -> None:
    simulator = serve(SMALL)
    grow = ("export", "OfficeUsage", "--since", "2025-01-01", "--as", "OfficeHistory")
    first = rows_of(planned(command, simulator, *grow))["OfficeHistory"]["reports"]
    command(*grow, "--quiet")
    created = sum(simulator.service.created_reports.values())
    again = rows_of(planned(command, simulator, *grow))["OfficeHistory"]["reports"]
    command(*grow, "--quiet")

    assert first == created
    assert 0 < again == sum(simulator.service.created_reports.values()) - created < first


def test_a_plan_of_an_export_shows_its_reason_once_for_all_datasets(command: Command, serve: Serve) -> None:
    serve(SMALL)
    shown = command("export", *DATASETS, "--plan")

    assert "reason: Profile, OfficeUsage: an export was asked for" in " ".join(shown.out.split())
