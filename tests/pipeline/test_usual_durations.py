"""What earlier runs tell: how long reports take, whose report is created first, how executions may be asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from bulkpull.clock import iso_utc
from bulkpull.model import OfferedDataset, Pull
from bulkpull.output.ledger import NotedFacts, StepEntry, read_facts
from bulkpull.output.ledger_facts import ExecutionFacts, PollFormFacts, ReportFacts
from bulkpull.pipeline.plan_estimate import slowest_first, usual_durations
from bulkpull.pipeline.steps.execution_lookup import PollForm, load_form

NOW = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)


Created = NotedFacts[ReportFacts]
Executed = NotedFacts[ExecutionFacts]


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def past(*took_s: float, dataset: str = "Profile", seen_s: float = 5.0) -> tuple[list[Created], list[Executed]]:
    """Reports that took so long, each seen `seen_s` after it was completed."""
    created, executed = [], []
    for number, item in enumerate(took_s):
        start = 10_000.0 * number
        report_id = f"{dataset}-{number}"
        created.append(NotedFacts(dataset, at(start), ReportFacts(report_id, created_at=at(start))))
        completed = ExecutionFacts(report_id, generated_at=at(start + item))
        executed.append(NotedFacts(dataset, at(start + item + seen_s), completed))
    return created, executed


def test_the_usual_duration_is_the_median_of_the_latest_five_by_the_services_clock() -> None:
    assert usual_durations(*past(900, 900, 900, 60, 70, 80, 90, 100)) == {"Profile": 80}


@pytest.mark.parametrize("generated_at", [None, "soon", iso_utc(at(-100)), iso_utc(at(500))])
def test_where_the_services_times_are_missing_or_odd_the_moment_of_the_look_counts(generated_at: str | None) -> None:
    created, (seen,) = past(60)
    odd = StepEntry(seen.dataset, "execution", seen.at, seen.facts.as_json() | {"generated_at": generated_at})

    assert usual_durations(created, read_facts(ExecutionFacts, [odd])) == {"Profile": 65}


def test_an_execution_of_a_report_that_nobody_knows_tells_nothing() -> None:
    assert usual_durations([], past(60)[1]) == {}


def pull(dataset: str, columns: int = 1) -> Pull:
    names = tuple(f"C{number}" for number in range(columns))
    return Pull(dataset, OfferedDataset(dataset, names), names, "SELECT C0 FROM D")


def test_datasets_without_a_past_go_first_and_then_the_slowest() -> None:
    pulls = [pull("Quick"), pull("Slow"), pull("New"), pull("NewAndWide", 9), pull("NewAndLarge")]

    order = slowest_first(pulls, usual_s={"Quick": 5, "Slow": 500}, rows={"NewAndLarge": 1_000_000, "Quick": 9})

    assert [item.dataset for item in order] == ["NewAndLarge", "NewAndWide", "New", "Slow", "Quick"]


@pytest.mark.behaviour(107)
@pytest.mark.parametrize(
    ("age_d", "form", "expected"),
    [
        (1, "one_report", PollForm.ONE_REPORT),
        (6, "one_status", PollForm.ONE_STATUS),
        (8, "one_report", PollForm.ALL_STATUSES),
        (1, "unheard_of", PollForm.ALL_STATUSES),
    ],
)
async def test_a_form_that_the_service_refused_is_remembered_for_a_week(
    age_d: float, form: str, expected: PollForm
) -> None:
    noted = [NotedFacts("", at(-age_d * 86_400), PollFormFacts(form))]

    async def noted_since(_: type[PollFormFacts], *, since: datetime) -> list[NotedFacts[PollFormFacts]]:
        return [entry for entry in noted if entry.at >= since]

    ledger: Any = SimpleNamespace(noted=noted_since)
    assert await load_form(ledger, now=NOW) is expected
