"""Exports all datasets of a run in one task group, and collects the outcomes; a failed dataset stops no other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import anyio
import anyio.to_thread

from bulkpull.catalog import load_catalog
from bulkpull.errors import BulkpullError, ConverterDied, DiskTrouble, HeldBack, LedgerError, RunOverdue
from bulkpull.event_types import PullFinished, ReportsUnused
from bulkpull.events import Level, about
from bulkpull.model import Pull
from bulkpull.observability.failures import SUBMITTED, status_for_people
from bulkpull.output.manifest import DatasetRecord, RunStatus
from bulkpull.pipeline.context import RunContext, UndeletedReport
from bulkpull.pipeline.nightly.decision import Action, Decision
from bulkpull.pipeline.nightly.execute import DecisionExecutor
from bulkpull.pipeline.nightly.scheduled_reports import ScheduledReportMaker
from bulkpull.pipeline.outcome import DatasetOutcome, dataset_record, failed_record, finish_records, with_notes
from bulkpull.pipeline.request import ExportRequest
from bulkpull.pipeline.run_cleanup import delete_outdated_queries, delete_unneeded_reports, limit_tidying
from bulkpull.pipeline.run_decisions import RunDecisions, unused_note

# After these errors the fetched data are good: the error was local, the time was over, or publishing was refused.
_DATA_ARE_GOOD = DiskTrouble | LedgerError | ConverterDied | RunOverdue | HeldBack


@dataclass(slots=True)
class RunResults:
    """
    Collects the outcomes of a run.

    Attributes:
        notes: About the run as a whole, each one sentence.
    """

    notes: list[str] = field(default_factory=list)
    undeleted: list[UndeletedReport] = field(default_factory=list)
    refused: Mapping[str, DiskTrouble] = field(default_factory=dict)
    _datasets: dict[str, DatasetOutcome | DatasetRecord] = field(default_factory=dict)

    def put(self, result: DatasetOutcome | DatasetRecord) -> None:
        """Set the outcome of a dataset; a record is final."""
        name = result.dataset if isinstance(result, DatasetRecord) else result.pull.dataset
        self._datasets[name] = result

    def record(self, dataset: str) -> DatasetRecord:
        """The manifest record of a dataset as it is now."""
        result = self._datasets[dataset]
        return result if isinstance(result, DatasetRecord) else dataset_record(result)

    def is_submitted(self, dataset: str) -> bool:
        """Whether the reports of a dataset were ordered for a later run to collect."""
        result = self._datasets[dataset]
        return isinstance(result, DatasetOutcome) and result.is_submitted

    def outcome(self, dataset: str) -> DatasetOutcome:
        """The outcome of a dataset that this run pulls."""
        result = self._datasets[dataset]
        assert isinstance(result, DatasetOutcome)
        return result

    def fail_all(self, error: BulkpullError, request: ExportRequest) -> None:
        """Fail every requested dataset, after an error before the first one was begun."""
        reads = {selection.name: selection.reads for selection in request.selections}
        for name in request.names:
            self.put(failed_record(name, error, source=reads.get(name), catalog=load_catalog()))

    def end_overdue(self, *, limit_s: float, request: ExportRequest) -> None:
        """Record the exceeded time limit for every unfinished dataset."""
        why = f"`run_timeout_seconds` ({limit_s:,.0f} s) is over"
        self.notes.append(f"the run ended because {why}; the same command resumes")
        if not self._datasets:
            self.fail_all(RunOverdue("the run had not created any report", why=why), request)
        for result in list(self._datasets.values()):
            if isinstance(result, DatasetOutcome) and result.is_pending:
                self.put(replace(result, error=RunOverdue("not finished", why=why)))

    @property
    def is_to_be_resumed(self) -> bool:
        """Whether a dataset failed whose fetched data are good."""
        return any(
            isinstance(self.record(dataset).error, _DATA_ARE_GOOD)
            for dataset in self._datasets
            if dataset not in self.refused
        )

    def finish(self) -> tuple[list[DatasetRecord], RunStatus]:
        """The records as they are when the run ends, and its status."""
        failed = [undeleted for undeleted in self.undeleted if undeleted.dataset is None]
        self.notes += [undeleted.note for undeleted in failed]
        return finish_records(
            with_notes(self.record(dataset), (lost.note for lost in self.undeleted if lost.dataset == dataset))
            for dataset in self._datasets
        )

    def count(self, records: list[DatasetRecord], *, interrupted: bool) -> dict[str, int]:
        """
        How many datasets ended with which status, as people read it.

        Those whose reports were only ordered are `submitted`; those that an interruption ended are `unfinished`.
        """
        return dict(
            Counter(
                SUBMITTED if self.is_submitted(record.dataset) else status_for_people(record, interrupted=interrupted)
                for record in records
            )
        )


_LEVELS = {"complete": Level.INFO, "skipped": Level.INFO, "unavailable": Level.WARNING}


async def run_datasets(
    pulls: Sequence[Pull],
    create_context: Callable[..., Awaitable[RunContext]],
    *,
    decided: RunDecisions,
    results: RunResults,
    conversions_ahead: int,
) -> None:
    """
    Execute the decisions for all pulls, and delete what is no longer needed on the service.

    Args:
        results: Has an outcome for each pull; gets the new one, also where the run is interrupted.
    """
    if any(decided.decisions[pull.dataset].action is not Action.SKIP for pull in pulls):
        await anyio.to_thread.run_sync(_load_export)
    async with anyio.create_task_group() as watching:
        async with anyio.create_task_group() as tidying:
            async with anyio.create_task_group() as working:
                context = await create_context(background=working, tidying=tidying)
                watching.start_soon(context.poller.run)
                if conversions_ahead:
                    from bulkpull.pipeline.steps.convert import warm_up  # noqa: PLC0415 - as in `_load_export`

                    # One for all small files: another costs half a second of processor time and is left to large files.
                    watching.start_soon(partial(warm_up, context.conversions, most=1))
                maker = ScheduledReportMaker(
                    client=context.client,
                    submitter=context.submitter,
                    events=context.events,
                    lead_h=context.settings.standing_lead_hours,
                    idle=[report for _, report in decided.unused],
                )
                for pull in pulls:
                    decision = decided.decisions[pull.dataset]
                    working.start_soon(partial(_run_dataset, decision, context, maker, results=results))
                delete_unneeded_reports(context, decided.found.done, orphans=decided.found.orphans)
                if decided.unused:
                    context.events.emit(ReportsUnused(reports=[report.report_id for _, report in decided.unused]))
                    results.notes.append(unused_note(decided.unused))
                if not context.request.submit_only:
                    tidying.start_soon(delete_outdated_queries, context, {pull.dataset for pull in pulls})
            limit_tidying(context, watching)
        watching.cancel_scope.cancel()


def _load_export() -> None:
    """Load the modules that fetch and convert: a tenth of a second that a run without new data saves, in a thread."""
    import bulkpull.pipeline.dataset  # noqa: F401, PLC0415 - see above


async def _run_dataset(
    decision: Decision, context: RunContext, maker: ScheduledReportMaker, *, results: RunResults
) -> None:
    """Export one dataset; an error becomes part of its outcome and is not raised."""
    dataset = decision.pull.dataset
    error: Exception | None = None
    executor = DecisionExecutor(decision, results.outcome(dataset), context, maker)
    with about(dataset):
        try:
            if (refused := results.refused.get(dataset)) is not None:
                raise refused
            await executor.execute()
        except Exception as caught:  # noqa: BLE001 - a fault in one dataset, also one of ours, must not harm others
            error = caught
        finally:  # also when the run is interrupted
            results.put(replace(executor.outcome, error=error))
        record = results.record(dataset)
        level = _LEVELS.get(record.status, Level.ERROR)
        context.events.emit(PullFinished(level=level, status=record.status, rows=record.rows, reason=record.reason))
