"""
Limits the number of reports in progress on the service, and shares it among datasets.

The service may refuse more than some number of active reports (behaviour 86), or queue them; both lower the limit.
Datasets take turns, so that a small one does not wait for all windows of a large one.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio

from bulkpull.events import Events

# Before anything is learnt: all datasets of an ordinary export at once, and windows of some.
UNLEARNT = 30
# One is made, and the next one waits in the service's queue.
_LEAST_QUEUED = 2


@dataclass(slots=True)
class _Waiter:
    dataset: str
    rank: float
    number: int
    event: anyio.Event = field(default_factory=anyio.Event)


@dataclass(slots=True)
class ReportsInFlight:
    """
    Delays the creation of reports while the limit is reached.

    Args:
        limit: The most at once; falls with what the service teaches.
    """

    events: Events
    limit: int = UNLEARNT
    _busy: int = 0
    _granted: Counter[str] = field(default_factory=Counter)
    _waiting: list[_Waiter] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)
    _ended: anyio.Event = field(default_factory=anyio.Event)

    @property
    def busy(self) -> int:
        """How many are in flight."""
        return self._busy

    @asynccontextmanager
    async def place(self, dataset: str, *, rank: float = 0.0, at_once: bool = False) -> AsyncIterator[None]:
        """
        Hold a place from the order of a report until it is made.

        Args:
            rank: Of several windows of a dataset the least goes first.
            at_once: Do not wait: the report is on the service already.
        """
        waiter = _Waiter(dataset, rank, next(self._numbers))
        self._waiting.append(waiter)
        if at_once:
            self._let_in(waiter)
        self._wake()
        try:
            await waiter.event.wait()
        except BaseException:
            if waiter.event.is_set():
                self._leave()
            else:
                self._waiting.remove(waiter)
            raise
        try:
            yield
        finally:
            self._leave()

    def refused(self) -> None:
        """The service refuses a further report while those in flight are not made (behaviour 86)."""
        self._lower(max(1, self._busy - 1), reason="the service refuses more active reports")

    def queued(self, at_work: int) -> None:
        """The service makes `at_work` reports of ours at once and lets others wait."""
        self._lower(max(_LEAST_QUEUED, 2 * at_work), reason="the service makes reports one after the other")

    async def wait_for_end(self) -> None:
        """Wait until one of those in flight has ended."""
        await self._ended.wait()

    def _lower(self, limit: int, *, reason: str) -> None:
        if limit < self.limit:
            self.limit = limit
            self.events.warn("reports.limited", limit=limit, reason=reason)

    def _wake(self) -> None:
        while self._waiting and self._busy < self.limit:
            self._let_in(
                min(self._waiting, key=lambda waiter: (self._granted[waiter.dataset], waiter.rank, waiter.number))
            )

    def _let_in(self, waiter: _Waiter) -> None:
        self._waiting.remove(waiter)
        self._busy += 1
        self._granted[waiter.dataset] += 1
        waiter.event.set()

    def _leave(self) -> None:
        self._busy -= 1
        self._ended.set()
        self._ended = anyio.Event()
        self._wake()
