"""Every documented "no", with its status and its words."""

from __future__ import annotations

from typing import Any

import pytest
from simulator_caller import Caller, calling

SCHEDULED: dict[str, Any] = {
    "ReportName": "A report",
    "StartTime": "2026-11-23T06:05:00Z",
    "RecurrenceInterval": 24,
}
CREATION = "Invalid report parameters for creation - "
EARLY = CREATION + "Start time of report should at least be 4 hours from current UTC time"
BOUNDS = "Recurrence Interval must be between 4 and 2160"
COUNT = CREATION + "Recurrence count has to be a positive integer value"
LENGTH = CREATION + "Limit ReportName and Description length to 256 characters or less"
END = CREATION + "EndTime should be greater than StartTime"
ONE_OFF = {"ExecuteNow": True}


async def create(caller: Caller, **changes: Any) -> tuple[int, str]:
    body = {**SCHEDULED, "QueryId": await caller.query(), **changes}
    reply = await caller.post("/ScheduledReport", **{name: value for name, value in body.items() if value != "missing"})
    assert list(reply.body) == ["message", "statusCode"] or reply.status == 200
    return reply.status, reply.message


@pytest.mark.behaviour(42, 43, 73, 81, 84, 87, 88, 93, 94)
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ReportName": "missing"}, "Null or missing value"),
        ({"ReportName": "  "}, "Null or missing value"),
        ({"QueryId": "missing"}, "Null or missing value"),
        ({"StartTime": "missing"}, "Null or missing value"),
        ({"StartTime": None}, "Null or missing value"),
        ({"RecurrenceInterval": "missing"}, "Null or missing value"),
        ({"QueryId": "11111111-1111-4111-8111-111111111111"}, "Invalid QueryId"),
        ({"QueryId": "no id"}, "Invalid QueryId"),
        ({"StartTime": "2026-11-23T05:59:59Z"}, EARLY),
        ({"RecurrenceInterval": 3}, BOUNDS),
        ({"RecurrenceInterval": 2161}, BOUNDS),
        ({"RecurrenceInterval": 23}, "Invalid report parameters"),
        ({"RecurrenceInterval": "48"}, "Invalid report parameters"),
        ({"RecurrenceCount": 0}, COUNT),
        ({"RecurrenceCount": -1}, COUNT),
        ({"RecurrenceCount": 1.5}, COUNT),
        ({"ReportName": "n" * 257}, LENGTH),
        ({"Description": "d" * 257}, LENGTH),
        ({"ReportName": "a;b"}, CREATION + "Invalid character (;) in ReportName"),
        ({"Format": "xlsx"}, CREATION + "Report format should be csv/tsv"),
        ({"Format": "string"}, "Requested value 'string' not found"),
        ({"CallbackMethod": "PUT"}, CREATION + "CallbackMethod can only be GET or POST"),
        ({"CallbackMethod": "string"}, "Requested value 'string' not found"),
        ({"CallbackUrl": "string"}, "Requested value 'string' not found"),
        ({"ExecuteNow": "soon"}, "Requested value 'soon' not found"),
        ({**ONE_OFF, "QueryStartTime": "2026-06-01T00:00:00Z", "QueryEndTime": "2026-06-01T00:00:00Z"}, END),
    ],
    ids=lambda value: value[-40:] if isinstance(value, str) else " ".join(value),
)
async def test_a_report_that_breaks_a_rule_is_refused_with_the_documented_words(
    changes: dict[str, Any], message: str
) -> None:
    async with calling() as caller:
        assert await create(caller, **changes) == (400, message)
        assert not caller.simulator.service.reports


@pytest.mark.behaviour(81, 87, 88, 93, 94)
@pytest.mark.parametrize(
    "changes",
    [
        {"StartTime": "2026-11-23T06:00:00Z"},
        {"RecurrenceInterval": 2160},
        {"RecurrenceCount": None},
        {"ReportName": "n" * 256},
        {"Format": "TSV", "CallbackMethod": "get", "CallbackUrl": "https://contoso.example/ready"},
        {"ExecuteNow": None, "Description": None},
    ],
    ids=" ".join,
)
async def test_a_report_at_the_edge_of_the_rules_is_accepted(changes: dict[str, Any]) -> None:
    async with calling() as caller:
        assert await create(caller, **changes) == (200, "Report created successfully")


