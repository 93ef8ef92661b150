"""
Night shift: one dataset of a night, done as `night` decided it.

Its data first, then its standing report: what a standing report of no use still holds is safe before it is deleted.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio

from bulkpull.clock import iso_utc
from bulkpull.errors import BulkpullError, QuotaExceeded, RequestRejected, Unchanged
from bulkpull.model import Pull, Report
from bulkpull.output.ledger import STANDING
from bulkpull.output.manifest import DatasetRecord
from bulkpull.pipeline.context import RunContext
from bulkpull.pipeline.dataset import DatasetExport
from bulkpull.pipeline.metric_refusals import drop_metrics, may_be_due_to_metrics
from bulkpull.pipeline.naming import standing_name
from bulkpull.pipeline.nightly.decide import NightlyDecision, asks_otherwise, is_due, refresh_days_of, serves
from bulkpull.pipeline.nightly.scheduled_reports import UNCHANGED, Standing
from bulkpull.pipeline.outcome import record_query
from bulkpull.pipeline.report_memory import MISSED
from bulkpull.question import question_of


@dataclass(frozen=True, slots=True)
class NightlyExecutor:
    """
    Does the work of a night.

    Args:
        submit: Orders the reports of an assembly and leaves them to a later process; `None` brings the data now.
    """

    tools: RunContext
    standing: Standing
    submit: Callable[[DatasetExport], Awaitable[None]] | None = None

    async def work(self, night: NightlyDecision, record: DatasetRecord) -> None:
        """
        Bring what is new, and see to it that the next night finds something.

        Raises:
            BulkpullError: The data could not be brought. That there is no standing report is a note in the record.
            Unchanged: There is newer data, and it is the same.
        """
        record.notes += night.notes
        if night.due_at is not None:
            record.due_at = iso_utc(night.due_at)
        if night.missed is not None:
            report, due_at = night.missed
            await self.tools.note(record.dataset, MISSED, report_id=report.report_id, due_at=iso_utc(due_at))
            self.tools.events.warn("execution.missed", report_id=report.report_id, due_at=iso_utc(due_at))
        if not await self._stand(night, record) and night.reason:
            # Nothing runs for this dataset on the service: a one-off report has to do, as often as the data change.
            refresh_days = refresh_days_of(night.today)
            night.ask = is_due(night.seen_at, refresh_days=refresh_days, now=self.tools.clock.now())
        try:
            await self._bring(night, record)
        except Unchanged:
            await self._retire(night, record)  # its file was fetched, and is not wanted
            raise
        await self._retire(night, record)

    async def _bring(self, night: NightlyDecision, record: DatasetRecord) -> None:
        if night.execution is not None:
            if self.submit is not None:
                record.status = "skipped"
                record.reason = f"execution {night.execution.execution_id} is ready; `bulkpull runs resume` collects it"
                return
            record_query(record, night.pull)
            await self._travel(DatasetExport(night.pull, self.tools, record, execution=night.execution, only_news=True))
        elif night.ask:
            published = self.tools.published.get(record.dataset)
            is_another = published is not None and asks_otherwise(night.pull, published)
            assembly = DatasetExport(night.pull, self.tools, record, only_news=not is_another)
            if self.submit is not None:
                await self.submit(assembly)
                return
            await self._travel(assembly)
            record.due_at = None  # it is made good
        else:
            record.status, record.reason = "skipped", night.reason

    async def _travel(self, assembly: DatasetExport) -> None:
        try:
            await assembly.run()
        except Unchanged as same:
            record, execution = assembly.record, assembly.execution
            if execution is not None and execution.generated_at is not None:
                record.generated_at = iso_utc(execution.generated_at)
            # The next night need not look at it again.
            seen_at = record.generated_at or iso_utc(self.tools.clock.now())
            await self.tools.note(record.dataset, UNCHANGED, execution_id=record.execution_id, generated_at=seen_at)
            record.due_at = None  # it has come, by whatever way
            data_time = record.generated_at or "the latest execution"
            raise Unchanged(f"the data of {data_time} are those that are published already", why=same.why) from same

    async def _stand(self, night: NightlyDecision, record: DatasetRecord) -> bool:
        """Whether a standing report serves this dataset from now on."""
        report, night.served = night.standing, True
        if not night.may_order:
            return True
        if report is not None:
            self.tools.events.emit("report.adopted", report_id=report.report_id, standing=True)
        else:
            try:
                report = await self._make(night, record)
            except BulkpullError as error:
                record.notes.append(f"no standing report could be made, the next night tries again: {error.reason}")
                self.tools.events.warn("report.lacking", reason=error.message)
                night.served = False
                if isinstance(error, QuotaExceeded) or night.ask or night.execution is not None:
                    return False
                raise
        await self.tools.note(
            record.dataset,
            STANDING,
            report_id=report.report_id,
            name=report.name,
            query_id=report.query_id,
            question_sha256=question_of(night.today).sha256,
            lead_h=self.standing.lead_h if night.standing is None else night.lead_h,
            own=night.standing is None or night.is_ours,
        )
        return True

    async def _make(self, night: NightlyDecision, record: DatasetRecord) -> Report:
        """A standing report for tonight's query; for the one without metrics where the service refuses them."""
        try:
            report = await self._order(night.today, record)
        except BulkpullError as error:
            if not may_be_due_to_metrics(error, night.today):
                raise
            asked, refused = night.today, error
        else:
            _tell_replaced(night, record)
            return report
        used = drop_metrics(asked)
        kept = next((each for each in night.replaced if serves(each, used)), None)
        if kept is not None:
            night.replaced.remove(kept)  # it was made after an earlier refusal, and serves on
        try:
            report = kept or await self._order(used, record)
        except RequestRejected as error:
            if isinstance(error, QuotaExceeded):
                raise
            raise refused from None
        _tell_replaced(night, record)
        if night.execution is None:
            night.pull = used
        night.today = used
        await self.tools.note_refused_metrics(asked, refused, used=used, record=record)
        return report

    async def _order(self, pull: Pull, record: DatasetRecord) -> Report:
        await self.tools.note(record.dataset, STANDING, name=standing_name(pull))
        return await self.standing.make(pull)

    async def _retire(self, night: NightlyDecision, record: DatasetRecord) -> None:
        async with anyio.create_task_group() as group:
            for report in night.replaced:
                group.start_soon(self.tools.delete_report, report, record)
        if night.replaced and not night.served:
            await self._stand(night, record)  # the quota of active reports has room for it now


def _tell_replaced(night: NightlyDecision, record: DatasetRecord) -> None:
    if night.replaced and night.why_replaced:
        record.notes.append(f"its standing report is replaced: {night.why_replaced}")
