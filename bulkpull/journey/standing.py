"""
Standing: the scheduled reports that the nights live on, one a dataset, and a look at all of them at once.

A standing report is made once and serves every night, also of another machine with the same query. It is replaced when
it was paused, deleted or used up, or when its query is not today's any more; a file that it holds is fetched first,
because deleting a report deletes its executions (behaviour 97). Standing reports do not count against the quota of
one-off reports (85), but an account may have fifty active ones (86).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bulkpull.clock import Clock, iso_utc
from bulkpull.errors import RequestRejected
from bulkpull.events import Events
from bulkpull.journey.names import standing_name
from bulkpull.journey.night import (
    Night,
    Seen,
    candidates,
    decide,
    first_start,
    is_due,
    moment_of,
    recurrence_h,
    refresh_days_of,
)
from bulkpull.journey.submit import DESCRIPTION, Submitter
from bulkpull.model import Execution, ExecutionStatus, Pull, Query, Report
from bulkpull.records.ledger import StepEntry
from bulkpull.records.manifest import DatasetRecord
from bulkpull.reporting.client import ReportingClient

STANDING = "standing"
UNCHANGED = "unchanged"
# The ledger forgets what is older than some months, and must not forget a report that still serves.
_REMEMBERED = timedelta(days=30)
_COMPLETED = (ExecutionStatus.COMPLETED,)


async def look_at_night(
    pulls: Sequence[Pull],
    reports: Sequence[Report],
    *,
    client: ReportingClient,
    standing: Sequence[StepEntry],
    unchanged: Iterable[StepEntry],
    published: Mapping[str, DatasetRecord],
    damaged: frozenset[str],
    now: datetime,
) -> dict[str, Night]:
    """
    Ask after all standing reports, in as few calls as the service allows, and decide for each dataset.

    Args:
        reports: All that the service lists.
        standing, unchanged: What the ledger noted in earlier nights.
        damaged: Datasets whose published files are not whole any more; they count as not published.

    Returns:
        By dataset. Nothing was created or changed.

    Raises:
        BulkpullError: The service could not be asked.
    """
    ours: dict[str, set[str]] = {}
    recent: set[str] = set()
    for entry in standing:
        known = ours.setdefault(entry.dataset, set())
        name, report_id = entry.facts["name"], entry.facts.get("report_id")
        if report_id is None:  # it was ordered, and perhaps the process died before it heard of it
            known.add(name)
            continue
        known.discard(name)
        known.add(report_id)
        if entry.at >= iso_utc(now - _REMEMBERED):
            recent.add(report_id)
    later = {entry.dataset: entry.facts for entry in unchanged}
    found = {pull.dataset: candidates(pull, reports, ours=ours.get(pull.dataset, ())) for pull in pulls}
    ids = [report.report_id for reports_of_one in found.values() for report in reports_of_one]
    executions = await _latest_executions(ids, client=client)
    nights: dict[str, Night] = {}
    for pull in pulls:
        record = None if pull.dataset in damaged else published.get(pull.dataset)
        seen = [Seen(record.execution_id, moment_of(record.generated_at, now=now))] if record else []
        if record and (told := later.get(pull.dataset)):
            seen.append(Seen(told.get("execution_id"), moment_of(told.get("generated_at"), now=now)))
        night = decide(pull, found[pull.dataset], executions, published=record, seen=seen)
        night.remembered = night.standing is not None and night.standing.report_id in recent
        is_first = not found[pull.dataset] and pull.dataset not in ours
        if is_first and night.reason and is_due(night.seen_at, refresh_days=refresh_days_of(pull), now=now):
            night.ask, night.reason = True, None  # what is published came another way, and is out of date
        nights[pull.dataset] = night
    return nights


async def _latest_executions(report_ids: Sequence[str], *, client: ReportingClient) -> list[Execution]:
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
    """

    client: ReportingClient
    submitter: Submitter
    clock: Clock
    events: Events
    lead_h: float

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

        report = await self.submitter.with_query(pull, order)
        self.events.emit("report.created", report_id=report.report_id, start_at=iso_utc(self._start_of(report)))
        return report

    def _service_time(self) -> datetime:
        return self.clock.now() + timedelta(seconds=self.client.clock_skew_s or 0.0)

    def _start_of(self, report: Report) -> datetime:
        return report.start_at or self._service_time()