@pytest.mark.behaviour(41, 81)
@pytest.mark.parametrize("name", ["StartTime", "QueryStartTime", "QueryEndTime"])
@pytest.mark.parametrize(
    "time",
    ["2026-11-24 06:00:00Z", "2026-11-24T06:00:00.000Z", "2026-11-24T06:00:00", "2026-13-24T06:00:00Z", "string"],
)
async def test_a_badly_formatted_time_is_an_internal_error(name: str, time: str) -> None:
    async with calling() as caller:
        status, message = await create(caller, **{name: time})

    assert status == 500
    assert message.startswith("Internal error encountered while creating report. Correlation ID <")


@pytest.mark.behaviour(41)
@pytest.mark.parametrize(
    ("name", "word"), [("StartTime", "Start"), ("QueryStartTime", "Start"), ("QueryEndTime", "End")]
)
async def test_a_badly_formatted_time_may_be_refused_as_the_sibling_does_it(name: str, word: str) -> None:
    async with calling(bad_time=400) as caller:
        refusal = await create(caller, **{name: "tomorrow"})

    assert refusal == (400, f"{CREATION}{word}Time should follow format: yyyy-MM-ddTHH:mm:ssZ")


@pytest.mark.behaviour(82)
async def test_a_one_off_report_ignores_start_and_recurrence() -> None:
    async with calling() as caller:
        changes = {"ExecuteNow": True, "StartTime": "whenever", "RecurrenceInterval": 1, "RecurrenceCount": 0}

        assert (await create(caller, **changes))[0] == 200


@pytest.mark.behaviour(59, 62, 65, 68, 69, 71, 73)
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SELECT A FROM Nothing", "Invalid table name"),
        ("SELECT CustomerName FROM OfficeUsageX", "Invalid table name"),
        ("SELECT * FROM OfficeUsage", "Incorrect column name"),
        ("SELECT CustomerNam FROM OfficeUsage", "Incorrect column name"),
        ("SELECT CustomerName AS c FROM OfficeUsage", "Incorrect column name"),
        ("SELECT CustomerName, FROM OfficeUsage", "Incorrect column name"),
        ("SELECT CustomerName CustomerTpid FROM OfficeUsage", "Incorrect column name"),
        ("SELECT CustomerName FROM OfficeUsage WHERE Nope = 1", "Incorrect column name"),
        ("SELECT CustomerName FROM OfficeUsage ORDER BY Nope", "Incorrect column name"),
        ("SELECT CustomerName FROM OfficeUsage TIMESPAN LAST_7_DAYS", "Invalid query"),
        ("SELECT CustomerName FROM OfficeUsage TIMESPAN", "Invalid query"),
        ("SELECT CustomerName FROM OfficeUsage LIMIT 0", "Invalid query"),
        ("SELECT CustomerName FROM OfficeUsage LIMIT -1", "Invalid query"),
        ("SELECT CustomerName FROM OfficeUsage LIMIT ten", "Invalid query"),
        ("SELECT CustomerName FROM OfficeUsage WHERE Month = '2026-10-01' OR CustomerName = 'x'", "Invalid query"),
        ("SELECT CustomerName FROM OfficeUsage WHERE CustomerName IN 'x'", "Invalid query"),
        ("SELECT CustomerName FROM OfficeUsage TIMESPAN LAST_MONTH LIMIT 1", "Invalid query"),
        ("SELECT CustomerName FROM OfficeUsage, Profile", "Invalid query"),
        ("SELECT MpnId FROM Profile TIMESPAN LAST_MONTH", "Invalid query"),
        ("DELETE FROM OfficeUsage", "Invalid query"),
        ("CustomerName", "Invalid query"),
    ],
)
async def test_a_query_that_the_service_cannot_read_is_refused(text: str, message: str) -> None:
    async with calling() as caller:
        stored = await caller.post("/ScheduledQueries", Name="A query", Query=text)
        tested = await caller.get("/ScheduledQueries/testQueryResult", exportQuery=text)

    assert (stored.status, stored.message) == (tested.status, tested.message) == (400, message)


