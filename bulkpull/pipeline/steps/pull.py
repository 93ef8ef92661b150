"""
Runs one pull, one dataset over one window, from the service to a converted file, with the retries of each step.

    submit ── poll ── download ── convert
      ▲        ▲         ▲           │
      │        │         └── damaged: fetched once more (`fetch_execution`)
      │        └── link expired: read the execution again
      └── failed, overdue or gone: a new report, `report_attempts` times in all
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

import anyio
import anyio.to_thread

from bulkpull.errors import ExecutionFailed, ExecutionOverdue, FileDamaged, FileGone, ReportLost, Step
from bulkpull.event_types import CallRetried, ReportAdopted
from bulkpull.model import Execution, Report
from bulkpull.output.ledger_facts import ExecutionFacts, ReportFacts
from bulkpull.pipeline.outcome import ServiceIds
from bulkpull.pipeline.report_deletion import may_delete_report
from bulkpull.pipeline.steps.converted_pull import ConvertedPull, files_exist, is_stored, restore_part
from bulkpull.pipeline.steps.fetch_execution import convert_stored, fetch_execution
from bulkpull.pipeline.steps.metric_refusals import may_be_due_to_metrics
from bulkpull.pipeline.steps.pull_context import PullContext

# Errors that a new report may fix.
_WORTH_A_NEW_REPORT = (ExecutionFailed, ExecutionOverdue, ReportLost, FileGone)


@dataclass(slots=True)
class PullRunner:
    """Runs one pull, and shows how far it has got, also where it failed; the caller deletes the `created` reports."""

    context: PullContext
    execution: Execution | None = None
    known_md5: str | None = None
    created: list[Report] = field(default_factory=list, init=False)
    ids: ServiceIds = field(default=ServiceIds(), init=False)
    data_redacted: bool = field(default=False, init=False)
    _created_s: float = field(default=0.0, init=False)

    async def run(self, *, attempts: int, check_may_create: Callable[[], None]) -> ConvertedPull:
        """
        Fetch and convert the pull's data; `check_may_create` is called before a report is created; it may raise.

        Raises:
            BulkpullError: The first error that no retry could fix.
            Unchanged: The file of `execution` is the one with `known_md5`.
        """
        if self.execution is not None:
            self._reached(self.execution)
            part = await self._reuse(self.execution.report_id, execution_id=self.execution.execution_id)
            return part or await fetch_execution(self.context, self.execution, report=None, known_md5=self.known_md5)
        if (part := await self._reuse_kept_window()) is not None:
            return part
        pull, run = self.context.pull, self.context.run
        rank = -pull.window.start.timestamp() if pull.window else 0.0  # the newest window of a dataset goes first
        for attempt in range(1, attempts + 1):
            report = None
            is_created = run.reusable.has_report(self.context.fingerprint)
            try:
                async with run.submitter.in_flight.place(pull.dataset, rank=rank, is_created=is_created) as place:
                    check_may_create()
                    report = await self.submit(attempt)
                    place.is_created = True
                    if (part := await self._reuse(report.report_id, report=report)) is not None:
                        return part
                    execution = await self._poll(report, may_be_replaced=attempt < attempts)
                return await fetch_execution(self.context, execution, report=report, known_md5=self.known_md5)
            except _WORTH_A_NEW_REPORT as error:
                if report is None:
                    raise
                if may_delete_report(error):
                    self.created.remove(report)
                    await run.withdraw_report(report, dataset=pull.dataset)
                if attempt == attempts or may_be_due_to_metrics(error, pull):
                    raise
                run.events.emit(CallRetried(endpoint="ScheduledReport", attempt=attempt, reason=error.message))
        raise AssertionError("the last round returns or raises")

    async def submit(self, attempt: int = 1) -> Report:
        """Make sure that the service has a report for the pull: use the existing one, or create one."""
        context, run = self.context, self.context.run
        reused = report = run.reusable.take_report(context.fingerprint)
        self._created_s = run.clock.monotonic()
        if report is not None:
            run.events.emit(ReportAdopted(report_id=report.report_id))
            now = run.client.service_time()
            self._created_s -= max(0.0, (now - (report.created_at or now)).total_seconds())
        else:
            run.count_report(context.pull.dataset)
            with context.step(Step.SUBMIT):
                report = await run.submitter.submit_report(context.pull, attempt=attempt)
            self._created_s = run.clock.monotonic()
        self.created.append(report)
        self.ids = replace(self.ids, query_id=report.query_id, report_id=report.report_id)
        if reused is None:
            with anyio.CancelScope(shield=True):  # a created report is always in the ledger
                await context.note(ReportFacts(report.report_id, report.query_id, report.name, report.created_at))
        return report

    def _reached(self, execution: Execution) -> None:
        self.ids = replace(self.ids, report_id=execution.report_id, execution_id=execution.execution_id)
        self.data_redacted = self.data_redacted or execution.data_redacted

    async def _reuse_kept_window(self) -> ConvertedPull | None:
        """The file of this window that an earlier run fetched, if it is complete; then no report is created."""
        fingerprint, reusable = self.context.fingerprint, self.context.run.reusable
        if self.context.pull.window is None or fingerprint not in reusable.converted:
            return None
        report = reusable.take_report(fingerprint)
        part = await self._reuse(report=report)
        if part is not None and part.report is not None:
            self.created.append(part.report)
        elif report is not None:
            reusable.return_report(fingerprint, report)
        return part

    async def _reuse(
        self, report_id: str | None = None, *, report: Report | None = None, execution_id: str | None = None
    ) -> ConvertedPull | None:
        """
        The finished file for this report or window, if it is complete.

        If it was converted for other columns or bounds, the downloaded file is converted again.
        """
        context, private = self.context, self.context.run.folder.private
        facts = context.run.reusable.converted.pop(context.fingerprint, None)
        if facts is None or report_id not in (None, facts.report_id):
            return None
        if execution_id not in (None, facts.execution_id):
            return None
        part = restore_part(facts, pull=context.pull, report=report)
        is_as_requested = (facts.columns, facts.bounds) == (tuple(context.columns), context.bounds)
        if is_as_requested and await anyio.to_thread.run_sync(files_exist, part, private):
            self._reached(part.execution)
            return part
        if context.pull.window is not None and await anyio.to_thread.run_sync(is_stored, part, private):
            with suppress(FileDamaged):
                part = await convert_stored(context, part.stored, part.execution, report=part.report)
                self._reached(part.execution)
                return part
        return None

    async def _poll(self, report: Report, *, may_be_replaced: bool) -> Execution:
        run = self.context.run
        with self.context.step(Step.POLL):
            execution = await run.poller.wait_for_completion(
                report,
                age_s=run.clock.monotonic() - self._created_s,
                usual_s=run.usual_s.get(self.context.pull.dataset),
                may_be_replaced=may_be_replaced,
            )
        self._reached(execution)
        await self.context.note(ExecutionFacts.of(execution, report_id=report.report_id))
        return execution
