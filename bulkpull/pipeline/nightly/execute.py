"""
Executes the decision for one dataset.

The data come first, then the scheduled report: the data of an unusable report are safe before it is deleted, and
deleting a report deletes its executions (behaviour 97). A scheduled report is created once and used by every run, also
on other machines with the same query. Scheduled reports do not count against the quota of one-off reports (85), but an
account may have only fifty active ones (86).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import anyio

from bulkpull.clock import iso_utc
from bulkpull.errors import BulkpullError, FileGone, NotFound, QuotaExceeded, Unchanged
from bulkpull.event_types import ExecutionMissed, ReportAdopted, ReportCreated, ReportDeleted, ReportLacking
from bulkpull.insights.definitions import ReportDefinition
from bulkpull.model import Execution, Pull, Query, Report
from bulkpull.output.ledger_facts import MissedFacts, ScheduledReportFacts, UnchangedFacts
from bulkpull.pipeline.context import RunContext
from bulkpull.pipeline.nightly.decision_rules import Action, Decision, ScheduleDecision, create_if_due
from bulkpull.pipeline.nightly.scheduled_reports import first_start, next_due, recurrence_h, serves
from bulkpull.pipeline.outcome import DatasetOutcome, dataset_record
from bulkpull.pipeline.steps.naming import DESCRIPTION, query_digest, scheduled_report_name
from bulkpull.requested_data import requested_data

if TYPE_CHECKING:
    from bulkpull.pipeline.dataset import DatasetExport


@dataclass(slots=True)
class DecisionExecutor:
    """Executes the decision for one dataset; `idle` reports that nothing uses may be deleted to make room."""

    decision: Decision
    planned: DatasetOutcome
    context: RunContext
    idle: list[Report]
    _export: DatasetExport | None = None
    _state: DatasetOutcome = field(init=False)

    def __post_init__(self) -> None:
        self._state = replace(
            self.planned,
            notes=(*self.planned.notes, *self.decision.notes),
            decision=self.decision.as_record(),
            due_at=self.decision.due_at,
            current=self.context.folder.published.get(self._dataset),
        )

    @property
    def outcome(self) -> DatasetOutcome:
        """The outcome of the dataset so far; also if it failed or was interrupted."""
        return replace(self._state, export=self._export.outcome if self._export else None)

    async def execute(self) -> None:
        """Fetch what is new, and make sure that the next run finds a scheduled report; a missing one is only noted."""
        if self.decision.missed is not None:
            report, due_at = self.decision.missed
            await self.context.note(self._dataset, MissedFacts(report.report_id, due_at))
            self.context.events.emit(ExecutionMissed(report_id=report.report_id, due_at=iso_utc(due_at)))
        is_served = await self._provide_schedule()
        if not is_served:  # create a one-off report
            self._decide_again(create_if_due(self.decision, now=self.context.clock.now()))
        try:
            await self._fetch_data()
        except Unchanged:
            await self._delete_replaced(is_served=is_served)  # already published
            raise
        await self._delete_replaced(is_served=is_served)

    @property
    def _dataset(self) -> str:
        return self.decision.pull.dataset

    def _add_notes(self, *notes: str) -> None:
        self._state = replace(self._state, notes=(*self._state.notes, *notes))

    def _decide_again(self, decision: Decision) -> None:
        self.decision = decision
        self._state = replace(self._state, decision=decision.as_record())

    async def _fetch_data(self) -> None:
        decision, execution = self.decision, self.decision.execution
        if decision.action is Action.SKIP:
            self._state = replace(self._state, skipped=decision.reason)
            return
        if execution is not None and self.context.request.submit_only:
            reason = f"execution {execution.execution_id} is ready; `bulkpull runs resume` collects it"
            self._state = replace(self._state, skipped=reason)
            return
        from bulkpull.pipeline.dataset import DatasetExport  # noqa: PLC0415 - as in `_load_export`

        self._export = DatasetExport(
            decision.pull,
            self.context,
            lambda export: dataset_record(replace(self._state, export=export)),
            named=self.planned.named,
            query_id=_query_of(decision),
            execution=execution,
        )
        if self.context.request.submit_only:
            await self._submit(self._export)
            return
        try:
            await self._export.run()
        except Unchanged as same:
            raise await self._remember_unchanged(self._export, same, execution) from same
        except FileGone as gone:
            if execution is None or decision.schedule is None:
                raise
            # The same execution would be taken, and its file missed, until the next one comes (behaviour 133).
            self._add_notes(f"{gone.what}: {gone.why}; a one-off report is created instead")
            pull = decision.schedule.pull
            self._decide_again(
                replace(decision, pull=pull, action=Action.ORDER_REPORT, reason=gone.reason, execution=None)
            )
            await self._fetch_data()
            return
        if execution is None:
            self._state = replace(self._state, due_at=None)  # the one-off report replaces it

    async def _submit(self, export: DatasetExport) -> None:
        """Create the reports; the rest is done when the run is resumed."""
        reports = await export.submit()
        several = f" and {len(reports) - 1} more" if len(reports) > 1 else ""
        resume = f"`bulkpull runs resume {self.context.run_id}` collects it"
        reason = f"submitted as report {reports[0].report_id}{several}; {resume}"
        self._state = replace(self._state, skipped=reason, is_submitted=True)

    async def _remember_unchanged(
        self, export: DatasetExport, same: Unchanged, execution: Execution | None
    ) -> Unchanged:
        """Note that the data are published already, so that the next run need not check them again."""
        outcome = export.outcome
        generated_at = execution.generated_at if execution else None
        if generated_at is None and outcome.snapshot is not None:
            generated_at = outcome.snapshot.generated_at
        seen_at, sha256 = generated_at or self.context.clock.now(), requested_data(export.pull).sha256
        await self.context.note(self._dataset, UnchangedFacts(outcome.ids.execution_id, seen_at, sha256))
        self._state = replace(self._state, generated_at=generated_at, due_at=None)  # the data have arrived
        source = iso_utc(generated_at) if generated_at else "the latest execution"
        return Unchanged(f"the data of {source} are already published", why=same.why)

    async def _provide_schedule(self) -> bool:
        """Whether a scheduled report serves the dataset from now on, or none is to be made."""
        schedule = self.decision.schedule
        if schedule is None or not schedule.may_create:
            return True
        report, is_new = schedule.serving, schedule.serving is None
        if report is not None:
            self.context.events.emit(ReportAdopted(report_id=report.report_id, scheduled=True))
        else:
            try:
                report, schedule = await self._make(schedule)
            except BulkpullError as error:
                self._add_notes(f"no scheduled report could be created, the next run tries again: {error.reason}")
                self.context.events.emit(ReportLacking(reason=error.message))
                if isinstance(error, QuotaExceeded) or self.decision.action is not Action.SKIP:
                    return False
                raise
        next_due_at = next_due(report, self.context.client.service_time())
        self._state = replace(self._state, next_due_at=next_due_at)
        facts = ScheduledReportFacts(
            report.name,
            report_id=report.report_id,
            query_id=report.query_id,
            question_sha256=requested_data(schedule.pull).sha256,
            lead_h=self.context.settings.standing_lead_hours if is_new else schedule.lead_h,
            own=is_new or schedule.is_own,
        )
        await self.context.note(self._dataset, facts)
        return True

    async def _make(self, schedule: ScheduleDecision) -> tuple[Report, ScheduleDecision]:
        """A scheduled report for today's query; for the one without metrics where the service refuses them."""
        made = schedule

        async def make(pull: Pull) -> Report:
            nonlocal made
            kept: Report | None = None
            if pull is not schedule.pull:
                # A report that was made after an earlier refusal stays in use.
                kept = next((report for report in schedule.replaced if serves(report, pull)), None)
                replaced = tuple(report for report in schedule.replaced if report is not kept)
                made = replace(schedule, pull=pull, serving=kept, replaced=replaced)
            return kept or await self.create_scheduled_report(pull)

        report, refusals = await self.context.or_without_metrics(schedule.pull, make)
        if made.replaced and made.replace_reason:
            self._add_notes(f"its scheduled report is replaced: {made.replace_reason}")
        if refusals:
            self._add_notes(*refusals)
            self._state = replace(self._state, pull=made.pull)
            pull = self.decision.pull if self.decision.execution else made.pull
            self.decision = replace(self.decision, pull=pull, schedule=made)
        return report, made

    async def create_scheduled_report(self, pull: Pull) -> Report:
        """Create the scheduled report of `pull`; a second call after a lost answer finds what the first one made."""
        context, name = self.context, scheduled_report_name(pull)
        await context.note(self._dataset, ScheduledReportFacts(name, query_digest=query_digest(pull.query_text)))

        async def create(query: Query) -> Report:
            now = context.client.service_time()
            return await context.client.create_report(
                ReportDefinition(
                    name=name,
                    query_id=query.query_id,
                    description=DESCRIPTION,
                    execute_now=False,
                    start_at=first_start(now, lead_h=context.settings.standing_lead_hours),
                    recurrence_h=recurrence_h(pull),
                )
            )

        try:
            report = await context.submitter.with_query(pull, create)
        except QuotaExceeded as refused:
            if refused.kind == "one_off" or not await self._delete_idle():
                raise
            report = await context.submitter.with_query(pull, create)
        start_at = report.start_at or context.client.service_time()
        context.events.emit(ReportCreated(report_id=report.report_id, start_at=iso_utc(start_at)))
        return report

    async def _delete_idle(self) -> bool:
        while self.idle:
            report_id = self.idle.pop().report_id
            with suppress(NotFound):
                await self.context.client.delete_report(report_id)
                self.context.events.emit(ReportDeleted(report_id=report_id))
                return True
        return False

    async def _delete_replaced(self, *, is_served: bool) -> None:
        schedule = self.decision.schedule
        if schedule is None or (self.context.request.submit_only and self.decision.execution is not None):
            return  # deleting the report would delete the execution that the resumed run collects (97, case N19)
        # Where its deletion makes room for the next one, it is tried again after a 429.
        delete = partial(self.context.delete_report, dataset=self._dataset, optional=is_served)
        async with anyio.create_task_group() as group:
            for report in schedule.replaced:
                group.start_soon(delete, report)
        if schedule.replaced and not is_served:
            await self._provide_schedule()  # the quota of active reports has room now


def _query_of(decision: Decision) -> str | None:
    """The id of the stored query behind the scheduled report whose execution is taken; `None` for any other."""
    execution, schedule = decision.execution, decision.schedule
    if execution is None or schedule is None:
        return None
    reports = [report for report in (schedule.serving, *schedule.replaced) if report is not None]
    return next((report.query_id for report in reports if report.report_id == execution.report_id), None)
