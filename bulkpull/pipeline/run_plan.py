"""What a run would do, with reads only: nothing is created, locked or changed, on the service or on the disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
from bulkpull.pipeline.earlier_work import ReusableWork
from bulkpull.pipeline.nightly.decision_rules import Action, Decision
from bulkpull.pipeline.nightly.scheduled_reports import first_start, next_due
from bulkpull.pipeline.open_run import OpenedRun, find_resumable
from bulkpull.pipeline.plan import Plan, check_offline
from bulkpull.pipeline.plan_estimate import load_usual_durations
from bulkpull.pipeline.request import ExportRequest, load_offer
from bulkpull.pipeline.run_decisions import decide_run, plan_in_folder
from bulkpull.pipeline.steps.naming import pull_fingerprint
from bulkpull.pipeline.windows.kept_history import plan_growth


@dataclass(frozen=True, slots=True)
class RunPlan:
    """
    What a run would do.

    Attributes:
        reports: By dataset, how many one-off reports it would order if none of them fails.
        usual_s: How long a report took in earlier runs, by dataset, seconds.
        resumes: The id of the interrupted run that it would resume; `None` for a new run.
        next_due_at: By dataset, when the next execution of its scheduled report is due, also of one to be created.
    """

    plan: Plan
    decisions: Mapping[str, Decision]
    reports: Mapping[str, int]
    usual_s: Mapping[str, float]
    resumes: str | None = None
    next_due_at: Mapping[str, datetime] = field(default_factory=dict)


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
            windows = _windows(pull, decided.reusable, run)
            reports[pull.dataset] = sum(not decided.reusable.has(pull_fingerprint(window)) for window in windows)
        if (due_at := _next_due(decision, now=service_now, lead_h=settings.standing_lead_hours)) is not None:
            next_due_at[pull.dataset] = due_at
    return RunPlan(plan, decided.decisions, reports, usual_s, resumes=run.run_id or None, next_due_at=next_due_at)


def _next_due(decision: Decision, *, now: datetime, lead_h: float) -> datetime | None:
    """When the scheduled report of a dataset is executed next, as the run would leave it."""
    schedule = decision.schedule
    if schedule is None or not schedule.may_order:
        return None
    return next_due(schedule.serving, now) if schedule.serving else first_start(now, lead_h=lead_h)


def _windows(pull: Pull, work: ReusableWork, run: OpenedRun) -> Sequence[Pull]:
    """The windows of a pull that are fetched, without those that a history keeps as published."""
    windows = [part for part in work.parts[pull] if part is not pull] or [pull]
    if not pull.keeps_history:
        return windows
    published, restated_months = run.folder.published.get(pull.dataset), run.settings.history_restated_months
    try:
        growth = plan_growth(pull, published, output=run.folder.output, restated_months=restated_months)
    except HeldBack:
        return []  # the run orders nothing, and says why
    return [part for part in windows if part.window and part.window.end > growth.covered_until]
