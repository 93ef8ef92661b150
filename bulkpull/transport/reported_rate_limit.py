"""
The rate limit that the service reports: the calls per window, and the calls left.

Replies carry `X-RateLimit-Limit` and `X-RateLimit-Remaining`, but neither the length of the window nor when it ends
(behaviour 172). All functions are pure. The rules:
- a call may be sent while the last reported number, minus the calls in flight, is at least one;
- once it is zero, one more call may be sent when one of our own calls is a window old, counted from its reply. That is
  late enough for fixed and for sliding windows, and the reply to that call reports the new number;
- a reply to a call that was sent before the last reply arrived can only lower the number: replies may arrive out of
  order;
- the number may fall by more than our own calls, because other tools of the partner use the same allowance
  (behaviour 173); a number that rises means that a new window has begun;
- a window lasts a minute until a Retry-After shows otherwise.

Without these headers there is no allowance, and this module delays no call.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from bulkpull.transport.rate_limit import LONGEST_PAUSE_S

WINDOW_S = 60.0
"""The assumed length of the service's window; behaviour 172."""

_SHORTEST_WINDOW_S = 0.1
# A limit above this counts as no limit.
_MOST_CALLS = 1_000_000
# Calls that are remembered at most; forgetting one makes the next call later, never earlier.
_MOST_REMEMBERED = 256


@dataclass(frozen=True, slots=True)
class AllowanceHeaders:
    """The rate limit headers of one reply; `None` for a missing or invalid number."""

    limit: int | None = None
    remaining: int | None = None


@dataclass(frozen=True, slots=True)
class AllowanceState:
    """
    The state of the allowance; times are monotonic seconds, and what the service has not reported yet is `None`.

    `taught_s` is the longest window that a Retry-After has shown. `limit` calls go per window; `remaining` were left
    when the reply of `reported_at` was sent, and `heard_at` is when the last one that reported anything arrived. The
    present window began at `opened_at` at the latest. `answered` and `under_way` are the moments of our own calls.
    """

    window_s: float = WINDOW_S
    taught_s: float = 0.0
    limit: int | None = None
    remaining: int | None = None
    lowest: int | None = None
    reported_at: float = -math.inf
    heard_at: float = -math.inf
    opened_at: float = -math.inf
    answered: tuple[float, ...] = ()
    under_way: tuple[float, ...] = ()

    @property
    def is_known(self) -> bool:
        return self.remaining is not None


def read_allowance(headers: Mapping[str, str]) -> AllowanceHeaders:
    """Read the two headers; a limit below one, or what is no number, counts as absent (behaviour 172)."""
    folded = {name.casefold(): value for name, value in headers.items()}
    limit = _whole(folded.get("x-ratelimit-limit"))
    remaining = _whole(folded.get("x-ratelimit-remaining"))
    return AllowanceHeaders(
        limit=limit if limit is not None and limit > 0 else None,
        remaining=None if remaining is None else max(0, remaining),
    )


def _whole(value: str | None) -> int | None:
    text = (value or "").strip()
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        return None
    if len(digits) > len(str(_MOST_CALLS)):
        return -1 if text.startswith("-") else _MOST_CALLS
    return min(int(text), _MOST_CALLS)


def calls_left(state: AllowanceState, *, at: float) -> int | None:
    """Calls that may be sent at once; `None` if unknown. Negative when more are in flight than are left."""
    if state.remaining is None:
        return None
    renewed = sum(state.reported_at < moment + state.window_s <= at for moment in state.answered)
    waiting = sum(moment + state.window_s > at for moment in state.under_way)
    left = state.remaining + renewed - waiting
    return left if state.limit is None else min(left, state.limit)


def wait_for_allowance(state: AllowanceState, *, at: float, reserve: int = 0) -> float:
    """Seconds, at most one window, until a call may go and leave `reserve`; infinity where only an answer helps."""
    left = calls_left(state, at=at)
    if left is None or left > reserve:
        return 0.0
    if state.limit is not None and reserve >= state.limit:
        return math.inf
    missing = 1 + reserve - left
    moments = sorted(
        moment + state.window_s
        for moment in (*state.answered, *state.under_way)
        if moment + state.window_s > max(at, state.reported_at)
    )
    if missing <= len(moments):
        return moments[missing - 1] - at
    return math.inf if reserve else max(0.0, state.reported_at + state.window_s - at)


