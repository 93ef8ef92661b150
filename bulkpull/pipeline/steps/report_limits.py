"""
Limits on the reports that a run creates: how many are in progress at once, and how many one-off ones in some time.

The service may refuse more than some number of active reports (behaviour 86), or queue them. Both lower the limit,
which rises again slowly. Datasets take turns, so that a small one does not wait behind all windows of a large one.

A quota of one-off reports, where it applies, is five per hour and user (behaviour 85). None is assumed: after a refusal
creations wait, which counts against no deadline, and the largest datasets go first, because they take longest.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import anyio.lowlevel

from bulkpull.clock import Clock
from bulkpull.event_types import QuotaReached, ReportsLimited
from bulkpull.events import Events

# Without experience: all datasets of an ordinary export at once, and windows of some.
UNLEARNT = 30
# One is made, and the next one waits in the service's queue.
_LEAST_QUEUED = 2
# The limit rises by one after this many times its own number of reports without another refusal.
_ROUNDS_BEFORE_RISE = 2
# The service's clock differs from ours: a try a little later is cheaper than a refused one.
_MARGIN = 0.01
_SHARE = 1 / 20


@dataclass(slots=True, eq=False)
class Place:
    """The right to have one report in flight."""

    dataset: str
    rank: float
    is_created: bool = False
    granted: anyio.Event = field(default_factory=anyio.Event)


@dataclass(slots=True)
class ReportsInFlight:
    """Delays the creation of reports while `limit` are made; it never rises above what it was in the beginning."""

    events: Events
    limit: int = UNLEARNT
    _highest: int = field(init=False)
    _made: int = 0
    _held: set[Place] = field(default_factory=set)
    _granted: Counter[str] = field(default_factory=Counter)
    _waiting: list[Place] = field(default_factory=list)
    _ended: anyio.Event = field(default_factory=anyio.Event)

    def __post_init__(self) -> None:
        self._highest = self.limit

    @property
    def has_created(self) -> bool:
        """Whether a report of ours is being made, so that one will end."""
        return any(place.is_created for place in self._held)

    @asynccontextmanager
    async def place(self, dataset: str, *, rank: float = 0.0, is_created: bool = False) -> AsyncIterator[Place]:
        """
        Hold a place from the creation of a report until it is made.

        Among the windows of a dataset the lowest `rank` goes first; a report that `is_created` already does not wait.
        """
        place = Place(dataset, rank, is_created)
        self._waiting.append(place)
        if is_created:
            self._grant(place)
        self._grant_waiting()
        try:
            await place.granted.wait()
            yield place
        finally:
            if place in self._held:
                self._leave(place)
            else:
                self._waiting.remove(place)

    def refused(self, *, quota: int | None = None) -> None:
        """The service refuses a further report while those in flight are not made (behaviour 86)."""
        ours = len(self._held) - 1  # the one that is refused holds a place as well
        self._lower(max(1, ours if quota is None else min(ours, quota)), reason="the service accepts no more reports")

    def queued(self, at_work: int) -> None:
        """Adapt the limit: the service makes `at_work` reports at once and queues the others."""
        self._lower(max(_LEAST_QUEUED, 2 * at_work), reason="the service generates reports one after the other")

    async def wait_for_end(self) -> None:
        await self._ended.wait()

    def _lower(self, limit: int, *, reason: str) -> None:
        self._made = 0
        if limit < self.limit:
            self.limit = limit
            self.events.emit(ReportsLimited(limit=limit, reason=reason))

    def _grant_waiting(self) -> None:
        while self._waiting and len(self._held) < self.limit:
            # Of equals the first that came.
            self._grant(min(self._waiting, key=lambda place: (self._granted[place.dataset], place.rank)))

    def _grant(self, place: Place) -> None:
        self._waiting.remove(place)
        self._held.add(place)
        self._granted[place.dataset] += 1
        place.granted.set()

    def _leave(self, place: Place) -> None:
        self._held.remove(place)
        self._made += 1
        if self.limit < self._highest and self._made >= _ROUNDS_BEFORE_RISE * self.limit:
            self.limit, self._made = self.limit + 1, 0
        self._ended.set()
        self._ended = anyio.Event()
        self._grant_waiting()


def next_opening(
    created_at: list[float], *, window_s: float, limit: int | None, now: float, refused_in_a_row: int
) -> float:
    """
    When to ask again after a refusal, on the same monotonic scale as `created_at` and `now`, in seconds.

    Our own creations within the window tell when a place becomes free. Where they cannot explain the refusal (another
    run, or the portal, used the quota), the service is asked again after a twentieth of the window, then two, four, …
    """
    recent = sorted(moment for moment in created_at if moment > now - window_s)
    is_explained = recent and (limit is None or len(recent) >= limit) and refused_in_a_row <= 1
    if is_explained:
        oldest = recent[0] if limit is None else recent[-limit]
        return oldest + window_s * (1 + _MARGIN)
    return now + min(window_s, window_s * _SHARE * 2.0 ** max(0, refused_in_a_row - 1))


@dataclass(slots=True)
class OneOffQuota:
    """
    Delays creations of one-off reports; one at a time once the service has refused one.

    `window_s` is the service's (`one_off_quota_window_seconds`); `created_at` are earlier creations of ours, monotonic.
    """

    window_s: float
    clock: Clock
    events: Events
    created_at: list[float] = field(default_factory=list)
    _limit: int | None = None
    _refused: bool = False
    _in_a_row: int = 0
    _opens_at: float = 0.0
    _waiting: list[tuple[int, float, int]] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)
    _is_busy: bool = False
    _changed: anyio.Event = field(default_factory=anyio.Event)

    @asynccontextmanager
    async def slot(self, *, weight: float, ahead: int = 0) -> AsyncIterator[None]:
        """
        Wait until a creation may be tried: datasets with fewer reports `ahead` first, then heavier ones.

        The block tries to create one report and says how it went by `succeeded` or `refused`.
        """
        if not self._refused:
            yield
            return
        ticket = (ahead, -weight, next(self._numbers))
        self._waiting.append(ticket)
        try:
            await anyio.lowlevel.checkpoint()  # others that were refused at the same time join
            while (must_wait := self._is_busy or ticket != min(self._waiting)) or self._wait_s > 0:
                if must_wait:
                    await self._changed.wait()
                else:
                    await self.clock.sleep(self._wait_s)  # one with a higher priority may arrive meanwhile
            self._is_busy = True
            try:
                yield
            finally:
                self._is_busy = False
        finally:
            self._waiting.remove(ticket)
            self._changed.set()
            self._changed = anyio.Event()

    @property
    def _wait_s(self) -> float:
        return self._opens_at - self.clock.monotonic()

    def succeeded(self) -> None:
        now = self.clock.monotonic()
        self.created_at.append(now)
        self._in_a_row = 0
        recent = sum(moment > now - self.window_s for moment in self.created_at)
        if self._refused and self._limit is not None and recent >= self._limit:
            self._close()

    def refused(self, *, limit: int | None) -> None:
        self._limit = limit or self._limit
        if self._refused and self._wait_s > 0:
            return  # refusals of one burst count once
        self._refused = True
        self._in_a_row += 1
        self._close()
        self.events.emit(QuotaReached(wait_s=round(self._wait_s, 1), limit=self._limit))

    def _close(self) -> None:
        self._opens_at = next_opening(
            self.created_at,
            window_s=self.window_s,
            limit=self._limit,
            now=self.clock.monotonic(),
            refused_in_a_row=self._in_a_row,
        )
