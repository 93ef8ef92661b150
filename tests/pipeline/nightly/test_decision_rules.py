"""Decide: what a run does about a dataset follows from what is published, noted in the ledger, and on the service."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bulkpull.catalog import load_catalog
from bulkpull.model import Execution, OfferedDataset, Pull, Report, SecureLink, Window
from bulkpull.output.ledger import NotedFacts
from bulkpull.output.ledger_facts import ScheduledReportFacts, UnchangedFacts
from bulkpull.output.manifest import DatasetRecord
from bulkpull.pipeline.nightly.decision_rules import (
    Action,
    DatasetFacts,
    Decision,
    ScheduleDecision,
    create_if_due,
    decide,
)
from bulkpull.pipeline.nightly.scheduled_reports import (
    ReportMemory,
    Schedule,
    find_candidates,
    first_start,
    read_memory,
    recurrence_h,
)
from bulkpull.pipeline.steps.naming import query_digest, report_name, scheduled_report_name
from bulkpull.requested_data import requested_data

NOW = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
TONIGHT = Schedule(NOW, lead_h=4.0, grace=timedelta(hours=3))
TODAY = Pull(
    "Profile", OfferedDataset("Profile", ("A", "B")), ("A", "B"), "SELECT A, B FROM Profile", metrics_choice="amounts"
)
LAST_MONTH = Pull(
    "Profile", OfferedDataset("Profile", ("A",)), ("A",), "SELECT A FROM Profile", metrics_choice="amounts"
)
SPAN = replace(TODAY, query_text="SELECT A, B FROM Profile TIMESPAN LAST_MONTH")
WINDOW = replace(TODAY, window=Window(NOW - timedelta(days=30), NOW))
PUBLISHED = DatasetRecord(
    dataset="Profile",
    status="complete",
    execution_id="old",
    generated_at=datetime(2026, 11, 23, 22, tzinfo=UTC),
    question_sha256=requested_data(TODAY).sha256,
)
OTHERWISE = PUBLISHED.model_copy(update={"question_sha256": requested_data(SPAN).sha256})
SKIP, TAKE, COLLECT, CREATE = Action.SKIP, Action.TAKE_EXECUTION, Action.COLLECT_REPORT, Action.ORDER_REPORT


def scheduled(report_id: str = "1", *, pull: Pull = TODAY, age_h: float = 24, **changes: Any) -> Report:
    values: dict[str, Any] = {"status": "Active", "query_text": pull.query_text, "recurrence_h": 24}
    created_at = NOW - timedelta(hours=age_h)
    return Report(report_id, scheduled_report_name(pull), "query", created_at=created_at, **(values | changes))


def execution(
    report_id: str = "1", *, age_h: float | None = 1, execution_id: str = "new", status: str = "Completed"
) -> Execution:
    made_at = None if age_h is None else NOW - timedelta(hours=age_h)
    return Execution(execution_id, report_id, status, SecureLink("https://x"), generated_at=made_at)


OURS = ReportMemory(created={"1", "2"})
NOTED = ReportMemory(
    created={"1"}, facts={"1": ScheduledReportFacts("x", question_sha256=requested_data(TODAY).sha256)}
)
DUE_3_H_AGO, DUE_1_H_AGO = (scheduled(start_at=NOW - timedelta(hours=hours + 24)) for hours in (4, 1))
RUNNING, FAILED = (execution(status=status, execution_id="late") for status in ("Running", "Failed"))


def facts(*reports: Report, **values: Any) -> DatasetFacts:
    known: dict[str, Any] = {"published": PUBLISHED, "scheduled": reports, "memory": OURS}
    return DatasetFacts(**(known | values))


def tonight(*reports: Report, **values: Any) -> Decision:
    return decide(TODAY, facts(*reports, **values), schedule=TONIGHT)


@pytest.mark.parametrize(
    ("known", "schedule", "action", "report", "words"),
    [
        # An export brings what it is asked for.
        (facts(), None, CREATE, None, "export was asked for"),
        (facts(published=None), None, CREATE, None, "export was asked for"),
        (facts(collectable=("7", "8")), None, COLLECT, None, "report 7, 8 of an earlier run"),
        (facts(kept_windows=3), None, COLLECT, None, "3 windows on the disk"),
        (facts(is_done=True, collectable=("7",)), None, SKIP, None, "published it already"),
        # A night without data.
        (facts(published=None), TONIGHT, CREATE, "make", "nothing is published"),
        (facts(published=None, collectable=("7",)), TONIGHT, COLLECT, "make", "report 7"),
        (facts(scheduled(), published=None, executions=(execution(),)), TONIGHT, TAKE, "keep", "execution new"),
        (facts(is_done=True), TONIGHT, SKIP, None, "published it already"),
        # A night with data.
        (facts(scheduled()), TONIGHT, SKIP, "keep", "no execution newer than 2026-11-23T22:00:00Z"),
        (facts(scheduled(), collectable=("7",)), TONIGHT, SKIP, "keep", "no execution newer"),
        (facts(scheduled(), executions=(execution(),)), TONIGHT, TAKE, "keep", "execution new"),
        (facts(scheduled(), executions=(execution(age_h=5),)), TONIGHT, SKIP, "keep", "no execution newer"),
        (facts(scheduled(), executions=(execution(status="Running"),)), TONIGHT, SKIP, "keep", "no execution newer"),
        # Another question is published (N4).
        (facts(scheduled(), published=OTHERWISE), TONIGHT, CREATE, "keep", "another question"),
        (
            facts(scheduled(), published=OTHERWISE, executions=(execution(age_h=9, execution_id="old"),)),
            TONIGHT,
            TAKE,
            "keep",
            "execution old",
        ),
        (
            facts(scheduled(), published=OTHERWISE, last_answer=PUBLISHED, executions=(execution(age_h=9),)),
            TONIGHT,
            CREATE,
            "keep",
            "another question",
        ),
        (
            facts(
                scheduled(),
                published=OTHERWISE,
                last_answer=PUBLISHED,
                executions=(execution(age_h=4, execution_id="old"),),
            ),
            TONIGHT,
            TAKE,
            "keep",
            "another question",
        ),
        (facts(scheduled(pull=SPAN), executions=(execution(),)), TONIGHT, CREATE, "replace", "of no use"),
        # No scheduled report is there (N14).
        (facts(), TONIGHT, SKIP, "make", "no execution newer"),
        (facts(memory=NOTED), TONIGHT, CREATE, "make", "scheduled report is gone"),
        # An execution was due and has not come (N3).
        (facts(DUE_1_H_AGO), TONIGHT, SKIP, "keep", "still being made"),
        (facts(DUE_1_H_AGO, begun={"1": RUNNING}), TONIGHT, SKIP, "keep", "still being made"),
        (facts(DUE_1_H_AGO, begun={"1": FAILED}), TONIGHT, CREATE, "keep", "its status is Failed"),
        (
            facts(DUE_1_H_AGO, begun={"1": FAILED}, memory=ReportMemory(created={"1"}, missed={"1"})),
            TONIGHT,
            CREATE,
            "replace",
            "its status is Failed",
        ),
        # The service does not tell which reports there are (N7).
        (facts(scheduled=None), TONIGHT, SKIP, "leave", "no execution newer"),
        (facts(scheduled=None, memory=NOTED, executions=(execution(),)), TONIGHT, TAKE, "leave", "execution new"),
        (facts(scheduled=None, memory=NOTED), TONIGHT, SKIP, "leave", "no execution newer"),
        (facts(scheduled=None, published=None), TONIGHT, CREATE, "leave", "nothing is published"),
    ],
)
@pytest.mark.case("N3", "N4", "N7", "N14", "N18")
def test_one_decision_for_every_command(
    known: DatasetFacts, schedule: Schedule | None, action: Action, report: str | None, words: str
) -> None:
    decision = decide(TODAY, known, schedule=schedule)

    record = decision.as_record()
    assert (decision.action, record.scheduled_report) == (action, report)
    assert words in record.reason
    assert (decision.execution is not None) == (action is TAKE)


def test_a_decision_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        tonight().action = SKIP  # type: ignore[misc]


@pytest.mark.behaviour(83)
def test_a_window_has_no_scheduled_report() -> None:
    decision = decide(WINDOW, facts(scheduled(), executions=(execution(),)), schedule=TONIGHT)

    assert (decision.action, decision.schedule) == (CREATE, None)


@pytest.mark.case("N3")
def test_an_execution_that_never_began_is_missed_after_the_time_that_it_may_take() -> None:
    decision = tonight(DUE_3_H_AGO, executions=(), published=PUBLISHED.model_copy(update={"generated_at": None}))

    assert decision.missed == (DUE_3_H_AGO, NOW - timedelta(hours=4))
    assert (decision.action, decision.due_at) == (CREATE, NOW - timedelta(hours=4))
    assert decision.schedule == ScheduleDecision(
        TODAY, replaced=(DUE_3_H_AGO,), replace_reason="the execution due at 2026-11-23T22:00:00Z has not come "
        "(none is pending or running)", is_own=True,
    )  # fmt: skip


@pytest.mark.fault(51)
@pytest.mark.parametrize(
    ("found", "action"),
    [
        (execution(age_h=None), TAKE),
        (execution(age_h=None, execution_id="old"), SKIP),
        (execution(age_h=4), TAKE),  # made in the same second, and another one
        (execution(age_h=5), SKIP),
    ],
)
def test_where_the_time_is_missing_or_equal_the_id_decides(found: Execution, action: Action) -> None:
    assert tonight(scheduled(), executions=(found,)).action is action


@pytest.mark.behaviour(88, 89)
@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"status": "Paused"}, "paused"),
        ({"status": "Inactive"}, "has ended"),
        ({"query_text": None}, "deleted"),
        ({"query_text": "SELECT A FROM Profile"}, "have changed"),
    ],
)
def test_a_scheduled_report_of_no_use_is_replaced_and_what_it_still_holds_is_brought(
    changes: dict[str, Any], why: str
) -> None:
    report = scheduled(**changes)

    decision = tonight(report, executions=(execution(),))

    assert decision.schedule is not None
    assert (decision.schedule.serving, decision.schedule.replaced) == (None, (report,))
    assert why in str(decision.schedule.replace_reason)
    assert decision.execution == execution()


@pytest.mark.case("N8", "N10")
def test_a_report_of_no_use_that_another_folder_made_is_left_alone_and_named() -> None:
    decision = tonight(scheduled(status="Paused"), memory=ReportMemory(adopted={"1"}))

    assert decision.schedule == ScheduleDecision(TODAY)
    assert "report 1, which this folder did not make, is left alone: it was paused" in decision.notes


@pytest.mark.case("N20")
def test_by_its_name_alone_a_report_is_ours_only_where_it_executes_the_query_that_was_sent() -> None:
    named = ScheduledReportFacts(scheduled_report_name(TODAY), query_digest=query_digest(TODAY.query_text))
    memory = read_memory([NotedFacts("Profile", NOW, named)])["Profile"]

    theirs = scheduled(query_text="SELECT A FROM Profile WHERE A = '1'")
    assert memory.is_ours(scheduled(status="Paused"))
    assert not memory.is_ours(theirs)
    assert not memory.is_ours(scheduled(query_text=None))
    assert tonight(theirs, memory=memory).schedule == ScheduleDecision(TODAY)


def test_the_file_of_an_older_query_is_read_with_that_querys_columns() -> None:
    decision = tonight(scheduled(pull=LAST_MONTH), executions=(execution(),))

    assert decision.schedule is not None
    assert decision.schedule.pull == TODAY
    assert (decision.pull.columns, decision.pull.query_text) == (("A",), LAST_MONTH.query_text)


@pytest.mark.fault(35)
def test_of_two_scheduled_reports_the_newest_serves_and_the_other_goes() -> None:
    older, newer = scheduled("1", age_h=48), scheduled("2", age_h=24)

    decision = tonight(*find_candidates(TODAY, [older, newer], ReportMemory()), executions=(execution("1"),))

    assert decision.schedule is not None
    assert (decision.schedule.serving, decision.schedule.replaced) == (newer, (older,))
    assert decision.execution == execution("1")  # fetched first: deleting a report deletes its executions


@pytest.mark.behaviour(80, 92, 97)
def test_what_is_not_ours_is_left_alone() -> None:
    of_another_folder = scheduled("1", pull=LAST_MONTH)
    reports = [
        of_another_folder,
        Report("2", "Monthly Profile", "query"),
        Report("3", report_name(TODAY, run_id="20261123T020405Z-1f2e3d", attempt=1), "query"),
    ]

    assert find_candidates(TODAY, reports, ReportMemory()) == []
    assert find_candidates(TODAY, reports, ReportMemory(adopted={"1"})) == [of_another_folder]


def test_data_that_were_looked_at_and_are_the_same_are_not_looked_at_again() -> None:
    looked_at = UnchangedFacts("same", NOW - timedelta(hours=1))

    decision = tonight(scheduled(), executions=(execution(execution_id="same"),), unchanged=looked_at)

    assert (decision.action, decision.reason) == (SKIP, "no execution newer than 2026-11-24T01:00:00Z")


@pytest.mark.behaviour(142)
def test_without_a_scheduled_report_the_refresh_interval_says_when_to_ask_again() -> None:
    kept = tonight(scheduled())
    (days,) = [dataset.refresh_days or 1 for dataset in load_catalog().datasets if dataset.name == "Profile"]

    # The published data are four hours old. The next night may ask half a day early, because reports take hours.
    assert create_if_due(kept, now=NOW - timedelta(hours=17) + timedelta(days=days)).action is SKIP
    assert create_if_due(kept, now=NOW - timedelta(hours=16) + timedelta(days=days)).action is CREATE
    assert create_if_due(replace(kept, seen_at=None), now=NOW).action is CREATE


@pytest.mark.case("N21")
def test_without_a_scheduled_report_each_night_asks_though_reports_take_minutes() -> None:
    """A night begins at the same hour, and its data are younger than it: every second night brought nothing."""
    known = {dataset.name: dataset.refresh_days for dataset in load_catalog().datasets}
    name = next(name for name, days in known.items() if days == 1)
    pull = replace(TODAY, dataset=name)
    kept = Decision(pull, SKIP, "", seen_at=NOW + timedelta(hours=3))

    assert create_if_due(kept, now=NOW + timedelta(hours=4)).action is SKIP
    assert create_if_due(kept, now=NOW + timedelta(days=1)).action is CREATE


@pytest.mark.behaviour(142)
@pytest.mark.case("N23")
@pytest.mark.parametrize(
    ("changes", "age_h", "action"),
    [
        ({}, 1, SKIP),
        ({}, 24 * 40, CREATE),
        ({"published": None}, 1, CREATE),
        ({"published": None, "kept_windows": 2}, 1, COLLECT),
        ({"published": OTHERWISE}, 1, CREATE),
        ({"unchanged": UnchangedFacts("same", NOW - timedelta(hours=1))}, 24 * 40, SKIP),
    ],
)
def test_a_history_is_asked_for_as_often_as_the_service_refreshes_it(
    changes: dict[str, Any], age_h: int, action: Action
) -> None:
    history = replace(WINDOW, keeps_history=True)
    made_at = NOW - timedelta(hours=age_h)
    answer = {"question_sha256": requested_data(history).sha256, "generated_at": made_at}
    known = facts(**({"published": PUBLISHED.model_copy(update=answer)} | changes))

    decision = decide(history, known, schedule=TONIGHT)
    assert (decision.action, decision.schedule) == (action, None)  # a window cannot be scheduled
    assert decide(history, known, schedule=None).action is (COLLECT if action is COLLECT else CREATE)


@pytest.mark.behaviour(81)
@pytest.mark.parametrize(("lead_h", "hours"), [(4, 20), (0, 24), (12, 12), (20, 4.25)])
def test_a_scheduled_report_first_runs_before_the_same_hour_tomorrow_and_never_too_early(
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
