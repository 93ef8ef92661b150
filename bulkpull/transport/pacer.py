"""
Decides which API call is sent next, and when.

Two limits delay a call: the rate that the settings allow (`rate_limit`) and the one that the service reports
(`reported_rate_limit`). When both permit a call, calls are sent by urgency, and first come, first served within one
urgency. No urgency starves another: after 29 other calls a poll of executions goes first, and after three windows it no
longer waits for reports that are still to be created (`report_ahead`). So polls cost the reports of an ordinary export
no further window of ten calls. Clean-up calls are sent only while two thirds of the allowance are left, nothing else
waits, and no call is under way, because its caller may have a report to create. A 429 to one of them holds back only
them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum

import anyio

from bulkpull.clock import Clock, sleep_unless
from bulkpull.errors import Throttled
from bulkpull.event_types import AllowanceAwaited, AllowanceTold, Level, PaceChanged
from bulkpull.events import Events
from bulkpull.transport import rate_limit, reported_rate_limit
from bulkpull.transport.reported_rate_limit import WINDOW_S, AllowanceHeaders, AllowanceState

# A wait below the clock's resolution would be repeated for ever.
_SHORTEST_SLEEP_S = 1e-6
# Calls that may be sent at once until the service reports an allowance.
_CAREFUL_BURST = 3
PLENTY = 1_000
"""The number of calls per window above which no call has to be saved."""
_CALLS_PER_LOOK = 29
_WINDOWS_PER_LOOK = 3
# Looks may use two thirds of an allowance; tidying leaves them that much.
_LOOKS_SHARE = 2 / 3
_REPORTED_FROM_S = 1.0
# After so long with 429 replies only, no further pause is waited for; a single pause of an hour is.
_LONGEST_REFUSAL_S = 3_000.0


class Urgency(IntEnum):
    """The priority of a call."""

    REPORT = 0
    """Creates a report, so that the service can begin its work."""
    USUAL = 1
    LOOK = 2
    """Asks for executions; another poll follows anyway."""
    TIDYING = 3
    """Deletes unneeded objects; the next run can do it as well."""


@dataclass(slots=True, eq=False)
class _Waiter:
    urgency: Urgency
    number: int


class RateLimiter:
    """
    Delays calls so that they respect both limits.

    At most `calls_per_s` calls per second and `burst` at once, of which only three before the service has reported an
    allowance. `window_s` is the assumed length of its window. `random` spreads the calls of many runs after a 429.
    """

    def __init__(
        self,
        *,
        calls_per_s: float,
        burst: int,
        clock: Clock,
        events: Events,
        window_s: float = WINDOW_S,
        random: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._clock, self._random = clock, random
        self._events = events
        self._full_burst = burst
        self._state = rate_limit.initial_state(
            calls_per_s=calls_per_s, burst=min(burst, _CAREFUL_BURST), at=clock.monotonic()
        )
        self.allowance = AllowanceState(window_s=window_s)
        self._numbers = itertools.count()
        self._waiting: list[_Waiter] = []
        self._since_look = 0
        self._looked_at = clock.monotonic()
        self._reports_ahead = 0
        self._changed = anyio.Event()
        self._reported_until = -math.inf
        self._refused_since_s: float | None = None
        self._refused_last_s = -math.inf
        self._tidying_from_s = -math.inf

    @property
    def calls_left(self) -> int | None:
        """Calls that the allowance has left now; `None` where the service tells none."""
        left = reported_rate_limit.calls_left(self.allowance, at=self._clock.monotonic())
        return None if left is None else max(0, left)

    @property
    def has_plenty(self) -> bool:
        """Whether no limit is near: none is reported, or one of at least a thousand calls per window."""
        limit = self.allowance.limit
        return not self.allowance.is_known or (limit is not None and limit >= PLENTY)

    @property
    def look_spacing_s(self) -> float:
        """Seconds between two polls, so that polls alone use two thirds of the allowance; 0 without an allowance."""
        limit = self.allowance.limit
        return 0.0 if limit is None else self.allowance.window_s / limit / _LOOKS_SHARE

    async def acquire(self, urgency: Urgency = Urgency.USUAL) -> float:
        """
        Wait until the call may go, and return the moment, for `answered` or `lost`; a cancelled wait uses nothing up.

        Raises `Throttled` where the service has answered every call of the last 50 minutes by 429, and asks for another
        pause.
        """
        waiter = _Waiter(urgency, next(self._numbers))
        self._waiting.append(waiter)
        self._notify()
        try:
            while True:
                # Asked again after each wait: a 429 that came meanwhile may have closed the gate.
                wait_s = self._wait_s(urgency) if self._next() is waiter else math.inf
                if wait_s <= 0:
                    break
                self._give_up_together()
                await sleep_unless(self._changed, max(wait_s, _SHORTEST_SLEEP_S), clock=self._clock)
        finally:
            self._waiting.remove(waiter)
            self._notify()
        at = self._clock.monotonic()
        if urgency is Urgency.LOOK:
            self._since_look, self._looked_at = 0, at
        else:
            self._since_look += 1
        self._state = rate_limit.after_call(self._state, at=at)
        self.allowance = reported_rate_limit.after_sending(self.allowance, at=at)
        return at

    def answered(self, sent_at: float, headers: Mapping[str, str]) -> AllowanceHeaders:
        """Take note of what a reply, whatever its status, says about the allowance; returns that, for `throttled`."""
        reported, before = reported_rate_limit.read_allowance(headers), self.allowance
        at = self._clock.monotonic()
        self.allowance = now = reported_rate_limit.after_answer(before, reported, sent_at=sent_at, at=at)
        if now.is_known and not before.is_known:
            self._state = rate_limit.with_burst(self._state, self._full_burst, at=at)
        if (now.limit, now.lowest) != (before.limit, before.lowest):
            self._events.emit(AllowanceTold(limit=now.limit, remaining=now.remaining, lowest=now.lowest))
        self._notify()
        return reported

    def lost(self, sent_at: float, *, was_sent: bool) -> None:
        """Take note of a call without a reply; `was_sent` when it may have reached the service."""
        at = self._clock.monotonic()
        self.allowance = reported_rate_limit.after_loss(self.allowance, sent_at=sent_at, at=at, was_sent=was_sent)
        self._notify()

    def throttled(self, retry_after_s: float | None, reported: AllowanceHeaders | None = None) -> None:
        """Take note of a 429: everyone waits until its pause has passed."""
        before, at = self._state, self._clock.monotonic()
        if self._refused_since_s is None:
            self._refused_since_s = at
        self._refused_last_s = at
        self._state = rate_limit.after_429(before, at=at, retry_after_s=retry_after_s, draw=self._random())
        reported = reported or AllowanceHeaders()
        self.allowance = reported_rate_limit.after_refusal(
            self.allowance, at=at, retry_after_s=retry_after_s, reported=reported
        )
        if (self._state.rate, self._state.closed_until) != (before.rate, before.closed_until):
            wait_s = round(max(0.0, self._state.closed_until - at), 1)
            self._events.emit(PaceChanged(calls_per_s=round(self._state.rate, 3), wait_s=wait_s))
        self._notify()

    def tidying_throttled(self, retry_after_s: float | None) -> None:
        """
        Take note of a 429 to a clean-up call: only clean-up calls wait (behaviour 37), which the next run can do.

        Where the limit is the one of all calls, the next call finds that out by its own reply.
        """
        at = self._clock.monotonic()
        pause_s = rate_limit.UNNAMED_PAUSE_S if retry_after_s is None else retry_after_s
        self._tidying_from_s = max(self._tidying_from_s, at + rate_limit.spread(pause_s, draw=self._random()))
        self._notify()

    def succeeded(self) -> None:
        """Record a reply other than 429; emits one event when the rate is back at its ceiling."""
        before, self._refused_since_s = self._state, None
        self._state = rate_limit.after_success(before, at=self._clock.monotonic())
        if before.is_slowed and not self._state.is_slowed:
            self._events.emit(PaceChanged(calls_per_s=round(self._state.rate, 3), wait_s=0.0, level=Level.INFO))

    def _give_up_together(self) -> None:
        """End the waits of all callers at once; each for itself would wait as long again (case C16)."""
        at = self._clock.monotonic()
        left_s, since_s = self._state.closed_until - at, self._refused_since_s
        # The first pause is waited for to its end, whoever joins the queue in it.
        if since_s is None or left_s <= 0 or self._refused_last_s - since_s < _LONGEST_REFUSAL_S:
            return
        error = Throttled(
            "the service received too many requests",
            why=f"it has answered every call for {at - since_s:,.0f} s by 429, and asks for {left_s:,.0f} s more",
            retry_after_s=left_s,
        )
        error.was_repeated = True
        raise error

    @contextmanager
    def report_ahead(self) -> Iterator[None]:
        """Somebody has a report to create and waits for calls elsewhere: looks let it go first, within bounds."""
        self._reports_ahead += 1
        try:
            yield
        finally:
            self._reports_ahead -= 1
            self._notify()

    def _next(self) -> _Waiter:
        looks = [waiter for waiter in self._waiting if waiter.urgency is Urgency.LOOK]
        if looks and self._since_look >= _CALLS_PER_LOOK:
            return min(looks, key=lambda waiter: waiter.number)
        return min(self._waiting, key=lambda waiter: (waiter.urgency, waiter.number))

    def _wait_s(self, urgency: Urgency) -> float:
        at = self._clock.monotonic()
        reserve = 0
        if urgency is Urgency.TIDYING and self.allowance.limit is not None:
            if self.allowance.under_way:
                return math.inf  # until an answer comes, which wakes everybody
            reserve = math.ceil(self.allowance.limit * _LOOKS_SHARE)
        wait_s = reported_rate_limit.wait_for_allowance(self.allowance, at=at, reserve=reserve)
        if urgency is Urgency.TIDYING:
            wait_s = max(wait_s, self._tidying_from_s - at)
        if _REPORTED_FROM_S <= wait_s < math.inf and urgency is not Urgency.TIDYING and at >= self._reported_until:
            self._reported_until = at + wait_s
            self._events.emit(AllowanceAwaited(limit=self.allowance.limit, wait_s=round(wait_s, 1)))
        if urgency is Urgency.LOOK and self._reports_ahead and self._since_look < _CALLS_PER_LOOK:
            wait_s = max(wait_s, self._looked_at + _WINDOWS_PER_LOOK * self.allowance.window_s - at)
        return max(wait_s, rate_limit.wait_before_call(self._state, at=at))

    def _notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
