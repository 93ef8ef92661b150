"""One report that is waited for: what the polls have seen of it, and the errors that end the wait."""

from __future__ import annotations

from dataclasses import dataclass, field

import anyio

from bulkpull.errors import BulkpullError, ExecutionFailed, ExecutionOverdue, ServiceTrouble
from bulkpull.event_types import present_dataset
from bulkpull.model import Execution, ExecutionStatus, Report


@dataclass(slots=True)
class ReportWatch:
    """
    One pending report; times are seconds of the monotonic clock.

    Attributes:
        dataset: Whose task waits for it.
        usual_s: How long reports of its dataset took in earlier runs; `None` if unknown.
        deadline_from_s: As `usual_s`, where the deadline may follow from it.
        without_link: In how many polls its execution was completed and had no link.
        resumed, checked, warned: What is done once only.
    """

    report: Report
    since_s: float
    dataset: str | None = field(default_factory=present_dataset.get)
    usual_s: float | None = None
    deadline_from_s: float | None = None
    status: str | None = None
    running_since_s: float | None = None
    seen: bool = False
    absent_since_s: float | None = None
    without_link: int = 0
    resumed: bool = False
    checked: bool = False
    warned: bool = False
    done: anyio.Event = field(default_factory=anyio.Event)
    execution: Execution | None = None
    error: BulkpullError | None = None

    @property
    def is_running(self) -> bool:
        """Whether the last known status of the report is Running."""
        return self.status is not None and self.status.casefold() == ExecutionStatus.RUNNING.casefold()

    def finish(self, *, execution: Execution | None = None, error: BulkpullError | None = None) -> None:
        """End the wait."""
        self.execution, self.error = execution, error
        self.done.set()


def execution_failed(execution: Execution, why: str) -> ExecutionFailed:
    """The service gave up on an execution."""
    return ExecutionFailed(f"execution {execution.execution_id} of report {execution.report_id} failed", why=why)


def state_unknown(watch: ReportWatch, age_s: float, *, trouble: str) -> ServiceTrouble:
    """The state of the report is unknown, so it is neither deleted nor ordered again (case C11)."""
    return ServiceTrouble(
        f"whether report {watch.report.report_id} is ready could not be asked, {age_s:,.0f} s after its order",
        why=f"the last poll failed: {trouble}",
        fix="run the same command again later: it takes up the report, which stays on the service",
    )


def report_overdue(watch: ReportWatch, age_s: float, *, is_learnt: bool) -> ExecutionOverdue:
    """The deadline passed; with `is_learnt`, one that follows from earlier runs."""
    seen = f"its last status was {watch.status}" if watch.status else "the service never showed an execution"
    began = "after it was begun" if watch.running_since_s is not None else "without being begun"
    longer = "raise `report_timeout_seconds` if reports of this size need longer, or run the export again later"
    if is_learnt:
        seen += f"; earlier reports of this dataset took {watch.deadline_from_s:,.0f} s"
        longer = "run the export again later"
    return ExecutionOverdue(
        f"report {watch.report.report_id} was not completed {age_s:,.0f} s {began}", why=seen, fix=longer
    )
