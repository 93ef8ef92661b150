"""Stored queries, the query language, and the shape of listings."""

from __future__ import annotations

from typing import Any

import pytest
from simulator_caller import calling

from bulkpull.simulator import ColumnDrift, Scenario
from bulkpull.simulator.listed_datasets import offered_tables
from bulkpull.simulator.query_parser import ParsedQuery, parse_query


def parsed(text: str, **parameters: Any) -> ParsedQuery:
    return parse_query(text, offered_tables(Scenario(**parameters)).values())


@pytest.mark.behaviour(59, 60, 62, 65, 66)
def test_keywords_names_and_spans_ignore_case_and_line_breaks_are_blanks() -> None:
    query = parsed(
        "select distinct customername,\n MONTH from officeusage\twhere CustomerMarket in ('Sweden', \"Japan\") and"
        " MonthlyActiveUsers >= 10 order by Month desc, CustomerName limit 7 timespan last_month"
    )

    assert [column.name for column in query.columns] == ["CustomerName", "Month"]
    assert [(c.column.name, c.operator, c.values) for c in query.conditions] == [
        ("CustomerMarket", "IN", ("Sweden", "Japan")),
        ("MonthlyActiveUsers", ">=", ("10",)),
    ]
    assert (query.limit, query.timespan) == (7, "LAST_MONTH")


@pytest.mark.behaviour(63)
def test_a_metric_may_be_selected() -> None:
    query = parsed("SELECT CustomerMarket, CustomerCount FROM OfficeUsage")

    assert [column.name for column in query.columns] == ["CustomerMarket", "CustomerCount"]


@pytest.mark.behaviour(54, 56)
def test_live_names_with_blanks_and_commas_can_be_selected() -> None:
    names = ("D365_AX Customer, No BC/Finance", "D365_Azure Customers with No Power Platform")
    query = parsed(f"SELECT {names[0]},{names[1]} , Segment FROM CLASD365Propensity", drift=True)  # noqa: S608 - not SQL

    assert [column.name for column in query.columns] == [*names, "Segment"]


@pytest.mark.behaviour(54)
async def test_live_columns_can_drift_from_the_published_ones() -> None:
    drift = {"OfficeUsage": ColumnDrift(added=("ClaimId",), removed=("Month",), renamed={"MPNId": "PartnerID"})}
    async with calling(drift=drift) as caller:
        columns = (await caller.get("/ScheduledDataset", datasetName="officeusage")).records[0]["selectableColumns"]
        gone = await caller.post("/ScheduledQueries", Name="Gone", Query="SELECT Month FROM OfficeUsage")
        text = await caller.simulator.csv("OfficeUsage")

    assert {"ClaimId", "PartnerID"} <= set(columns)
    assert not {"Month", "MPNId"} & set(columns)
    assert gone.message == "Incorrect column name"
    assert text.split(b"\r\n")[0].decode() == ",".join(columns)


async def test_a_renamed_column_keeps_its_values() -> None:
    drift = {"OfficeUsage": ColumnDrift(renamed={"MPNId": "PartnerID"})}
    async with calling() as usual, calling(drift=drift) as drifted:
        old = await usual.simulator.csv("OfficeUsage", ["MPNId"])
        new = await drifted.simulator.csv("OfficeUsage", ["PartnerID"])

    assert old.replace(b"MPNId", b"PartnerID") == new


@pytest.mark.behaviour(49)
async def test_a_dataset_may_be_listed_under_another_name_which_queries_must_use() -> None:
    names = {"ResellerPerformance": "CloudProductsResellerPerformance"}
    async with calling(dataset_names=names, datasets=("ResellerPerformance",)) as caller:
        listed = (await caller.get("/ScheduledDataset")).records[0]["datasetName"]
        old = await caller.post("/ScheduledQueries", Name="Old", Query="SELECT ResellerName FROM ResellerPerformance")
        new = await caller.query("SELECT ResellerName FROM CloudProductsResellerPerformance")

    assert listed == "CloudProductsResellerPerformance"
    assert (old.status, bool(new)) == (400, True)