def after_sending(state: AllowanceState, *, at: float) -> AllowanceState:
    """The state once a call has gone."""
    return replace(state, under_way=(*_recent(state.under_way, state, at=at), at))


def after_answer(state: AllowanceState, reported: AllowanceHeaders, *, sent_at: float, at: float) -> AllowanceState:
    """The state after a reply that arrived `at`, to a call that was sent `sent_at` as given to `after_sending`."""
    state = _without(state, sent_at)
    limit, known = reported.limit or state.limit, state.remaining
    since = at if known is None else state.reported_at
    answered = (*_recent(state.answered, state, at=since), at)[:_MOST_REMEMBERED]
    state = replace(state, limit=limit, answered=answered)
    if reported.remaining is None:
        if known is not None:  # it counted, and did not say so
            return _counted(state, at=at)
        if limit is None:
            return state
        return replace(state, remaining=max(0, limit - len(answered)), reported_at=at, opened_at=at)
    remaining = reported.remaining if limit is None else min(reported.remaining, limit)
    lowest = remaining if state.lowest is None else min(state.lowest, remaining)
    is_overtaken = sent_at < state.heard_at
    state = replace(state, heard_at=at)
    if known is not None and is_overtaken:
        # A higher number may as well come from a new window, in which earlier calls make no room.
        answered = state.answered if remaining < known else (at,)
        return replace(state, remaining=min(known, remaining), lowest=lowest, answered=answered)
    if known is None or remaining > max(known - 1, 0):
        # A window has begun: calls of the one before make no room in it.
        return replace(state, remaining=remaining, lowest=lowest, reported_at=at, opened_at=at, answered=(at,))
    opened_at = at if at - state.opened_at >= state.window_s else state.opened_at
    return replace(state, remaining=remaining, lowest=lowest, reported_at=at, opened_at=opened_at)


def _counted(state: AllowanceState, *, at: float) -> AllowanceState:
    """The state after a call of which only that it counted is known: it used what was left, or room made since."""
    if state.remaining:
        return replace(state, remaining=state.remaining - 1)
    made_room = (moment for moment in state.answered if state.reported_at < moment + state.window_s <= at)
    used = min(made_room, default=None)
    if used is None:
        return state
    place = state.answered.index(used)
    return replace(state, answered=state.answered[:place] + state.answered[place + 1 :])


def after_loss(state: AllowanceState, *, sent_at: float, at: float, was_sent: bool) -> AllowanceState:
    """The state after a call that got no reply."""
    if was_sent:
        return after_answer(state, AllowanceHeaders(), sent_at=sent_at, at=at)
    return _without(state, sent_at)


def after_refusal(
    state: AllowanceState, *, at: float, retry_after_s: float | None, reported: AllowanceHeaders
) -> AllowanceState:
    """
    The state after a 429: nothing is left until its Retry-After has passed, and it may teach the window's length.

    The window cannot be shorter than the pause, nor than the time from its beginning to the end of the pause. The first
    such refusal replaces the assumed minute; later ones only lengthen the window. A 429 while calls are left comes from
    another limit: it says nothing about this one, unless its pause is longer than the window.
    """
    if state.remaining is None:
        return state
    pause_s = retry_after_s if retry_after_s and retry_after_s <= LONGEST_PAUSE_S else None
    if reported.remaining or (reported.remaining is None and (calls_left(state, at=at) or 0) > 0):
        return state if pause_s is None else replace(state, window_s=max(state.window_s, pause_s))
    if pause_s is None:
        return replace(state, remaining=0, reported_at=at)
    ends_at = at + pause_s
    opened_at = max(state.opened_at, at - LONGEST_PAUSE_S)
    taught_s = max(state.taught_s, pause_s, min(ends_at - opened_at, LONGEST_PAUSE_S), _SHORTEST_WINDOW_S)
    # As if one call had been answered a window before the end: it makes room for one call at the end.
    return replace(
        state, remaining=0, reported_at=at, window_s=taught_s, taught_s=taught_s, answered=(ends_at - taught_s,)
    )


def _recent(moments: tuple[float, ...], state: AllowanceState, *, at: float) -> tuple[float, ...]:
    return tuple(moment for moment in moments if moment + state.window_s > at)


def _without(state: AllowanceState, sent_at: float) -> AllowanceState:
    moments = list(state.under_way)
    if sent_at in moments:
        moments.remove(sent_at)
    return replace(state, under_way=tuple(moments))
