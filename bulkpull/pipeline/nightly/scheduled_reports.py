"""
The scheduled reports that `nightly` uses, one per dataset: creates and remembers them, and lists unused ones.

A scheduled report is created once and used by every run, also on other machines with the same query. It is replaced
when it was paused, deleted or has ended, or when the query has changed; its latest file is fetched first, because
deleting a report deletes its executions (behaviour 97). Scheduled reports do not count against the quota of one-off
reports (behaviour 85), but an account may have only fifty active ones (behaviour 86).
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from bulkpull.clock import iso_utc
from bulkpull.errors import NotFound, QuotaExceeded
from bulkpull.event_types import ReportCreated, ReportDeleted
from bulkpull.events import Events
from bulkpull.insights.client import InsightsClient
from bulkpull.insights.report_orders import ReportOrder
from bulkpull.model import Pull, Query, Report
from bulkpull.output.ledger import Ledger
from bulkpull.output.ledger_facts import MissedFacts, ScheduledReportFacts
from bulkpull.pipeline.nightly.remembered_reports import ReportMemory, read_memory
from bulkpull.pipeline.nightly.scheduled_report_rules import first_start, recurrence_h
from bulkpull.pipeline.steps.naming import DESCRIPTION, standing_name
from bulkpull.pipeline.steps.submit import Submitter

LIST_UNKNOWN = (
    "the service does not tell which reports there are (the role may not list them); what is in the ledger counts, and "
    "nothing was created or deleted on a guess"
)


async def remember_reports(ledger: Ledger) -> dict[str, ReportMemory]:
    """What the ledger knows of each dataset's scheduled reports."""
    return read_memory(await ledger.noted(ScheduledReportFacts), await ledger.noted(MissedFacts))


def unused_reports(
    reports: Iterable[Report], memories: Mapping[str, ReportMemory], *, used: Container[str]
) -> list[tuple[str, Report]]:
    """
    The scheduled reports that this folder created and no longer uses, each with its dataset (pure).

    Args:
        used: Ids of reports that serve a dataset, or are replaced anyway.
    """
    by_id = {report_id: dataset for dataset, memory in memories.items() for report_id in memory.made}
    return [
        (by_id[report.report_id], report)
        for report in reports
        if report.report_id in by_id and report.report_id not in used
    ]


@dataclass(frozen=True, slots=True)
class ScheduledReportMaker:
    """
    Creates scheduled reports.

    Args:
        lead_h: Hours before the usual nightly hour at which they run (`standing_lead_hours`).
        idle: Reports of this folder that nothing uses; they are deleted when the service's quota is full (86).
    """

    client: InsightsClient
    submitter: Submitter
    events: Events
    lead_h: float
    idle: list[Report] = field(default_factory=list)

    async def make(self, pull: Pull) -> Report:
        """
        Order the scheduled report of `pull`; a second call after a lost answer finds what the first one made.

        Raises:
            QuotaExceeded: The account has as many active reports as it may (behaviour 86).
            BulkpullError: The service refuses it, or could not be asked.
        """

        async def order(query: Query) -> Report:
            return await self.client.create_report(
                ReportOrder(
                    name=standing_name(pull),
                    query_id=query.query_id,
                    description=DESCRIPTION,
                    execute_now=False,
                    start_at=first_start(self.client.service_time(), lead_h=self.lead_h),
                    recurrence_h=recurrence_h(pull),
                )
            )

        try:
            report = await self.submitter.with_query(pull, order)
        except QuotaExceeded as refused:
            if refused.kind == "one_off" or not await self._make_room():
                raise
            report = await self.submitter.with_query(pull, order)
        start_at = report.start_at or self.client.service_time()
        self.events.emit(ReportCreated(report_id=report.report_id, start_at=iso_utc(start_at)))
        return report

    async def _make_room(self) -> bool:
        """Delete one idle report of this folder; whether there was any."""
        while self.idle:
            report = self.idle.pop()
            with suppress(NotFound):
                await self.client.delete_report(report.report_id)
                self.events.emit(ReportDeleted(report_id=report.report_id))
                return True
        return False
