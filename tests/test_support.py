"""The tests' own tools do what the tests believe."""

from __future__ import annotations

import asyncio

import anyio
import pytest
from support import START, FakeClock, raw_server, reply, rig

from bulkpull.transport.http import Request


async def test_virtual_hours_pass_at_once_and_in_order() -> None:
    clock, woken = FakeClock(), list[str]()

    async def sleeper(name: str, wait_s: float) -> None:
        await clock.sleep(wait_s)
        woken.append(f"{name} at {clock.elapsed_s:g}")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sleeper, "late", 7_200)
        tasks.start_soon(sleeper, "early", 60)

    assert woken == ["early at 60", "late at 7200"]
    assert (clock.now() - START).total_seconds() == 7_200
    assert clock.sleeps_s == [7_200, 60]


async def test_time_stands_still_while_a_call_is_answered() -> None:
    """An answer over a real socket arrives before the sleeper beside it wakes."""

    async def answer(_: int, writer: asyncio.StreamWriter) -> None:
        for _turn in range(50):
            await asyncio.sleep(0)
        writer.write(reply("200 OK", b"{}"))

    async with raw_server(answer) as server, rig() as one:
        answered_at: list[float] = []

        async def ask() -> None:
            await one.http.send(Request("GET", f"{server.origin}/", endpoint="x"))
            answered_at.append(one.clock.elapsed_s)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            tasks.start_soon(one.clock.sleep, 3_600)

        assert answered_at == [0.0]


async def test_time_stands_still_while_a_thread_works() -> None:
    clock, release = FakeClock(), asyncio.Event()

    async def work() -> None:
        await anyio.to_thread.run_sync(sum, range(2_000_000))
        assert clock.elapsed_s == 0
        release.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work)
        tasks.start_soon(clock.sleep, 60)
        await release.wait()


async def test_a_sleeper_can_be_cancelled() -> None:
    clock = FakeClock()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(clock.sleep, 3_600)
        await asyncio.sleep(0)
        tasks.cancel_scope.cancel()

    await clock.sleep(1)

    assert clock.elapsed_s == pytest.approx(1)