@pytest.mark.behaviour(71, 73)
@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"Name": "A query"}, "Null or missing value"),
        ({"Query": "SELECT CustomerName FROM OfficeUsage"}, "Null or missing value"),
        ({"Name": " ", "Query": "SELECT CustomerName FROM OfficeUsage"}, "Null or missing value"),
        ({"Name": "A-query", "Query": "SELECT CustomerName FROM OfficeUsage"}, "Invalid query name"),
        ({"Name": "A_query", "Query": "SELECT CustomerName FROM OfficeUsage"}, "Invalid query name"),
    ],
)
async def test_a_query_needs_a_text_and_a_name_of_letters_digits_and_blanks(body: dict[str, str], message: str) -> None:
    async with calling() as caller:
        reply = await caller.post("/ScheduledQueries", **body)

    assert (reply.status, reply.message) == (400, message)


@pytest.mark.behaviour(72)
async def test_the_query_beyond_the_quota_is_refused() -> None:
    async with calling(query_quota=1) as caller:
        await caller.query()
        reply = await caller.post("/ScheduledQueries", Name="Another", Query="SELECT CustomerName FROM OfficeUsage")

    assert reply.status == 400
    assert reply.message == "Number of queries exceeded. Delete few queries before creating new queries"


@pytest.mark.behaviour(78)
@pytest.mark.parametrize("both", [True, False])
async def test_a_test_query_takes_either_a_text_or_an_id(both: bool) -> None:
    async with calling() as caller:
        query_id = await caller.query()
        params = {"exportQuery": "SELECT CustomerName FROM OfficeUsage", "queryId": query_id} if both else {}
        reply = await caller.get("/ScheduledQueries/testQueryResult", **params)

    assert (reply.status, reply.message) == (400, "Null or missing value")


@pytest.mark.behaviour(74, 104, 105)
@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/ScheduledDataset?datasetName=Nothing", "No item found with given filters."),
        ("/ScheduledQueries?queryName=Nothing", "No item found with given filters."),
        ("/ScheduledReport?reportId=11111111-1111-4111-8111-111111111111", "No item found with given filters."),
        ("/ScheduledReport?reportName=Nothing", "No item found with given filters."),
        (
            "/ScheduledReport/execution/11111111-1111-4111-8111-111111111111",
            "There are no executions that have occurred",
        ),
    ],
)
async def test_a_filter_without_match_is_a_404(path: str, message: str) -> None:
    async with calling() as caller:
        reply = await caller.get(path)

    assert reply.status == 404
    assert reply.message.startswith(message)


@pytest.mark.behaviour(91, 95)
async def test_an_update_needs_name_and_start_and_leaves_one_off_reports_alone() -> None:
    change = {"ReportName": "Other", "StartTime": "2026-11-24T06:00:00Z"}
    async with calling() as caller:
        scheduled = await caller.report(ExecuteNow=False, **SCHEDULED)
        one_off = await caller.report()

        async def put(report_id: str, **body: str) -> tuple[int, str]:
            reply = await caller.call("PUT", f"/ScheduledReport/{report_id}", json=body)
            return reply.status, reply.message

        assert await put(scheduled, ReportName="Other") == (400, "Null or missing value")
        assert await put(scheduled, StartTime="2026-11-24T06:00:00Z") == (400, "Null or missing value")
        assert await put(scheduled, ReportName="Other", StartTime="2026-11-23T03:00:00Z") == (400, EARLY)
        assert await put(one_off, **change) == (400, "Invalid report parameters")
        assert await put(scheduled, **change) == (200, "Report updated successfully")
        record = (await caller.get("/ScheduledReport", reportId=scheduled)).records[0]

    assert (record["reportName"], record["startTime"]) == ("Other", "2026-11-24T06:00:00Z")
    assert record["modifiedTime"] == "2026-11-23T02:00:00Z"


@pytest.mark.behaviour(26)
async def test_without_a_role_every_call_is_403() -> None:
    async with calling(role="none") as caller:
        reply = await caller.get("/ScheduledDataset")

    assert (reply.status, reply.body) == (403, {"message": "Forbidden", "statusCode": 403})


@pytest.mark.behaviour(69)
async def test_an_address_can_be_too_long() -> None:
    async with calling(longest_address=200) as caller:
        reply = await caller.get("/ScheduledQueries/testQueryResult", exportQuery="SELECT " + "x" * 200)

    assert reply.status == 414


async def test_an_unknown_address_is_a_404_and_a_wrong_method_a_405() -> None:
    async with calling() as caller:
        assert (await caller.get("/ScheduledNothing")).status == 404
        assert (await caller.call("DELETE", "/ScheduledDataset")).status == 405
