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
from bulkpull.output.manifest import DatasetRecord
from bulkpull.output.snapshots import find_last_answer
from bulkpull.output.store import OutputStore
from bulkpull.pipeline.nightly.decision import DatasetFacts, Decision, Seen
from bulkpull.pipeline.nightly.decision_rules import decide
from bulkpull.pipeline.nightly.remembered_reports import ReportMemory
from bulkpull.pipeline.nightly.scheduled_report_rules import Schedule, find_candidates, is_late
from bulkpull.pipeline.reusable_work import Reusable
from bulkpull.pipeline.steps.execution_lookup import ExecutionLookup
from bulkpull.pipeline.steps.naming import pull_fingerprint
from bulkpull.question import question_of

_UNFINISHED = (ExecutionStatus.PENDING, ExecutionStatus.RUNNING, ExecutionStatus.PAUSED)


def schedule_of(settings: Settings, *, now: datetime) -> Schedule:
    """The times that reports are compared with; a report has failed after `report_timeout_seconds`."""
    return Schedule(now, lead_h=settings.standing_lead_hours, grace=timedelta(seconds=settings.report_timeout_seconds))


async def decide_all(
    parts: Mapping[Pull, Sequence[Pull]],
    *,
    store: OutputStore,
    published: Mapping[str, DatasetRecord],
    damaged: Container[str],
    memories: Mapping[str, ReportMemory],
    unchanged: Iterable[NotedFacts[UnchangedFacts]],
    reports: Sequence[Report] | None,
    lookup: ExecutionLookup,
    schedule: Schedule | None,
    done: Container[str] = (),
    reusable: Reusable | None = None,
) -> dict[str, Decision]:
    """
    Decide for each dataset, by its name; nothing is created or changed.

    Args:
        parts: The pulls, each with the windows in which it may be requested.
        damaged: Datasets whose published files are not whole any more; they count as not published.
        reports: All reports that the service lists; `None` where the list is unknown.
        lookup: Asks for the completed executions. A report that the service refuses by itself counts as one that did
            not run.
        schedule: The times of a nightly run, which reads the executions of all scheduled reports; `None` for an export.

    Raises:
        BulkpullError: The service could not be asked.
    """
    reusable, later = reusable or Reusable(), {entry.dataset: entry.facts for entry in unchanged}
    known = {pull: memories.get(pull.dataset) or ReportMemory() for pull in parts}
    found = {pull: _reports_of(pull, reports, memory) for pull, memory in known.items() if schedule and not pull.window}
    scheduled = [report for of_one in found.values() for report in of_one]
    executions, refused = await _latest_executions(scheduled, lookup=lookup)
    late = [report for report in scheduled if schedule and is_late(report, executions, now=schedule.now)]
    late = [report for report in late if report.report_id not in refused]  # a second refusal tells nothing new
    begun = await _begun_executions(late, lookup=lookup) if late else {}
    decisions: dict[str, Decision] = {}
    for pull, windows in parts.items():
        fingerprints = [pull_fingerprint(window) for window in windows]
        current, last_answer = None if pull.dataset in damaged else published.get(pull.dataset), None
        if schedule and current and current.question_sha256 != question_of(pull).sha256:
            find = partial(find_last_answer, store, pull.dataset, question_of(pull).sha256)
            last_answer = await anyio.to_thread.run_sync(find)
        facts = DatasetFacts(
            published=current,
            last_answer=last_answer,
            is_done=pull.dataset in done,
            collectable=tuple(
                report.report_id for fingerprint in fingerprints for report in reusable.reports.get(fingerprint, [])
            ),
            kept_windows=sum(fingerprint in reusable.converted for fingerprint in fingerprints)
            if len(windows) > 1
            else 0,
            unchanged=_unchanged(pull, later.get(pull.dataset)),
            memory=known[pull],
            scheduled=None if reports is None else found.get(pull, ()),
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
