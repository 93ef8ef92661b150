"""
Plans a run and decides what it does for each dataset, from the reports on the service and the output folder.

Nothing is created or changed, and the service is called as seldom as possible.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain

import anyio.to_thread

from bulkpull.errors import ReportingError, RequestRejected, TransferError
from bulkpull.event_types import ReportsUnknown
from bulkpull.formatting import join_some, plural
from bulkpull.insights.client import InsightsClient
from bulkpull.model import Execution, ExecutionStatus, Pull, Report
from bulkpull.output.ledger_facts import (
    ExecutionFacts,
    RefusedMetricsFacts,
    ReportFacts,
    ScheduledReportFacts,
    UnchangedFacts,
)
from bulkpull.output.manifest import DatasetRecord
from bulkpull.output.workspace import OutputFolder, find_last_answer
from bulkpull.pipeline.earlier_work import ReusableWork, find_reusable, records_and_parts
from bulkpull.pipeline.nightly.decision_rules import DatasetFacts, Decision, decide
from bulkpull.pipeline.nightly.scheduled_reports import (
    LIST_UNKNOWN,
    ReportMemory,
    Schedule,
    find_candidates,
    is_late,
    remember_reports,
    unused_reports,
)
from bulkpull.pipeline.open_run import OpenedRun
from bulkpull.pipeline.plan import Plan, plan_request
from bulkpull.pipeline.request import PlanInputs, ServiceOffer
from bulkpull.pipeline.steps.execution_lookup import ExecutionLookup, PollForm, load_form
from bulkpull.pipeline.steps.metric_refusals import recent_refusals
from bulkpull.pipeline.steps.naming import parse_report_name, pull_fingerprint
from bulkpull.requested_data import requested_data

_MOST_LISTED = 8
_UNFINISHED = (ExecutionStatus.PENDING, ExecutionStatus.RUNNING, ExecutionStatus.PAUSED)


@dataclass(frozen=True, slots=True)
class RunDecisions:
    """
    What a run does.

    Attributes:
        decisions: By dataset.
        unused: Scheduled reports of this folder that this run does not use, each with its dataset.
        poll_form: The look-up form that the service turned out to accept; `None` if it accepted the first one.
        is_list_known: The service tells which reports there are.
    """

    reusable: ReusableWork
    decisions: Mapping[str, Decision]
    unused: Sequence[tuple[str, Report]]
    poll_form: PollForm | None
    is_list_known: bool


async def plan_in_folder(run: OpenedRun, offer: ServiceOffer) -> Plan:
    """The plan of a run, with what its output folder knows: refused metrics, published datasets and histories."""
    inputs = PlanInputs(
        run.request,
        offer,
        run.settings,
        now=run.started_at,
        refusals=recent_refusals(await run.ledger.noted(RefusedMetricsFacts), now=run.clock.now()),
        published=run.folder.published,
    )
    return plan_request(inputs)


async def decide_run(
    run: OpenedRun, pulls: Sequence[Pull], *, client: InsightsClient, published_anyway: Collection[str] | None = ()
) -> RunDecisions:
    """Decide for all pulls of a plan, with reads only; datasets with damaged files count as not published."""
    is_nightly, ledger, settings = run.request.nightly, run.ledger, run.settings
    client.add_known_ids(await _known_ids(run))
    listed: list[Report] | None = []
    if is_nightly or run.folder.runs or not run.earlier.is_empty:
        listed = await client.list_reports(is_ours=lambda name: parse_report_name(name) is not None)
        if listed is None:
            run.events.emit(ReportsUnknown(reason=LIST_UNKNOWN))
    work = await find_reusable(run, pulls, listed=listed, published_anyway=published_anyway)
    noted = await remember_reports(ledger) if is_nightly else {}
    memories = {pull: noted.get(pull.dataset) or ReportMemory() for pull in pulls}
    form = max(await load_form(ledger, now=run.clock.now()), PollForm.ONE_STATUS)
    lookup = ExecutionLookup(client, events=run.events, form=form, retry=True)
    grace = timedelta(seconds=settings.report_timeout_seconds)
    times = Schedule(client.service_time(), lead_h=settings.standing_lead_hours, grace=grace)
    schedulable = [pull for pull in pulls if is_nightly and not pull.window]
    candidates = {pull: _candidates(pull, listed, memories[pull]) for pull in schedulable}
    executions, begun = await _read_executions(candidates, lookup=lookup, now=times.now)
    unchanged = {entry.dataset: entry.facts for entry in await ledger.noted(UnchangedFacts)}
    decisions: dict[str, Decision] = {}
    for pull, windows in work.parts.items():
        marks = [pull_fingerprint(window) for window in windows]
        facts = DatasetFacts(
            published=_published(pull, run.folder),
            is_done=pull.dataset in work.done,
            collectable=tuple(report.report_id for mark in marks for report in work.reports.get(mark, [])),
            kept_windows=sum(mark in work.converted for mark in marks) if len(windows) > 1 else 0,
            last_answer=await _last_answer(pull, run.folder) if is_nightly else None,
            unchanged=_unchanged(pull, unchanged.get(pull.dataset)),
            memory=memories[pull],
            scheduled=None if listed is None else tuple(candidates.get(pull, ())),
            executions=executions,
            begun=begun,
        )
        decisions[pull.dataset] = decide(pull, facts, schedule=times if is_nightly else None)
    chosen = [decision.schedule for decision in decisions.values() if decision.schedule]
    used = {report.report_id for choice in chosen for report in (choice.serving, *choice.replaced) if report}
    unused = unused_reports(listed or (), noted, used=used)
    poll_form = lookup.form if lookup.form is not form else None
    return RunDecisions(work, decisions, unused, poll_form, is_list_known=listed is not None)


async def _known_ids(run: OpenedRun) -> set[str]:
    """The ids in the ledger and in the manifests of what is published, which a reply may spell anew (behaviour 153)."""
    parts = records_and_parts(run.folder.published.values())
    published = {item_id for part in parts for item_id in (part.report_id, part.query_id, part.execution_id)}
    kinds = (ReportFacts, ScheduledReportFacts, ExecutionFacts, UnchangedFacts)
    noted = await run.ledger.distinct(kinds, ["report_id", "query_id", "execution_id"])
    return {item_id for item_id in published if item_id} | {item_id for _, item_id in noted}


def _candidates(pull: Pull, listed: Sequence[Report] | None, memory: ReportMemory) -> Sequence[Report]:
    sha256 = requested_data(pull).sha256
    return memory.serving(sha256) if listed is None else find_candidates(pull, listed, memory)


def _published(pull: Pull, folder: OutputFolder) -> DatasetRecord | None:
    return None if pull.dataset in folder.damaged else folder.published.get(pull.dataset)


async def _last_answer(pull: Pull, folder: OutputFolder) -> DatasetRecord | None:
    current, sha256 = _published(pull, folder), requested_data(pull).sha256
    if current is None or current.question_sha256 == sha256:
        return None
    return await anyio.to_thread.run_sync(find_last_answer, folder.store, pull.dataset, sha256)


def _unchanged(pull: Pull, noted: UnchangedFacts | None) -> UnchangedFacts | None:
    """The data that the ledger noted, where they are what the pull requests; earlier versions did not say."""
    return noted if noted and noted.question_sha256 in (None, requested_data(pull).sha256) else None


async def _read_executions(
    candidates: Mapping[Pull, Sequence[Report]], *, lookup: ExecutionLookup, now: datetime
) -> tuple[tuple[Execution, ...], Mapping[str, Execution]]:
    """
    The latest completed executions of scheduled reports, and the latest unfinished one of each late report, by its id.

    A report that the service refuses by itself counts as one that did not run.
    """
    reports = list(chain.from_iterable(candidates.values()))
    if not reports:
        return (), {}
    refused: dict[str, RequestRejected] = {}
    lookup.on_refused = refused.__setitem__
    executions = tuple(await lookup.ask([report.report_id for report in reports]))
    if len(refused) == len(reports):
        raise next(iter(refused.values()))  # it is not about one report
    # A second refusal adds nothing.
    asked = [report for report in reports if report.report_id not in refused]
    late = [report.report_id for report in asked if is_late(report, executions, now=now)]
    begun: list[Execution] = []
    with suppress(ReportingError, TransferError):
        begun = await lookup.for_statuses(_UNFINISHED).ask(late) if late else []
    return executions, {execution.report_id: execution for execution in begun}


def unused_note(unused: Sequence[tuple[str, Report]]) -> str:
    """The note about scheduled reports of this folder that the run does not use; they go on running."""
    names = join_some([f"{report.report_id} ({dataset})" for dataset, report in unused], most=_MOST_LISTED)
    return (
        f"{plural(len(unused), 'scheduled report')} of this folder that this run does not use: {names}; `bulkpull "
        "reports delete --unused` shows and deletes what is not needed any more"
    )
