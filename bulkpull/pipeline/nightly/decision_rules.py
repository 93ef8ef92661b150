"""
Decides what a run does for a dataset, and why: one pure function for all commands.

    what is published ─┐
    the ledger ────────┼─ decide ─→ keep | take this execution | collect that report | create a report
    the service ───────┘            and of the scheduled report: keep | make | replace | leave

`earlier_work` decides which one-off reports of earlier runs may be collected; `scheduled_reports` decides whether
a scheduled report can be used.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from bulkpull.catalog import load_catalog
from bulkpull.clock import is_ahead, iso_utc
from bulkpull.formatting import join_some, plural
from bulkpull.model import Execution, Pull, Report
from bulkpull.output.ledger_facts import UnchangedFacts
from bulkpull.output.manifest import DatasetRecord, DecisionRecord
from bulkpull.pipeline.nightly.scheduled_reports import (
    CLOCK_TOLERANCE,
    LONG_AGO,
    ReportMemory,
    Schedule,
    answers,
    as_executed,
    has_arrived,
    last_due,
    unusable_reason,
)
from bulkpull.requested_data import requested_data

_HALF_A_DAY = timedelta(hours=12)
_UNKNOWN_LIST = "the service does not tell which reports there are, so no scheduled report was created or replaced"
_NOTHING, _ANOTHER = "nothing is published yet", "what is published answers another question"


class Action(StrEnum):
    """Where a dataset's data come from."""

    SKIP = "skip"
    TAKE_EXECUTION = "take_execution"
    COLLECT_REPORT = "collect_report"
    ORDER_REPORT = "order_report"


@dataclass(frozen=True, slots=True)
class DatasetFacts:
    """
    Facts about a dataset that the decision depends on.

    Attributes:
        published: The current snapshot; `None` where there is none, or where its files are damaged.
        is_done: The resumed run has published it, and `current.json` still names that snapshot.
        collectable: Ids of one-off reports of earlier runs that hold the requested data, or a window of them.
        kept_windows: How many of its windows are on the disk already.
        last_answer: The newest snapshot of the requested data, where one of other data is current.
        scheduled: The scheduled reports that may serve it; `None` where the service does not tell which there are.
        executions, begun: Of these the latest completed ones, and of those that are late the latest in any state.
    """

    published: DatasetRecord | None = None
    is_done: bool = False
    collectable: tuple[str, ...] = ()
    kept_windows: int = 0
    last_answer: DatasetRecord | None = None
    unchanged: UnchangedFacts | None = None
    memory: ReportMemory = field(default_factory=ReportMemory)
    scheduled: tuple[Report, ...] | None = ()
    executions: tuple[Execution, ...] = ()
    begun: Mapping[str, Execution] = field(default_factory=dict)

    def ready(self, report_ids: Container[str]) -> list[Execution]:
        """The executions of these reports whose data can be fetched."""
        own = [execution for execution in self.executions if execution.report_id in report_ids]
        return [execution for execution in own if execution.is_completed and execution.link is not None]


@dataclass(frozen=True, slots=True)
class ScheduleDecision:
    """
    What to do with the scheduled report of a dataset.

    Attributes:
        pull: With today's list of columns.
        serving: The report that serves from now on; `None` when one has to be created.
        is_own, lead_h: Of that report: it is this folder's; hours before the nightly hour at which it runs, if known.
        replaced: Reports of this folder that are no longer useful.
        may_create: Reports may be created and deleted; not where the service does not tell which there are.
    """

    pull: Pull
    serving: Report | None = None
    is_own: bool = False
    lead_h: float | None = None
    replaced: tuple[Report, ...] = ()
    replace_reason: str | None = None
    may_create: bool = True

    @property
    def action(self) -> str:
        """The action on the scheduled report, in one word."""
        if not self.may_create:
            return "leave"
        return "keep" if self.serving else "replace" if self.replaced else "make"

    def with_replaced(self, report: Report, why: str) -> ScheduleDecision:
        """The same, with `report` of this folder to be replaced; the first reason stays."""
        return replace(self, replaced=(*self.replaced, report), replace_reason=self.replace_reason or why)


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


