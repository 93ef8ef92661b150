"""Reports, their executions, and what a caller reads of both."""

from __future__ import annotations

from typing import Any

import pytest
from simulator_caller import Caller, calling

DAILY: dict[str, Any] = {"ExecuteNow": False, "StartTime": "2026-11-23T06:00:00Z", "RecurrenceInterval": 24}
ALL = "Pending;Running;Paused;Completed"


async def statuses(caller: Caller, report_id: str, **params: Any) -> list[str]:
    reply = await caller.execution(report_id, **params)
    return [record["executionStatus"] for record in reply.records] if reply.status == 200 else [str(reply.status)]


async def later(caller: Caller, **length: float) -> None:
    caller.clock.move(**length)
    await caller.sign_in()


@pytest.mark.behaviour(90)
async def test_a_one_off_report_reads_inactive_which_is_no_failure() -> None:
    async with calling() as caller:
        report_id = await caller.report()
        record = (await caller.get("/ScheduledReport", reportId=report_id)).records[0]

    assert (record["reportStatus"], record["recurrenceInterval"], record["recurrenceCount"]) == ("Inactive", -1, 1)
    assert record["startTime"] == record["createdTime"] == "2026-11-23T02:00:00Z"
    assert (record["queryStartTime"], record["queryEndTime"]) == (None, None)


@pytest.mark.behaviour(99, 102, 109)
async def test_an_execution_is_pending_then_running_then_completed() -> None:
    async with calling(latency_s={"*": 100}) as caller:
        report_id = await caller.report()
        seen = []
        for _ in range(3):
            seen += await statuses(caller, report_id, executionStatus=ALL) + await statuses(caller, report_id)
            caller.clock.move(seconds=50)

    assert seen == ["Pending", "404", "Running", "404", "Completed", "Completed"]


@pytest.mark.behaviour(85)
async def test_the_sixth_one_off_report_within_an_hour_is_refused_and_passes_later() -> None:
    async with calling(one_off_quota=5) as caller:
        query_id = await caller.query()
        reports = [await caller.report(query_id) for _ in range(5)]
        await caller.call("DELETE", f"/ScheduledReport/{reports[0]}")
        body = {"ReportName": "The sixth", "QueryId": query_id, "ExecuteNow": True}
        refused = await caller.post("/ScheduledReport", **body)
        scheduled = await caller.report(query_id, **DAILY)
        await later(caller, minutes=60)
        accepted = await caller.post("/ScheduledReport", **body)

    assert refused.status == 400
    assert refused.message == "User has exceeded its ExecuteNow report creation quota of 5 reports/60 mins"
    assert scheduled
    assert accepted.status == 200


@pytest.mark.behaviour(86)
async def test_active_reports_are_limited_and_one_off_reports_do_not_count() -> None:
    async with calling(active_report_quota=1) as caller:
        query_id = await caller.query()
        await caller.report(query_id)
        await caller.report(query_id, **DAILY)
        refused = await caller.post("/ScheduledReport", ReportName="Another", QueryId=query_id, **DAILY)

    assert refused.message == "User has exceeded its report creation quota of 1 active reports"


@pytest.mark.behaviour(88, 111, 112, 118)
async def test_a_recurring_report_runs_at_its_hours_until_its_count_is_used_up() -> None:
    async with calling() as caller:
        report_id = await caller.report(**DAILY, RecurrenceCount=2)
        before = await statuses(caller, report_id)
        await later(caller, hours=4)
        first = (await caller.execution(report_id)).records
        await later(caller, hours=24)
        second = (await caller.execution(report_id)).records
        await later(caller, days=30)
        every = (await caller.execution(report_id, getLatestExecution="false")).records
        status = (await caller.get("/ScheduledReport", reportId=report_id)).records[0]["reportStatus"]

    assert before == ["404"]
    assert [record["reportGeneratedTime"] for record in every] == ["2026-11-23T06:00:00Z", "2026-11-24T06:00:00Z"]
    assert [item["executionId"] for item in first + second] == [item["executionId"] for item in every]
    assert status == "Inactive"


@pytest.mark.behaviour(111)
async def test_executions_older_than_ninety_days_are_forgotten() -> None:
    async with calling() as caller:
        report_id = await caller.report()
        await later(caller, days=91)

        assert await statuses(caller, report_id, getLatestExecution="false") == ["404"]


@pytest.mark.behaviour(89, 96, 110)
async def test_a_paused_report_holds_its_execution_until_it_is_resumed() -> None:
    async with calling(latency_s={"*": 100}) as caller:
        report_id = await caller.report()
        caller.clock.move(seconds=60)
        paused = await caller.call("PUT", f"/ScheduledReport/pause/{report_id}")
        caller.clock.move(seconds=600)
        held = await statuses(caller, report_id, executionStatus=ALL)
        resumed = await caller.call("PUT", f"/ScheduledReport/resume/{report_id}")
        caller.clock.move(seconds=39)
        running = await statuses(caller, report_id, executionStatus=ALL)
        caller.clock.move(seconds=1)
        completed = await statuses(caller, report_id, executionStatus=ALL)

    assert (paused.records[0]["reportStatus"], resumed.records[0]["reportStatus"]) == ("Paused", "Inactive")
    assert (held, running, completed) == (["Paused"], ["Running"], ["Completed"])


