"""The article's walkthrough, request by request, against the simulator."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from simulator_caller import Caller, calling

GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
BETWEEN = datetime(2021, 3, 31, 8, 15, 15, tzinfo=UTC)
ENVELOPE = ["value", "nextLink", "totalCount", "message", "statusCode", "dataRedacted"]
QUERY = {
    "Name": "SubscriptionId Dynamics ",
    "Description": "List of Subscription Id from DynamicsUsage",
    "Query": "SELECT SubscriptionId from DynamicsUsage ",
}
REPORT = {
    "ReportName": "DynamicsUsage Subscription ID Report",
    "Description": "Report for getting list of Subscription Id for Dynamics Usage",
    "StartTime": "2021-04-01T18:41:00Z",
    "ExecuteNow": False,
    "QueryStartTime": "2021-03-31T18:41:00Z",
    "QueryEndTime": "2021-06-30T18:41:00Z",
    "RecurrenceInterval": 48,
    "RecurrenceCount": 20,
    "Format": "csv",
    "CallbackUrl": "https://<SampleCallbackUrl>",
    "CallbackMethod": "GET",
}
COLUMNS = (
    "PGAMpnId SubscriptionId SubscriptionStartDate SubscriptionEndDate SubscriptionStatus Month "
    "RevSumDivisionName RevSumCategoryName SKU SKUId FreeVsPaidSKU SalesModel DetailedSalesModel "
    "CustomerName CustomerTenantId CustomerTpid CustomerSegment CustomerMarket MPNId PartnerName "
    "PartnerLocation PartnerAttachType AvailableSeats AssignedSeats ActiveSeats DeploymentOpportunity "
    "ActiveUsagePercent"
)


async def created(caller: Caller) -> str:
    query_id = await caller.query(QUERY["Query"], QUERY["Name"])
    reply = await caller.post("/ScheduledReport", **REPORT, QueryId=query_id)
    return str(reply.records[0]["reportId"])


@pytest.mark.behaviour(1, 3, 4, 5)
async def test_step_0_gives_a_token_with_numbers_as_strings() -> None:
    async with calling(start=BETWEEN) as caller:
        reply = await caller.ask_token()

    body = reply.body
    assert reply.status == 200
    assert (body["token_type"], body["expires_in"], body["ext_expires_in"]) == ("Bearer", "3599", "3599")
    assert int(body["expires_on"]) - int(body["not_before"]) == 3900
    assert body["resource"] == "https://api.partnercenter.microsoft.com"
    assert body["access_token"]


@pytest.mark.behaviour(29, 33, 48, 50)
async def test_step_1_lists_the_dataset_with_its_columns_in_order() -> None:
    async with calling(start=BETWEEN, edition="documents", datasets=("DynamicsUsage",)) as caller:
        reply = await caller.get("/ScheduledDataset")

    assert list(reply.body) == ENVELOPE
    assert (reply.message, reply.body["totalCount"]) == ("Dataset fetched successfully", 1)
    assert reply.body["nextLink"] is None
    assert reply.body["dataRedacted"] is False
    assert reply.records == [
        {
            "datasetName": "DynamicsUsage",
            "selectableColumns": COLUMNS.split(),
            "availableMetrics": [
                "SubscriptionCount", "TotalAssignedSeats", "TotalSoldSeats", "TotalActiveSeats", "TotalRevenueAndACR",
                "CustomerCount", "CustomerTenantCount",
            ],
            "availableDateRanges": ["LAST_MONTH", "LAST_3_MONTHS", "LAST_6_MONTHS", "LAST_1_YEAR", "LIFETIME"],
            "minimumRecurrenceInterval": 24,
        }
    ]  # fmt: skip


@pytest.mark.behaviour(48)
async def test_the_documents_edition_lists_the_twenty_datasets() -> None:
    async with calling(edition="documents") as caller:
        reply = await caller.get("/ScheduledDataset")

    assert reply.body["totalCount"] == 20


@pytest.mark.behaviour(61, 70)
async def test_step_2_stores_the_query_and_trims_its_blanks() -> None:
    async with calling(start=BETWEEN) as caller:
        reply = await caller.post("/ScheduledQueries", **QUERY)

    record = reply.records[0]
    assert (reply.status, reply.message) == (200, "Query created successfully")
    assert GUID.fullmatch(record.pop("queryId"))
    assert record == {
        "name": "SubscriptionId Dynamics",
        "description": "List of Subscription Id from DynamicsUsage",
        "query": "SELECT SubscriptionId from DynamicsUsage",
        "type": "userDefined",
        "user": "user@contoso.example",
        "createdTime": "2021-03-31T08:15:15Z",
    }


@pytest.mark.behaviour(31, 33, 78, 153)
async def test_step_3_shows_a_hundred_rows_and_creates_nothing() -> None:
    async with calling(start=BETWEEN, rows=600) as caller:
        query_id = await caller.query(QUERY["Query"])
        by_id = await caller.get("/ScheduledQueries/testQueryResult", queryId=query_id)
        by_text = await caller.get("/ScheduledQueries/testQueryResult", exportQuery=QUERY["Query"])

        assert not caller.simulator.service.reports
    assert by_id.body["message"] is None
    assert by_id.body["totalCount"] == len(by_id.records) == 100
    assert all(re.fullmatch(r"[0-9A-F-]{36}", row["SubscriptionId"]) and len(row) == 1 for row in by_id.records)
    assert by_id.records == by_text.records


@pytest.mark.behaviour(34, 83, 89, 94)
async def test_step_4_creates_the_report_and_echoes_all_but_the_query_times() -> None:
    async with calling(start=BETWEEN) as caller:
        query_id = await caller.query(QUERY["Query"], QUERY["Name"])
        reply = await caller.post("/ScheduledReport", **REPORT, QueryId=query_id)

    record = reply.records[0]
    assert (reply.status, reply.message) == (200, "Report created successfully")
    assert GUID.fullmatch(record.pop("reportId"))
    assert record == {
        "reportName": "DynamicsUsage Subscription ID Report",
        "description": "Report for getting list of Subscription Id for Dynamics Usage",
        "queryId": query_id,
        "query": "SELECT SubscriptionId from DynamicsUsage",
        "user": "user@contoso.example",
        "createdTime": "2021-03-31T08:15:15Z",
        "modifiedTime": None,
        "executeNow": False,
        "startTime": "2021-04-01T18:41:00Z",
        "reportStatus": "Active",
        "recurrenceInterval": 48,
        "recurrenceCount": 20,
        "callbackUrl": "https://<SampleCallbackUrl>",
        "CallbackMethod": "GET",
        "format": "csv",
    }


@pytest.mark.behaviour(103, 115, 116)
async def test_step_5_shows_the_seeds_pending_execution() -> None:
    async with calling(start=BETWEEN, pending_without_status="200") as caller:
        report_id = await created(caller)
        reply = await caller.execution(report_id, getLatestExecution="true")
        again = await caller.execution(report_id, getLatestExecution="true")

    record = reply.records[0]
    assert again.records == reply.records
    assert reply.body["message"] is None
    assert GUID.fullmatch(record.pop("executionId"))
    assert record == {
        "reportId": report_id,
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


@pytest.mark.behaviour(102, 104, 118)
async def test_step_5_is_a_404_in_the_later_reference() -> None:
    async with calling(start=BETWEEN) as caller:
        reply = await caller.execution(await created(caller), getLatestExecution="true")

    assert reply.status == 404
    assert reply.message.startswith("There are no executions that have occurred for the given filter conditions.")


@pytest.mark.behaviour(115, 120, 126)
async def test_step_6_brings_a_gzip_file_with_a_header_and_a_line_a_row() -> None:
    async with calling(start=BETWEEN) as caller:
        report_id = await created(caller)
        caller.clock.move(days=2)
        await caller.sign_in()
        reply = await caller.execution(report_id)
        file = await caller.fetch(reply.records[0]["reportAccessSecureLink"])

    assert reply.records[0]["reportGeneratedTime"] == "2021-04-01T18:41:00Z"
    assert file.raw[:2] == b"\x1f\x8b"
    assert file.headers["Content-Encoding"] == "gzip"
    lines = file.text.split(b"\r\n")
    assert (lines[0], lines[-1], len(lines)) == (b"SubscriptionId", b"", 62)