def decide(pull: Pull, facts: DatasetFacts, *, schedule: Schedule | None = None) -> Decision:
    """What to do about one dataset; without the times of a nightly run, an export brings what is requested."""
    if facts.is_done:
        return Decision(pull, Action.SKIP, "this run has published it already")
    if schedule is None or (pull.window is not None and not pull.keeps_history):
        decision = Decision(pull, Action.ORDER_REPORT, "an export was asked for")
    elif pull.keeps_history:
        decision = _decide_history(pull, facts, now=schedule.now)
    else:
        decision = _decide_scheduled(pull, facts, schedule=schedule)
    if decision.action is not Action.ORDER_REPORT or not (facts.collectable or facts.kept_windows):
        return decision
    found = [f"report {join_some(list(facts.collectable))}"] if facts.collectable else []
    if facts.kept_windows:
        found.append(f"{plural(facts.kept_windows, 'window')} on the disk")
    reason = f"{decision.reason}; {' and '.join(found)} of an earlier run answer the same question"
    return replace(decision, action=Action.COLLECT_REPORT, reason=reason)


def create_if_due(decision: Decision, *, now: datetime) -> Decision:
    """Where no scheduled report serves, ask as often as the service refreshes the data, no more (behaviour 142)."""
    known, seen_at = load_catalog().find(decision.pull.reads), decision.seen_at
    refresh = timedelta(days=(known.refresh_days if known else None) or 1)
    # The reports of a night are made in the hours after it began, and the next night begins at the same hour.
    if decision.action is not Action.SKIP or (seen_at is not None and now - seen_at < refresh - _HALF_A_DAY):
        return decision
    why = "no scheduled report serves, and what is published is out of date"
    return replace(decision, action=Action.ORDER_REPORT, reason=why)


def _decide_history(pull: Pull, facts: DatasetFacts, *, now: datetime) -> Decision:
    """Ask for the months that may be restated as often as the service refreshes the data; no report is scheduled."""
    published = facts.published
    if published is None or published.question_sha256 != requested_data(pull).sha256:
        return Decision(pull, Action.ORDER_REPORT, _ANOTHER if published else _NOTHING)
    seen_at = _newest(_seen(published, facts.unchanged, now=now))
    they_are = f"; they are of {iso_utc(seen_at)}" if seen_at else ""
    kept = f"its newest windows are requested again when the service has refreshed the data{they_are}"
    return create_if_due(Decision(pull, Action.SKIP, kept, seen_at=seen_at), now=now)


def _decide_scheduled(pull: Pull, facts: DatasetFacts, *, schedule: Schedule) -> Decision:
    noted = facts.memory.serving(requested_data(pull).sha256)
    if facts.scheduled is None:
        choice = ScheduleDecision(pull, serving=next(iter(noted), None), may_create=False)
        decision = _decide_by_executions(pull, facts, noted, choice=choice, now=schedule.now)
        decision = replace(decision, notes=(_UNKNOWN_LIST,))
    else:
        choice, notes = _choose_report(pull, facts, facts.scheduled, schedule=schedule)
        decision = _decide_by_executions(pull, facts, facts.scheduled, choice=choice, now=schedule.now)
        decision = _with_missed_execution(replace(decision, notes=notes), choice, facts, schedule=schedule)
    if decision.action is Action.SKIP and facts.scheduled == () and noted:
        why = "its scheduled report is gone"
        note = f"{why}; a one-off report and another scheduled one are created"
        return replace(decision, action=Action.ORDER_REPORT, reason=why, notes=(*decision.notes, note))
    return decision if facts.scheduled else create_if_due(decision, now=schedule.now)


def _decide_by_executions(
    pull: Pull, facts: DatasetFacts, reports: Sequence[Report], *, choice: ScheduleDecision, now: datetime
) -> Decision:
    """Take the newest execution of the requested data that is newer than what is published; else create or keep."""
    published, latest = facts.published, _latest_execution(pull, facts, reports)
    # The columns of a whole dataset change by themselves; its rows still match the request.
    is_another = published is not None and published.question_sha256 != requested_data(pull).sha256
    seen = _seen(facts.last_answer if is_another else published, facts.unchanged, now=now)
    decision = Decision(pull, Action.ORDER_REPORT, "", schedule=choice, seen_at=_newest(seen))
    # If other data were published since then, the last snapshot of these may be published again, none older (N18).
    is_known = is_another and latest is not None and latest.execution_id in {data.execution_id for data in seen}
    if latest is not None and (is_known or all(_is_newer(latest, data) for data in seen)):
        made_by = next(report for report in reports if report.report_id == latest.report_id)
        why = _ANOTHER if is_another else "it is newer than what is published"
        why = f"execution {latest.execution_id} of its scheduled report is ready: {why}"
        taken = as_executed(pull, made_by)
        return replace(decision, pull=taken, action=Action.TAKE_EXECUTION, reason=why, execution=latest)
    if published is None or is_another:
        return replace(decision, reason=_ANOTHER if is_another else _NOTHING)
    if choice.replaced and choice.serving is None:  # the run has data although its report cannot be used
        return replace(decision, reason=f"its scheduled report is of no use: {choice.replace_reason}")
    since = iso_utc(decision.seen_at) if decision.seen_at else "the published one"
    return replace(decision, action=Action.SKIP, reason=f"no execution newer than {since}")


