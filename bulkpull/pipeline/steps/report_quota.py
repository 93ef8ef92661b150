"""
The service's quota of one-off reports: no limit is assumed, and after a refusal creations wait.

The quota is five per hour and user where it applies (behaviour 85), so twenty datasets take three hours. The wait
counts against no deadline. After a refusal the largest datasets go first, because they take longest.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio

from bulkpull.clock import Clock
from bulkpull.event_types import QuotaReached
from bulkpull.events import Events

# The service's clock differs from ours: a try a little later is cheaper than a refused one.
_MARGIN = 0.01
_SHARE = 1 / 20
_Ticket = tuple[int, float, int]


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

    Args:
        window_s: The service's window, seconds (`one_off_quota_window_seconds`).
        created_at: Moments of earlier creations of ours, monotonic seconds.
    """

    window_s: float
    clock: Clock
    events: Events
    created_at: list[float] = field(default_factory=list)
    _limit: int | None = None
    _refused: bool = False
    _in_a_row: int = 0
    _opens_at: float = 0.0
    _waiting: dict[_Ticket, anyio.Event] = field(default_factory=dict)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)
    _busy: bool = False

    @asynccontextmanager
    async def slot(self, *, weight: float, ahead: int = 0) -> AsyncIterator[None]:
        """
        Wait until a creation may be tried; heavier ones first.

        The block tries to create one report and says how it went by `succeeded` or `refused`.

        Args:
            ahead: Reports already requested for the same dataset: datasets take turns, so that a dataset with a
                single report does not wait behind all windows of others.
        """
        if not self._refused:
            yield
            return
        ticket = (ahead, -weight, next(self._numbers))
        turn = self._waiting[ticket] = anyio.Event()
        try:
            while not turn.is_set():
                self._wake_next()
                await turn.wait()
                await self.clock.sleep(self._opens_at - self.clock.monotonic())
                if min(self._waiting, default=ticket) < ticket:
                    # One with a higher priority arrived during the wait.
                    self._busy = False
                    turn = self._waiting[ticket] = anyio.Event()
            yield
        finally:
            self._waiting.pop(ticket, None)
            if turn.is_set():
                self._busy = False
            self._wake_next()

    def _wake_next(self) -> None:
        if self._waiting and not self._busy:
            self._busy = True
            self._waiting.pop(min(self._waiting)).set()

    def succeeded(self) -> None:
        self.created_at.append(self.clock.monotonic())
        self._in_a_row = 0
        since = self.clock.monotonic() - self.window_s
        is_full = self._limit is not None and sum(moment > since for moment in self.created_at) >= self._limit
        if self._refused and is_full:
            self._close()

    def refused(self, *, limit: int | None) -> None:
        self._limit = limit or self._limit
        if self._refused and self.clock.monotonic() < self._opens_at:
            return  # refusals of one burst count once
        self._refused = True
        self._in_a_row += 1
        self._close()
        wait_s = self._opens_at - self.clock.monotonic()
        self.events.emit(QuotaReached(wait_s=round(wait_s, 1), limit=self._limit))

    def _close(self) -> None:
        self._opens_at = next_opening(
            self.created_at,
            window_s=self.window_s,
            limit=self._limit,
            now=self.clock.monotonic(),
            refused_in_a_row=self._in_a_row,
        )
