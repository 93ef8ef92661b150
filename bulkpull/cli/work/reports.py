"""The user's reports: shown, paused and resumed, and deleted when they are named or left behind."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from rich.table import Table

from bulkpull import formatting as figures
from bulkpull.catalog import load_catalog
from bulkpull.cli.errors import OutputOptions
from bulkpull.cli.stdio import print_json
from bulkpull.cli.work.ask import ask
from bulkpull.cli.work.consoles import error_console, print_grid, print_table
from bulkpull.cli.work.deletion import COMPLETE, NOT_THERE, delete_named, named
from bulkpull.cli.work.kinds import REPORTS
from bulkpull.cli.work.one_by_one import RequestCounts, do_each
from bulkpull.cli.work.target import aimed
from bulkpull.cli.work.values import is_named, report_values
from bulkpull.config.settings import Settings
from bulkpull.errors import ReportingError
from bulkpull.insights.client import InsightsClient
from bulkpull.model import Report
from bulkpull.output.ledger import STANDING, Ledger, RunEntry
from bulkpull.output.owner import check_owner
from bulkpull.output.past import ask_ledger
from bulkpull.pipeline.naming import parse_report_name
from bulkpull.pipeline.nightly.scheduled_reports import LIST_UNKNOWN, remember_reports, unused_reports
from bulkpull.pipeline.report_memory import ReportMemory
from bulkpull.pipeline.request import ExportRequest
from bulkpull.pipeline.resume import is_unfinished, is_young
from bulkpull.redact import printable


def is_mine(report: Report) -> bool:
    """Whether a report bears the mark of this tool's exports (behaviour 80)."""
    return parse_report_name(report.name) is not None


def list_reports(
    *, name: str | None, query_id: str | None, mine: bool, config: Path | None, as_json: bool, speech: OutputOptions
) -> None:
    """Print the reports that match, newest last; with `mine`, those that carry this tool's mark."""

    async def look(client: InsightsClient) -> list[Report]:
        found = await client.get_reports(name=name, query_id=query_id)
        if name is None or found:
            return found
        # Names that others gave may have blanks around them, which the service's own filter minds.
        return [report for report in await client.get_reports(query_id=query_id) if is_named(report.name, name)]

    with aimed(config, demo=False) as settings:
        reports = ask(look, settings=settings, speech=speech)
    if mine:
        reports = [report for report in reports if is_mine(report)]
    print_reports(reports, as_json=as_json)
    if not reports and not as_json:
        error_console().print("there are no such reports", soft_wrap=True)


def show_report(report_id: str, *, config: Path | None, as_json: bool, speech: OutputOptions) -> None:
    """
    Print one report with everything that the service tells of it.

    Raises:
        NotThere: There is none of that id.
    """
    with aimed(config, demo=False) as settings:
        report = ask(lambda client: the_report(client, report_id), settings=settings, speech=speech)
    if as_json:
        print_reports([report], as_json=True)
    else:
        _print_one(report)


def switch_reports(
    report_ids: Sequence[str], *, resume: bool, config: Path | None, as_json: bool, speech: OutputOptions
) -> int:
    """
    Pause the schedules of reports, or let them go on; returns 2 when one of them is not there, else 0.

    Raises:
        NotThere: None of them is there.
        BulkpullError: One of them, or more, could not be switched; the others were.
    """

    async def switch(client: InsightsClient, its_id: str) -> Report:
        changed = await (client.resume_report(its_id) if resume else client.pause_report(its_id))
        return changed or await the_report(client, its_id)

    wanted = list(dict.fromkeys(each.strip() for each in report_ids))
    with aimed(config, demo=False) as settings:
        tally = ask(
            lambda client: do_each(wanted, lambda its_id: switch(client, its_id)), settings=settings, speech=speech
        )
    if len(tally.not_there) == len(wanted) == 1:
        raise REPORTS.not_there(wanted[0])
    if as_json:
        values = [report_values(report) for report in tally.done]
        print_json({"version": 1, "reports": values, **tally.as_values()})
    else:
        print_reports(tally.done, as_json=False)
    tally.tell(REPORTS, done="resumed" if resume else "paused", speech=speech)
    return NOT_THERE if tally.not_there else COMPLETE


