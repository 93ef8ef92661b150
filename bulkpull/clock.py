"""
The clock, passed as an argument: no code reads the system clock directly.

Durations use `monotonic`, so a change of the wall clock affects no decision; `now` is for times that are shown or sent.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Protocol

import anyio


class Clock(Protocol):
    """A source of time: the present moment (aware, UTC), seconds that never go backward, and waits."""

    def now(self) -> datetime: ...

    def monotonic(self) -> float: ...

    async def sleep(self, wait_s: float) -> None: ...


class SystemClock:
    """The machine's own time."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, wait_s: float) -> None:
        await anyio.sleep(max(0.0, wait_s))


def own_random() -> Callable[[], float]:
    """Numbers in [0, 1) that spread waits, whatever seed a host program gives to the module `random` (L10)."""
    return Random().random  # noqa: S311 - it spreads waits


async def sleep_unless(changed: anyio.Event, wait_s: float, *, clock: Clock) -> None:
    """Wait `wait_s` seconds, or until `changed` is set; for infinity only that."""
    if wait_s == math.inf:
        await changed.wait()
        return

    async def wake(scope: anyio.CancelScope) -> None:
        await changed.wait()
        scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(wake, group.cancel_scope)
        await clock.sleep(wait_s)
        group.cancel_scope.cancel()


CLOCK_TOLERANCE = timedelta(minutes=15)
"""By how much two clocks may differ, ours and the service's or two machines of the service."""


def is_ahead(moment: datetime | None, *, now: datetime) -> bool:
    """Whether something that has happened is said to happen later than `now`, beyond what clocks may differ by."""
    return moment is not None and moment > now + CLOCK_TOLERANCE


def stamp_of(moment: datetime) -> str:
    """`moment` as every log writes times: ISO 8601, UTC, milliseconds, `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def iso_utc(moment: datetime) -> str:
    """`moment` as the contract writes times: ISO 8601, UTC, whole seconds, `Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
