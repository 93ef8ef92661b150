"""Leftovers: reports of earlier runs are taken up where they answer the question, left alone, or deleted."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bulkpull.model import Report
from bulkpull.pipeline.earlier_work import KnownRun, sort_reports

NOW = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
MINE, OTHER, OLD = "20261124T015900Z-aaaaaa", "20261123T220000Z-bbbbbb", "20261120T020000Z-cccccc"
MARK = "0123456789ab"


def report(run_id: str, *, attempt: int = 1, mark: str = MARK, dataset: str = "Profile") -> Report:
    return Report(f"{dataset}-{run_id}-{attempt}", f"bulkpull_{dataset}_{mark}_{run_id}_{attempt}", "query")


def sorted_as(
    *reports: Report, run: KnownRun | None = None, wanted: tuple[str, ...] = (MARK,)
) -> tuple[list[str], list[str]]:
    found = sort_reports(
        reports, run_id=MINE, fingerprints={known: known for known in wanted}, runs=[run] if run else [], now=NOW
    )
    return [item.report_id for item in found.reports.get(MARK, [])], [item.report_id for item in found.orphans]


@pytest.mark.fault(38)
def test_reports_of_the_run_itself_are_taken_up_the_latest_attempt_first() -> None:
    leftovers = sort_reports([report(MINE, attempt=2), report(MINE)], run_id=MINE, fingerprints={}, runs=[], now=NOW)

    taken = leftovers.take_report(MARK)

    assert taken is not None
    assert taken.report_id.endswith("-2")
    assert [item.report_id[-2:] for item in leftovers.rest("Profile")] == ["-1"]
    assert leftovers.take_report(MARK) is None


def test_a_fresh_report_of_another_run_of_ours_answers_the_same_question() -> None:
    assert sorted_as(report(OTHER), run=KnownRun(OTHER, carried_on=True)) == ([f"Profile-{OTHER}-1"], [])


def test_a_report_whose_data_are_published_has_served_and_goes() -> None:
    run = KnownRun(OTHER, published=frozenset({"Profile"}))

    assert sorted_as(report(OTHER), run=run) == ([], [f"Profile-{OTHER}-1"])


def test_an_old_report_goes_with_its_run() -> None:
    assert sorted_as(report(OLD), run=KnownRun(OLD)) == ([], [f"Profile-{OLD}-1"])


def test_a_report_that_another_command_may_still_want_is_left_alone() -> None:
    assert sorted_as(report(OTHER), run=KnownRun(OTHER, carried_on=True), wanted=()) == ([], [])


@pytest.mark.behaviour(80)
def test_reports_of_runs_that_this_folder_does_not_know_are_left_alone() -> None:
    others = Report("1", "Monthly", "query"), report(OTHER), Report("2", f"bulkpull_Profile_{MARK}_standing", "query")

    assert sorted_as(*others) == ([], [])


def test_a_day_is_the_limit() -> None:
    edge = (NOW - timedelta(hours=24)).strftime("%Y%m%dT%H%M%SZ-dddddd")

    assert sorted_as(report(edge), run=KnownRun(edge))[0] == []


@pytest.mark.case("N18")
@pytest.mark.parametrize("run_id", [MINE, OTHER])
def test_a_report_that_was_created_before_the_published_data_were_made_goes(run_id: str) -> None:
    older, newer = report(run_id), replace(report(run_id, attempt=2), created_at=NOW)
    found = sort_reports(
        [older, newer],
        run_id=MINE,
        fingerprints={MARK: MARK},
        runs=[KnownRun(OTHER, carried_on=True)],
        now=NOW,
        answered={MARK: NOW - timedelta(seconds=1)},
    )

    assert (found.reports, found.orphans) == ({MARK: [newer]}, [older])
