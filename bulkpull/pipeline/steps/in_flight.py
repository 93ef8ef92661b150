"""
Limits the number of reports in progress on the service, and shares it among datasets.

The service may refuse more than some number of active reports (behaviour 86), or queue them behind one another. Both
lower the limit. It rises again slowly, because reports of other programs may have been the reason. Datasets take turns,
so that a small one does not wait behind all windows of a large one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio

from bulkpull.event_types import ReportsLimited
from bulkpull.events import Events

# Without experience: all datasets of an ordinary export at once, and windows of some.
UNLEARNT = 30
# One is made, and the next one waits in the service's queue.
_LEAST_QUEUED = 2
# The limit rises by one after this many times its own number of reports without another refusal.
_ROUNDS_BEFORE_RISE = 2


@dataclass(slots=True, eq=False)
class Place:
    """The right to have one report in flight."""

    dataset: str
    rank: float
    is_ordered: bool = False
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
    def has_ordered(self) -> bool:
        """Whether a report of ours is being made, so that one will end."""
        return any(place.is_ordered for place in self._held)

    @asynccontextmanager
    async def place(self, dataset: str, *, rank: float = 0.0, is_ordered: bool = False) -> AsyncIterator[Place]:
        """
        Hold a place from the order of a report until it is made.

        Among the windows of a dataset the lowest `rank` goes first; a report that `is_ordered` already does not wait.
        """
        place = Place(dataset, rank, is_ordered)
        self._waiting.append(place)
        if is_ordered:
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