@pytest.mark.behaviour(96)
async def test_scheduled_times_that_pass_during_a_pause_are_lost() -> None:
    async with calling() as caller:
        report_id = await caller.report(**DAILY)
        await caller.call("PUT", f"/ScheduledReport/pause/{report_id}")
        await later(caller, hours=5)
        await caller.call("PUT", f"/ScheduledReport/resume/{report_id}")
        await later(caller, hours=24)
        records = (await caller.execution(report_id, getLatestExecution="false")).records

    assert [record["reportGeneratedTime"] for record in records] == ["2026-11-24T06:00:00Z"]


@pytest.mark.behaviour(106, 108)
async def test_several_reports_are_read_in_one_call_and_those_without_match_are_missing() -> None:
    async with calling(latency_s={"OfficeUsage": 0, "MSLearn": 100}) as caller:
        ready = await caller.report(await caller.query())
        waiting = await caller.report(await caller.query("SELECT UserName FROM MSLearn"))
        joined = f"{ready};{waiting};11111111-1111-4111-8111-111111111111"
        done = (await caller.execution(joined)).records
        both = (await caller.execution(joined, executionStatus=ALL)).records
        only = (await caller.execution(joined, executionStatus=ALL, executionId=done[0]["executionId"])).records

    assert [record["reportId"] for record in done] == [ready]
    assert {record["reportId"]: record["executionStatus"] for record in both} == {
        ready: "Completed",
        waiting: "Pending",
    }
    assert only == [{**done[0], "reportAccessSecureLink": only[0]["reportAccessSecureLink"]}]


@pytest.mark.behaviour(107)
@pytest.mark.parametrize("parameter", ["joined_status", "joined_ids"])
async def test_the_joined_forms_can_be_refused(parameter: str) -> None:
    refused: dict[str, Any] = {parameter: False}
    async with calling(**refused) as caller:
        one, two = await caller.report(), await caller.report()
        ids, status = (one, ALL) if parameter == "joined_status" else (f"{one};{two}", "Completed")
        joined = await caller.execution(ids, executionStatus=status)
        single = await caller.execution(one, executionStatus="Completed")

    assert (joined.status, joined.message) == (400, f"Requested value '{ALL if ids == one else ids}' not found")
    assert single.status == 200


async def test_an_unknown_status_is_refused() -> None:
    async with calling() as caller:
        reply = await caller.execution(await caller.report(), executionStatus="Done")

    assert (reply.status, reply.message) == (400, "Requested value 'Done' not found")


@pytest.mark.behaviour(122)
async def test_every_reading_signs_a_fresh_link() -> None:
    async with calling() as caller:
        report_id = await caller.report()
        first = await caller.link(report_id)
        caller.clock.move(seconds=10)
        second = await caller.link(report_id)

    assert first != second
    assert "se=2026-11-30T02%3A00%3A00Z&" in first
    assert "se=2026-11-30T02%3A00%3A10Z&" in second


@pytest.mark.behaviour(97, 133)
async def test_deleting_a_report_deletes_its_executions_and_its_file() -> None:
    async with calling() as caller:
        report_id = await caller.report()
        link = await caller.link(report_id)
        deleted = await caller.call("DELETE", f"/ScheduledReport/{report_id}")
        gone = await caller.call("DELETE", f"/ScheduledReport/{report_id}")
        file = await caller.fetch(link)
        execution = await caller.execution(report_id)

    assert (deleted.status, deleted.records[0]["reportId"], gone.status) == (200, report_id, 404)
    assert execution.status == 404
    assert (file.status, file.headers["x-ms-error-code"]) == (404, "BlobNotFound")


@pytest.mark.fault(39)
@pytest.mark.behaviour(98)
async def test_a_report_whose_query_is_gone_never_completes() -> None:
    async with calling(latency_s={"*": 10}) as caller:
        query_id = await caller.query()
        report_id = await caller.report(query_id)
        await caller.call("DELETE", f"/ScheduledQueries/{query_id}")
        await later(caller, hours=10)
        record = (await caller.get("/ScheduledReport", reportId=report_id)).records[0]

        assert record["query"] is None
        assert await statuses(caller, report_id, executionStatus=ALL) == ["Pending"]


async def test_latency_is_drawn_per_dataset_and_the_same_for_the_same_seed() -> None:
    async with calling(latency_s=(10.0, 20.0)) as caller:
        scenario = caller.simulator.scenario
        drawn = {name: scenario.report_latency_s(name) for name in caller.simulator.service.tables}

    assert all(10 <= latency <= 20 for latency in drawn.values())
    assert len(set(drawn.values())) == len(drawn) == 21
    assert drawn == {name: scenario.report_latency_s(name) for name in drawn}


@pytest.mark.fault(32)
async def test_listings_can_lag_behind() -> None:
    async with calling(visible_lag_s=30) as caller:
        query_id = await caller.query(name="Lagging")
        report_id = await caller.report(query_id)
        at_once = [
            (await caller.get("/ScheduledQueries", queryName="Lagging")).status,
            (await caller.get("/ScheduledReport", reportId=report_id)).status,
            (await caller.execution(report_id)).status,
        ]
        caller.clock.move(seconds=30)
        listed = (await caller.get("/ScheduledReport", queryId=query_id)).records

    assert at_once == [404, 404, 200]
    assert [record["reportId"] for record in listed] == [report_id]
