"""What a run would do, with reads only: nothing is created, locked or changed, on the service or on the disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import anyio.to_thread

from bulkpull.clock import SystemClock
from bulkpull.config.settings import Settings
from bulkpull.errors import HeldBack
from bulkpull.events import Events
from bulkpull.insights.connect import connected
from bulkpull.model import Pull
from bulkpull.output.layout import Layout
from bulkpull.output.ledger import opened_ledger
from bulkpull.output.store import open_store
from bulkpull.output.workspace import read_folder
from bulkpull.pipeline.nightly.decision_rules import Action, Decision
from bulkpull.pipeline.nightly.scheduled_reports import first_start, next_due
from bulkpull.pipeline.open_run import OpenedRun, find_resumable
from bulkpull.pipeline.plan import Plan, check_offline
from bulkpull.pipeline.plan_estimate import ExportEstimate, estimate_export, load_usual_durations
from bulkpull.pipeline.request import ExportRequest, load_offer
from bulkpull.pipeline.run_decisions import decide_run, plan_in_folder
from bulkpull.pipeline.steps.naming import pull_fingerprint
from bulkpull.pipeline.windows.kept_history import plan_growth


@dataclass(frozen=True, slots=True)
class RunPlan:
    """
    What a run would do.

    Attributes:
        decisions: By dataset.
        resumes: The id of the interrupted run that it would resume; `None` for a new run.
        next_due_at: By dataset, when the next execution of its scheduled report is due, also of one to be created.
    """

    plan: Plan
    decisions: Mapping[str, Decision]
    estimate: ExportEstimate
    resumes: str | None
    next_due_at: Mapping[str, datetime]


async def plan_run(request: ExportRequest, *, settings: Settings, events: Events) -> RunPlan:
    """
    Plan an export or a nightly run; it decides as the run itself does.

    Raises:
        SettingsError: A dataset's name is known neither to the catalog nor to the service.
        BulkpullError: The service could not be asked, or the output folder cannot be read.
    """
    clock = SystemClock()
    await check_offline(request, settings=settings)
    output, now = settings.output.absolute(), clock.now()
    async with (
        opened_ledger(Layout(output).private, read_only=True) as ledger,
        connected(settings=settings, events=events, clock=clock) as connection,
    ):
        client = connection.client
        folder = await anyio.to_thread.run_sync(read_folder, output, open_store(output))
        runs, key = await ledger.runs(), request.as_key(settings)
        earlier = find_resumable(runs, key=key, now=now, published=folder.current.run_ids)
        resumed = earlier.carried_on
        run = OpenedRun(
            run_id=resumed.run_id if resumed else "",
            request=request.continued_from(resumed.request) if resumed else request,
            started_at=resumed.started_at if resumed else now,
            earlier=earlier,
            folder=folder,
            ledger=ledger,
            settings=settings,
            events=events,
            clock=clock,
        )
        plan = await plan_in_folder(run, await load_offer(run.request, client))
        decided = await decide_run(run, plan.pulls, client=client)
        usual_s = await load_usual_durations(ledger, now=now)
        service_now = client.service_time()
    reports: dict[str, int] = {}
    next_due_at: dict[str, datetime] = {}
    for pull in plan.pulls:
        decision = decided.decisions[pull.dataset]
        if decision.action in (Action.ORDER_REPORT, Action.COLLECT_REPORT):
            windows = _windows(pull, decided.reusable.parts[pull], run)
            reports[pull.dataset] = sum(not decided.reusable.has(pull_fingerprint(window)) for window in windows)
        schedule = decision.schedule
        if schedule is not None and schedule.may_create:  # as the run would leave it
            first_at = first_start(service_now, lead_h=settings.standing_lead_hours)
            due_at = next_due(schedule.serving, service_now) if schedule.serving else first_at
            if due_at is not None:
                next_due_at[pull.dataset] = due_at
    estimate = await estimate_export(reports, usual_s, settings=settings)
    return RunPlan(plan, decided.decisions, estimate, resumes=run.run_id or None, next_due_at=next_due_at)


def _windows(pull: Pull, parts: Sequence[Pull], run: OpenedRun) -> Sequence[Pull]:
    """The windows of a pull that are fetched, without those that a history keeps as published."""
    windows = [part for part in parts if part is not pull] or [pull]
    if not pull.keeps_history:
        return windows
    published, months = run.folder.published.get(pull.dataset), run.settings.history_restated_months
    try:
        growth = plan_growth(pull, published, output=run.folder.output, restated_months=months)
    except HeldBack:
        return []  # the run creates no report, and says why
    return [part for part in windows if part.window and part.window.end > growth.covered_until]
