"""Calls are written as the documents say, and what the service would refuse is not sent."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from support import API

from bulkpull.errors import SettingsError
from bulkpull.model import Window
from bulkpull.reporting import calls

NOW = datetime(2026, 11, 23, 2, 0, 0, 999, tzinfo=UTC)
STATUSES = ("Pending", "Running", "Paused", "Completed")


def report(**more: Any) -> calls.Call:
    given: dict[str, Any] = {
        "name": "Report",
        "query_id": " q-1 ",
        "description": None,
        "execute_now": True,
        "window": None,
        "start_at": None,
        "recurrence_h": None,
        "recurrence_count": None,
        "format": "csv",
    }
    return calls.create_report(**(given | more))


@pytest.mark.behaviour(46, 82)
def test_a_one_off_report_says_no_more_than_it_needs() -> None:
    assert report().body == {"ReportName": "Report", "QueryId": "q-1", "ExecuteNow": True, "Format": "csv"}


@pytest.mark.behaviour(81, 83)
def test_a_windowed_report_has_times_without_fractions() -> None:
    body = report(window=Window(datetime(2026, 1, 1, tzinfo=UTC), NOW)).body

    assert body is not None
    assert (body["QueryStartTime"], body["QueryEndTime"]) == ("2026-01-01T00:00:00Z", "2026-11-23T02:00:00Z")


@pytest.mark.behaviour(81, 87, 88)
def test_a_scheduled_report_has_start_and_recurrence() -> None:
    body = report(execute_now=False, start_at=NOW, recurrence_h=48, recurrence_count=20, description="d").body

    assert body == {
        "ReportName": "Report",
        "Description": "d",
        "QueryId": "q-1",
        "StartTime": "2026-11-23T02:00:00Z",
        "ExecuteNow": False,
        "RecurrenceInterval": 48,
        "RecurrenceCount": 20,
        "Format": "csv",
    }


@pytest.mark.behaviour(41, 82, 83, 87, 88, 93)
@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "x" * 257},
        {"name": "one;two"},
        {"execute_now": False},
        {"execute_now": False, "start_at": NOW},
        {"execute_now": False, "start_at": NOW, "recurrence_h": 3},
        {"execute_now": False, "start_at": NOW, "recurrence_h": 2_161},
        {"execute_now": False, "start_at": NOW, "recurrence_h": 24, "recurrence_count": 0},
        {"execute_now": False, "start_at": NOW, "recurrence_h": 24, "window": Window(NOW, NOW)},
        {"recurrence_h": 24},
        {"start_at": NOW},
    ],
)
def test_a_report_that_the_service_would_refuse_or_cut_is_not_sent(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        report(**wrong)


@pytest.mark.behaviour(45)
def test_only_the_two_creations_are_marked_as_such() -> None:
    assert report().creates
    assert calls.create_query(name="n", text="t", description=None).creates
    assert not calls.delete_report("r").creates
    assert not calls.resume_report("r").creates
    assert not calls.update_report("r", name="n", start_at=NOW, recurrence_h=None, recurrence_count=None).creates


@pytest.mark.behaviour(46)
@pytest.mark.parametrize(
    ("call", "path"),
    [
        (calls.delete_report(" r-1 "), "ScheduledReport/r-1"),
        (calls.pause_report("../x"), "ScheduledReport/pause/..%2Fx"),
        (calls.resume_report("a?b#c"), "ScheduledReport/resume/a%3Fb%23c"),
        (calls.delete_query("a b"), "ScheduledQueries/a%20b"),
    ],
)
def test_ids_are_trimmed_and_cannot_leave_their_place_in_the_path(call: calls.Call, path: str) -> None:
    assert call.address(API) == f"{API}/{path}"


@pytest.mark.behaviour(102, 103, 106, 111)
def test_executions_are_asked_for_together_with_explicit_filters() -> None:
    (call,) = calls.list_executions([" r-1", "r-2"], statuses=STATUSES, latest=True, api_base_url=API)

    parts = urlsplit(call.address(API))
    assert parts.path.endswith("/ScheduledReport/execution/r-1;r-2")
    assert parse_qs(parts.query) == {
        "executionStatus": ["Pending;Running;Paused;Completed"],
        "getLatestExecution": ["true"],
    }


@pytest.mark.behaviour(106)
def test_a_hundred_reports_are_asked_for_in_few_calls_with_short_addresses() -> None:
    ids = [f"cdc61cfe-d028-4333-a215-{number:012}" for number in range(100)]

    made = list(calls.list_executions(ids, statuses=STATUSES, latest=True, api_base_url=API))

    assert len(made) == 3
    assert all(len(call.address(API)) <= calls.LONGEST_ADDRESS for call in made)
    assert all(number in "".join(call.path for call in made) for number in ids)


def test_no_reports_are_asked_for_by_no_call() -> None:
    assert list(calls.list_executions([], statuses=None, latest=True, api_base_url=API)) == []


@pytest.mark.behaviour(69, 78)
def test_a_query_is_previewed_by_one_of_id_and_text() -> None:
    by_id = calls.preview_query(query_id=" q-1", text=None, start=NOW, end=None)
    by_text = calls.preview_query(query_id=None, text="SELECT a FROM b WHERE c = '50%'", start=None, end=None)

    assert by_id.params == {"queryId": "q-1", "startTime": "2026-11-23T02:00:00Z"}
    assert "exportQuery=SELECT%20a%20FROM%20b%20WHERE%20c%20%3D%20%2750%25%27" in by_text.address(API)
    assert by_id.patience_s is not None
    assert by_id.patience_s > 100


@pytest.mark.behaviour(69, 78)
@pytest.mark.parametrize(("query_id", "text"), [(None, None), ("q-1", "SELECT"), (None, "SELECT " + "a, " * 1_000)])
def test_a_preview_that_cannot_work_is_not_sent(query_id: str | None, text: str | None) -> None:
    with pytest.raises(SettingsError):
        calls.preview_query(query_id=query_id, text=text, start=None, end=None)


@pytest.mark.behaviour(32)
@pytest.mark.parametrize(
    ("link", "address"),
    [
        (f"{API}/ScheduledQueries?page=2", f"{API}/ScheduledQueries?page=2"),
        ("ScheduledQueries?page=2", f"{API}/ScheduledQueries?page=2"),
        ("/ScheduledQueries?page=2", f"{API}/ScheduledQueries?page=2"),
        ("/insights/v1/mpn/ScheduledQueries?page=2", f"{API}/ScheduledQueries?page=2"),
        ("?page=2", f"{API}/ScheduledQueries?page=2"),
        ("?next=https://x.example", f"{API}/ScheduledQueries?next=https://x.example"),
        ("ScheduledQueries?next=https://x.example", f"{API}/ScheduledQueries?next=https://x.example"),
        ("https://evil.example/x", "https://evil.example/x"),
        ("//evil.example/x", "https://evil.example/x"),
    ],
)
def test_a_next_link_is_absolute_or_relative_to_the_api(link: str, address: str) -> None:
    page = f"{API}/ScheduledQueries?page=1"

    assert calls.next_address(link, page_url=page, api_base_url=API) == address
