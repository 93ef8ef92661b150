"""The plan of a `nightly` run, made with reads only: nothing is created, locked or changed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import anyio.to_thread

from bulkpull.catalog import load_catalog
from bulkpull.clock import Clock, SystemClock
from bulkpull.config.settings import Settings
from bulkpull.events import Events
from bulkpull.insights.connect import connected
from bulkpull.output.integrity import damaged_snapshots
from bulkpull.output.layout import Layout
from bulkpull.output.ledger import StepEntry, opened_ledger
from bulkpull.output.manifest import Current
from bulkpull.output.snapshots import load_published
from bulkpull.output.store import LocalStore
from bulkpull.pipeline.decide import Decision
from bulkpull.pipeline.decisions import decide_all, schedule_of
from bulkpull.pipeline.execution_lookup import ExecutionLookup, PollForm, load_form
from bulkpull.pipeline.kept_history import history_starts
from bulkpull.pipeline.naming import parse_report_name
from bulkpull.pipeline.nightly.scheduled_reports import remember_reports
from bulkpull.pipeline.offer_check import published_datasets
from bulkpull.pipeline.plan import Plan
from bulkpull.pipeline.report_memory import UNCHANGED, ReportMemory
from bulkpull.pipeline.request import ExportRequest, check_offline, load_offer, plan_request, read_refusals


async def plan_nightly(
    request: ExportRequest, *, settings: Settings, events: Events, clock: Clock | None = None
) -> tuple[Plan, Mapping[str, Decision]]:
    """
    The plan of a nightly run, and for each dataset what the run would do.

    Raises:
        SettingsError: A dataset's name is known neither to the catalog nor to the service.
        AuthError, ReportingError, TransferError: The service could not be asked.
        DiskTrouble, LedgerError: The output folder cannot be read.
    """
    clock = clock or SystemClock()
    await check_offline(request, settings=settings)
    output = settings.output.absolute()
    store = LocalStore(output)
    current = await anyio.to_thread.run_sync(Current.load, store)
    published = await anyio.to_thread.run_sync(load_published, store, current)
    memories, unchanged, form = await _noted(output, now=clock.now())
    refusals = await read_refusals(output, now=clock.now())
    async with connected(settings=settings, events=events, clock=clock) as connection:
        plan = plan_request(
            request,
            await load_offer(request, connection.client),
            settings=settings,
            now=clock.now(),
            refusals=refusals,
            published=published_datasets(published, catalog=load_catalog()),
            history_starts=history_starts(published),
        )
        client = connection.client
        decisions = await decide_all(
            {pull: [pull] for pull in plan.pulls},
            store=store,
            published=published,
            damaged=await anyio.to_thread.run_sync(damaged_snapshots, store, current),
            memories=memories,
            unchanged=unchanged,
            reports=await client.list_reports(is_ours=lambda name: parse_report_name(name) is not None),
            lookup=ExecutionLookup(client, events=events, form=max(form, PollForm.ONE_STATUS), retry=True),
            schedule=schedule_of(settings, now=client.service_time()),
        )
    return plan, decisions


async def _noted(output: Path, *, now: datetime) -> tuple[dict[str, ReportMemory], list[StepEntry], PollForm]:
    if not await anyio.to_thread.run_sync(Layout(output).ledger.is_file):
        return {}, [], PollForm.ALL_STATUSES
    async with opened_ledger(Layout(output).private, read_only=True) as ledger:
        return await remember_reports(ledger), await ledger.noted(UNCHANGED), await load_form(ledger, now=now)
