"""Night: what is done for each dataset follows from what the service shows and what is published."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bulkpull.model import Execution, OfferedDataset, Pull, Report, SecureLink
from bulkpull.output.manifest import DatasetRecord
from bulkpull.pipeline.naming import report_name, standing_name
from bulkpull.pipeline.nightly.decide import (
    NightlyDecision,
    Seen,
    candidates,
    decide,
    first_start,
    is_due,
    recurrence_h,
)
from bulkpull.pipeline.report_memory import ReportMemory
from bulkpull.question import question_of

NOW = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
TODAY = Pull(
    "Profile", OfferedDataset("Profile", ("A", "B")), ("A", "B"), "SELECT A, B FROM Profile", metrics_choice="amounts"
)
LAST_MONTH = Pull(
    "Profile", OfferedDataset("Profile", ("A",)), ("A",), "SELECT A FROM Profile", metrics_choice="amounts"
)
PUBLISHED = DatasetRecord(
    dataset="Profile",
    status="complete",
    execution_id="old",
    generated_at="2026-11-23T22:00:00Z",
    question_sha256=question_of(TODAY).sha256,
)
SEEN = Seen("old", NOW - timedelta(hours=4))


def standing(report_id: str = "1", *, pull: Pull = TODAY, age_h: float = 24, **changes: Any) -> Report:
    facts: dict[str, Any] = {"status": "Active", "query_text": pull.query_text, "recurrence_h": 24}
    created_at = NOW - timedelta(hours=age_h)
    return Report(report_id, standing_name(pull), "query", created_at=created_at, **(facts | changes))


def execution(report_id: str = "1", *, age_h: float | None = 1, execution_id: str = "new") -> Execution:
    made_at = None if age_h is None else NOW - timedelta(hours=age_h)
    return Execution(execution_id, report_id, "Completed", SecureLink("https://x"), generated_at=made_at)


def tonight(
    *reports: Report, executions: tuple[Execution, ...] = (), published: bool = True, seen: Seen = SEEN
) -> NightlyDecision:
    memory = ReportMemory(made={report.report_id for report in reports})
    return decide(
        TODAY,
        reports,
        executions,
        published=PUBLISHED if published else None,
        seen=[seen] if published else [],
        memory=memory,
    )


def test_the_first_night_makes_a_standing_report_and_asks_for_the_data_at_once() -> None:
    night = tonight(published=False)

    assert (night.standing, night.ask, night.reason) == (None, True, None)


def test_a_night_without_news_creates_nothing_and_says_since_when() -> None:
    night = tonight(standing(), executions=(execution(age_h=4, execution_id="old"),))

    assert (night.standing, night.ask, night.replaced) == (standing(), False, [])
    assert night.reason == "no execution newer than 2026-11-23T22:00:00Z"


@pytest.mark.behaviour(112)
def test_an_execution_newer_than_the_published_one_is_brought() -> None:
    night = tonight(standing(), executions=(execution(),))

    assert night.execution == execution()
    assert (night.pull, night.ask, night.reason) == (TODAY, False, None)


def test_an_adopted_report_that_has_a_file_brings_the_first_data_without_a_one_off_report() -> None:
    night = tonight(standing(), executions=(execution(),), published=False)

    assert (night.execution, night.ask) == (execution(), False)


@pytest.mark.fault(51)
@pytest.mark.parametrize(
    ("found", "is_brought"),
    [
        (execution(age_h=None), True),
        (execution(age_h=None, execution_id="old"), False),
        (execution(age_h=4), True),  # made in the same second, and another one
        (execution(age_h=5), False),
    ],
)
def test_where_the_time_is_missing_or_equal_the_id_decides(found: Execution, is_brought: bool) -> None:
    assert (tonight(standing(), executions=(found,)).execution is not None) == is_brought


@pytest.mark.behaviour(88, 89)
@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"status": "Paused"}, "paused"),
        ({"status": "Inactive"}, "used up"),
        ({"query_text": None}, "deleted"),
        ({"query_text": "SELECT A FROM Profile"}, "out of date"),
    ],
)
def test_a_standing_report_of_no_use_is_replaced_and_what_it_still_holds_is_brought(
    changes: dict[str, Any], why: str
) -> None:
    report = standing(**changes)

    night = tonight(report, executions=(execution(),))

    assert (night.standing, night.replaced) == (None, [report])
    assert why in str(night.why_replaced)
    assert night.execution == execution()


def test_the_file_of_an_older_query_is_read_with_that_querys_columns() -> None:
    night = tonight(standing(pull=LAST_MONTH), executions=(execution(),))

    assert (night.today, night.pull.columns, night.pull.query_text) == (TODAY, ("A",), LAST_MONTH.query_text)


@pytest.mark.fault(35)
def test_of_two_standing_reports_the_newest_serves_and_the_other_goes() -> None:
    older, newer = standing("1", age_h=48), standing("2", age_h=24)
    found = candidates(TODAY, [older, newer], ours=[])

    night = decide(
        TODAY, found, [execution("1")], published=PUBLISHED, seen=[SEEN], memory=ReportMemory(made={"1", "2"})
    )

    assert (night.standing, night.replaced) == (newer, [older])
    assert night.execution == execution("1")  # fetched first: deleting a report deletes its executions


@pytest.mark.behaviour(80, 92, 97)
def test_what_is_not_ours_is_left_alone() -> None:
    of_another_folder = standing("1", pull=LAST_MONTH)
    reports = [
        of_another_folder,
        Report("2", "Monthly Profile", "query"),
        Report("3", report_name(TODAY, run_id="20261123T020405Z-1f2e3d", attempt=1), "query"),
    ]

    assert candidates(TODAY, reports, ours=[]) == []
    assert candidates(TODAY, reports, ours=["1"]) == [of_another_folder]


def test_data_that_were_looked_at_and_are_the_same_are_not_looked_at_again() -> None:
    looked_at = Seen("same", NOW - timedelta(hours=1))

    night = decide(TODAY, [standing()], [execution(execution_id="same")], published=PUBLISHED, seen=[SEEN, looked_at])

    assert night.reason == "no execution newer than 2026-11-24T01:00:00Z"


@pytest.mark.behaviour(81)
@pytest.mark.parametrize(("lead_h", "hours"), [(4, 20), (0, 24), (12, 12), (20, 4.25)])
def test_a_standing_report_first_runs_before_the_same_hour_tomorrow_and_never_too_early(
    lead_h: float, hours: float
) -> None:
    assert first_start(NOW, lead_h=lead_h) == NOW + timedelta(hours=hours)


@pytest.mark.behaviour(50)
@pytest.mark.parametrize(("minimum_h", "hours"), [(1, 24), (24, 24), (48, 48), (9_999, 2_160)])
def test_it_recurs_every_day_or_as_often_as_the_dataset_allows(minimum_h: int, hours: int) -> None:
    pull = Pull(
        "Profile", OfferedDataset("Profile", ("A",), minimum_recurrence_h=minimum_h), ("A",), "SELECT A FROM Profile"
    )

    assert recurrence_h(pull) == hours


@pytest.mark.behaviour(142)
def test_without_a_standing_report_the_refresh_interval_says_when_to_ask_again() -> None:
    assert is_due(None, refresh_days=5, now=NOW)
    assert not is_due(NOW - timedelta(days=4), refresh_days=5, now=NOW)
    assert is_due(NOW - timedelta(days=5), refresh_days=5, now=NOW)
    assert is_due(NOW - timedelta(days=1), refresh_days=None, now=NOW)
