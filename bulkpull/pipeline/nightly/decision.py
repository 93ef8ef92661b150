"""A decision about a dataset, and the facts that it follows from (values)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from bulkpull.model import Execution, Pull, Report
from bulkpull.output.manifest import DatasetRecord, DecisionRecord
from bulkpull.pipeline.nightly.remembered_reports import ReportMemory


class Action(StrEnum):
    """Where a dataset's data come from."""

    SKIP = "skip"
    TAKE_EXECUTION = "take_execution"
    COLLECT_REPORT = "collect_report"
    ORDER_REPORT = "order_report"


@dataclass(frozen=True, slots=True)
class Seen:
    """Data that are published, or newer data that were found to be the same."""

    execution_id: str | None
    generated_at: datetime | None


@dataclass(frozen=True, slots=True)
class DatasetFacts:
    """
    Facts about a dataset that the decision depends on.

    Attributes:
        published: The current snapshot; `None` where there is none, or where its files are damaged.
        is_done: The resumed run has published the dataset, and `current.json` still names that snapshot.
        collectable: Ids of one-off reports of earlier runs that answer the question, or a window of it.
        kept_windows: How many of its windows are on the disk already.
        last_answer: The newest snapshot of the question that was published before, where another one is current.
        unchanged: The latest data that were found to be those that are published.
        scheduled: The scheduled reports that may serve it; `None` where the service does not tell which there are.
        executions: The latest completed one of each of them.
        begun: Of each whose last execution has not arrived, the latest execution, in any state.
    """

    published: DatasetRecord | None = None
    is_done: bool = False
    collectable: tuple[str, ...] = ()
    kept_windows: int = 0
    last_answer: DatasetRecord | None = None
    unchanged: Seen | None = None
    memory: ReportMemory = field(default_factory=ReportMemory)
    scheduled: tuple[Report, ...] | None = ()
    executions: tuple[Execution, ...] = ()
    begun: Mapping[str, Execution] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ScheduleDecision:
    """
    What to do with the scheduled report of a dataset.

    Attributes:
        pull: With today's list of columns.
        serving: The report that serves from now on; `None` when one has to be made.
        is_own: This folder made that report.
        lead_h: How many hours before the nightly hour it runs; `None` where that is not known.
        replaced: Reports of this folder that are no longer useful.
        may_order: Scheduled reports may be made and deleted; not where the service does not tell which there are.
    """

    pull: Pull
    serving: Report | None = None
    is_own: bool = False
    lead_h: float | None = None
    replaced: tuple[Report, ...] = ()
    replace_reason: str | None = None
    may_order: bool = True

    @property
    def action(self) -> str:
        """The action on the scheduled report, in one word."""
        if not self.may_order:
            return "leave"
        return "keep" if self.serving else "replace" if self.replaced else "make"

    def without_serving(self, report: Report, why: str, *, is_own: bool) -> ScheduleDecision:
        """The same, but without `report`; it is replaced if this folder made it."""
        if not is_own:
            return replace(self, serving=None)
        return replace(self, serving=None, replaced=(*self.replaced, report), replace_reason=self.replace_reason or why)


@dataclass(frozen=True, slots=True)
class Decision:
    """
    What a run does for one dataset.

    Attributes:
        pull: The pull; with `execution`, it has the query of the scheduled report that made it.
        execution: With `TAKE_EXECUTION`: a completed one of a scheduled report.
        schedule: For a nightly run; `None` without scheduled reports (a window cannot have one: behaviour 83).
        missed: The report whose last execution has not arrived although it was due, and when it was due.
        due_at: When the last execution was due, if it has not arrived yet.
        seen_at: When the newest data were made that are published or were found unchanged.
    """

    pull: Pull
    action: Action
    reason: str
    execution: Execution | None = None
    schedule: ScheduleDecision | None = None
    missed: tuple[Report, datetime] | None = None
    due_at: datetime | None = None
    notes: tuple[str, ...] = ()
    seen_at: datetime | None = None

    def as_record(self) -> DecisionRecord:
        """The decision as a manifest entry."""
        scheduled = self.schedule.action if self.schedule else None
        return DecisionRecord(action=self.action.value, reason=self.reason, scheduled_report=scheduled)
