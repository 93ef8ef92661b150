"""One simulated service with several tenants: the token decides what a call sees."""

from __future__ import annotations

from typing import Any

import pytest
from simulator_caller import Caller, calling

FABRIKAM = "fabrikam.example"


async def sign_in(caller: Caller, tenant: str, **form: str) -> None:
    await caller.sign_in(tenant=tenant, **form)


async def test_reports_and_queries_of_another_tenant_are_not_visible_and_cannot_be_touched() -> None:
    async with calling(further_tenants=(FABRIKAM,)) as caller:
        query_id = await caller.query()
        report_id = await caller.report(query_id)
        await sign_in(caller, FABRIKAM.upper())

        queries = await caller.get("/ScheduledQueries", includeSystemQueries="false")
        assert (queries.records, (await caller.get("/ScheduledReport")).records) == ([], [])
        for method, path in [
            ("GET", f"/ScheduledReport/execution/{report_id}"),
            ("GET", f"/ScheduledReport?reportId={report_id}"),
            ("DELETE", f"/ScheduledReport/{report_id}"),
            ("PUT", f"/ScheduledReport/pause/{report_id}"),
            ("DELETE", f"/ScheduledQueries/{query_id}"),
        ]:
            assert (await caller.call(method, path)).status == 404, path
        definition = await caller.post("/ScheduledReport", ReportName="Theirs", QueryId=query_id, ExecuteNow=True)
        assert definition.status == 400

        assert list(caller.simulator.service.reports) == [report_id]
        assert query_id in caller.simulator.service.queries
        assert caller.simulator.services[FABRIKAM].reports == {}


async def test_each_tenant_has_rows_of_its_own_and_a_link_is_all_that_a_reader_needs() -> None:
    async with calling(further_tenants=(FABRIKAM,)) as caller:
        first = await caller.fetch(await caller.link())
        await sign_in(caller, FABRIKAM)
        theirs = await caller.fetch(await caller.link())
        again = await caller.fetch(await caller.link())

    assert theirs.text.splitlines()[0] == first.text.splitlines()[0]
    assert len(theirs.text.splitlines()) == len(first.text.splitlines())
    assert theirs.text != first.text
    assert theirs.text == again.text


async def test_each_tenant_has_quotas_and_an_allowance_of_its_own() -> None:
    async with calling(further_tenants=(FABRIKAM,), requests_per_minute=4, one_off_quota=1) as caller:
        await caller.report()
        definition = {"ReportName": "Second", "QueryId": await caller.query(), "ExecuteNow": True}
        refused = await caller.post("/ScheduledReport", **definition)
        assert refused.status == 400
        assert (await caller.get("/ScheduledReport")).status == 429
        await sign_in(caller, FABRIKAM)

        await caller.report()


@pytest.mark.parametrize("grant", [{}, {"grant_type": "refresh_token", "refresh_token": "simulated-refresh-token"}])
async def test_the_application_signs_in_to_the_tenants_of_the_service_and_to_no_other(grant: dict[str, Any]) -> None:
    async with calling(further_tenants=(FABRIKAM,)) as caller:
        assert (await caller.ask_token(tenant=FABRIKAM, **grant)).status == 200
        unknown = await caller.ask_token(tenant="adatum.example", **grant)

    assert (unknown.status, unknown.body["error_codes"]) == (400, [90002])