@pytest.mark.behaviour(74, 75)
async def test_system_queries_are_listed_unless_told_otherwise_and_cannot_be_deleted() -> None:
    async with calling() as caller:
        own = await caller.query()
        both = (await caller.get("/ScheduledQueries")).records
        mine = (await caller.get("/ScheduledQueries", includeSystemQueries="false")).records
        system = (await caller.get("/ScheduledQueries", IncludeOnlySystemQueries="True")).records
        refused = await caller.call("DELETE", f"/ScheduledQueries/{system[0]['queryId']}")
        deleted = await caller.call("DELETE", f"/ScheduledQueries/{own}")
        again = await caller.call("DELETE", f"/ScheduledQueries/{own}")

    assert [record["queryId"] for record in mine] == [own]
    assert {record["type"] for record in system} == {"system"}
    assert len(both) == len(mine) + len(system)
    assert system[0]["user"] is None
    assert (refused.status, deleted.status, again.status) == (400, 200, 404)


@pytest.mark.behaviour(76)
async def test_a_system_query_that_fell_behind_the_columns_makes_no_report() -> None:
    async with calling() as caller:
        system = (await caller.get("/ScheduledQueries", queryName="DynamicsUsage")).records[0]
        reply = await caller.post("/ScheduledReport", ReportName="R", QueryId=system["queryId"], ExecuteNow=True)

    assert "PartnerLocationID" in system["query"]
    assert (reply.status, reply.message) == (400, "Incorrect column name")


@pytest.mark.behaviour(70)
async def test_line_breaks_inside_a_query_are_kept() -> None:
    async with calling() as caller:
        await caller.query(" SELECT CustomerName\r\n FROM  OfficeUsage\n", name="Lines")
        record = (await caller.get("/ScheduledQueries", queryName="lines")).records[0]

    assert record["query"] == "SELECT CustomerName\r\n FROM  OfficeUsage"


@pytest.mark.behaviour(32, 33)
@pytest.mark.parametrize("form", ["relative", "absolute"])
async def test_a_listing_longer_than_a_page_goes_on_at_its_next_link(form: str) -> None:
    async with calling(page_size=8, next_link=form) as caller:
        pages = [await caller.get("/ScheduledDataset")]
        while (link := pages[-1].body["nextLink"]) is not None:
            assert link.startswith("http") == (form == "absolute")
            pages.append(await caller.call("GET", link if form == "absolute" else f"/{link}"))

    assert [page.body["totalCount"] for page in pages] == [8, 8, 5]
    assert len({record["datasetName"] for page in pages for record in page.records}) == 21


@pytest.mark.behaviour(34)
async def test_keys_can_be_in_pascal_case_but_for_the_rows_of_a_test_query() -> None:
    async with calling(key_casing="pascal") as caller:
        listed = (await caller.get("/ScheduledDataset")).body
        rows = (await caller.get("/ScheduledQueries/testQueryResult", exportQuery="SELECT MPNId FROM Profile")).body

    assert set(listed) == {"Value", "NextLink", "TotalCount", "Message", "StatusCode", "DataRedacted"}
    assert "SelectableColumns" in listed["Value"][0]
    assert set(rows["Value"][0]) == {"MPNId"}


@pytest.mark.behaviour(34)
async def test_paths_parameters_and_body_keys_are_matched_without_case() -> None:
    async with calling() as caller:
        reply = await caller.call("GET", "/SCHEDULEDDATASET", params={"DATASETNAME": "PROFILE"})
        stored = await caller.post("/scheduledqueries", name="A query", QUERY="SELECT MpnId FROM Profile")

    assert reply.records[0]["datasetName"] == "Profile"
    assert stored.status == 200


@pytest.mark.behaviour(44)
async def test_request_and_correlation_ids_are_echoed() -> None:
    sent = {"MS-RequestId": "11111111-1111-4111-8111-111111111111", "MS-CorrelationId": "the-same"}
    async with calling(edition="documents") as caller:
        reply = await caller.call("GET", "/ScheduledDataset", headers=sent)
        call = caller.simulator.calls[-1]

    assert {name: reply.headers[name] for name in sent} == sent
    assert (call.request_id, call.correlation_id) == tuple(sent.values())


@pytest.mark.behaviour(37, 39)
async def test_calls_beyond_the_limit_are_throttled_until_the_window_ends() -> None:
    async with calling(requests_per_minute=2) as caller:
        seen = [(await caller.get("/ScheduledDataset")).status for _ in range(2)]
        caller.clock.move(seconds=12.5)
        refused = await caller.get("/ScheduledDataset")
        caller.clock.move(seconds=48)
        seen += [(await caller.get("/ScheduledDataset")).status]

    assert seen == [200, 200, 200]
    assert (refused.status, refused.headers["Retry-After"]) == (429, "48")
    assert refused.body == {"message": "Rate limit is exceeded. Try again in 48 seconds.", "statusCode": 429}


