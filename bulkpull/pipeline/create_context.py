"""Creates the context of a run from its settings, connection and output folder."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import timedelta

import anyio
from anyio.abc import TaskGroup

from bulkpull.catalog import load_catalog
from bulkpull.insights.connect import Connection
from bulkpull.output.ledger_facts import ReportFacts
from bulkpull.pipeline.context import RunContext, UndeletedReport
from bulkpull.pipeline.open_run import OpenedRun
from bulkpull.pipeline.publication.publish import Publisher
from bulkpull.pipeline.reusable_work import Reusable
from bulkpull.pipeline.steps.execution_lookup import ExecutionLookup, form_recorder, load_form
from bulkpull.pipeline.steps.in_flight import UNLEARNT, ReportsInFlight
from bulkpull.pipeline.steps.poll import Poller
from bulkpull.pipeline.steps.poll_rules import PollSchedule
from bulkpull.pipeline.steps.report_quota import OneOffQuota
from bulkpull.pipeline.steps.stored_queries import StoredQueries
from bulkpull.pipeline.steps.submit import Submitter


async def create_context(
    run: OpenedRun,
    connection: Connection,
    *,
    publisher: Publisher,
    conversions: int,
    reusable: Reusable,
    usual_s: Mapping[str, float],
    random: Callable[[], float],
    published_anyway: Collection[str] | None,
    undeleted: list[UndeletedReport],
    background: TaskGroup,
    tidying: TaskGroup,
) -> RunContext:
    settings, events, clock, folder = run.settings, run.events, run.clock, run.folder
    in_flight = ReportsInFlight(events, limit=settings.reports_in_flight or UNLEARNT)
    return RunContext(
        client=connection.client,
        http=connection.http,
        retrier=connection.retrier,
        clock=clock,
        events=events,
        settings=settings,
        request=run.request,
        catalog=load_catalog(),
        ledger=run.ledger,
        folder=folder,
        run_id=run.run_id,
        reusable=reusable,
        submitter=Submitter(
            client=connection.client,
            queries=StoredQueries(connection.client, clock, events),
            quota=await _quota(run),
            clock=clock,
            events=events,
            run_id=run.run_id,
            in_flight=in_flight,
            weights={name: snapshot.rows for name, snapshot in folder.current.datasets.items()},
        ),
        poller=await _poller(run, connection, random=random, on_queued=in_flight.queued),
        publisher=publisher,
        background=background,
        tidying=tidying,
        usual_s=usual_s,
        in_flight=in_flight,
        downloads=anyio.CapacityLimiter(settings.parallel_downloads),
        conversions=anyio.CapacityLimiter(conversions),
        published_anyway=published_anyway,
        undeleted=undeleted,
    )


async def _quota(run: OpenedRun) -> OneOffQuota:
    """The quota of one-off reports, with the reports that earlier runs created within its window."""
    window_s, now, now_s = run.settings.one_off_quota_window_seconds, run.clock.now(), run.clock.monotonic()
    made = await run.ledger.moments(ReportFacts, since=now - timedelta(seconds=window_s))
    created_at = [now_s - (now - moment).total_seconds() for moment in made]
    return OneOffQuota(window_s, clock=run.clock, events=run.events, created_at=created_at)


async def _poller(
    run: OpenedRun, connection: Connection, *, random: Callable[[], float], on_queued: Callable[[int], None]
) -> Poller:
    """The poller, with the form of look-up that earlier runs fell back to."""
    lookup = ExecutionLookup(
        connection.client,
        events=run.events,
        form=await load_form(run.ledger, now=run.clock.now()),
        remember=form_recorder(run.ledger, run_id=run.run_id, clock=run.clock),
    )

    def count_retry() -> None:
        connection.http.tally.retried += 1

    return Poller(
        client=connection.client,
        lookup=lookup,
        clock=run.clock,
        events=run.events,
        schedule=PollSchedule(
            initial_s=run.settings.poll_initial_seconds,
            longest_s=run.settings.poll_max_seconds,
            deadline_s=run.settings.report_timeout_seconds,
        ),
        spacing_s=lambda: connection.client.pacer.look_spacing_s,
        random=random,
        on_queued=on_queued,
        on_retry=count_retry,
    )
