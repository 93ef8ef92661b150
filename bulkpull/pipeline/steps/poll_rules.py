"""Rules for polling: what a reply means for a report, when to poll again, and the errors that end the wait (pure)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum

import anyio

from bulkpull.clock import iso_utc
from bulkpull.errors import BulkpullError, ExecutionFailed, ExecutionOverdue, ServiceTrouble
from bulkpull.event_types import present_dataset
from bulkpull.model import Execution, ExecutionStatus, Report

# An interval of a thirtieth of the age sees a report on average 1.7 % of its time too late. That takes 75 polls in the
# first half hour, then one each minute; one poll covers all reports.
_SHARE_OF_AGE = 1 / 30
# The first look comes right after the usual time: if one report ends the run, its delay delays the run.
_SHARE_OF_USUAL = 1 / 300
# A report that takes this many times as long as earlier ones of its dataset is ordered again; at least half an hour.
_TIMES_USUAL = 8.0
_SHORTEST_DEADLINE_S = 1_800.0
_NEVER = datetime.min.replace(tzinfo=UTC)
# `reportGeneratedTime` and `createdTime` both come from the service, perhaps from two machines of it.
_SERVER_SKEW = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class PollSchedule:
    """The poll intervals, in seconds; no report is waited for longer than `deadline_s`."""

    initial_s: float = 5.0
    longest_s: float = 60.0
    deadline_s: float = 10_800.0

    def interval_s(self, age_s: float) -> float:
        """The wait without experience: a thirtieth of the age, at least `initial_s` and at most `longest_s`."""
        return min(max(self.initial_s, age_s * _SHARE_OF_AGE), max(self.initial_s, self.longest_s))

    def next_look_s(self, age_s: float, *, usual_s: float | None, draw: float) -> float:
        """
        The wait until the next look at a report of that age; the first comes when its usual time has passed.

        `draw`, a random number in [0, 1), spreads the looks of many runs: over half an interval either way, and over a
        three-hundredth of the usual time after it, at most one first interval.
        """
        if usual_s is not None and age_s < usual_s:
            spread_s = min(self.initial_s, usual_s * _SHARE_OF_USUAL)
            return min(usual_s - age_s + draw * spread_s, self.deadline_s)
        return self.interval_s(age_s) * (0.5 + draw)

    def deadline_for(self, usual_s: float | None) -> float:
        """How long a report is waited for: eight times what earlier ones took, half an hour to `deadline_s`."""
        if usual_s is None:
            return self.deadline_s
        return min(self.deadline_s, max(_SHORTEST_DEADLINE_S, usual_s * _TIMES_USUAL))

    def grace_s(self) -> float:
        """How long an execution may be missing, or its link, before it is looked into."""
        return max(2 * self.longest_s, 4 * self.initial_s)


class ExecutionState(Enum):
    PENDING = "pending"
    READY = "ready"
    WITHOUT_LINK = "without link"
    PAUSED = "paused"
    FAILED = "failed"
    ABSENT = "absent"


def execution_state(report: Report, answers: Iterable[Execution]) -> tuple[ExecutionState, Execution | None]:
    """
    Pick this report's execution out of an answer and say what it means (pure).

    Filters on this side again (behaviour 107). One that is dated before its report belongs to an earlier request (112,
    fault 50). An unknown status is alive, unless it reads failed, error or cancelled (110).
    """
    own = [
        answer for answer in answers if answer.report_id == report.report_id and not _is_dated_before(answer, report)
    ]
    completed = [execution for execution in own if execution.is_completed]
    ready = [execution for execution in completed if execution.link is not None]
    if ready:
        return ExecutionState.READY, max(ready, key=lambda execution: execution.generated_at or _NEVER)
    if completed:
        return ExecutionState.WITHOUT_LINK, completed[0]
    if not own:
        return ExecutionState.ABSENT, None
    latest = own[0]
    if latest.has_failed:
        return ExecutionState.FAILED, latest
    paused = latest.status.casefold() == ExecutionStatus.PAUSED.casefold()
    return (ExecutionState.PAUSED if paused else ExecutionState.PENDING), latest


def _is_dated_before(execution: Execution, report: Report) -> bool:
    """Whether the service dates an execution noticeably before the creation of its report."""
    if execution.generated_at is None or report.created_at is None:
        return False
    return execution.generated_at < report.created_at - _SERVER_SKEW


@dataclass(slots=True)
class ReportWatch:
    """
    One pending report; times are seconds of the monotonic clock.

    Attributes:
        ordered_s: Before `since_s` if it was adopted.
        usual_s: How long reports of its dataset took in earlier runs; `None` if unknown.
        deadline_from_s: As `usual_s`, where the deadline may follow from it.
        earlier_at: When an execution was generated that is dated before the report, where the service shows no other.
        without_link: In how many polls its execution was completed and had no link.
        asked_alone: How often it was asked for by itself.
        outcome: Known once it is `done`.
    """

    report: Report
    since_s: float
    ordered_s: float
    dataset: str | None = field(default_factory=present_dataset.get)
    usual_s: float | None = None
    deadline_from_s: float | None = None
    status: str | None = None
    running_since_s: float | None = None
    absent_since_s: float | None = None
    earlier_at: datetime | None = None
    without_link: int = 0
    asked_alone: int = 0
    resumed: bool = False
    checked: bool = False
    warned: bool = False
    done: anyio.Event = field(default_factory=anyio.Event)
    outcome: Execution | BulkpullError = field(init=False)

    @property
    def is_running(self) -> bool:
        return self.status is not None and self.status.casefold() == ExecutionStatus.RUNNING.casefold()

    @property
    def is_pending(self) -> bool:
        return not self.done.is_set()

    def finish(self, outcome: Execution | BulkpullError) -> None:
        self.outcome = outcome
        self.done.set()


def execution_failed(execution: Execution, why: str) -> ExecutionFailed:
    return ExecutionFailed(f"execution {execution.execution_id} of report {execution.report_id} failed", why=why)


def state_unknown(watch: ReportWatch, age_s: float, *, trouble: str) -> ServiceTrouble:
    """The state of the report is unknown, so it is neither deleted nor ordered again (case C11)."""
    return ServiceTrouble(
        f"the service could not be asked whether report {watch.report.report_id} is ready, {age_s:,.0f} s after it was "
        "created",
        why=f"the last poll failed: {trouble}",
        fix="run the same command again later: it continues with the report, which stays on the service",
    )


def report_overdue(watch: ReportWatch, age_s: float, *, is_learnt: bool) -> ExecutionOverdue:
    """The deadline passed; with `is_learnt`, one that follows from earlier runs."""
    if watch.status:
        seen = f"its last status was {watch.status}"
    elif watch.earlier_at:
        seen = f"the service shows only an execution of {iso_utc(watch.earlier_at)}, which is before the report"
    else:
        seen = "the service never showed an execution"
    waited = f"{age_s:,.0f} s"
    late = f" {waited} after it was begun" if watch.running_since_s is not None else f": not begun within {waited}"
    longer = "raise `report_timeout_seconds` if reports of this size need longer, or run the export again later"
    if is_learnt:
        seen += f"; earlier reports of this dataset took {watch.deadline_from_s:,.0f} s"
        longer = "run the export again later"
    return ExecutionOverdue(f"report {watch.report.report_id} was not completed{late}", why=seen, fix=longer)
