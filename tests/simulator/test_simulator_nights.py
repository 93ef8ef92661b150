"""What changes at the service from night to night: the data at their refreshes, standing reports, columns."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from simulator_caller import START, Caller, calling

from bulkpull.simulator import ColumnDrift, Fault

NIGHTLY: dict[str, Any] = {"ExecuteNow": False, "StartTime": "2026-11-23T06:00:00Z", "RecurrenceInterval": 24}
ALL = "Pending;Running;Paused;Completed"
TEXT = "SELECT CustomerTpid, MonthlyActiveUsers, Month, CustomerName FROM OfficeUsage"


async def next_night(caller: Caller, *, nights: int = 1) -> None:
    caller.clock.move(days=nights)
    await caller.sign_in()


async def file_of(caller: Caller, report_id: str) -> bytes:
    return (await caller.fetch(await caller.link(report_id))).text


@pytest.mark.behaviour(142, 146)
@pytest.mark.parametrize(("dataset", "days"), [("Profile", 1), ("OfficeUsage", 3), ("CLASAzurePropensity", 7)])
async def test_the_data_change_at_their_documented_refresh_and_not_between(dataset: str, days: int) -> None:
    async with calling(refreshes=True, rows=12) as caller:
        # Three weeks within one month, so that nothing but the refresh changes them.
        nights = [datetime(2026, 10, day, 2, tzinfo=UTC) for day in range(5, 26)]
        texts = [await caller.simulator.csv(dataset, at=night) for night in nights]

    changed = [number for number in range(1, len(texts)) if texts[number] != texts[number - 1]]
    assert len(changed) == len(set(texts)) - 1  # a state that is gone does not come back
    assert {later - earlier for earlier, later in pairwise(changed)} == {days}


@pytest.mark.behaviour(146)
async def test_a_refresh_restates_a_part_of_the_rows() -> None:
    async with calling(refreshes=True, rows=600) as caller:
        before, after = [
            (await caller.simulator.csv("Profile", ["MpnId", "City"], at=datetime(2026, 10, day, tzinfo=UTC))).split(
                b"\r\n"
            )
            for day in (5, 6)
        ]

    same = sum(one == other for one, other in zip(before, after, strict=True))
    assert before[1] != after[1]
    assert 0.7 < same / len(before) < 0.9


async def test_without_refreshes_the_same_month_has_the_same_bytes_every_night() -> None:
    async with calling(rows=12) as caller:
        nights = [datetime(2026, 10, day, tzinfo=UTC) for day in (5, 25)]

        assert len({await caller.simulator.csv("Profile", at=night) for night in nights}) == 1


@pytest.mark.behaviour(112, 118, 142)
async def test_an_execution_holds_the_data_of_the_moment_when_it_began() -> None:
    async with calling(refreshes=True, latency_s={"*": 3_600}) as caller:
        report_id = await caller.report(await caller.query(TEXT), **NIGHTLY)
        files = []
        for _ in range(4):
            await next_night(caller)
            files.append(await file_of(caller, report_id))
        columns = ["CustomerTpid", "MonthlyActiveUsers", "Month", "CustomerName"]
        begun = [datetime(2026, 11, day, 6, tzinfo=UTC) for day in (23, 24, 25, 26)]

        assert files == [await caller.simulator.csv("OfficeUsage", columns, at=moment) for moment in begun]
    assert len(set(files)) == 2


@pytest.mark.behaviour(109, 112)
async def test_a_standing_report_shows_the_execution_before_until_the_new_one_is_done() -> None:
    async with calling(latency_s={"*": 7_200}) as caller:
        report_id = await caller.report(await caller.query(TEXT), **NIGHTLY)
        await next_night(caller)
        (first,) = (await caller.execution(report_id)).records
        caller.clock.move(hours=5)  # an hour after the second one is due
        await caller.sign_in()
        done = (await caller.execution(report_id)).records
        under_way = (await caller.execution(report_id, executionStatus=ALL)).records

    assert first["reportGeneratedTime"] == "2026-11-23T08:00:00Z"
    assert [record["executionId"] for record in done] == [first["executionId"]]
    assert [record["executionStatus"] for record in under_way] == ["Running"]


@pytest.mark.behaviour(88, 89)
async def test_an_exhausted_report_turns_inactive_and_makes_nothing_more() -> None:
    async with calling() as caller:
        report_id = await caller.report(await caller.query(TEXT), **NIGHTLY)
        await next_night(caller)
        caller.simulator.service.report_store.exhaust(report_id)
        await next_night(caller, nights=3)
        record = (await caller.get("/ScheduledReport", reportId=report_id)).records[0]
        executions = (await caller.execution(report_id, getLatestExecution="false")).records

    assert (record["reportStatus"], record["recurrenceCount"]) == ("Inactive", 1)
    assert len(executions) == 1


@pytest.mark.behaviour(54, 73, 76)
async def test_columns_that_drift_overnight_change_the_list_and_what_is_accepted() -> None:
    async with calling() as caller:
        standing = await caller.report(await caller.query(TEXT, name="Still valid"), **NIGHTLY)
        late = await caller.report(await caller.query(TEXT + " LIMIT 5", name="Later"), **NIGHTLY)
        await next_night(caller)
        caller.simulator.service.drift("OfficeUsage", ColumnDrift(added=("NewColumn",)))
        await next_night(caller)
        caller.simulator.service.drift("OfficeUsage", ColumnDrift(renamed={"CustomerTpid": "Tpid"}))
        (listed,) = (await caller.get("/ScheduledDataset", datasetName="OfficeUsage")).records
        refused = await caller.post("/ScheduledQueries", Name="Old", Query=TEXT)
        await next_night(caller)
        counted = [
            (await caller.execution(report_id, executionStatus=ALL, getLatestExecution="false")).records
            for report_id in (standing, late)
        ]

    assert {"NewColumn", "Tpid"} <= set(listed["selectableColumns"])
    assert "CustomerTpid" not in listed["selectableColumns"]
    assert (refused.status, refused.message) == (400, "Incorrect column name")
    for records in counted:
        # Added columns do not harm a stored query; one that is gone leaves it waiting for ever.
        assert [record["executionStatus"] for record in records] == ["Completed", "Completed", "Running"]


async def test_standing_reports_are_told_apart_from_one_off_reports() -> None:
    async with calling() as caller:
        query_id = await caller.query(TEXT)
        one_off, standing = await caller.report(query_id), await caller.report(query_id, **NIGHTLY)
        found = caller.simulator.service.standing_reports("OfficeUsage")

    assert [report.report_id for report in found] == [standing]
    assert one_off not in {report.report_id for report in found}


async def test_an_outage_lasts_until_it_is_over() -> None:
    async with calling() as caller:
        caller.simulator.arm(Fault("http_status", times=None, args={"status": 503}))
        out = [(await caller.get("/ScheduledDataset")).status, (await caller.ask_token()).status]
        caller.simulator.disarm_all()
        back = (await caller.get("/ScheduledDataset")).status

    assert (out, back) == ([503, 503], 200)
    assert caller.clock.now() == START
