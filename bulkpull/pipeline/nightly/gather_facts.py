"""Gathers the facts for `decision_rules`, for all datasets at once, with as few calls to the service as possible."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial

import anyio.to_thread

from bulkpull.config.settings import Settings
from bulkpull.errors import ReportingError, RequestRejected, TransferError
from bulkpull.model import Execution, ExecutionStatus, Pull, Report
from bulkpull.output.ledger import NotedFacts
from bulkpull.output.ledger_facts import UnchangedFacts
from bulkpull.output.snapshots import find_last_answer
from bulkpull.output.workspace import OutputFolder
from bulkpull.pipeline.earlier_work import ReusableWork
from bulkpull.pipeline.nightly.decision import DatasetFacts, Decision, Seen
from bulkpull.pipeline.nightly.decision_rules import decide
from bulkpull.pipeline.nightly.remembered_reports import ReportMemory
from bulkpull.pipeline.nightly.scheduled_report_rules import Schedule, find_candidates, is_late
from bulkpull.pipeline.steps.execution_lookup import ExecutionLookup
from bulkpull.pipeline.steps.naming import pull_fingerprint
from bulkpull.snapshot_question import question_of

_UNFINISHED = (ExecutionStatus.PENDING, ExecutionStatus.RUNNING, ExecutionStatus.PAUSED)


def schedule_of(settings: Settings, *, now: datetime) -> Schedule:
    """The times that reports are compared with; a report has failed after `report_timeout_seconds`."""
    return Schedule(now, lead_h=settings.standing_lead_hours, grace=timedelta(seconds=settings.report_timeout_seconds))


async def decide_all(
    work: ReusableWork,
    *,
    folder: OutputFolder,
    memories: Mapping[str, ReportMemory],
    unchanged: Iterable[NotedFacts[UnchangedFacts]],
    lookup: ExecutionLookup,
    schedule: Schedule | None,
) -> dict[str, Decision]:
    """
    Decide for each dataset, by its name; nothing is created or changed.

    Args:
        folder: Datasets whose published files are damaged count as not published.
        lookup: Asks for the completed executions. A report that the service refuses by itself counts as one that did
            not run.
        schedule: The times of a nightly run, which reads the executions of all scheduled reports; `None` for an export.

    Raises:
        BulkpullError: The service could not be asked.
    """
    reusable, later = work.reusable, {entry.dataset: entry.facts for entry in unchanged}
    known = {pull: memories.get(pull.dataset) or ReportMemory() for pull in work.parts}
    plain = {pull: memory for pull, memory in known.items() if schedule and not pull.window}
    found = {pull: _reports_of(pull, work.listed, memory) for pull, memory in plain.items()}
    scheduled = [report for of_one in found.values() for report in of_one]
    executions, refused = await _latest_executions(scheduled, lookup=lookup)
    late = [report for report in scheduled if schedule and is_late(report, executions, now=schedule.now)]
    late = [report for report in late if report.report_id not in refused]  # a second refusal adds nothing
    begun = await _begun_executions(late, lookup=lookup) if late else {}
    decisions: dict[str, Decision] = {}
    for pull, windows in work.parts.items():
        fingerprints = [pull_fingerprint(window) for window in windows]
        current, last_answer = None if pull.dataset in folder.damaged else folder.published.get(pull.dataset), None
        if schedule and current and current.question_sha256 != question_of(pull).sha256:
            find = partial(find_last_answer, folder.store, pull.dataset, question_of(pull).sha256)
            last_answer = await anyio.to_thread.run_sync(find)
        facts = DatasetFacts(
            published=current,
            last_answer=last_answer,
            is_done=pull.dataset in work.done,
            collectable=tuple(
                report.report_id for fingerprint in fingerprints for report in reusable.reports.get(fingerprint, [])
            ),
            kept_windows=sum(fingerprint in reusable.converted for fingerprint in fingerprints)
            if len(windows) > 1
            else 0,
            unchanged=_unchanged(pull, later.get(pull.dataset)),
            memory=known[pull],
            scheduled=None if work.listed is None else found.get(pull, ()),
            executions=executions,
            begun=begun,
        )
        decisions[pull.dataset] = decide(pull, facts, schedule=schedule)
    return decisions


def _unchanged(pull: Pull, noted: UnchangedFacts | None) -> Seen | None:
    """The data that the ledger noted, where they answer the question of the pull; earlier versions did not say."""
    if noted is None or noted.question_sha256 not in (None, question_of(pull).sha256):
        return None
    return Seen(noted.execution_id, noted.generated_at)


def _reports_of(pull: Pull, reports: Sequence[Report] | None, memory: ReportMemory) -> tuple[Report, ...]:
    if reports is None:
        return tuple(memory.serving(question_of(pull).sha256))
    return tuple(find_candidates(pull, reports, memory))


async def _begun_executions(reports: Sequence[Report], *, lookup: ExecutionLookup) -> dict[str, Execution]:
    """The latest unfinished execution of each late report; those that cannot be read are left out."""
    executions: list[Execution] = []
    with suppress(ReportingError, TransferError):
        executions = await lookup.for_statuses(_UNFINISHED).ask([report.report_id for report in reports])
    return {execution.report_id: execution for execution in executions}


async def _latest_executions(
    reports: Sequence[Report], *, lookup: ExecutionLookup
) -> tuple[tuple[Execution, ...], Container[str]]:
    """The latest completed executions, and the ids of the reports that the service refuses by themselves."""
    refused: dict[str, RequestRejected] = {}
    lookup.on_refused = refused.__setitem__
    executions = await lookup.ask([report.report_id for report in reports]) if reports else []
    if reports and len(refused) == len(reports):
        raise next(iter(refused.values()))  # it is not about one report
    return tuple(executions), refused