def delete_reports(
    report_ids: Sequence[str], *, yes: bool, config: Path | None, as_json: bool, speech: OutputOptions
) -> int:
    """
    Delete the named reports, and no others; returns 2 when one of them is not there, else 0.

    Raises:
        SettingsError: There is nobody to ask.
    """
    with aimed(config, demo=False) as settings:
        one = report_ids[0] if len(report_ids) == 1 else None
        listed = ask(lambda client: client.get_reports(report_id=one), settings=settings, speech=speech)
        found, missing = named(report_ids, {report.report_id: report for report in listed})
        return delete_named(
            [report_values(report) for report in found],
            missing,
            kind=REPORTS,
            settings=settings,
            yes=yes,
            as_json=as_json,
            speech=speech,
        )


def delete_orphans(
    older_than: timedelta, *, yes: bool, output: Path | None, config: Path | None, as_json: bool, speech: OutputOptions
) -> int:
    """
    Delete the one-off reports of exports that nobody waits for any more; without `yes`, only say which these are.

    Raises:
        LedgerError: The local runs cannot be read, so nobody knows which reports are waited for.
    """
    with aimed(config, demo=False, output=output) as settings:
        runs = ask_ledger(settings.output, Ledger.runs) or []

        async def look(client: InsightsClient) -> tuple[list[Report], datetime]:
            return await client.get_reports(), client.service_time()

        reports, now = ask(look, settings=settings, speech=speech)
        orphans = find_orphans(reports, runs=runs, older_than=older_than, now=now)
        return _delete_or_show(
            orphans, if_none="no orphans", yes=yes, settings=settings, as_json=as_json, speech=speech
        )


def delete_unused(*, yes: bool, output: Path | None, config: Path | None, as_json: bool, speech: OutputOptions) -> int:
    """
    Delete the scheduled reports that the output folder made and its last night did not use; without `yes`, show them.

    Raises:
        SettingsError: The output folder belongs to another account.
        LedgerError: The ledger cannot be read, so nobody knows which reports are the folder's.
        BulkpullError: The service does not tell which reports there are; nothing is deleted on a guess.
    """
    with aimed(config, demo=False, output=output) as settings:
        check_owner(settings.output.absolute(), settings.account)
        memories, used = ask_ledger(settings.output, reports_of_last_night) or ({}, set())
        listed = ask(InsightsClient.list_reports, settings=settings, speech=speech)
        if listed is None:
            raise ReportingError(LIST_UNKNOWN, fix="give the role back that may list reports, then try again")
        unused = [report for _, report in unused_reports(listed, memories, used=used)]
        return _delete_or_show(
            unused, if_none="no unused reports", yes=yes, settings=settings, as_json=as_json, speech=speech
        )


def _delete_or_show(
    reports: list[Report], *, if_none: str, yes: bool, settings: Settings, as_json: bool, speech: OutputOptions
) -> int:
    """Delete these reports; without `yes`, only show them."""
    values = [report_values(report) for report in reports]
    if yes and reports:
        return delete_named(values, [], kind=REPORTS, settings=settings, yes=True, as_json=as_json, speech=speech)
    if as_json:
        print_json({"version": 1, "reports": values, **RequestCounts().as_values(), "deleted": False})
    else:
        print_reports(reports, as_json=False)
        many = f"{figures.count(len(reports), 'report')} would be deleted: add --yes" if reports else if_none
        error_console().print(many, soft_wrap=True)
    return COMPLETE


