"""
The client's own rate limit for the API: a token bucket that slows down after 429 replies.

With a ceiling of C calls per second and a burst of B (behaviours 37 to 39):

- initially C calls per second, of which B may be sent at once;
- a 429 halves the rate (never below C/16), reduces the burst to 1, and stops all calls until its Retry-After has
  passed, and for a random part of a tenth more (`spread`), or for 2 s without one. Further 429s during that pause, for
  calls that were already in flight, extend the pause but do not halve the rate again;
- every other reply except a 5xx adds C/50 to the rate and B/50 to the burst, so 25 replies restore half the rate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_PAUSE_S = 3_600.0
"""A service that asks for a longer pause than this has its caller give up at once."""

_SLOWEST = 1 / 16
# How much later than requested a call may be repeated.
_SPREAD = 0.1
_LONGEST_SPREAD_S = 30.0
_RECOVERY = 1 / 50
UNNAMED_PAUSE_S = 2.0
"""The pause after a 429 that names none, seconds."""
# A bucket filled by floating point sums misses a whole call by rounding.
_EPSILON = 1e-9


@dataclass(frozen=True, slots=True)
class PaceState:
    """
    The state of the token bucket; times are monotonic seconds, rates calls per second.

    `room` calls could go at the moment `at`, and none before `closed_until`.
    """

    ceiling: float
    full_burst: float
    rate: float
    burst: float
    room: float
    at: float
    closed_until: float = -math.inf

    @property
    def is_slowed(self) -> bool:
        return self.rate < self.ceiling


def initial_state(*, calls_per_s: float, burst: int, at: float) -> PaceState:
    return PaceState(calls_per_s, burst, rate=calls_per_s, burst=burst, room=burst, at=at)


def _filled(state: PaceState, *, at: float) -> PaceState:
    at = max(at, state.at)
    return replace(state, room=min(state.burst, state.room + (at - state.at) * state.rate), at=at)


def with_burst(state: PaceState, burst: int, *, at: float) -> PaceState:
    """The state with another number of calls that may go at once; what it grows by may go now."""
    state = _filled(state, at=at)
    if state.is_slowed:
        return replace(state, full_burst=burst)
    return replace(state, full_burst=burst, burst=burst, room=min(burst, state.room + burst - state.burst))


def wait_before_call(state: PaceState, *, at: float) -> float:
    """Seconds until the next call may go; 0 when it may go now."""
    state = _filled(state, at=at)
    missing = max(0.0, 1 - _EPSILON - state.room)
    return max(state.closed_until - at, missing / state.rate, 0.0)


def after_call(state: PaceState, *, at: float) -> PaceState:
    state = _filled(state, at=at)
    return replace(state, room=state.room - 1)


def spread(pause_s: float, *, draw: float) -> float:
    """A pause, seconds, and `draw` in [0, 1) of a tenth more, at most 30 s: the refused do not come back together."""
    return pause_s + min(pause_s * _SPREAD, _LONGEST_SPREAD_S) * draw


def after_429(state: PaceState, *, at: float, retry_after_s: float | None, draw: float = 0.0) -> PaceState:
    """The state after a 429; an absurd pause slows down but stops nobody, since the caller that got it gives up."""
    pause_s = UNNAMED_PAUSE_S if retry_after_s is None else retry_after_s
    until = at if pause_s > LONGEST_PAUSE_S else at + spread(pause_s, draw=draw)
    state = _filled(state, at=at)
    if at < state.closed_until:
        return replace(state, closed_until=max(state.closed_until, until))
    slowed = max(state.rate / 2, state.ceiling * _SLOWEST)
    return replace(state, rate=slowed, burst=1, room=min(state.room, 1), closed_until=until)


def after_success(state: PaceState, *, at: float) -> PaceState:
    """The state after an answer that is no 429; an answer that comes within a pause proves nothing."""
    if at < state.closed_until or (state.rate == state.ceiling and state.burst == state.full_burst):
        return state
    state = _filled(state, at=at)
    rate, burst = _grown(state.rate, limit=state.ceiling), _grown(state.burst, limit=state.full_burst)
    return replace(state, rate=rate, burst=burst)


def _grown(value: float, *, limit: float) -> float:
    value += limit * _RECOVERY
    return limit if value > limit * (1 - _EPSILON) else value


def parse_retry_after(value: str | None, *, date: str | None, now: datetime) -> float | None:
    """
    Seconds that a Retry-After asks for, 0 for the past; `None` if it is missing or not understood (behaviour 37).

    A date in it is measured against the Date header of the same reply, of the same clock; without one against `now`.
    """
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        moment, sent = parse_http_date(value), parse_http_date(date)
        return None if moment is None else max(0.0, (moment - (sent or now)).total_seconds())
    return None if math.isnan(seconds) else max(0.0, seconds)


def parse_http_date(value: str | None) -> datetime | None:
    """The moment of an HTTP date, aware UTC; `None` when it is missing or none."""
    try:
        moment = parsedate_to_datetime(value) if value else None
        return moment and moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
