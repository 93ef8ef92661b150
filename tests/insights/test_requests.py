"""Calls are written as the documents say, and what the service would refuse is not sent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from support import API

from bulkpull.clock import iso_utc
from bulkpull.errors import SettingsError
from bulkpull.insights import requests
from bulkpull.insights.definitions import QueryDefinition, ReportChange, ReportDefinition, earliest_start
from bulkpull.model import Window

NOW = datetime(2026, 11, 23, 2, 0, 0, 999, tzinfo=UTC)
SOON = NOW + timedelta(hours=5)
SCHEDULED: dict[str, Any] = {"execute_now": False, "start_at": SOON, "recurrence_h": 48}
STATUSES = ("Pending", "Running", "Paused", "Completed")


def report(**more: Any) -> requests.Call:
    given: dict[str, Any] = {"name": "Report", "query_id": " q-1 "}
    return requests.create_report(ReportDefinition(**(given | more)), now=NOW)


def change(**more: Any) -> requests.Call:
    given: dict[str, Any] = {"name": "Report", "start_at": SOON}
    return requests.update_report("r-1", ReportChange(**(given | more)), now=NOW)


@pytest.mark.behaviour(46, 82, 179)
def test_a_one_off_report_says_no_more_than_it_needs() -> None:
    assert report().body == {"ReportName": "Report", "QueryId": "q-1", "ExecuteNow": True, "Format": "csv"}


@pytest.mark.behaviour(81, 83)
def test_a_windowed_report_has_times_without_fractions() -> None:
    body = report(window=Window(datetime(2026, 1, 1, tzinfo=UTC), NOW)).body

    assert body is not None
    assert (body["QueryStartTime"], body["QueryEndTime"]) == ("2026-01-01T00:00:00Z", "2026-11-23T02:00:00Z")


@pytest.mark.behaviour(81, 87, 88)
def test_a_scheduled_report_has_start_and_recurrence() -> None:
    body = report(**SCHEDULED, recurrence_count=20, description="d", format="CSV").body

    assert body == {
        "ReportName": "Report",
        "Description": "d",
        "QueryId": "q-1",
        "StartTime": "2026-11-23T07:00:00Z",
        "ExecuteNow": False,
        "RecurrenceInterval": 48,
        "RecurrenceCount": 20,
        "Format": "csv",
    }


@pytest.mark.behaviour(43, 94, 100)
def test_format_and_callback_are_sent_in_the_documented_spelling() -> None:
    body = report(format="TSV", callback_url="https://hooks.contoso.example/done", callback_method="get").body

    assert body is not None
    assert body["Format"] == "tsv"
    assert (body["CallbackUrl"], body["CallbackMethod"]) == ("https://hooks.contoso.example/done", "GET")


@pytest.mark.behaviour(41, 43, 50, 81, 82, 83, 84, 87, 88, 93, 94, 100)
@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        ({"name": ""}, "1 to 256 characters and no semicolon"),
        ({"name": "x" * 257}, "1 to 256 characters and no semicolon"),
        ({"name": "one;two"}, "1 to 256 characters and no semicolon"),
        ({"description": "x" * 257}, "256 are allowed"),
        ({"query_id": " "}, "needs the id of a query"),
        ({"execute_now": False}, "needs a start and a recurrence"),
        (SCHEDULED | {"recurrence_h": None}, "needs a start and a recurrence"),
        (SCHEDULED | {"recurrence_h": 3}, "4 to 2160 h are allowed"),
        (SCHEDULED | {"recurrence_h": 2_161}, "4 to 2160 h are allowed"),
        (SCHEDULED | {"recurrence_h": 12, "minimum_recurrence_h": 24}, "the shortest interval of its dataset is 24 h"),
        (SCHEDULED | {"recurrence_count": 0}, "1 and more are allowed"),
        (SCHEDULED | {"window": Window(NOW, SOON)}, "ignores it"),
        (SCHEDULED | {"start_at": NOW + timedelta(hours=4)}, "four hours ahead"),
        ({"recurrence_h": 24}, "one excludes the other"),
        ({"start_at": SOON}, "one excludes the other"),
        ({"recurrence_count": 3}, "one excludes the other"),
        ({"window": Window(SOON, NOW)}, "before it begins"),
        ({"format": "xlsx"}, "csv and tsv are allowed"),
        ({"callback_url": "http://hooks.contoso.example/"}, "https"),
        ({"callback_url": "https://localhost/done"}, "public host"),
        ({"callback_url": "https://192.168.1.7/done"}, "public host"),
        ({"callback_url": "https://[::1]/done"}, "public host"),
        ({"callback_url": "https://intranet/done"}, "public host"),
        ({"callback_url": "https://<SampleCallbackUrl>"}, "public host"),
        ({"callback_url": "hooks.contoso.example"}, "no host"),
        ({"callback_url": "https://me:secret@hooks.contoso.example/"}, "user name or a password"),
        ({"callback_url": "https://hooks.contoso.example/", "callback_method": "PUT"}, "GET and POST are allowed"),
        ({"callback_method": "GET"}, "without an address"),
    ],
)
def test_a_report_that_the_service_would_refuse_or_cut_is_not_sent(wrong: dict[str, Any], rule: str) -> None:
    with pytest.raises(SettingsError, match=rule):
        report(**wrong)


@pytest.mark.behaviour(81)
def test_the_earliest_start_that_is_told_is_one_that_is_taken() -> None:
    earliest = earliest_start(NOW)

    assert report(**SCHEDULED | {"start_at": earliest}).body
    with pytest.raises(SettingsError, match=iso_utc(earliest)):
        report(**SCHEDULED | {"start_at": earliest - timedelta(minutes=1)})


@pytest.mark.behaviour(91, 95)
def test_a_change_says_what_is_given_and_always_name_and_start() -> None:
    least = change()
    most = change(
        description="d",
        recurrence_h=24,
        recurrence_count=7,
        format="TSV",
        callback_url="https://hooks.contoso.example/done",
        callback_method="POST",
    )

    assert least.body == {"ReportName": "Report", "StartTime": "2026-11-23T07:00:00Z"}
    assert most.body == {
        "ReportName": "Report",
        "StartTime": "2026-11-23T07:00:00Z",
        "Description": "d",
        "RecurrenceInterval": 24,
        "RecurrenceCount": 7,
        "Format": "tsv",
        "CallbackUrl": "https://hooks.contoso.example/done",
        "CallbackMethod": "POST",
    }


@pytest.mark.behaviour(81, 95)
@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        ({"name": "a;b"}, "no semicolon"),
        ({"start_at": NOW}, "four hours ahead"),
        ({"recurrence_h": 1}, "4 to 2160 h"),
        ({"recurrence_h": 8, "minimum_recurrence_h": 24}, "the shortest interval of its dataset is 24 h"),
        ({"format": "parquet"}, "csv and tsv"),
        ({"callback_url": "https://10.0.0.1/"}, "public host"),
    ],
)
def test_a_change_that_the_service_would_refuse_is_not_sent(wrong: dict[str, Any], rule: str) -> None:
    with pytest.raises(SettingsError, match=rule):
        change(**wrong)


@pytest.mark.behaviour(71, 73)
@pytest.mark.parametrize(
    ("name", "text"), [("", "SELECT"), ("a_b", "SELECT"), ("a-b", "SELECT"), ("a;b", "SELECT"), ("a", " ")]
)
def test_a_query_that_the_service_would_refuse_is_not_sent(name: str, text: str) -> None:
    with pytest.raises(SettingsError):
        requests.create_query(QueryDefinition(name=name, text=text))


@pytest.mark.behaviour(74)
@pytest.mark.parametrize(
    ("flags", "params"),
    [
        ({"include_system": False}, {"includeSystemQueries": "false"}),
        ({"include_system": True}, {"includeSystemQueries": "true"}),
        (
            {"include_system": False, "only_system": True},
            {"includeSystemQueries": "true", "includeOnlySystemQueries": "true"},
        ),
    ],
)
def test_queries_are_asked_for_with_explicit_kinds(flags: dict[str, bool], params: dict[str, str]) -> None:
    assert requests.list_queries(name=None, query_id=None, **flags).params == params


@pytest.mark.behaviour(45)
def test_only_the_two_creations_are_marked_as_such() -> None:
    assert report().creates
    assert requests.create_query(QueryDefinition(name="n", text="t")).creates
    assert not requests.delete("report", "r").creates
    assert not requests.switch_report("r", "resume").creates
    assert not change().creates


@pytest.mark.behaviour(46)
@pytest.mark.parametrize(
    ("call", "path"),
    [
        (requests.delete("report", " r-1 "), "ScheduledReport/r-1"),
        (requests.switch_report("../x", "pause"), "ScheduledReport/pause/..%2Fx"),
        (requests.switch_report("a?b#c", "resume"), "ScheduledReport/resume/a%3Fb%23c"),
        (requests.delete("query", "a b"), "ScheduledQueries/a%20b"),
    ],
)
def test_ids_are_trimmed_and_cannot_leave_their_place_in_the_path(call: requests.Call, path: str) -> None:
    assert call.address(API) == f"{API}/{path}"


@pytest.mark.behaviour(102, 103, 106, 111)
def test_executions_are_asked_for_together_with_explicit_filters() -> None:
    (call,) = requests.list_executions([" r-1", "r-2"], statuses=STATUSES, latest=True, api_base_url=API)

    parts = urlsplit(call.address(API))
    assert parts.path.endswith("/ScheduledReport/execution/r-1;r-2")
    assert parse_qs(parts.query) == {
        "executionStatus": ["Pending;Running;Paused;Completed"],
        "getLatestExecution": ["true"],
    }


@pytest.mark.behaviour(106)
def test_a_hundred_reports_are_asked_for_in_few_calls_with_short_addresses() -> None:
    ids = [f"cdc61cfe-d028-4333-a215-{number:012}" for number in range(100)]

    made = list(requests.list_executions(ids, statuses=STATUSES, latest=True, api_base_url=API))

    assert len(made) == 3
    assert all(len(call.address(API)) <= requests.LONGEST_ADDRESS for call in made)
    assert all(number in "".join(call.path for call in made) for number in ids)


@pytest.mark.behaviour(106)
def test_single_executions_are_asked_for_by_their_ids() -> None:
    (call,) = requests.list_executions(
        ["r-1"], statuses=None, latest=False, execution_ids=[" e-1", "e-2"], api_base_url=API
    )

    assert call.params == {"executionId": "e-1;e-2", "getLatestExecution": "false"}
    with pytest.raises(SettingsError, match="too many"):
        list(
            requests.list_executions(["r-1"], statuses=None, latest=True, execution_ids=["e" * 1_800], api_base_url=API)
        )


def test_no_reports_are_asked_for_by_no_call() -> None:
    assert list(requests.list_executions([], statuses=None, latest=True, api_base_url=API)) == []


@pytest.mark.behaviour(69, 78)
def test_a_query_is_previewed_by_one_of_id_and_text() -> None:
    by_id = requests.preview_query(query_id=" q-1", text=None, start=NOW, end=None)
    by_text = requests.preview_query(query_id=None, text="SELECT a FROM b WHERE c = '50%'", start=None, end=None)

    assert by_id.params == {"queryId": "q-1", "startTime": "2026-11-23T02:00:00Z"}
    assert "exportQuery=SELECT%20a%20FROM%20b%20WHERE%20c%20%3D%20%2750%25%27" in by_text.address(API)
    assert by_id.patience_s is not None
    assert by_id.patience_s > 100


@pytest.mark.behaviour(69, 78)
@pytest.mark.parametrize(("query_id", "text"), [(None, None), ("q-1", "SELECT"), (None, "SELECT " + "a, " * 1_000)])
def test_a_preview_that_cannot_work_is_not_sent(query_id: str | None, text: str | None) -> None:
    with pytest.raises(SettingsError):
        requests.preview_query(query_id=query_id, text=text, start=None, end=None)
    with pytest.raises(SettingsError, match="before it begins"):
        requests.preview_query(query_id="q-1", text=None, start=SOON, end=NOW)


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

    assert requests.next_address(link, page_url=page, api_base_url=API) == address
