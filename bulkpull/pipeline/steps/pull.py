"""
Runs one pull, one dataset over one window, from the service to a converted file, with the retries of each step.

    submit ── poll ── download ── convert
      ▲        ▲         ▲           │
      │        │         └── damaged: fetched once more (`fetch_execution`)
      │        └── link expired: read the execution again
      └── failed, overdue or gone: a new report, `report_attempts` times in all

`dataset` combines it with the other windows of its dataset.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field, replace

import anyio
import anyio.to_thread

from bulkpull.errors import ExecutionFailed, ExecutionOverdue, FileDamaged, FileGone, ReportLost, Step
from bulkpull.event_types import CallRetried, ReportAdopted
from bulkpull.model import Execution, Report
from bulkpull.output.ledger_facts import ExecutionFacts, ReportFacts
from bulkpull.pipeline.context import RunContext
from bulkpull.pipeline.nightly.report_deletion import may_delete_report
from bulkpull.pipeline.outcome import ServiceIds
from bulkpull.pipeline.steps.converted_pull import (
    ConvertedPull,
    KeptPart,
    files_exist,
    is_stored,
    restore_part,
)
from bulkpull.pipeline.steps.fetch_execution import convert_stored, fetch_execution
from bulkpull.pipeline.steps.in_flight import Place
from bulkpull.pipeline.steps.metric_refusals import may_be_due_to_metrics
from bulkpull.pipeline.steps.pull_context import PullContext

# Errors that a new report may fix.
_WORTH_A_NEW_REPORT = (ExecutionFailed, ExecutionOverdue, ReportLost, FileGone)


@dataclass(frozen=True, slots=True)
class PullProgress:
    """
    How far a pull has got.

    Attributes:
        ordered: Every report of ours that is in use; the caller deletes them.
    """

    ordered: tuple[Report, ...] = ()
    ids: ServiceIds = field(default_factory=ServiceIds)
    data_redacted: bool = False


@dataclass(slots=True)
class PullRunner:
    """
    Runs one pull.

    Attributes:
        progress: How far the pull has got; also where it failed or was interrupted.
    """

    context: PullContext
    execution: Execution | None = None
    known_md5: str | None = None
    progress: PullProgress = field(default_factory=PullProgress)
    _ordered_s: float = field(default=0.0, init=False)

    async def run(self, *, attempts: int, may_order: Callable[[], None] = lambda: None) -> ConvertedPull:
        """
        Fetch and convert the pull's data.

        Args:
            attempts: How often its report may be ordered.
            may_order: Called before a report is ordered; its errors are passed on.

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
        for attempt in range(1, attempts + 1):
            report = None
            try:
                async with self._place() as place:
                    may_order()
                    report = await self.submit(attempt)
                    place.is_ordered = True
                    if (part := await self._reuse(report.report_id, report=report)) is not None:
                        return part
                    execution = await self._poll(report, may_be_replaced=attempt < attempts)
                return await fetch_execution(self.context, execution, report=report, known_md5=self.known_md5)
            except _WORTH_A_NEW_REPORT as error:
                if report is None:
                    raise
                if may_delete_report(error):
                    self._ordered(*(other for other in self.progress.ordered if other is not report))
                    await self._run.withdraw_report(report, dataset=self.context.pull.dataset)
                if attempt == attempts or may_be_due_to_metrics(error, self.context.pull):
                    raise
                self._run.events.emit(CallRetried(endpoint="ScheduledReport", attempt=attempt, reason=error.message))
        raise AssertionError("the last round returns or raises")

    async def submit(self, attempt: int = 1) -> Report:
        """Make sure that the service has a report for the pull: use the existing one, or create one."""
        context, run = self.context, self._run
        report = run.reusable.take_report(context.fingerprint)
        if report is not None:
            run.events.emit(ReportAdopted(report_id=report.report_id))
            now = run.client.service_time()
            age_s = max(0.0, (now - (report.created_at or now)).total_seconds())
            self._ordered_s = run.clock.monotonic() - age_s
            self._ordered(*self.progress.ordered, report)
        else:
            run.count_report(context.pull.dataset)
            with context.step(Step.SUBMIT):
                report = await run.submitter.submit_report(context.pull, attempt=attempt)
            self._ordered_s = run.clock.monotonic()
            self._ordered(*self.progress.ordered, report)
            with anyio.CancelScope(shield=True):  # a created report is always in the ledger
                await context.note(ReportFacts(report.report_id, report.query_id, report.name, report.created_at))
        ids = replace(self.progress.ids, query_id=report.query_id, report_id=report.report_id)
        self.progress = replace(self.progress, ids=ids)
        return report

    @property
    def _run(self) -> RunContext:
        return self.context.run

    def _ordered(self, *reports: Report) -> None:
        self.progress = replace(self.progress, ordered=reports)

    def _reached(self, execution: Execution) -> None:
        ids = replace(self.progress.ids, report_id=execution.report_id, execution_id=execution.execution_id)
        is_redacted = self.progress.data_redacted or execution.data_redacted
        self.progress = replace(self.progress, ids=ids, data_redacted=is_redacted)

    def _place(self) -> AbstractAsyncContextManager[Place]:
        """A slot among the reports in flight; the newest window of a dataset goes first."""
        pull, run = self.context.pull, self._run
        rank = -pull.window.start.timestamp() if pull.window else 0.0
        return run.in_flight.place(
            pull.dataset, rank=rank, is_ordered=run.reusable.has_report(self.context.fingerprint)
        )

    async def _reuse_kept_window(self) -> ConvertedPull | None:
        """The file of this window that an earlier run fetched, if it is complete; then nothing is ordered."""
        fingerprint, reusable = self.context.fingerprint, self._run.reusable
        if self.context.pull.window is None or fingerprint not in reusable.converted:
            return None
        report = reusable.take_report(fingerprint)
        part = await self._reuse(report=report)
        if part is not None and part.report is not None:
            self._ordered(*self.progress.ordered, part.report)
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
        context = self.context
        facts = self._run.reusable.converted.pop(context.fingerprint, None)
        if facts is None:
            return None
        kept = restore_part(facts, pull=context.pull, report=report, columns=context.columns, bounds=context.bounds)
        if report_id not in (None, kept.part.execution.report_id):
            return None
        if execution_id not in (None, kept.part.execution.execution_id):
            return None
        part = await self._converted_as_requested(kept)
        if part is not None:
            self._reached(part.execution)
        return part

    async def _converted_as_requested(self, kept: KeptPart) -> ConvertedPull | None:
        part, private = kept.part, self._run.folder.private
        if kept.is_as_requested and await anyio.to_thread.run_sync(files_exist, part, private):
            return part
        if self.context.pull.window is not None and await anyio.to_thread.run_sync(is_stored, part, private):
            with suppress(FileDamaged):
                return await convert_stored(self.context, part.stored, part.execution, report=part.report)
        return None

    async def _poll(self, report: Report, *, may_be_replaced: bool) -> Execution:
        with self.context.step(Step.POLL):
            execution = await self._run.poller.wait_for_completion(
                report,
                age_s=self._run.clock.monotonic() - self._ordered_s,
                usual_s=self._run.usual_s.get(self.context.pull.dataset),
                may_be_replaced=may_be_replaced,
            )
        self._reached(execution)
        await self.context.note(ExecutionFacts.of(execution, report_id=report.report_id))
        return execution
