"""Creates the context of a run from its settings, connection and output folder."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import timedelta

import anyio
from anyio.abc import TaskGroup

from bulkpull.account import Account
from bulkpull.catalog import load_catalog
from bulkpull.clock import Clock
from bulkpull.config.settings import Settings
from bulkpull.events import Events
from bulkpull.insights.connect import Connection
from bulkpull.output.ledger import Ledger
from bulkpull.output.ledger_facts import ReportFacts
from bulkpull.output.workspace import OutputFolder
from bulkpull.pipeline.context import RunContext, UndeletedReport
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
    *,
    run_id: str,
    settings: Settings,
    connection: Connection,
    ledger: Ledger,
    folder: OutputFolder,
    conversions: int,
    reusable: Reusable,
    clock: Clock,
    events: Events,
    background: TaskGroup,
    tidying: TaskGroup,
    usual_s: Mapping[str, float],
    random: Callable[[], float],
    account: Account,
    check_lock: Callable[[], None],
    published_anyway: Collection[str] | None,
    undeleted: list[UndeletedReport],
) -> RunContext:
    """Create the context of one run."""
    in_flight = ReportsInFlight(events, limit=settings.reports_in_flight or UNLEARNT)
    poller = await _poller(
        settings, connection, ledger=ledger, run_id=run_id, clock=clock, events=events, random=random,
        on_queued=in_flight.queued,
    )  # fmt: skip
    return RunContext(
        client=connection.client,
        http=connection.http,
        retrier=connection.retrier,
        clock=clock,
        events=events,
        settings=settings,
        catalog=load_catalog(),
        ledger=ledger,
        output=folder.output,
        staging=folder.staging,
        run_id=run_id,
        published=folder.published,
        reusable=reusable,
        submitter=Submitter(
            client=connection.client,
            queries=StoredQueries(connection.client, clock, events),
            quota=await _quota(settings, ledger=ledger, clock=clock, events=events),
            clock=clock,
            events=events,
            run_id=run_id,
            in_flight=in_flight,
            weights={name: snapshot.rows for name, snapshot in folder.current.datasets.items()},
        ),
        poller=poller,
        publisher=Publisher(
            store=folder.store,
            run_id=run_id,
            retain_runs=settings.retain_runs,
            clock=clock,
            events=events,
            account=account,
            check_lock=check_lock,
        ),
        background=background,
        tidying=tidying,
        usual_s=usual_s,
        in_flight=in_flight,
        downloads=anyio.CapacityLimiter(settings.parallel_downloads),
        conversions=anyio.CapacityLimiter(conversions),
        published_anyway=published_anyway,
        undeleted=undeleted,
    )


async def _quota(settings: Settings, *, ledger: Ledger, clock: Clock, events: Events) -> OneOffQuota:
    """The quota of one-off reports, with the reports that earlier runs created within its window."""
    window_s, now = settings.one_off_quota_window_seconds, clock.now()
    made = await ledger.moments(ReportFacts, since=now - timedelta(seconds=window_s))
    ages_s = [(now - moment).total_seconds() for moment in made]
    return OneOffQuota(
        window_s=window_s, clock=clock, events=events, created_at=[clock.monotonic() - age_s for age_s in ages_s]
    )


async def _poller(
    settings: Settings,
    connection: Connection,
    *,
    ledger: Ledger,
    run_id: str,
    clock: Clock,
    events: Events,
    random: Callable[[], float],
    on_queued: Callable[[int], None],
) -> Poller:
    """The poller, with the form of look-up that earlier runs fell back to."""
    lookup = ExecutionLookup(
        connection.client,
        events=events,
        form=await load_form(ledger, now=clock.now()),
        remember=form_recorder(ledger, run_id=run_id, clock=clock),
    )

    def count_retry() -> None:
        connection.http.tally.retried += 1

    return Poller(
        client=connection.client,
        lookup=lookup,
        clock=clock,
        events=events,
        schedule=_schedule(settings),
        spacing_s=lambda: connection.client.pacer.look_spacing_s,
        random=random,
        on_queued=on_queued,
        on_retry=count_retry,
    )


def _schedule(settings: Settings) -> PollSchedule:
    return PollSchedule(
        initial_s=settings.poll_initial_seconds,
        longest_s=settings.poll_max_seconds,
        deadline_s=settings.report_timeout_seconds,
    )