@pytest.mark.behaviour(172, 173)
async def test_every_reply_tells_the_allowance_and_what_is_left_of_it() -> None:
    async with calling(requests_per_minute=10) as caller:
        reported = [await caller.get("/ScheduledDataset"), await caller.get("/ScheduledReport/execution/nobody")]
        caller.simulator.spend_allowance(7)  # another tool of the same partner
        reported += [await caller.get("/ScheduledDataset"), await caller.get("/ScheduledDataset")]
        caller.clock.move(seconds=60)
        reported += [await caller.get("/ScheduledDataset")]

    assert [reply.headers["X-RateLimit-Limit"] for reply in reported] == ["10"] * 5
    assert [reply.headers["X-RateLimit-Remaining"] for reply in reported] == ["9", "8", "0", "0", "9"]
    assert [reply.status for reply in reported][2:] == [200, 429, 200]
    assert reported[3].headers["Retry-After"] == "60"


@pytest.mark.behaviour(172)
async def test_the_allowance_is_told_where_nobody_comes_near_it_and_can_be_kept_back() -> None:
    async with calling() as caller:
        reported = await caller.get("/ScheduledDataset")
    async with calling(allowance_headers=False) as caller:
        silent = await caller.get("/ScheduledDataset")

    assert int(reported.headers["X-RateLimit-Remaining"]) == int(reported.headers["X-RateLimit-Limit"]) - 1
    assert not [name for name in silent.headers if name.startswith("X-RateLimit")]


@pytest.mark.behaviour(174)
async def test_live_replies_carry_the_observed_headers_and_no_request_id() -> None:
    async with calling(edition="live") as caller:
        reply = await caller.get("/ScheduledDataset")

    assert reply.headers["Content-Type"] == "application/json; charset=utf-8"
    assert reply.headers["Request-Context"].startswith("appId=cid-v1:")
    assert "MS-CorrelationId" in reply.headers
    assert "MS-RequestId" not in reply.headers


async def test_every_answer_is_dated_by_the_simulators_clock() -> None:
    async with calling() as caller:
        reply = await caller.get("/ScheduledDataset")

    assert reply.headers["Date"] == "Mon, 23 Nov 2026 02:00:00 GMT"


async def rows_of(text: str, **parameters: Any) -> list[dict[str, Any]]:
    async with calling(rows=300, **parameters) as caller:
        return (await caller.get("/ScheduledQueries/testQueryResult", exportQuery=text)).records


@pytest.mark.behaviour(63)
async def test_a_metric_is_computed_for_every_combination_of_the_columns_beside_it() -> None:
    rows = await rows_of("SELECT CustomerMarket, CustomerCount, ACR_USD FROM AzureUsage")

    markets = [row["CustomerMarket"] for row in rows]
    assert len(set(markets)) == len(markets) > 3
    assert all(float(row["ACR_USD"]) > 0 for row in rows)


@pytest.mark.behaviour(65, 66)
async def test_rows_come_in_the_order_asked_for_descending_unless_told_otherwise() -> None:
    text = "SELECT UsageQuantity FROM AzureUsage WHERE UsageQuantity > 10 ORDER BY UsageQuantity"
    down = [float(row["UsageQuantity"]) for row in await rows_of(f"{text} LIMIT 20")]
    up = [float(row["UsageQuantity"]) for row in await rows_of(f"{text} ASC LIMIT 20")]

    assert down == sorted(down, reverse=True)
    assert up == sorted(up)
    assert min(down) > max(up)


@pytest.mark.behaviour(64)
async def test_distinct_drops_rows_that_are_alike() -> None:
    all_of_them = await rows_of("SELECT CustomerMarket FROM AzureUsage")
    distinct = await rows_of("SELECT DISTINCT CustomerMarket FROM AzureUsage ORDER BY CustomerMarket ASC")

    assert [row["CustomerMarket"] for row in distinct] == sorted({row["CustomerMarket"] for row in all_of_them})


@pytest.mark.behaviour(66)
async def test_a_metric_can_be_compared_with_and_a_value_may_hold_keywords() -> None:
    few = await rows_of("SELECT CustomerMarket, ACR_USD FROM AzureUsage WHERE ACR_USD > 1500000")
    all_of_them = await rows_of("SELECT CustomerMarket, ACR_USD FROM AzureUsage")
    none = await rows_of("SELECT CustomerMarket FROM AzureUsage WHERE CustomerMarket = 'x LIMIT 5 ORDER BY y'")

    assert [row for row in all_of_them if float(row["ACR_USD"]) > 1500000] == few
    assert len(few) < len(all_of_them)
    assert none == []
