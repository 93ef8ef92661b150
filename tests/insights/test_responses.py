"""Replies are read whatever their casing, and never guessed at."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import envelope

from bulkpull.errors import UnexpectedReply
from bulkpull.insights.responses import (
    chunked,
    link_expiry,
    read_dataset,
    read_envelope,
    read_execution,
    read_query,
    read_report,
)
from bulkpull.model import Execution, OfferedDataset, Query, Report, SecureLink
from bulkpull.transport.json_fields import moment

SEED_DATASET = {
    "datasetName": "DynamicsUsage",
    "selectableColumns": ["PGAMpnId", "SubscriptionId"],
    "availableMetrics": ["SubscriptionCount"],
    "availableDateRanges": ["LAST_MONTH", "LIFETIME"],
    "minimumRecurrenceInterval": 24,
}
SEED_QUERY = {
    "queryId": "7d19305c-56db-4edc-b776-428340e3a9c8",
    "name": "SubscriptionId Dynamics",
    "description": "List of Subscription Id from DynamicsUsage",
    "query": "SELECT SubscriptionId from DynamicsUsage",
    "type": "userDefined",
    "user": "user@contoso.example",
    "createdTime": "2021-03-31T07:28:37Z",
}
SEED_REPORT = {
    "reportId": "cdc61cfe-d028-4333-a215-a1df51ccbfd4",
    "reportName": "DynamicsUsage Subscription ID Report",
    "description": "Report for getting list of Subscription Id for Dynamics Usage",
    "queryId": "7d19305c-56db-4edc-b776-428340e3a9c8",
    "query": "SELECT SubscriptionId from DynamicsUsage",
    "user": "user@contoso.example",
    "createdTime": "2021-03-31T08:15:15Z",
    "modifiedTime": None,
    "executeNow": False,
    "startTime": "2021-04-01T18:41:00Z",
    "reportStatus": "Active",
    "recurrenceInterval": 48,
    "recurrenceCount": 20,
    "callbackUrl": "https://contoso.example/callback",
    "CallbackMethod": "GET",
    "format": "csv",
}
SEED_EXECUTION = {
    "executionId": "315eb63e-e2b2-41a2-ad8e-790b040fdce3",
    "reportId": "cdc61cfe-d028-4333-a215-a1df51ccbfd4",
    "recurrenceInterval": 48,
    "recurrenceCount": 20,
    "callbackUrl": None,
    "CallbackMethod": None,
    "format": "csv",
    "executionStatus": "Pending",
    "reportLocation": None,
    "reportAccessSecureLink": None,
    "reportExpiryTime": None,
    "reportGeneratedTime": None,
}
LINK = "https://account.example/c/f.csv?sv=2018-03-28&sr=b&sp=r&se=2026-11-30T02%3A00%3A00Z&sig=verysecret%3D"


def pascal(item: dict[str, Any]) -> dict[str, Any]:
    return {key[0].upper() + key[1:]: value for key, value in item.items()}


def read(reply: dict[str, Any]) -> Any:
    return read_envelope(json.dumps(reply).encode(), operation="list the reports")


CASINGS = pytest.mark.parametrize("cased", [dict, pascal], ids=["camelCase", "PascalCase"])


@pytest.mark.behaviour(29, 34, 35)
@pytest.mark.fault(26, 110)
@CASINGS
def test_the_seeds_dataset_is_read(cased: Any) -> None:
    assert read_dataset(cased(SEED_DATASET | {"isPublicInOrg": True})) == OfferedDataset(
        name="DynamicsUsage",
        columns=("PGAMpnId", "SubscriptionId"),
        metrics=("SubscriptionCount",),
        date_ranges=("LAST_MONTH", "LIFETIME"),
        minimum_recurrence_h=24,
    )


@CASINGS
@pytest.mark.behaviour(34)
def test_the_seeds_query_is_read(cased: Any) -> None:
    assert read_query(cased(SEED_QUERY)) == Query(
        query_id="7d19305c-56db-4edc-b776-428340e3a9c8",
        name="SubscriptionId Dynamics",
        text="SELECT SubscriptionId from DynamicsUsage",
        kind="userDefined",
        created_at=datetime(2021, 3, 31, 7, 28, 37, tzinfo=UTC),
        description="List of Subscription Id from DynamicsUsage",
    )


@CASINGS
@pytest.mark.behaviour(34, 35)
def test_the_seeds_report_is_read(cased: Any) -> None:
    assert read_report(cased(SEED_REPORT)) == Report(
        report_id="cdc61cfe-d028-4333-a215-a1df51ccbfd4",
        name="DynamicsUsage Subscription ID Report",
        query_id="7d19305c-56db-4edc-b776-428340e3a9c8",
        status="Active",
        created_at=datetime(2021, 3, 31, 8, 15, 15, tzinfo=UTC),
        start_at=datetime(2021, 4, 1, 18, 41, tzinfo=UTC),
        execute_now=False,
        recurrence_h=48,
        recurrence_count=20,
        description="Report for getting list of Subscription Id for Dynamics Usage",
        query_text="SELECT SubscriptionId from DynamicsUsage",
        format="csv",
        callback_url="https://contoso.example/callback",
        callback_method="GET",
    )


@pytest.mark.behaviour(90)
def test_a_one_off_report_has_no_recurrence() -> None:
    report = read_report(SEED_REPORT | {"recurrenceInterval": -1, "reportStatus": "Inactive", "executeNow": True})

    assert (report.recurrence_h, report.status, report.execute_now) == (None, "Inactive", True)


@CASINGS
@pytest.mark.behaviour(102, 103, 114, 116)
def test_the_seeds_pending_execution_is_read(cased: Any) -> None:
    execution = read_execution(cased(SEED_EXECUTION), data_redacted=False)

    assert execution == Execution(
        execution_id="315eb63e-e2b2-41a2-ad8e-790b040fdce3",
        report_id="cdc61cfe-d028-4333-a215-a1df51ccbfd4",
        status="Pending",
        format="csv",
    )
    assert not execution.is_completed


@pytest.mark.behaviour(115, 121, 123)
@pytest.mark.fault(52)
def test_a_completed_execution_has_its_link_untouched_and_its_expiry_read_off_it() -> None:
    item = SEED_EXECUTION | {
        "executionStatus": "completed",
        "reportAccessSecureLink": LINK,
        "reportGeneratedTime": "2026-11-23T02:00:00.1234567",
        "format": "CSV",
    }

    execution = read_execution(item, data_redacted=True)

    assert execution.link == SecureLink(LINK, datetime(2026, 11, 30, 2, tzinfo=UTC))
    assert execution.generated_at == datetime(2026, 11, 23, 2, 0, 0, 123456, tzinfo=UTC)
    assert (execution.format, execution.is_completed, execution.data_redacted) == ("csv", True, True)
    assert "verysecret" not in repr(execution)


@pytest.mark.behaviour(113)
@pytest.mark.fault(49)
@pytest.mark.parametrize("link", [None, "", "  "])
def test_an_empty_link_is_none(link: str | None) -> None:
    assert read_execution(SEED_EXECUTION | {"reportAccessSecureLink": link}, data_redacted=False).link is None


@pytest.mark.behaviour(51, 52, 53)
@pytest.mark.parametrize("nothing", [None, [], "none", {}])
def test_missing_lists_are_empty(nothing: object) -> None:
    item = {"datasetName": "Profile", "selectableColumns": nothing, "availableDateRanges": nothing}

    assert read_dataset(item) == OfferedDataset("Profile", columns=())


@pytest.mark.case("C22")
@pytest.mark.parametrize("name", [None, "", "  ", {}, []])
def test_a_dataset_without_a_name_is_no_dataset(name: object) -> None:
    assert read_dataset(SEED_DATASET | {"datasetName": name}) is None


@pytest.mark.fault(27, 34)
@pytest.mark.parametrize(
    ("reader", "item"),
    [
        (read_query, SEED_QUERY | {"queryId": ""}),
        (read_report, {"reportName": "x"}),
        (lambda item: read_execution(item, data_redacted=False), {"executionId": "x"}),
    ],
)
def test_an_object_without_its_id_is_not_guessed_at(reader: Any, item: dict[str, Any]) -> None:
    with pytest.raises(UnexpectedReply, match="without"):
        reader(item)


@pytest.mark.behaviour(29, 31, 33)
@pytest.mark.fault(26)
@pytest.mark.parametrize(
    ("reply", "count"),
    [
        (envelope(SEED_QUERY, SEED_QUERY), 2),
        (envelope(), 0),
        (pascal(envelope(SEED_QUERY)), 1),
        ({"value": None, "statusCode": 200}, 0),
        ({"value": SEED_QUERY}, 1),
    ],
)
def test_an_envelope_gives_its_objects(reply: dict[str, Any], count: int) -> None:
    assert len(read(reply).items) == count


@pytest.mark.behaviour(23, 32)
def test_an_envelope_gives_its_next_page_and_whether_data_is_withheld() -> None:
    assert read(envelope()).next_link is None
    assert read(pascal(envelope(nextLink="?page=2"))).next_link == "?page=2"
    assert read(envelope(nextLink=" ")).next_link is None
    assert [read(envelope(dataRedacted=flag)).data_redacted for flag in (True, "True", False, None)] == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.fault(27)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><title>Sign in</title></html>",
        b'{"value": [{"queryId": "7d1930',
        b'{"message": "fine", "statusCode": 200}',
        b'[{"queryId": "x"}]',
        b'{"value": "text"}',
        b'{"value": [1, 2]}',
        b'{"value": ["\xe4"]}',
        b"[" * 100_000,
        b"null",
    ],
)
def test_a_body_that_is_no_envelope_is_an_error_that_shows_its_beginning(body: bytes) -> None:
    with pytest.raises(UnexpectedReply) as caught:
        read_envelope(body, operation="list the reports")

    assert len(str(caught.value)) < 400


def test_what_is_shown_of_a_strange_body_holds_no_secret() -> None:
    secret = "s" * 80
    body = f"<a href='https://x.example/?sig={secret}'>".encode() + b" " * 120 + f"sig={secret}".encode()

    with pytest.raises(UnexpectedReply) as caught:
        read_envelope(body, operation="x")

    assert "ssss" not in str(caught.value)


def test_a_byte_order_mark_does_not_matter() -> None:
    assert read_envelope(b"\xef\xbb\xbf" + json.dumps(envelope(SEED_QUERY)).encode(), operation="x").items == (
        SEED_QUERY,
    )


@pytest.mark.behaviour(189)
@pytest.mark.fault(51)
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-11-23T02:00:00Z", datetime(2026, 11, 23, 2, tzinfo=UTC)),
        ("2026-11-23T02:00:00", datetime(2026, 11, 23, 2, tzinfo=UTC)),
        (" 2026-11-23T02:00:00Z ", datetime(2026, 11, 23, 2, tzinfo=UTC)),
        ("2026-11-23T02:00:00.5Z", datetime(2026, 11, 23, 2, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-11-23T02:00:00.1234567Z", datetime(2026, 11, 23, 2, 0, 0, 123_456, tzinfo=UTC)),
        ("2026-11-23T03:00:00+01:00", datetime(2026, 11, 23, 2, tzinfo=UTC)),
        ("2026-11-23", datetime(2026, 11, 23, tzinfo=UTC)),
        ("0001-01-01T00:00:00", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("9999-12-31T23:59:59-14:00", None),
        ("11/23/2026", None),
        ("", None),
        (None, None),
        (1_770_000_000, None),
    ],
)
def test_times_are_read_leniently(value: object, expected: datetime | None) -> None:
    assert moment(value) == expected


@pytest.mark.fault(51)
@given(value=st.text(max_size=40))
def test_no_time_whatever_it_says_breaks_the_reader(value: str) -> None:
    read_at = moment(value)

    assert read_at is None or read_at.utcoffset() == timedelta(0)


@given(
    when=st.datetimes(
        min_value=datetime(2001, 1, 1),  # noqa: DTZ001 -- hypothesis adds the zone
        max_value=datetime(2100, 1, 1),  # noqa: DTZ001 -- hypothesis adds the zone
        timezones=st.integers(-12 * 60, 12 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
    )
)
def test_any_iso_time_is_read_as_the_same_moment(when: datetime) -> None:
    assert moment(when.isoformat()) == when


@given(st.text(max_size=80))
def test_no_link_breaks_the_reader_of_its_expiry(link: str) -> None:
    link_expiry(f"https://account.example/{link}")


KEYS = st.sampled_from([*sorted(SEED_REPORT), "modifiedTime", "executionStatus", "unknown"])


@pytest.mark.behaviour(34, 35)
@pytest.mark.fault(26, 110)
@given(
    flips=st.lists(st.booleans(), min_size=8, max_size=8),
    odd=st.dictionaries(KEYS, st.one_of(st.none(), st.integers(), st.booleans(), st.text(), st.lists(st.text()))),
)
def test_any_casing_and_any_odd_value_is_read_or_refused(flips: list[bool], odd: dict[str, Any]) -> None:
    """Only a missing id is an error; everything else has a meaning."""
    item = {
        "".join(letter.swapcase() if flips[at % 8] else letter for at, letter in enumerate(key)): value
        for key, value in (SEED_REPORT | odd | {"reportId": "r-1"}).items()
    }

    assert read_report(item).report_id == "r-1"


@pytest.mark.behaviour(106)
@given(
    ids=st.lists(st.text("abcdef-", min_size=1, max_size=40), max_size=60),
    most=st.integers(min_value=10, max_value=300),
)
def test_chunks_lose_nothing_keep_the_order_and_fit(ids: list[str], most: int) -> None:
    parts = list(chunked(ids, most_characters=most))

    assert [item for part in parts for item in part] == ids
    assert all(len(";".join(part)) <= most or len(part) == 1 for part in parts)
    for one, following in itertools.pairwise(parts):
        assert len(";".join((*one, following[0]))) > most


@pytest.mark.behaviour(170)
@pytest.mark.parametrize("query_id", ["6664xaf3-z161-423a-92a1-0ea6db2c0384", "not a GUID", "7"])
def test_the_id_of_a_query_is_kept_as_it_comes(query_id: str) -> None:
    assert read_query(SEED_QUERY | {"queryId": query_id}).query_id == query_id
