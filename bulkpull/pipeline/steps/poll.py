"""
Polls reports until their execution is completed; one loop covers all pending reports.

The service throttles per partner without announcing its limit, so the number of calls must not grow with the number of
reports: each poll covers all of them (`execution_lookup`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import anyio

from bulkpull.clock import Clock, iso_utc, sleep_unless
from bulkpull.errors import (
    AccessDenied,
    AuthError,
    BulkpullError,
    ExecutionFailed,
    ReportingError,
    ReportLost,
    RequestRejected,
    TransferError,
)
from bulkpull.event_types import CallRetried, ExecutionChanged, Level
from bulkpull.events import Events
from bulkpull.insights.client import InsightsClient
from bulkpull.model import Execution, ExecutionStatus, Report
from bulkpull.pipeline.steps.execution_lookup import ExecutionLookup
from bulkpull.pipeline.steps.poll_rules import (
    ExecutionState,
    PollSchedule,
    ReportWatch,
    execution_failed,
    execution_state,
    report_overdue,
    state_unknown,
)

_LINK_GRACE_TICKS = 3
# From there on the wait is the longest by far, and 2^700 is more than a float holds.
_MOST_DOUBLINGS = 10


@dataclass(slots=True, kw_only=True)
class Poller:
    """
    Polls all reports of a run. `run` belongs in the run's task group; `wait_for_completion` is called by each pull.

    Attributes:
        spacing_s: Seconds of the service's allowance that one call of a poll uses.
        random: Returns numbers in [0, 1); spreads the polls of many runs.
        on_queued: Called with the number of reports that the service makes at once, if it queues others.
    """

    client: InsightsClient
    lookup: ExecutionLookup
    clock: Clock
    events: Events
    schedule: PollSchedule
    spacing_s: Callable[[], float] = lambda: 0.0
    random: Callable[[], float] = lambda: 0.5
    on_queued: Callable[[int], None] = lambda _: None
    on_retry: Callable[[], None] = lambda: None
    _watches: dict[str, ReportWatch] = field(default_factory=dict)
    _news: anyio.Event = field(default_factory=anyio.Event)
    _looked_at: float = -math.inf
    _finished_at_s: float = -math.inf
    _asked_alone_s: float = -math.inf
    _failures: int = 0
    _failing_since: datetime | None = None
    _trouble: ReportingError | TransferError | None = None

    def __post_init__(self) -> None:
        self.lookup.on_refused = self._refuse

    async def wait_for_completion(
        self, report: Report, *, age_s: float = 0.0, usual_s: float | None = None, may_be_replaced: bool = False
    ) -> Execution:
        """
        Wait until the report's execution is completed and has a link, which is signed for a limited time.

        Creates nothing on the service, so it may be cancelled at any `await` and begun again.

        Args:
            age_s: How long ago it was ordered.
            usual_s: How long reports of its dataset took in earlier runs; `None` if unknown.
            may_be_replaced: Another report takes its place if it is overdue, so the deadline may follow from `usual_s`.
                A last try always has the whole deadline of the settings: a dataset may have become slower.

        Raises:
            ExecutionFailed: The service gave up on this execution.
            ExecutionOverdue, ServiceTrouble: The deadline passed; `ServiceTrouble` if the service could not be asked.
            ReportLost: The report or its query no longer exists on the service.
            AuthError, AccessDenied: The service refuses to answer us.

        Source: behaviours 102 to 119.
        """
        now = self.clock.monotonic()
        deadline_from_s = usual_s if may_be_replaced else None
        watch = ReportWatch(report, now, now - age_s, usual_s=usual_s, deadline_from_s=deadline_from_s)
        self._watches[report.report_id] = watch
        self._news.set()
        try:
            await watch.done.wait()
        finally:
            del self._watches[report.report_id]
        if isinstance(watch.outcome, BulkpullError):
            raise watch.outcome
        return watch.outcome

    async def run(self) -> None:
        """Poll all pending reports; ends only by cancellation."""
        draw = self.random()
        while True:
            pending = self._pending()
            if not pending:
                self._news = anyio.Event()
                await self._news.wait()
                continue
            self._news = news = anyio.Event()
            wait_s = self._next_look_s(pending, draw=draw)
            if wait_s > 0:
                await sleep_unless(news, wait_s, clock=self.clock)
                if news.is_set() and self._next_look_s(self._pending(), draw=draw) > 0:
                    continue  # the next poll may have moved
            await self._tick()
            self._looked_at, draw = self.clock.monotonic(), self.random()
            self._report_failure(draw=draw)

    def _pending(self) -> list[ReportWatch]:
        return [watch for watch in self._watches.values() if watch.is_pending]

    def _next_look_s(self, pending: Sequence[ReportWatch], *, draw: float) -> float:
        """Seconds until the next poll; an adopted report is looked at at once unless it is not yet due."""
        if not pending:
            return 0.0
        now, schedule = self.clock.monotonic(), self.schedule

        def due_at(watch: ReportWatch) -> float:
            since = max(watch.since_s, self._looked_at)
            age_s = since - watch.ordered_s
            is_adopted = watch.since_s - watch.ordered_s >= schedule.initial_s
            if is_adopted and self._looked_at < watch.since_s and age_s >= (watch.usual_s or 0.0):
                return since
            return since + schedule.next_look_s(age_s, usual_s=watch.usual_s, draw=draw)

        wait_s = min(map(due_at, pending)) - now
        if self._failures:
            # Backoff during an outage: the wait doubles with each failed poll.
            longest_s = max(schedule.initial_s, schedule.longest_s)
            doubled_s = schedule.initial_s * 2.0 ** min(self._failures, _MOST_DOUBLINGS)
            wait_s = max(wait_s, min(doubled_s, longest_s) - (now - self._looked_at))
        # Polls that fall close together are merged, and polls share the allowance.
        apart_s = max(schedule.initial_s / 2, self.spacing_s() * max(1, self.lookup.calls))
        return max(wait_s, self._looked_at + apart_s - now, 0.0)

    async def _tick(self) -> None:
        pending = self._pending()
        began = self.clock.now()
        report_ids = [watch.report.report_id for watch in pending]
        try:
            answers = await self.lookup.ask(report_ids)
            if (absent := self._next_alone(pending, answers)) is not None:
                answers += await self.lookup.ask_alone(absent.report.report_id, among=report_ids)
        except (AuthError, AccessDenied) as error:
            for watch in pending:
                watch.finish(error)
            return
        except (ReportingError, TransferError) as error:
            # A failed poll does not fail any report: the next poll is the retry (fault 47).
            self._failures, self._trouble = self._failures + 1, error
            self._failing_since = self._failing_since or began
            self._fail_overdue(pending)
            return
        self._failures, self._trouble, self._failing_since = 0, None, None
        for watch in pending:
            if watch.is_pending:
                await self._update(watch, answers)
        self._detect_queue(pending)
        self._fail_overdue(pending)

    def _report_failure(self, *, draw: float) -> None:
        """After a failed poll: since when polls fail, when the next one is due, and until when they go on."""
        pending = self._pending()
        if self._trouble is None or self._failing_since is None or not pending:
            return
        now_s = self.clock.monotonic()
        first_given_up_s = min(map(self._waited_since_s, pending)) + self.schedule.deadline_s
        self.on_retry()
        self.events.emit(
            CallRetried(
                endpoint="execution",
                attempt=self._failures,
                wait_s=round(self._next_look_s(pending, draw=draw), 1),
                since=iso_utc(self._failing_since),
                until=iso_utc(self.clock.now() + timedelta(seconds=first_given_up_s - now_s)),
                reason=self._trouble.reason,
            )
        )

    def _waited_since_s(self, watch: ReportWatch) -> float:
        if watch.running_since_s is not None:
            return watch.running_since_s
        return max(watch.since_s, self._finished_at_s)

    def _detect_queue(self, pending: Sequence[ReportWatch]) -> None:
        """Call `on_queued` if a report waited during the whole time in which another one was made."""
        ready = [watch for watch in pending if not watch.is_pending and isinstance(watch.outcome, Execution)]
        begun_s = [watch.running_since_s for watch in ready if watch.running_since_s is not None]
        left, latest_s = self._pending(), max(begun_s, default=-math.inf)
        if any(watch.status is not None and not watch.is_running and watch.since_s <= latest_s for watch in left):
            self.on_queued(sum(watch.is_running for watch in left) + len(begun_s))

    def _refuse(self, report_id: str, error: RequestRejected) -> None:
        if (watch := self._watches.get(report_id)) is not None:
            watch.finish(error)

    async def _update(self, watch: ReportWatch, answers: Sequence[Execution]) -> None:
        verdict, execution = execution_state(watch.report, answers)
        now = self.clock.monotonic()
        if execution is None:
            earlier = (answer.generated_at for answer in answers if answer.report_id == watch.report.report_id)
            watch.earlier_at = next(earlier, None)
            await self._handle_absent(watch, now)
            return
        watch.absent_since_s = None
        if execution.status != watch.status:
            watch.status = execution.status
            if watch.running_since_s is None and watch.is_running:
                watch.running_since_s = now
            self._emit_state(watch, status=execution.status, age_s=now - watch.since_s)
        match verdict:
            case ExecutionState.READY:
                watch.finish(execution)
            case ExecutionState.FAILED:
                watch.finish(execution_failed(execution, f"its status is {execution.status}"))
            case ExecutionState.WITHOUT_LINK:
                await self._handle_missing_link(watch, execution)
            case ExecutionState.PAUSED:
                await self._resume_paused(watch)

    def _emit_state(self, watch: ReportWatch, *, status: str, age_s: float, deadline_s: float | None = None) -> None:
        """Say in which state a report is; with `deadline_s` as a warning."""
        self.events.emit(
            ExecutionChanged(
                dataset=watch.dataset,
                report_id=watch.report.report_id,
                status=status,
                age_s=round(age_s, 1),
                deadline_s=deadline_s,
                level=Level.INFO if deadline_s is None else Level.WARNING,
            )
        )

    async def _handle_missing_link(self, watch: ReportWatch, execution: Execution) -> None:
        """Wait for the link of a completed execution (behaviour 113), for a limited time (fault 49)."""
        watch.without_link += 1
        if watch.without_link <= _LINK_GRACE_TICKS:
            return
        report_id, history = watch.report.report_id, list[Execution]()
        with suppress(ReportingError, TransferError):
            history = await self.client.get_executions(
                [report_id], statuses=(ExecutionStatus.COMPLETED,), latest=False, retry=False
            )
        verdict, found = execution_state(watch.report, history)
        if verdict is ExecutionState.READY and found is not None:
            watch.finish(found)
        elif watch.without_link > 2 * _LINK_GRACE_TICKS:
            watch.finish(execution_failed(execution, "it is completed, but the service gives no link to its file"))

    async def _resume_paused(self, watch: ReportWatch) -> None:
        """Resume the report of a paused execution (behaviour 110), once; if it fails, the report has failed."""
        if watch.resumed:
            return
        watch.resumed = True
        try:
            await self.client.resume_report(watch.report.report_id)
        except (ReportingError, TransferError) as error:
            what = f"report {watch.report.report_id} is paused and could not be resumed"
            watch.finish(ExecutionFailed(what, why=error.message))

    async def _handle_absent(self, watch: ReportWatch, now: float) -> None:
        """Find out whether a report without an execution was deleted or has only not run yet (behaviour 105)."""
        if watch.absent_since_s is None:
            watch.absent_since_s = now
        if watch.checked or now - watch.absent_since_s < self.schedule.grace_s():
            return
        report = watch.report
        with suppress(ReportingError, TransferError):  # unknown: check again at the next poll
            if not await self.client.get_reports(report_id=report.report_id):
                watch.finish(ReportLost(f"report {report.report_id} no longer exists on the service", why="deleted"))
            elif not await self.client.get_queries(query_id=report.query_id):
                watch.finish(ReportLost(f"the query of report {report.report_id} no longer exists on the service"))
            elif watch.status is not None:
                why = f"it was {watch.status}, and the service no longer lists it"
                watch.finish(ExecutionFailed(f"the execution of report {report.report_id} has failed", why=why))
            watch.checked = True

    def _next_alone(self, pending: Sequence[ReportWatch], answers: Sequence[Execution]) -> ReportWatch | None:
        """One report that has long been absent, in turn: a joined call may overlook it (behaviour 107)."""
        due_s = self.clock.monotonic() - self.schedule.grace_s()
        seen = {answer.report_id for answer in answers}
        long_absent = [watch for watch in pending if watch.absent_since_s is not None and watch.absent_since_s <= due_s]
        absent = [watch for watch in long_absent if watch.report.report_id not in seen]
        if not absent or self._asked_alone_s > due_s:
            return None
        self._asked_alone_s = self.clock.monotonic()
        chosen = min(absent, key=lambda watch: watch.asked_alone)
        chosen.asked_alone += 1
        return chosen

    def _fail_overdue(self, pending: Sequence[ReportWatch]) -> None:
        """
        End the wait for reports past the deadline.

        It counts from the start of a running report; of a queued one from the end of the last other report of ours.
        """
        now = self.clock.monotonic()
        if any(watch.is_running or not watch.is_pending for watch in pending):
            self._finished_at_s = now
        for watch in self._pending():
            age_s = now - self._waited_since_s(watch)
            deadline_s = self.schedule.deadline_for(watch.deadline_from_s)
            if self._trouble is not None and age_s >= self.schedule.deadline_s:
                watch.finish(state_unknown(watch, age_s, trouble=self._trouble.message))
            elif self._trouble is None and age_s >= deadline_s:
                watch.finish(report_overdue(watch, age_s, is_learnt=deadline_s < self.schedule.deadline_s))
            elif age_s >= deadline_s / 2 and not watch.warned:
                watch.warned = True
                self._emit_state(watch, status=watch.status or "not seen yet", age_s=age_s, deadline_s=deadline_s)