async def reports_of_last_night(ledger: Ledger) -> tuple[dict[str, ReportMemory], set[str]]:
    """
    What the ledger knows of scheduled reports, and the ids of those that the last finished night used.

    Where that night noted no report of a dataset that it asked for, all reports of the dataset count as used: the
    service could not be asked, or did not tell which there are (case N17).
    """
    memories = await remember_reports(ledger)
    night = next((run for run in await ledger.runs() if run.request.get("nightly") and run.ended_at), None)
    if night is None:
        return memories, set().union(*(memory.ids for memory in memories.values()))
    noted = [each for each in await ledger.steps(night.run_id) if each.step == STANDING and "report_id" in each.facts]
    used = {str(each.facts["report_id"]) for each in noted}
    request, catalog = ExportRequest.of_run(night.request), load_catalog()
    names = {known.name if (known := catalog.find(name)) else name for name in request.names}
    for dataset, memory in memories.items():
        is_asked = request.everything or dataset in names
        if is_asked and dataset not in {each.dataset for each in noted}:
            used |= memory.ids
    return memories, used


def find_orphans(
    reports: Sequence[Report], *, runs: Sequence[RunEntry], older_than: timedelta, now: datetime
) -> list[Report]:
    """
    One-off reports with this tool's mark that nobody waits for (pure). Standing reports of `nightly` are none.

    Args:
        runs: What the ledger of the output folder knows. The reports of a run that may still be carried on are left
            alone; it may be for a day after it last did something.
        older_than: Younger reports may belong to a run of another folder or another machine.
        now: The service's time.
    """
    alive = {run.run_id for run in runs if is_unfinished(run) and is_young(run, now=now)}
    marked = [(parse_report_name(report.name), report) for report in reports]
    return [
        report
        for mark, report in marked
        if mark is not None
        and mark.run_id is not None
        and mark.run_id not in alive
        and report.execute_now
        and report.created_at is not None
        and now - report.created_at > older_than
    ]


async def the_report(client: InsightsClient, report_id: str) -> Report:
    """
    The report of that id.

    Raises:
        NotThere: There is none.
    """
    found = await client.get_reports(report_id=report_id)
    if not found:
        raise REPORTS.not_there(report_id.strip())
    return found[0]


def print_reports(reports: Sequence[Report], *, as_json: bool) -> None:
    """Write reports as a table, or as one JSON object."""
    if as_json:
        print_json({"version": 1, "reports": [report_values(report) for report in reports]})
    elif reports:
        print_table(_table(reports))


def _table(reports: Sequence[Report]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("report", no_wrap=True)
    table.add_column("status", no_wrap=True)
    table.add_column("runs", no_wrap=True)
    table.add_column("name", overflow="fold")
    for report in reports:
        table.add_row(printable(report.report_id), printable(report.status), _rhythm(report), printable(report.name))
    return table


def _rhythm(report: Report) -> str:
    if report.execute_now:
        return "once"
    if report.recurrence_h is None:
        return ""
    return f"{report.recurrence_h} h" + (f" ×{report.recurrence_count}" if report.recurrence_count else "")


def _print_one(report: Report) -> None:
    values: dict[str, Any] = report_values(report)
    every = f"every {report.recurrence_h} hours" if report.recurrence_h else None
    times = f", {report.recurrence_count} times in all" if every and report.recurrence_count else ""
    callback = f"{report.callback_method or 'POST'} {values['callback_url']}" if report.callback_url else None
    print_grid(
        ("report", report.report_id),
        ("name", report.name),
        ("description", report.description),
        ("made by", "this tool, which deletes it when it is done" if is_mine(report) and report.execute_now else None),
        ("status", report.status),
        ("runs", "once, at once" if report.execute_now else f"{every or 'on a schedule'}{times}"),
        ("start", None if report.execute_now else values["start_at"]),
        ("window", f"{values['window']['start']} to {values['window']['end']}" if values["window"] else None),
        ("created", values["created_at"]),
        ("changed", values["modified_at"]),
        ("format", report.format),
        ("callback", callback),
        ("query", report.query_id),
        text=report.query_text,
    )
