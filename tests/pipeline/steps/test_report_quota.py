"""The quota of one-off reports: refused once, then a turn at a time, the heaviest first, and nobody fails."""

from __future__ import annotations

import anyio
import pytest

from bulkpull.events import Event, Events
from bulkpull.pipeline.steps.report_limits import OneOffQuota, next_opening

pytestmark = [pytest.mark.behaviour(85)]
HOUR = 3600.0


class InstantClock:
    """A clock whose sleeps are over at once and advance it."""

    def __init__(self) -> None:
        self.now_s = 10_000.0

    def monotonic(self) -> float:
        return self.now_s

    def now(self) -> None:  # pragma: no cover - not asked for
        raise NotImplementedError

    async def sleep(self, wait_s: float) -> None:
        self.now_s += max(0.0, wait_s)
        await anyio.lowlevel.checkpoint()


class Service:
    """Allows so many creations within any window."""

    def __init__(self, clock: InstantClock, *, limit: int, window_s: float = HOUR) -> None:
        self.clock, self.limit, self.window_s = clock, limit, window_s
        self.created: list[tuple[float, str]] = []
        self.refusals = 0

    def create(self, name: str) -> bool:
        now = self.clock.monotonic()
        if sum(at > now - self.window_s for at, _ in self.created) >= self.limit:
            self.refusals += 1
            return False
        self.created.append((now, name))
        return True


@pytest.mark.parametrize(
    ("created_at", "limit", "in_a_row", "expected"),
    [
        ([9_000.0], 1, 1, 9_000 + HOUR * 1.01),
        ([9_000.0, 9_100.0], 2, 1, 9_000 + HOUR * 1.01),
        ([8_000.0, 9_000.0, 9_100.0], 2, 1, 9_000 + HOUR * 1.01),
        ([9_000.0], None, 1, 9_000 + HOUR * 1.01),
        ([], 5, 1, 10_000 + HOUR / 20),
        ([1_000.0], 1, 1, 10_000 + HOUR / 20),
        ([9_000.0], 5, 1, 10_000 + HOUR / 20),
        ([9_000.0], 1, 2, 10_000 + HOUR / 10),
        ([], 5, 30, 10_000 + HOUR),
    ],
)
def test_when_to_ask_again(created_at: list[float], limit: int | None, in_a_row: int, expected: float) -> None:
    opening = next_opening(created_at, window_s=HOUR, limit=limit, now=10_000.0, refused_in_a_row=in_a_row)

    assert opening == pytest.approx(expected)


async def create_all(weights: dict[str, float], *, limit: int, reported: bool = True) -> tuple[Service, list[Event]]:
    clock = InstantClock()
    events: list[Event] = []
    quota = OneOffQuota(window_s=HOUR, clock=clock, events=Events(events.append))  # type: ignore[arg-type]
    service = Service(clock, limit=limit)

    async def create(name: str) -> None:
        while True:
            async with quota.slot(weight=weights[name]):
                await anyio.lowlevel.checkpoint()
                if service.create(name):
                    quota.succeeded()
                    return
                quota.refused(limit=limit if reported else None)

    async with anyio.create_task_group() as group:
        for name in weights:
            group.start_soon(create, name)
    return service, events


async def test_twenty_one_offs_under_a_quota_of_five_all_get_their_turn() -> None:
    service, _ = await create_all({f"dataset {n:02}": 0 for n in range(20)}, limit=5)

    assert len(service.created) == 20
    assert service.created[-1][0] - service.created[0][0] < 3.1 * HOUR
    assert service.refusals <= 20


async def test_a_quota_whose_limit_is_not_told_is_respected_too() -> None:
    service, _ = await create_all({f"dataset {n:02}": 0 for n in range(12)}, limit=5, reported=False)

    assert len(service.created) == 12
    assert service.refusals <= 16


async def test_once_refused_the_heaviest_go_first() -> None:
    service, _ = await create_all({name: float(n) for n, name in enumerate("abcdefghij")}, limit=4)

    assert [name for _, name in service.created[:4]] == list("abcd")  # nothing was known yet
    assert [name for _, name in service.created[4:]] == list("jihgfe")


async def test_a_burst_of_refusals_is_told_once() -> None:
    _, reported = await create_all({f"dataset {n:02}": 0 for n in range(9)}, limit=5)

    assert [event.name for event in reported] == ["quota.reached"]


async def test_without_a_refusal_nobody_waits() -> None:
    service, reported = await create_all({f"dataset {n:02}": 0 for n in range(20)}, limit=100)

    assert len(service.created) == 20
    assert (service.refusals, reported) == (0, [])
    assert service.clock.now_s == 10_000.0


async def test_a_cancelled_turn_lets_the_next_one_through() -> None:
    clock = InstantClock()
    quota = OneOffQuota(window_s=HOUR, clock=clock, events=Events())  # type: ignore[arg-type]
    quota.refused(limit=1)

    async def hold(scope: anyio.CancelScope, entered: anyio.Event) -> None:
        with scope:
            async with quota.slot(weight=1):
                entered.set()
                await anyio.sleep_forever()

    async with anyio.create_task_group() as group:
        scopes = [anyio.CancelScope() for _ in range(3)]
        entered = [anyio.Event() for _ in range(3)]
        for scope, event in zip(scopes, entered, strict=True):
            group.start_soon(hold, scope, event)
        await entered[0].wait()
        scopes[1].cancel()  # while it waits
        scopes[0].cancel()  # while it has its turn
        await entered[2].wait()
        scopes[2].cancel()
    assert not entered[1].is_set()


class HeldClock(InstantClock):
    """A clock whose sleeps end when `opened` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.asleep, self.opened = anyio.Event(), anyio.Event()

    async def sleep(self, wait_s: float) -> None:
        self.asleep.set()
        await self.opened.wait()
        await super().sleep(wait_s)


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_one_that_steps_back_for_a_heavier_one_comes_next_or_leaves_when_it_is_cancelled(
    is_cancelled: bool,
) -> None:
    clock = HeldClock()
    quota = OneOffQuota(window_s=HOUR, clock=clock, events=Events())  # type: ignore[arg-type]
    quota.refused(limit=1)
    entered: list[str] = []
    light = anyio.CancelScope()

    async def create(name: str, weight: float) -> None:
        with light if name == "light" else anyio.CancelScope():
            async with quota.slot(weight=weight):
                entered.append(name)
                if name == "heavy" and is_cancelled:
                    light.cancel()
                await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as group:
        group.start_soon(create, "light", 1.0)
        await clock.asleep.wait()  # it has its turn, and waits for the quota to open
        group.start_soon(create, "heavy", 3.0)
        group.start_soon(create, "lightest", 0.0)
        await anyio.wait_all_tasks_blocked()
        clock.opened.set()

    assert entered == (["heavy", "lightest"] if is_cancelled else ["heavy", "light", "lightest"])
