"""
Decides whether and when a failed call is retried. Nothing else in the program retries a call.

The wait before attempt n+1 is a random share of 3^(n-1) s, at most of 60 s (full jitter, at least a tenth). The
service's Retry-After overrides it; up to a tenth of it is added at random, so that callers that were refused together
do not return together. All retries of a run share one budget (`wait_for_budget`), so that an outage of the service ends
the run with one message instead of flooding the service.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import Enum
from typing import TypeVar

from bulkpull.clock import Clock, iso_utc
from bulkpull.errors import (
    AnswerLost,
    BulkpullError,
    NotConnected,
    ReportingError,
    ServiceTrouble,
    StorageTrouble,
    Throttled,
    UnexpectedReply,
)
from bulkpull.event_types import CallRetried
from bulkpull.events import Events
from bulkpull.transport.http_messages import RequestCounts
from bulkpull.transport.rate_limit import LONGEST_PAUSE_S, spread

T = TypeVar("T")
# No retry goes out at once, whatever the draw.
_LEAST_SHARE = 0.1
# Retries that a run may always make, the share of its first calls, and the seconds that earn one more.
_RESERVE = 20
_SHARE = 1 / 5
_SECONDS_PER_RETRY = 10.0


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """
    The limits for retries of one call, `attempts` in all.

    All its tries together wait `longest_pause_s` for a Retry-After at the most. A network that once worked may be gone
    for `outage_s` before its failures count as tries.
    """

    attempts: int = 6
    first_wait_s: float = 1.0
    factor: float = 3
    longest_wait_s: float = 60
    longest_pause_s: float = LONGEST_PAUSE_S
    outage_s: float = 900


class StopReason(Enum):
    """Why a call is not retried."""

    NOT_RETRYABLE = "a retry cannot help"
    AMBIGUOUS = "it may have taken effect: check before retrying it"
    RETRIES_EXHAUSTED = "retry limit reached"
    RETRY_AFTER_TOO_LONG = "the service asks for a longer pause than this run may wait"


def backoff(attempt: int, *, policy: RetryPolicy, draw: float) -> float:
    """Seconds to wait after try number `attempt`; `draw` in [0, 1) picks a tenth of the formula up to all of it."""
    # The exponent is bounded because a long outage counts far: 3^700 is more than a float holds.
    whole_s = min(policy.longest_wait_s, policy.first_wait_s * policy.factor ** min(attempt - 1, 32))
    return whole_s * (_LEAST_SHARE + (1 - _LEAST_SHARE) * draw)


def retry_delay(  # noqa: PLR0911 - one line a kind of error
    error: BaseException, *, attempt: int, policy: RetryPolicy, creates: bool, draw: float, waited_s: float = 0.0
) -> float | StopReason:
    """
    Seconds to wait before the next try, or why there is none, after try number `attempt` and `waited_s` of waiting.

    Of a call that `creates` something new each time only errors that prove that nothing was done are repeated
    (behaviour 45). `draw` is a random number in [0, 1).
    """
    asked_s: float | None = None
    match error:
        case BulkpullError(was_repeated=True):
            return StopReason.NOT_RETRYABLE  # the layer below has tried it often enough (case C15)
        case NotConnected() | AnswerLost() | UnexpectedReply():
            pass
        case Throttled() | ServiceTrouble() | StorageTrouble():
            asked_s = error.retry_after_s
        case _:  # cancellation, refusals, certificates, unsafe addresses
            return StopReason.NOT_RETRYABLE
    if creates and not isinstance(error, NotConnected | Throttled):
        return StopReason.AMBIGUOUS
    if asked_s is not None and waited_s + asked_s > policy.longest_pause_s:
        return StopReason.RETRY_AFTER_TOO_LONG
    if attempt >= policy.attempts:
        return StopReason.RETRIES_EXHAUSTED
    if asked_s is None:
        return backoff(attempt, policy=policy, draw=draw)
    # A service that says "now" for ever gets a growing pause all the same.
    wait_s = max(spread(asked_s, draw=draw), backoff(attempt, policy=policy, draw=0.0))
    return min(wait_s, max(asked_s, policy.longest_pause_s - waited_s))


def wait_for_budget(*, retries: int, first_calls: int, elapsed_s: float) -> float:
    """Seconds until one more retry is allowed. A spent budget delays retries and forbids none: it costs no dataset."""
    allowed = _RESERVE + first_calls * _SHARE + elapsed_s / _SECONDS_PER_RETRY
    return max(0.0, (retries + 1 - allowed) * _SECONDS_PER_RETRY)


@dataclass(kw_only=True, eq=False, repr=False)
class Retrier:
    """Retries calls by the rules of `retry_delay`; everything that retries within a run shares one, and its budget."""

    policy: RetryPolicy
    clock: Clock
    events: Events
    random: Callable[[], float]
    counts: RequestCounts
    _answering: set[str] = field(default_factory=set, init=False)
    _first_calls: int = field(default=0, init=False)
    _retries: int = field(default=0, init=False)
    _began: float = field(init=False)

    def __post_init__(self) -> None:
        self._began = self.clock.monotonic()

    async def run(
        self,
        operation: Callable[[], Awaitable[T]],
        *,
        endpoint: str,
        origin: str = "",
        creates: bool = False,
        progressed: Callable[[], bool] = lambda: False,
    ) -> T:
        """
        Do `operation` until it succeeds or its error says that another try cannot help.

        A host (`origin`) that has answered in this run and is not reachable now is waited for during `policy.outage_s`
        without using up tries: nothing was sent, so nothing is flooded. `progressed`, asked after each failure, says
        whether enough has been reached for a new count of tries; such a try has its pause, and does not come out of the
        budget.

        Raises:
            BulkpullError: The last error, with the number of attempts. Cancellation is passed on.
        """
        self._first_calls += 1
        began = down_since = self.clock.monotonic()
        attempt, waited_s, failures_to_connect = 0, 0.0, 0
        while True:
            try:
                done = await operation()
            except BulkpullError as error:
                if isinstance(error, ReportingError | AnswerLost | StorageTrouble):
                    self._answering.add(origin)
                now = self.clock.monotonic()
                has_progressed = progressed()
                if has_progressed:
                    waited_s, failures_to_connect, began = 0.0, 0, now
                if not isinstance(error, NotConnected):
                    failures_to_connect = 0
                elif origin in self._answering and not error.was_repeated:
                    down_since = down_since if failures_to_connect else now
                    failures_to_connect += 1
                    left_s = down_since + self.policy.outage_s - now
                    if left_s > 0:
                        wait_s = backoff(failures_to_connect, policy=self.policy, draw=self.random())
                        # After it, all tries of one call may still be made.
                        left_s += sum(backoff(n, policy=self.policy, draw=1.0) for n in range(1, self.policy.attempts))
                        await self._wait(error, endpoint, failures_to_connect, wait_s, began=began, ends_in_s=left_s)
                        continue
                attempt = 0 if has_progressed else attempt + 1
                waited_s += await self.pause(
                    error,
                    endpoint=endpoint,
                    attempt=max(attempt, 1),
                    creates=creates,
                    began=began,
                    waited_s=waited_s,
                    is_free=has_progressed,
                )
            else:
                self._answering.add(origin)
                return done

    async def pause(
        self,
        error: BulkpullError,
        *,
        endpoint: str,
        attempt: int,
        began: float,
        creates: bool = False,
        waited_s: float = 0.0,
        is_free: bool = False,
        attempts: int | None = None,
        patience: int = 0,
    ) -> float:
        """
        Wait as `error` asks before try number `attempt` + 1, or raise it when there is none; returns the seconds.

        The first try `began` by the clock's `monotonic`, and the call has waited for `waited_s`. With `is_free` the
        budget is not charged. `attempts` are fewer tries than the policy's; `patience` waits as long as after so many
        tries more.
        """
        draw = self.random()
        policy = self.policy if attempts is None else replace(self.policy, attempts=attempts)
        advice = retry_delay(error, attempt=attempt, policy=policy, creates=creates, draw=draw, waited_s=waited_s)
        if isinstance(advice, StopReason):
            elapsed_s = self.clock.monotonic() - began
            raise _explained(error, advice, attempts=attempt, elapsed_s=elapsed_s, waited_s=waited_s)
        if patience:
            advice = max(advice, backoff(attempt + patience, policy=policy, draw=draw))
        wait_s = advice if is_free else max(advice, self._reserve_retry())
        await self._wait(error, endpoint, attempt, wait_s, began=began, attempts=policy.attempts)
        return wait_s

    def _reserve_retry(self) -> float:
        """Take the next retry out of the budget; returns the seconds until it may be made."""
        elapsed_s = self.clock.monotonic() - self._began
        wait_s = wait_for_budget(retries=self._retries, first_calls=self._first_calls, elapsed_s=elapsed_s)
        self._retries += 1
        return wait_s

    async def _wait(
        self,
        error: BulkpullError,
        endpoint: str,
        attempt: int,
        wait_s: float,
        *,
        began: float,
        attempts: int | None = None,
        ends_in_s: float | None = None,
    ) -> None:
        """Report the retry, and wait for it."""
        now = self.clock.now()
        self.counts.retried += 1
        self.events.emit(
            CallRetried(
                endpoint=endpoint,
                attempt=attempt,
                attempts=attempts,
                wait_s=round(wait_s, 1),
                since=iso_utc(now - timedelta(seconds=self.clock.monotonic() - began)),
                until=None if ends_in_s is None else iso_utc(now + timedelta(seconds=ends_in_s)),
                reason=error.message,
            )
        )
        await self.clock.sleep(wait_s)


def _explained(
    error: BulkpullError, advice: StopReason, *, attempts: int, elapsed_s: float, waited_s: float
) -> BulkpullError:
    if error.was_repeated:
        return error
    error.was_repeated = advice in (StopReason.RETRIES_EXHAUSTED, StopReason.RETRY_AFTER_TOO_LONG)
    if advice is StopReason.RETRY_AFTER_TOO_LONG:
        before = f" after {waited_s:,.0f} s of waiting" if waited_s else ""
        history = f"{advice.value} ({getattr(error, 'retry_after_s', 0):,.0f} s{before})"
    elif attempts > 1:
        history = f"tried {attempts} times over {elapsed_s:,.0f} s"
    else:
        return error
    error.why = f"{error.why}, {history}" if error.why else history
    error.args = (error.reason,)
    return error
