"""
Standing: the scheduled reports that the nights live on, one a dataset, and a look at all of them at once.

A standing report is made once and serves every night, also of another machine with the same query. It is replaced when
it was paused, deleted or used up, or when its query is not today's any more; a file that it holds is fetched first,
because deleting a report deletes its executions (behaviour 97). Standing reports do not count against the quota of
one-off reports (85), but an account may have fifty active ones (86).
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bulkpull.clock import Clock, iso_utc
from bulkpull.config.settings import Settings
from bulkpull.errors import NotFound, QuotaExceeded, ReportingError, RequestRejected, TransferError
from bulkpull.events import Events
from bulkpull.insights.client import InsightsClient
from bulkpull.model import Execution, ExecutionStatus, Pull, Query, Report
from bulkpull.output.ledger import STANDING, Ledger, StepEntry
from bulkpull.output.manifest import DatasetRecord
from bulkpull.pipeline.naming import standing_name
from bulkpull.pipeline.nightly.decide import (
    NightlyDecision,
    Schedule,
    Seen,
    candidates,
    decide,
    decide_blindly,
    first_start,
    has_come,
    is_due,
    last_due,
    moment_of,
    recurrence_h,
    refresh_days_of,
)
from bulkpull.pipeline.report_memory import MISSED, ReportMemory, read_memory
from bulkpull.pipeline.submit import DESCRIPTION, Submitter
from bulkpull.question import question_of

UNCHANGED = "unchanged"
LIST_UNKNOWN = (
    "the service does not tell which reports there are (the role may not list them); what is in the ledger counts, and "
    "nothing was made or deleted on a guess"
)
_COMPLETED = (ExecutionStatus.COMPLETED,)
_UNFINISHED = (ExecutionStatus.PENDING, ExecutionStatus.RUNNING, ExecutionStatus.PAUSED)


async def remember_reports(ledger: Ledger) -> dict[str, ReportMemory]:
    """What the ledger knows of each dataset's scheduled reports."""
    return read_memory(await ledger.noted(STANDING), await ledger.noted(MISSED))


def schedule_of(settings: Settings, *, now: datetime) -> Schedule:
    """The times that reports are held against; a report that takes longer than `report_timeout_seconds` has failed."""
    return Schedule(now, lead_h=settings.standing_lead_hours, grace=timedelta(seconds=settings.report_timeout_seconds))


async def decide_nightly(
    pulls: Sequence[Pull],
    reports: Sequence[Report] | None,
    *,
    client: InsightsClient,
    memories: Mapping[str, ReportMemory],
    unchanged: Iterable[StepEntry],
    published: Mapping[str, DatasetRecord],
    damaged: frozenset[str],
    schedule: Schedule,
) -> dict[str, NightlyDecision]:
    """
    Ask after all scheduled reports, in as few calls as the service allows, and decide for each dataset.

    Args:
        reports: All that the service lists; `None` where it does not tell.
        memories: What the ledger knows of each dataset's reports.
        unchanged: What the ledger noted in earlier nights.
        damaged: Datasets whose published files are not whole any more; they count as not published.

    Returns:
        By dataset. Nothing was created or changed.

    Raises:
        BulkpullError: The service could not be asked.
    """
    later = {entry.dataset: entry.facts for entry in unchanged}
    known = {pull.dataset: memories.get(pull.dataset) or ReportMemory() for pull in pulls}
    found = {pull.dataset: _reports_of(pull, reports, known[pull.dataset]) for pull in pulls}
    executions = await _executions([each for of_one in found.values() for each in of_one], client=client)
    late = [each for of_one in found.values() for each in of_one if _is_late(each, executions, now=schedule.now)]
    begun = await _begun_executions(late, client=client)
    nights: dict[str, NightlyDecision] = {}
    for pull in pulls:
        record = None if pull.dataset in damaged else published.get(pull.dataset)
        seen = [Seen(record.execution_id, moment_of(record.generated_at, now=schedule.now))] if record else []
        if record and (facts := later.get(pull.dataset)):
            seen.append(Seen(facts.get("execution_id"), moment_of(facts.get("generated_at"), now=schedule.now)))
        memory, there = known[pull.dataset], found[pull.dataset]
        if reports is None:
            nights[pull.dataset] = decide_blindly(
                pull, executions, published=record, seen=seen, memory=memory, now=schedule.now
            )
            continue
        night = decide(
            pull,
            there,
            executions,
            published=record,
            seen=seen,
            memory=memory,
            schedule=schedule,
            begun=begun,
        )
        if night.reason and not there:
            _ask_without_report(night, memory, now=schedule.now)
        nights[pull.dataset] = night
    return nights