def _choose_report(
    pull: Pull, facts: DatasetFacts, reports: Sequence[Report], *, schedule: Schedule
) -> tuple[ScheduleDecision, tuple[str, ...]]:
    """The first report that serves, the others of this folder to be replaced, and notes on those of others."""
    choice, memory = ScheduleDecision(pull), facts.memory
    notes: list[str] = []
    for report in reports:
        why, is_own = unusable_reason(report, pull, memory=memory, schedule=schedule), memory.is_ours(report)
        if choice.serving is None and why is None:
            lead_h = memory.facts_of(report.report_id).lead_h
            choice = replace(choice, serving=report, is_own=is_own, lead_h=lead_h)
        elif is_own:
            choice = choice.with_replaced(report, why or "there is a second one for the same query")
        elif why is not None:
            notes.append(f"report {report.report_id}, which this folder did not make, is left alone: {why}")
    return choice, tuple(notes)


def _latest_execution(pull: Pull, facts: DatasetFacts, reports: Sequence[Report]) -> Execution | None:
    answering = {report.report_id for report in reports if answers(report, pull, facts.memory)}
    return max(facts.ready(answering), key=lambda execution: execution.generated_at or LONG_AGO, default=None)


def _seen(answer: DatasetRecord | None, unchanged: UnchangedFacts | None, *, now: datetime) -> list[UnchangedFacts]:
    """Published data, and later data without changes; times in the future are ignored."""
    if answer is None:
        return []
    published = UnchangedFacts(answer.execution_id, answer.generated_at)
    return [
        replace(facts, generated_at=None) if is_ahead(facts.generated_at, now=now) else facts
        for facts in (published, unchanged)
        if facts is not None
    ]


def _newest(seen: Sequence[UnchangedFacts]) -> datetime | None:
    return max((data.generated_at for data in seen if data.generated_at), default=None)


def _is_newer(execution: Execution, seen: UnchangedFacts) -> bool:
    if execution.execution_id == seen.execution_id:
        return False
    if execution.generated_at is None or seen.generated_at is None:
        return True
    return execution.generated_at >= seen.generated_at


def _with_missed_execution(
    decision: Decision, choice: ScheduleDecision, facts: DatasetFacts, *, schedule: Schedule
) -> Decision:
    """Detect a missed execution; a one-off report replaces it."""
    report = choice.serving
    due_at = last_due(report, schedule.now) if report else None
    if report is None or due_at is None:
        return decision
    is_seen = decision.seen_at is not None and decision.seen_at >= due_at - CLOCK_TOLERANCE
    if is_seen or has_arrived(due_at, facts.ready([report.report_id])):
        return decision
    begun = facts.begun.get(report.report_id)
    has_failed = begun is not None and begun.has_failed
    decision = replace(decision, due_at=due_at)
    if not has_failed and schedule.now - due_at < schedule.grace:
        still = f"; the one due at {iso_utc(due_at)} is still being made" if decision.action is Action.SKIP else ""
        return replace(decision, reason=decision.reason + still)
    state = f"its status is {begun.status}" if begun else "none is pending or running"
    note = why = f"the execution due at {iso_utc(due_at)} has not come ({state})"
    if decision.action is not Action.TAKE_EXECUTION:
        note = f"{why}; a one-off report is created instead"
        decision = replace(decision, action=Action.ORDER_REPORT, reason=why)
    decision = replace(decision, missed=(report, due_at), notes=(*decision.notes, note))
    if has_failed and report.report_id not in facts.memory.missed:
        return decision  # once is no reason to make another
    choice = replace(choice, serving=None)
    return replace(decision, schedule=choice.with_replaced(report, why) if facts.memory.is_ours(report) else choice)
