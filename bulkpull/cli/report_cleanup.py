"""Reports on the service that no run needs any more: shown, or deleted with `--yes`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from bulkpull.catalog import load_catalog
from bulkpull.cli.batch import COMPLETE, REPORTS, BatchResult, delete_named
from bulkpull.cli.console import print_message
from bulkpull.cli.json_output import report_values
from bulkpull.cli.options import CommonOptions
from bulkpull.cli.reports import print_reports
from bulkpull.cli.service_call import call_service
from bulkpull.cli.stdio import print_json
from bulkpull.config.settings import Settings
from bulkpull.errors import ReportingError
from bulkpull.formatting import plural
from bulkpull.insights.client import InsightsClient
from bulkpull.model import Report
from bulkpull.output.ledger import Ledger, RunEntry, read_facts
from bulkpull.output.ledger_facts import ScheduledReportFacts
from bulkpull.output.owner import check_owner
from bulkpull.output.run_history import ask_ledger, missing_export
from bulkpull.output.store import open_store
from bulkpull.pipeline.nightly.scheduled_reports import LIST_UNKNOWN, ReportMemory, remember_reports, unused_reports
from bulkpull.pipeline.open_run import is_unfinished, is_young
from bulkpull.pipeline.request import ExportRequest
from bulkpull.pipeline.steps.naming import parse_report_name


def delete_orphans(older_than: timedelta, *, yes: bool, settings: Settings, common: CommonOptions) -> int:
    """Delete one-off reports of exports that no run waits for; without `yes`, only show them."""
    check_owner(open_store(settings.output.absolute()), settings.account)
    runs = ask_ledger(settings.output, Ledger.runs) or []

    async def fetch(client: InsightsClient) -> tuple[list[Report], datetime]:
        return await client.get_reports(), client.service_time()

    reports, now = call_service(fetch, common, settings=settings)
    orphans = find_orphans(reports, runs=runs, older_than=older_than, now=now)
    return _delete_or_show(orphans, if_none="no orphans", yes=yes, settings=settings, common=common)


def delete_unused(*, yes: bool, settings: Settings, common: CommonOptions) -> int:
    """Delete the scheduled reports that the folder made and its last night did not use; without `yes`, show them."""
    check_owner(open_store(settings.output.absolute()), settings.account)
    memories, used = ask_ledger(settings.output, reports_of_last_night) or ({}, set())
    known_ids = used.union(*(memory.ids for memory in memories.values()))

    async def list_reports(client: InsightsClient) -> list[Report] | None:
        client.add_known_ids(known_ids)
        return await client.list_reports()

    listed = call_service(list_reports, common, settings=settings)
    if listed is None:
        raise ReportingError(LIST_UNKNOWN, fix="restore the role that may list reports, then try again")
    unused = [report for _, report in unused_reports(listed, memories, used=used)]
    if_none = "no unused reports"
    if missing := missing_export(settings.output):  # a mistyped folder has none either
        if_none = f"{if_none}: {missing}"
    return _delete_or_show(unused, if_none=if_none, yes=yes, settings=settings, common=common)


def _delete_or_show(
    reports: list[Report], *, if_none: str, yes: bool, settings: Settings, common: CommonOptions
) -> int:
    if yes and reports:
        return delete_named(reports, kind=REPORTS, settings=settings, yes=True, common=common)
    if common.as_json:
        values = [report_values(report) for report in reports]
        print_json({"version": 1, "reports": values, **BatchResult().as_values(), "deleted": False})
    else:
        print_reports(reports, as_json=False)
        print_message(f"{plural(len(reports), 'report')} would be deleted: add --yes" if reports else if_none)
    return COMPLETE


async def reports_of_last_night(ledger: Ledger) -> tuple[dict[str, ReportMemory], set[str]]:
    """
    What the ledger knows of scheduled reports, and the ids of those that the last finished nightly run used.

    Where that run noted no report of a dataset that it requested, all reports of the dataset count as used: the
    service could not be asked, or did not list them (case N17).
    """
    memories = await remember_reports(ledger)
    night = next((run for run in await ledger.runs() if run.request.get("nightly") and run.ended_at), None)
    if night is None:
        return memories, set().union(*(memory.ids for memory in memories.values()))
    scheduled = read_facts(ScheduledReportFacts, await ledger.steps(night.run_id))
    noted = {entry.facts.report_id: entry.dataset for entry in scheduled if entry.facts.report_id is not None}
    used = set(noted)
    request, catalog = ExportRequest.of_run(night.request), load_catalog()
    names = {catalog.canonical(name) for name in request.names}
    for dataset, memory in memories.items():
        is_asked = request.everything or dataset in names
        if is_asked and dataset not in noted.values():
            used |= memory.ids
    return memories, used


def find_orphans(
    reports: Sequence[Report], *, runs: Sequence[RunEntry], older_than: timedelta, now: datetime
) -> list[Report]:
    """
    One-off reports with this tool's mark that no run needs, at the service's time `now` (pure).

    Reports of one of `runs` that may still be resumed are left alone, and younger ones than `older_than`: they may
    belong to a run of another folder or another machine.
    """
    alive = {run.run_id for run in runs if is_unfinished(run) and is_young(run, now=now)}

    def is_orphan(report: Report) -> bool:
        mark = parse_report_name(report.name)
        is_marked = mark is not None and mark.run_id is not None and mark.run_id not in alive
        is_old = report.created_at is not None and now - report.created_at > older_than
        return is_marked and is_old and report.execute_now

    return list(filter(is_orphan, reports))