def unused_reports(
    reports: Iterable[Report], memories: Mapping[str, ReportMemory], *, used: Container[str]
) -> list[tuple[str, Report]]:
    """
    The scheduled reports that this folder made and that nothing asks for any more, each with its dataset (pure).

    Args:
        used: Ids of reports that serve a dataset, or are replaced anyway.
    """
    by_id = {report_id: dataset for dataset, memory in memories.items() for report_id in memory.made}
    return [
        (by_id[report.report_id], report)
        for report in reports
        if report.report_id in by_id and report.report_id not in used
    ]


def _reports_of(pull: Pull, reports: Sequence[Report] | None, memory: ReportMemory) -> list[Report]:
    if reports is None:
        return memory.serving(question_of(pull).sha256)
    return candidates(pull, reports, ours=memory.ids | memory.ordered)


def _ask_without_report(night: NightlyDecision, memory: ReportMemory, *, now: datetime) -> None:
    """The dataset has no scheduled report: one that is gone costs no night, and data of another way may be due."""
    if memory.serving(question_of(night.today).sha256):
        night.ask, night.reason = True, None
        night.notes.append("its scheduled report is gone; a one-off report is asked for, and another one is made")
    elif is_due(night.seen_at, refresh_days=refresh_days_of(night.today), now=now):
        night.ask, night.reason = True, None  # what is published came another way, and is out of date


def _is_late(report: Report, executions: Iterable[Execution], *, now: datetime) -> bool:
    due_at = last_due(report, now)
    mine = [each for each in executions if each.report_id == report.report_id]
    return due_at is not None and not has_come(due_at, mine)


async def _executions(reports: Sequence[Report], *, client: InsightsClient) -> list[Execution]:
    return await _latest_executions([report.report_id for report in reports], client=client)


async def _begun_executions(reports: Sequence[Report], *, client: InsightsClient) -> dict[str, Execution]:
    """The latest execution of each report that is late, in whatever state; what cannot be read is left out."""
    found: dict[str, Execution] = {}
    for report in reports:
        with suppress(ReportingError, TransferError):
            for execution in await client.get_executions([report.report_id], statuses=_UNFINISHED):
                found[report.report_id] = execution
    return found


async def _latest_executions(report_ids: Sequence[str], *, client: InsightsClient) -> list[Execution]:
    if not report_ids:
        return []
    try:
        return await client.get_executions(report_ids, statuses=_COMPLETED)
    except RequestRejected:
        # The joined form is not honoured everywhere (behaviour 107), and one id may spoil it (fault 41).
        found: list[Execution] = []
        for report_id in report_ids:
            found += await client.get_executions([report_id], statuses=_COMPLETED)
        return found


@dataclass(frozen=True, slots=True)
class Standing:
    """
    Makes standing reports.

    Args:
        lead_h: Hours before the usual nightly hour at which they run (`standing_lead_hours`).
        idle: Reports of this folder that nothing uses; they make room where the service's quota is full (86).
    """

    client: InsightsClient
    submitter: Submitter
    clock: Clock
    events: Events
    lead_h: float
    idle: list[Report] = field(default_factory=list)

    async def make(self, pull: Pull) -> Report:
        """
        Order the standing report of `pull`; a second call after a lost answer finds what the first one made.

        Raises:
            QuotaExceeded: The account has as many active reports as it may (behaviour 86).
            BulkpullError: The service refuses it, or could not be asked.
        """

        async def order(query: Query) -> Report:
            return await self.client.create_report(
                name=standing_name(pull),
                query_id=query.query_id,
                description=DESCRIPTION,
                execute_now=False,
                start_at=first_start(self._service_time(), lead_h=self.lead_h),
                recurrence_h=recurrence_h(pull),
            )

        try:
            report = await self.submitter.with_query(pull, order)
        except QuotaExceeded as refused:
            if refused.kind == "one_off" or not await self._make_room():
                raise
            report = await self.submitter.with_query(pull, order)
        self.events.emit("report.created", report_id=report.report_id, start_at=iso_utc(self._start_of(report)))
        return report

    async def _make_room(self) -> bool:
        """Delete one idle report of this folder; whether there was any."""
        while self.idle:
            report = self.idle.pop()
            with suppress(NotFound):
                await self.client.delete_report(report.report_id)
                self.events.emit("report.deleted", report_id=report.report_id)
                return True
        return False

    def _service_time(self) -> datetime:
        return self.clock.now() + timedelta(seconds=self.client.clock_skew_s or 0.0)

    def _start_of(self, report: Report) -> datetime:
        return report.start_at or self._service_time()
