"""Plans a run and decides what it does for each dataset, from the reports on the service and the output folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bulkpull.catalog import load_catalog
from bulkpull.event_types import ReportsUnknown
from bulkpull.formatting import join_some, plural
from bulkpull.insights.client import InsightsClient
from bulkpull.model import Pull, Report
from bulkpull.output.ledger_facts import (
    ExecutionFacts,
    RefusedMetricsFacts,
    ReportFacts,
    ScheduledReportFacts,
    StepFacts,
    UnchangedFacts,
)
from bulkpull.output.manifest import DatasetRecord, PartRecord
from bulkpull.pipeline.earlier_work import ReusableWork, find_reusable
from bulkpull.pipeline.nightly.decision import Decision
from bulkpull.pipeline.nightly.gather_facts import decide_all, schedule_of
from bulkpull.pipeline.nightly.scheduled_reports import LIST_UNKNOWN, remember_reports, unused_reports
from bulkpull.pipeline.open_run import OpenedRun
from bulkpull.pipeline.plan import Plan
from bulkpull.pipeline.request import ServiceOffer, plan_request, published_datasets
from bulkpull.pipeline.steps.execution_lookup import ExecutionLookup, PollForm, load_form
from bulkpull.pipeline.steps.metric_refusals import MetricRefusals
from bulkpull.pipeline.steps.naming import parse_report_name
from bulkpull.pipeline.windows.date_windows import history_starts

_MOST_LISTED = 8
_NOTED_IDS: Mapping[type[StepFacts], tuple[str, ...]] = {
    ReportFacts: ("report_id", "query_id"),
    ScheduledReportFacts: ("report_id", "query_id"),
    ExecutionFacts: ("report_id", "execution_id"),
    UnchangedFacts: ("execution_id",),
}


@dataclass(frozen=True, slots=True)
class RunDecisions:
    """
    What a run does.

    Attributes:
        decisions: By dataset.
        unused: Scheduled reports of this folder that this run does not use, each with its dataset.
        poll_form: The look-up form that the service turned out to accept; `None` if it accepted the first one.
    """

    found: ReusableWork
    decisions: Mapping[str, Decision]
    unused: Sequence[tuple[str, Report]]
    poll_form: PollForm | None


async def plan_in_folder(run: OpenedRun, offer: ServiceOffer) -> Plan:
    """The plan of a run, with what its output folder knows: refused metrics, published datasets and histories."""
    return plan_request(
        run.request,
        offer,
        settings=run.settings,
        now=run.started_at,
        refusals=MetricRefusals.read(await run.ledger.noted(RefusedMetricsFacts), now=run.clock.now()),
        published=published_datasets(run.folder.published, catalog=load_catalog()),
        history_starts=history_starts(run.folder.published),
    )


async def decide_run(run: OpenedRun, pulls: Sequence[Pull], *, client: InsightsClient) -> RunDecisions:
    """Decide for all pulls of a plan, with reads only."""
    is_nightly, ledger = run.request.nightly, run.ledger
    client.add_known_ids(await _known_ids(run))
    listed: list[Report] | None = []
    if is_nightly or run.folder.runs or not run.earlier.is_empty:
        listed = await client.list_reports(is_ours=lambda name: parse_report_name(name) is not None)
        if listed is None:
            run.events.emit(ReportsUnknown(reason=LIST_UNKNOWN))
    found = await find_reusable(run, pulls, listed=listed)
    memories = await remember_reports(ledger) if is_nightly else {}
    forms: list[PollForm] = []

    async def remember(form: PollForm) -> None:
        forms.append(form)

    decisions = await decide_all(
        found,
        folder=run.folder,
        memories=memories,
        unchanged=await ledger.noted(UnchangedFacts),
        lookup=ExecutionLookup(
            client,
            events=run.events,
            form=max(await load_form(ledger, now=run.clock.now()), PollForm.ONE_STATUS),
            remember=remember,
            retry=True,
        ),
        schedule=schedule_of(run.settings, now=client.service_time()) if is_nightly else None,
    )
    chosen = [decision.schedule for decision in decisions.values() if decision.schedule]
    used = {report.report_id for choice in chosen for report in (choice.serving, *choice.replaced) if report}
    unused = unused_reports(found.listed or (), memories, used=used)
    return RunDecisions(found, decisions, unused, forms[-1] if forms else None)


async def _known_ids(run: OpenedRun) -> set[str]:
    """The ids in the ledger and in the manifests of what is published, which a reply may spell anew (behaviour 153)."""
    records = list(run.folder.published.values())
    parts: list[DatasetRecord | PartRecord] = [*records, *(part for record in records for part in record.parts)]
    known = {item_id for part in parts for item_id in (part.report_id, part.query_id, part.execution_id)}
    for kind, names in _NOTED_IDS.items():
        for name in names:
            known.update(item_id for _, item_id in await run.ledger.distinct(kind, name))
    return {item_id for item_id in known if item_id}


def unused_note(unused: Sequence[tuple[str, Report]]) -> str:
    """The note about scheduled reports of this folder that the run does not use; they go on running."""
    names = join_some([f"{report.report_id} ({dataset})" for dataset, report in unused], most=_MOST_LISTED)
    return (
        f"{plural(len(unused), 'scheduled report')} of this folder that this run does not use: {names}; `bulkpull "
        "reports delete --unused` shows and deletes what is not needed any more"
    )
