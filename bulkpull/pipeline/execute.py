"""
Executes the decision for one dataset.

First the data, then the scheduled report, so that the data of an unusable report are safe before it is deleted.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import anyio

from bulkpull.clock import iso_utc
from bulkpull.errors import BulkpullError, QuotaExceeded, RequestRejected, Unchanged
from bulkpull.event_types import ExecutionMissed, ReportAdopted, ReportLacking
from bulkpull.model import Pull, Report
from bulkpull.output.ledger import STANDING
from bulkpull.output.manifest import DatasetRecord
from bulkpull.pipeline.context import RunContext
from bulkpull.pipeline.dataset import DatasetExport
from bulkpull.pipeline.decide import Action, Decision, ScheduleDecision, order_if_due
from bulkpull.pipeline.metric_refusals import drop_metrics, may_be_due_to_metrics
from bulkpull.pipeline.naming import query_digest, standing_name
from bulkpull.pipeline.nightly.scheduled_reports import ScheduledReportMaker
from bulkpull.pipeline.outcome import record_query
from bulkpull.pipeline.report_memory import MISSED, UNCHANGED
from bulkpull.pipeline.scheduled_report import serves
from bulkpull.question import question_of


@dataclass(frozen=True, slots=True)
class DecisionExecutor:
    """
    Executes decisions.

    Args:
        only_new_data: Data that are published already make no new snapshot.
        reset_types: As in `DatasetExport`.
        submit: Orders the reports of an export for a later run to collect; `None` fetches the data now.
    """

    context: RunContext
    maker: ScheduledReportMaker
    only_new_data: bool = False
    reset_types: bool = False
    submit: Callable[[DatasetExport], Awaitable[None]] | None = None

    async def execute(self, decision: Decision, record: DatasetRecord) -> None:
        """
        Fetch what is new, and make sure that the next run finds a scheduled report.

        Raises:
            BulkpullError: The data could not be fetched. A missing scheduled report is only a note in the record.
            Unchanged: There is newer data, and it is the same.
        """
        record.notes += decision.notes
        record.decision = decision.as_record()
        if decision.due_at is not None:
            record.due_at = iso_utc(decision.due_at)
        if decision.missed is not None:
            report, due_at = decision.missed
            await self.context.note(record.dataset, MISSED, report_id=report.report_id, due_at=iso_utc(due_at))
            self.context.events.emit(ExecutionMissed(report_id=report.report_id, due_at=iso_utc(due_at)))
        schedule = decision.schedule
        if schedule is None:
            await self._fetch_data(decision, record)
            return
        decision, schedule, is_served = await self._provide_schedule(decision, schedule, record)
        if not is_served:  # order a one-off report
            decision = order_if_due(decision, now=self.context.clock.now())
            record.decision = decision.as_record()
        try:
            await self._fetch_data(decision, record)
        except Unchanged:
            await self._delete_replaced(decision, schedule, record, is_served=is_served)  # already published
            raise
        await self._delete_replaced(decision, schedule, record, is_served=is_served)

    async def _fetch_data(self, decision: Decision, record: DatasetRecord) -> None:
        if decision.action is Action.KEEP:
            record.status, record.reason = "skipped", decision.reason
            return
        execution = decision.execution
        if execution is not None and self.submit is not None:
            record.status = "skipped"
            record.reason = f"execution {execution.execution_id} is ready; `bulkpull runs resume` collects it"
            return
        record_query(record, decision.pull)
        record.query_id = _query_of(decision)
        export = DatasetExport(
            decision.pull,
            self.context,
            record,
            execution=execution,
            only_new_data=self.only_new_data,
            reset_types=self.reset_types,
        )
        if self.submit is not None:
            await self.submit(export)
            return
        await self._run_export(export)
        if execution is None:
            record.due_at = None  # the one-off report replaces it

    async def _run_export(self, export: DatasetExport) -> None:
        try:
            await export.run()
        except Unchanged as same:
            record, execution = export.record, export.execution
            if execution is not None and execution.generated_at is not None:
                record.generated_at = iso_utc(execution.generated_at)
            # The next run need not check it again.
            await self.context.note(
                record.dataset,
                UNCHANGED,
                execution_id=record.execution_id,
                generated_at=record.generated_at or iso_utc(self.context.clock.now()),
                question_sha256=question_of(export.pull).sha256,
            )
            record.due_at = None  # the data have arrived
            source = record.generated_at or "the latest execution"
            raise Unchanged(f"the data of {source} are already published", why=same.why) from same

    async def _provide_schedule(
        self, decision: Decision, schedule: ScheduleDecision, record: DatasetRecord
    ) -> tuple[Decision, ScheduleDecision, bool]:
        """Both decisions as they stand now, and whether a scheduled report serves this dataset from now on."""
        if not schedule.may_order:
            return decision, schedule, True
        report, is_new = schedule.serving, schedule.serving is None
        if report is not None:
            self.context.events.emit(ReportAdopted(report_id=report.report_id, standing=True))
        else:
            try:
                report, decision, schedule = await self._make(decision, schedule, record)
            except BulkpullError as error:
                record.notes.append(f"no scheduled report could be created, the next run tries again: {error.reason}")
                self.context.events.emit(ReportLacking(reason=error.message))
                if isinstance(error, QuotaExceeded) or decision.action is not Action.KEEP:
                    return decision, schedule, False
                raise
        await self.context.note(
            record.dataset,
            STANDING,
            report_id=report.report_id,
            name=report.name,
            query_id=report.query_id,
            question_sha256=question_of(schedule.pull).sha256,
            lead_h=self.maker.lead_h if is_new else schedule.lead_h,
            own=is_new or schedule.is_own,
        )
        return decision, schedule, True

    async def _make(
        self, decision: Decision, schedule: ScheduleDecision, record: DatasetRecord
    ) -> tuple[Report, Decision, ScheduleDecision]:
        """A scheduled report for today's query; for the one without metrics where the service refuses them."""
        asked = schedule.pull
        try:
            report = await self._order(asked, record)
        except BulkpullError as error:
            if not may_be_due_to_metrics(error, asked):
                raise
            refused = error
        else:
            _note_replaced(schedule, record)
            return report, decision, schedule
        used = drop_metrics(asked)
        kept = next((report for report in schedule.replaced if serves(report, used)), None)
        # A report that was made after an earlier refusal stays in use.
        replaced = tuple(report for report in schedule.replaced if report is not kept)
        schedule = replace(schedule, pull=used, replaced=replaced)
        try:
            report = kept or await self._order(used, record)
        except RequestRejected as error:
            if isinstance(error, QuotaExceeded):
                raise
            raise refused from None
        _note_replaced(schedule, record)
        await self.context.note_refused_metrics(asked, refused, used=used, record=record)
        return report, decision if decision.execution else replace(decision, pull=used), schedule

    async def _order(self, pull: Pull, record: DatasetRecord) -> Report:
        digest = query_digest(pull.query_text)
        await self.context.note(record.dataset, STANDING, name=standing_name(pull), query_digest=digest)
        return await self.maker.make(pull)

    async def _delete_replaced(
        self, decision: Decision, schedule: ScheduleDecision, record: DatasetRecord, *, is_served: bool
    ) -> None:
        if self.submit is not None and decision.execution is not None:
            return  # the execution that the resumed run collects would be gone with its report (97, case N19)
        async with anyio.create_task_group() as group:
            for report in schedule.replaced:
                group.start_soon(self.context.delete_report, report, record)
        if schedule.replaced and not is_served:
            await self._provide_schedule(decision, schedule, record)  # the quota of active reports has room now


def _note_replaced(schedule: ScheduleDecision, record: DatasetRecord) -> None:
    if schedule.replaced and schedule.replace_reason:
        record.notes.append(f"its scheduled report is replaced: {schedule.replace_reason}")


def _query_of(decision: Decision) -> str | None:
    """The id of the stored query behind the scheduled report whose execution is taken; `None` for any other."""
    execution, schedule = decision.execution, decision.schedule
    if execution is None or schedule is None:
        return None
    reports = [report for report in (schedule.serving, *schedule.replaced) if report is not None]
    return next((report.query_id for report in reports if report.report_id == execution.report_id), None)
