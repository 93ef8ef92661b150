"""Plans a run and decides what it does for each dataset, from the reports on the service and the output folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from bulkpull.catalog import load_catalog
from bulkpull.clock import Clock
from bulkpull.config.settings import Settings
from bulkpull.event_types import ReportsUnknown
from bulkpull.events import Events
from bulkpull.formatting import join_some, plural
from bulkpull.insights.client import InsightsClient
from bulkpull.model import Pull, Report
from bulkpull.output.ledger import Ledger
from bulkpull.output.ledger_facts import RefusedMetricsFacts, UnchangedFacts
from bulkpull.output.workspace import OutputFolder
from bulkpull.pipeline.earlier_work import ReusableWork, find_reusable
from bulkpull.pipeline.nightly.decision import Decision
from bulkpull.pipeline.nightly.gather_facts import decide_all, schedule_of
from bulkpull.pipeline.nightly.scheduled_reports import LIST_UNKNOWN, remember_reports, unused_reports
from bulkpull.pipeline.offer_check import published_datasets
from bulkpull.pipeline.plan import Plan
from bulkpull.pipeline.request import ExportRequest, ServiceOffer, plan_request
from bulkpull.pipeline.resume import EarlierRuns
from bulkpull.pipeline.steps.execution_lookup import ExecutionLookup, PollForm, load_form
from bulkpull.pipeline.steps.metric_refusals import MetricRefusals
from bulkpull.pipeline.steps.naming import parse_report_name
from bulkpull.pipeline.windows.date_windows import history_starts

_MOST_LISTED = 8


@dataclass(frozen=True, slots=True)
class RunDecisions:
    """
    What a run does.

    Attributes:
        decisions: By dataset.
        unused: Scheduled reports of this folder that this run does not use, each with its dataset.
        poll_form: The form of look-up that the service turned out to want; `None` where the first one served.
    """

    found: ReusableWork
    decisions: Mapping[str, Decision]
    unused: Sequence[tuple[str, Report]]
    poll_form: PollForm | None


async def plan_in_folder(
    request: ExportRequest,
    offer: ServiceOffer,
    *,
    ledger: Ledger,
    folder: OutputFolder,
    settings: Settings,
    started_at: datetime,
    now: datetime,
) -> Plan:
    """
    The plan of a run, with what its output folder knows: refused metrics, published datasets and histories.

    Args:
        started_at: When the run began, also where it is resumed now.
    """
    return plan_request(
        request,
        offer,
        settings=settings,
        now=started_at,
        refusals=MetricRefusals.read(await ledger.noted(RefusedMetricsFacts), now=now),
        published=published_datasets(folder.published, catalog=load_catalog()),
        history_starts=history_starts(folder.published),
    )


async def decide_run(
    pulls: Sequence[Pull],
    *,
    client: InsightsClient,
    ledger: Ledger,
    folder: OutputFolder,
    run_id: str,
    earlier: EarlierRuns,
    is_nightly: bool,
    settings: Settings,
    events: Events,
    clock: Clock,
) -> RunDecisions:
    """Decide for all pulls of a plan, with reads only."""
    needs_list = is_nightly or folder.runs or not earlier.is_empty
    listed: list[Report] | None = []
    if needs_list:
        listed = await client.list_reports(is_ours=lambda name: parse_report_name(name) is not None)
        if listed is None:
            events.emit(ReportsUnknown(reason=LIST_UNKNOWN))
    found = await find_reusable(
        listed, ledger=ledger, run_id=run_id, pulls=pulls, earlier=earlier, folder=folder, now=clock.now()
    )
    memories = await remember_reports(ledger) if is_nightly else {}
    forms: list[PollForm] = []

    async def remember(form: PollForm) -> None:
        forms.append(form)

    decisions = await decide_all(
        found.parts,
        store=folder.store,
        published=folder.published,
        damaged=folder.damaged,
        memories=memories,
        unchanged=await ledger.noted(UnchangedFacts),
        reports=found.listed,
        lookup=ExecutionLookup(
            client,
            events=events,
            form=max(await load_form(ledger, now=clock.now()), PollForm.ONE_STATUS),
            remember=remember,
            retry=True,
        ),
        schedule=schedule_of(settings, now=client.service_time()) if is_nightly else None,
        done=found.done,
        reusable=found.reusable,
    )
    chosen = [decision.schedule for decision in decisions.values() if decision.schedule]
    used = {report.report_id for choice in chosen for report in (choice.serving, *choice.replaced) if report}
    unused = unused_reports(found.listed or (), memories, used=used)
    return RunDecisions(found, decisions, unused, forms[-1] if forms else None)


def unused_note(unused: Sequence[tuple[str, Report]]) -> str:
    """The note about scheduled reports of this folder that the run does not use; they go on running."""
    names = join_some([f"{report.report_id} ({dataset})" for dataset, report in unused], most=_MOST_LISTED)
    return (
        f"{plural(len(unused), 'scheduled report')} of this folder that this run does not use: {names}; `bulkpull "
        "reports delete --unused` shows and deletes what is not needed any more"
    )
