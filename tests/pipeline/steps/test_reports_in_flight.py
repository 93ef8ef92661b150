"""How many reports are asked for at once: learnt downward at once, upward slowly."""

from __future__ import annotations

from contextlib import AsyncExitStack

import anyio
import pytest

from bulkpull.events import Events
from bulkpull.pipeline.steps.report_limits import ReportsInFlight


async def make(in_flight: ReportsInFlight, count: int) -> None:
    """Create and finish reports, one after the other."""
    for _ in range(count):
        async with in_flight.place("AzureUsage"):
            pass


@pytest.mark.case("W6")
@pytest.mark.behaviour(86)
async def test_a_refusal_lowers_the_limit_to_what_was_in_flight_before_it() -> None:
    in_flight = ReportsInFlight(Events(), limit=8)
    async with AsyncExitStack() as places:
        for _ in range(6):
            await places.enter_async_context(in_flight.place("AzureUsage"))
        in_flight.refused()

        assert in_flight.limit == 5


@pytest.mark.case("W6")
@pytest.mark.behaviour(86)
async def test_a_quota_that_the_service_names_is_not_exceeded() -> None:
    in_flight = ReportsInFlight(Events(), limit=8)
    async with AsyncExitStack() as places:
        for _ in range(6):
            await places.enter_async_context(in_flight.place("AzureUsage"))
        in_flight.refused(quota=3)

        assert in_flight.limit == 3


@pytest.mark.case("W6")
async def test_the_limit_rises_by_one_after_two_rounds_and_never_above_its_start() -> None:
    in_flight = ReportsInFlight(Events(), limit=5)
    in_flight.queued(1)
    assert in_flight.limit == 2

    await make(in_flight, 3)
    assert in_flight.limit == 2
    await make(in_flight, 1)
    assert in_flight.limit == 3
    await make(in_flight, 100)

    assert in_flight.limit == 5


@pytest.mark.case("W6")
async def test_another_refusal_begins_the_rounds_anew() -> None:
    in_flight = ReportsInFlight(Events(), limit=5)
    in_flight.queued(1)
    await make(in_flight, 3)
    in_flight.queued(1)
    await make(in_flight, 3)

    assert in_flight.limit == 2


@pytest.mark.case("W6")
async def test_a_place_is_passed_on_when_its_holder_is_cancelled_and_none_is_taken_by_a_cancelled_waiter() -> None:
    in_flight = ReportsInFlight(Events(), limit=1)
    entered: list[str] = []
    scopes = {name: anyio.CancelScope() for name in ("holder", "waiter", "next")}

    async def hold(name: str) -> None:
        with scopes[name]:
            async with in_flight.place(name):
                entered.append(name)
                if name != "next":
                    await anyio.sleep_forever()

    async with anyio.create_task_group() as group:
        for name in scopes:
            group.start_soon(hold, name)
            await anyio.wait_all_tasks_blocked()
        scopes["waiter"].cancel()
        await anyio.wait_all_tasks_blocked()
        assert entered == ["holder"]
        scopes["holder"].cancel()

    assert entered == ["holder", "next"]
    async with in_flight.place("AzureUsage"):  # nothing is held any more
        pass
