"""What the pulls of a run share, and the end of its work in the background."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import TypeVar

import anyio
from anyio.abc import TaskGroup

from bulkpull.clock import Clock
from bulkpull.errors import BulkpullError, ExecutionFailed, NotFound, QuotaExceeded, RequestRejected, TooManyReports
from bulkpull.event_types import MetricsRefused, ReportDeleted
from bulkpull.events import about
from bulkpull.insights.client import InsightsClient
from bulkpull.insights.connect import Connection
from bulkpull.model import Pull, Report
from bulkpull.output.ledger_facts import ReportFacts, StepFacts
from bulkpull.pipeline.earlier_work import ReusableWork
from bulkpull.pipeline.open_run import OpenedRun
from bulkpull.pipeline.outcome import UndeletedReport
from bulkpull.pipeline.plan_estimate import load_usual_durations
from bulkpull.pipeline.publication.publish import Publisher
from bulkpull.pipeline.steps.execution_lookup import ExecutionLookup, load_form, remember_form
from bulkpull.pipeline.steps.metric_refusals import (
    describe_refusal,
    drop_metrics,
    may_be_due_to_metrics,
    metric_refusal,
)
from bulkpull.pipeline.steps.poll import Poller
from bulkpull.pipeline.steps.poll_rules import PollSchedule
from bulkpull.pipeline.steps.report_limits import UNLEARNT, OneOffQuota, ReportsInFlight
from bulkpull.pipeline.steps.submit import StoredQueries, Submitter
from bulkpull.transport.http import Http
from bulkpull.transport.retry import Retrier

# How long deletions may go on once all datasets are done.
_TIDYING_S = 10.0
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext(OpenedRun):
    """
    A run at work: the services and state that all its pulls share.

    Attributes:
        published_anyway: Datasets to publish without the checks of `check_publishable`; `None` for all.
        usual_s: How long reports took in earlier runs, by dataset, seconds.
        undeleted: Reports that could not be deleted, for the notes of the manifest.
        watching: Work that the end of the run ends.
        background: Work that goes on after a pull has ended; the run waits for it.
        tidying: Deletions that nothing waits for; those that are not done at the end are left to the next run.
    """

    client: InsightsClient
    http: Http
    retrier: Retrier
    reusable: ReusableWork
    submitter: Submitter
    poller: Poller
    publisher: Publisher
    usual_s: Mapping[str, float]
    downloads: anyio.CapacityLimiter
    conversions: anyio.CapacityLimiter
    published_anyway: Collection[str] | None
    undeleted: list[UndeletedReport]
    watching: TaskGroup
    background: TaskGroup
    tidying: TaskGroup
    large_conversion: anyio.Lock = field(default_factory=anyio.Lock)
    _created: Counter[str] = field(default_factory=Counter)

    def require_reports(self, dataset: str, number: int) -> None:
        """Refuse an export that needs more reports than it may create, before the first one."""
        most = self.settings.reports_per_dataset
        if number > most:
            raise TooManyReports(
                f"{dataset}: its windows need {number:,} reports, and `reports_per_dataset` allows {most:,}",
                fix="give a later --since, or allow more by `reports_per_dataset` (or --yes); no report was created",
            )

    def count_report(self, dataset: str) -> None:
        """Count a report that is about to be created: windows, halves and repeats together; refuse one too many."""
        if self._created[dataset] >= self.settings.reports_per_dataset:
            many = f"{self._created[dataset]:,}"
            raise TooManyReports(f"{dataset}: {many} reports were created, as many as `reports_per_dataset` allows")
        self._created[dataset] += 1

    async def note(self, dataset: str, facts: StepFacts) -> None:
        """Write the outcome of a step into the ledger, before the next one begins."""
        await self.ledger.note(self.run_id, dataset=dataset, facts=facts, at=self.clock.now())

    async def or_without_metrics(self, pull: Pull, work: Callable[[Pull], Awaitable[T]]) -> tuple[T, list[str]]:
        """
        Do `work`; repeat it without the metrics if the service may have refused the query because of them.

        Where the query without metrics is refused as well, the first refusal is raised; else log, ledger and the
        returned notes for the manifest name it.
        """
        try:
            return await work(pull), []
        except BulkpullError as error:
            if not may_be_due_to_metrics(error, pull):
                raise
            refused = error
        try:
            done = await work(drop_metrics(pull))
        except (RequestRejected, ExecutionFailed) as error:
            if isinstance(error, QuotaExceeded):
                raise
            raise refused from None
        refusal = metric_refusal(pull, refused, at=self.clock.now())
        self.events.emit(MetricsRefused(metrics=list(refusal.facts.metrics), reason=refusal.facts.reason))
        await self.note(pull.dataset, refusal.facts)
        return done, [describe_refusal(refusal)]

    def discard_report(self, report: Report, *, dataset: str | None) -> None:
        """Delete a report that is not needed any more, in the background; a failure has no effect (fault 100)."""
        if not self.settings.keep_reports:
            self.tidying.start_soon(partial(self.delete_report, report, dataset=dataset, tidying=True))

    async def withdraw_report(self, report: Report, *, dataset: str) -> None:
        """Delete a report that has failed, before another one is created for the same pull."""
        if not self.settings.keep_reports:
            await self.delete_report(report, dataset=dataset)

    async def delete_report(
        self, report: Report, *, dataset: str | None, optional: bool = True, tidying: bool = False
    ) -> None:
        """
        Delete a report of ours; a failure becomes a note in the manifest, and the next run tries again.

        A 429 to an `optional` deletion delays no other call; nothing waits for one while `tidying`.
        """
        with about(dataset or ""):
            try:
                await self.client.delete_report(report.report_id, optional=optional, tidying=tidying)
            except NotFound:
                pass  # deleted already
            except BulkpullError as error:
                note = f"report {report.report_id} could not be deleted: {error.message}"
                self.undeleted.append(UndeletedReport(dataset, note))
            else:
                self.events.emit(ReportDeleted(report_id=report.report_id))


@asynccontextmanager
async def run_context(
    run: OpenedRun,
    connection: Connection,
    *,
    publisher: Publisher,
    conversions: int,
    reusable: ReusableWork,
    random: Callable[[], float],
    published_anyway: Collection[str] | None,
    undeleted: list[UndeletedReport],
) -> AsyncIterator[RunContext]:
    """
    The context of a run, with what earlier runs noted of the quota and of polling.

    At the end it waits for the work that was begun within the block, and a limited time for deletions.
    """
    client, settings, events, clock = connection.client, run.settings, run.events, run.clock
    in_flight = ReportsInFlight(events, limit=settings.reports_in_flight or UNLEARNT)
    window_s, now, now_s = settings.one_off_quota_window_seconds, clock.now(), clock.monotonic()
    made = await run.ledger.moments(ReportFacts, since=now - timedelta(seconds=window_s))
    created_at = [now_s - (now - moment).total_seconds() for moment in made]

    def count_retry() -> None:
        connection.http.counts.retried += 1

    submitter = Submitter(
        client=client,
        queries=StoredQueries(client, clock, events),
        quota=OneOffQuota(window_s, clock=clock, events=events, created_at=created_at),
        clock=clock,
        events=events,
        run_id=run.run_id,
        in_flight=in_flight,
        weights={name: snapshot.rows for name, snapshot in run.folder.current.datasets.items()},
    )
    poller = Poller(
        client=client,
        lookup=ExecutionLookup(
            client,
            events=events,
            form=await load_form(run.ledger, now=now),
            remember=partial(remember_form, ledger=run.ledger, run_id=run.run_id, clock=clock),
        ),
        clock=clock,
        events=events,
        schedule=PollSchedule(
            initial_s=settings.poll_initial_seconds,
            longest_s=settings.poll_max_seconds,
            deadline_s=settings.report_timeout_seconds,
        ),
        spacing_s=lambda: client.pacer.look_spacing_s,
        random=random,
        on_queued=in_flight.queued,
        on_retry=count_retry,
    )
    usual_s = await load_usual_durations(run.ledger, now=now)
    async with anyio.create_task_group() as watching:
        watching.start_soon(poller.run)
        async with anyio.create_task_group() as tidying:
            async with anyio.create_task_group() as working:
                yield RunContext(
                    run_id=run.run_id,
                    request=run.request,
                    started_at=run.started_at,
                    earlier=run.earlier,
                    folder=run.folder,
                    ledger=run.ledger,
                    settings=settings,
                    events=events,
                    clock=clock,
                    notes=run.notes,
                    client=client,
                    http=connection.http,
                    retrier=connection.retrier,
                    reusable=reusable,
                    submitter=submitter,
                    poller=poller,
                    publisher=publisher,
                    usual_s=usual_s,
                    downloads=anyio.CapacityLimiter(settings.parallel_downloads),
                    conversions=anyio.CapacityLimiter(conversions),
                    published_anyway=published_anyway,
                    undeleted=undeleted,
                    watching=watching,
                    background=working,
                    tidying=tidying,
                )
            if client.pacer.has_plenty:
                submitter.queries.settled.set()
                watching.start_soon(_cut_off, tidying, clock)
            else:  # few calls are left
                tidying.cancel_scope.cancel()
        watching.cancel_scope.cancel()


async def _cut_off(tidying: TaskGroup, clock: Clock) -> None:
    await clock.sleep(_TIDYING_S)
    tidying.cancel_scope.cancel()
