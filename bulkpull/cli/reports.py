"""`bulkpull reports`: the user's reports, one-off and scheduled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bulkpull.cli import options
from bulkpull.cli.batch import REPORTS, BatchResult, delete_named, find_by_name, find_named, for_each
from bulkpull.cli.command_decorator import command, new_app
from bulkpull.cli.console import new_table, print_grid, print_message, print_table
from bulkpull.cli.json_output import report_values
from bulkpull.cli.options import CommonOptions, option, read_span
from bulkpull.cli.service_call import call_service, load_settings
from bulkpull.cli.stdio import print_json
from bulkpull.errors import SettingsError
from bulkpull.model import DEFAULT_FORMAT, CallbackMethod, FileFormat, Report
from bulkpull.redact import printable

if TYPE_CHECKING:
    from bulkpull.insights.client import InsightsClient

app = new_app("reports", "bulkpull reports list", "bulkpull reports create --help")

ReportId = Annotated[str, typer.Argument(metavar="ID", help="A report's id, as `reports list` shows it.")]
ReportIds = Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Ids of reports.")]
SomeIds = Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of reports.")]
Orphans = Annotated[bool, option("--orphans", "One-off reports of interrupted exports; without --yes, only show.")]
_UNUSED = "Scheduled reports of the output folder that its last nightly run did not use; needs --yes."
Unused = Annotated[bool, option("--unused", _UNUSED)]
OlderThan = Annotated[
    timedelta | None,
    option("--older-than", "Age of orphans; default: 2d.", metavar="TIME", parser=read_span),
]

_START = "First run: 2026-01-31T06:00 (UTC) or 2026-01-31T08:00+02:00; four hours ahead; default: at once then."
_START_FORMATS = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M%z", "%Y-%m-%dT%H:%M:%S%z"]
_CALLBACK = 'Public https address that is called for each file; on update, "" removes it.'
_METHOD = "HTTP method of the callback; default: POST."

Every = Annotated[int | None, option("--every", "Interval in hours: 4 to 2160.")]
Name = Annotated[str | None, option("--name", "Up to 256 characters without semicolon.", metavar="NAME")]
Description = Annotated[str | None, option("--description", 'Description; on update, "" removes it.')]
Start = Annotated[datetime | None, option("--start", _START, formats=_START_FORMATS, metavar="TIME")]
CallbackUrl = Annotated[str | None, option("--callback-url", _CALLBACK, metavar="ADDRESS")]
Method = Annotated[CallbackMethod | None, option("--callback-method", _METHOD, case_sensitive=False)]
_QUERY_DATASET = option(
    "--dataset", "Or a query of all columns of this dataset.", metavar="DATASET", autocompletion=options.dataset_names
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSpec:
    """The report that `reports create` is to make; a dataset stands for this tool's own query of all its columns."""

    query_id: Annotated[str | None, option("--query-id", "The query of the report.", metavar="ID")] = None
    dataset: Annotated[str | None, _QUERY_DATASET] = None
    at_once: Annotated[bool, option("--now", "Run once, immediately.")] = False
    since: options.Since = None
    until: options.Until = None
    timespan: options.Timespan = None
    every: Every = None
    start: Start = None
    times: Annotated[int | None, option("--times", "Number of runs; default: unlimited.")] = None
    name: Name = None
    description: Description = None
    file_format: Annotated[FileFormat, option("--format", "Of the file.")] = DEFAULT_FORMAT
    callback_url: CallbackUrl = None
    callback_method: Method = None

    def check(self) -> None:
        if (self.query_id is None) == (self.dataset is None):
            raise SettingsError("a report has one query", fix="give either --query-id ID or --dataset NAME")
        if self.at_once == (self.every is not None):
            raise SettingsError("a report runs once or on a schedule", fix="give either --now or --every HOURS")
        if self.at_once and (self.start is not None or self.times is not None):
            raise SettingsError("--now excludes --start and --times", fix="give --every HOURS for a schedule")
        if not self.at_once and (self.since or self.until):
            why, fix = "the service ignores them on a schedule", "leave them out, or give --now"
            raise SettingsError("--since and --until need --now", why=why, fix=fix)
        if self.timespan and (self.dataset is None or self.since is not None):
            raise SettingsError(
                "--timespan goes with --dataset and without --since",
                why="a stored query has its own, and days override it",
                fix="leave --timespan out",
            )
        _check_name(self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportUpdate:
    """What `reports update` is to change; `None` leaves a value, an empty description or address removes it."""

    name: Name = None
    description: Description = None
    every: Every = None
    start: Start = None
    times: Annotated[int | None, option("--times", "Number of runs.")] = None
    file_format: Annotated[FileFormat | None, option("--format", "Of the file.")] = None
    callback_url: CallbackUrl = None
    callback_method: Method = None

    def check(self) -> None:
        if all(getattr(self, option.name) is None for option in fields(self)):
            raise SettingsError("nothing to change was given", fix="see `bulkpull reports update --help`")
        _check_name(self.name)


def _check_name(name: str | None) -> None:
    """Refuse a name with this tool's prefix: exports delete such reports."""
    from bulkpull.pipeline.steps.naming import OWN_PREFIX  # slow to load

    if name is not None and name.strip().casefold().startswith(f"{OWN_PREFIX}_"):
        raise SettingsError(
            f"a report cannot be named {printable(name, most=40)!r} here",
            why=f"names that begin with {OWN_PREFIX}_ mark reports that exports make and delete",
            fix="choose another name",
        )


@command(app, "list")
def list_reports(
    *,
    name: Annotated[str | None, option("--name", "Only the reports of this name.", metavar="NAME")] = None,
    query_id: Annotated[str | None, option("--query-id", "Only the reports on this query.", metavar="ID")] = None,
    mine: Annotated[bool, option("--mine", "Only those that this tool created for its exports.")] = False,
    common: CommonOptions,
) -> None:
    """
    Show the user's reports: their status, and how often they run.

    Examples:
        bulkpull reports list
        bulkpull reports list --mine
        bulkpull reports list --json
    """

    async def fetch(client: InsightsClient) -> list[Report]:
        return await find_by_name(partial(client.get_reports, query_id=query_id), name)

    reports = call_service(fetch, common)
    if mine:
        reports = [report for report in reports if is_our_report(report)]
    print_reports(reports, as_json=common.as_json)
    if not reports and not common.as_json:
        print_message("there are no such reports")


@command(app, "show")
def show_report(report_id: ReportId, *, common: CommonOptions) -> None:
    """
    Show one report; exit status 2 when there is none of that id.

    Examples:
        bulkpull reports show cdc61cfe-d028-4333-a215-a1df51ccbfd4
    """
    report = call_service(lambda client: find_report(client, report_id), common)
    if common.as_json:
        print_reports([report], as_json=True)
    else:
        _print_one(report)


@command(app, "create")
def create(spec: ReportSpec, *, demo: options.Demo = False, common: CommonOptions) -> None:
    """
    Create a report: one run with --now, or a schedule with --every.

    Exports create and delete their own reports; this command is for other reports.

    Examples:
        bulkpull reports create --dataset Profile --now --demo
        bulkpull reports create --dataset AzureUsage --every 24 --times 30
        bulkpull reports create --query-id ID --now --since 2026-01-01
    """
    from bulkpull.cli.report_create import create_report  # slow to load

    report = create_report(spec, demo=demo, common=common)
    print_reports([report], as_json=common.as_json)
    if not (common.as_json or demo):
        print_message(f"next: bulkpull executions {report.report_id}")


@command(app, "update")
def update(report_id: ReportId, change: ReportUpdate, *, common: CommonOptions) -> None:
    """
    Change a scheduled report; its query cannot be changed.

    Examples:
        bulkpull reports update cdc61cfe-d028-4333-a215-a1df51ccbfd4 --every 48
        bulkpull reports update cdc61cfe-d028-4333-a215-a1df51ccbfd4 --name Weekly
    """
    from bulkpull.cli.report_create import update_report  # slow to load

    print_reports([update_report(report_id, change, common=common)], as_json=common.as_json)


@command(app, "pause")
def pause_reports(report_ids: SomeIds, *, common: CommonOptions) -> int:
    """
    Stop the schedules of the named reports until they are resumed.

    Examples:
        bulkpull reports pause cdc61cfe-d028-4333-a215-a1df51ccbfd4
    """
    return _switch(report_ids, resume=False, common=common)


@command(app, "resume")
def resume_reports(report_ids: SomeIds, *, common: CommonOptions) -> int:
    """
    Let paused reports run again.

    Examples:
        bulkpull reports resume cdc61cfe-d028-4333-a215-a1df51ccbfd4
    """
    return _switch(report_ids, resume=True, common=common)


def _switch(report_ids: Sequence[str], *, resume: bool, common: CommonOptions) -> int:
    wanted = list(dict.fromkeys(report_id.strip() for report_id in report_ids))

    async def switch_all(client: InsightsClient) -> BatchResult[Report]:
        async def switch(report_id: str) -> Report:
            changed = await (client.resume_report(report_id) if resume else client.pause_report(report_id))
            return changed or await find_report(client, report_id)

        return await for_each(wanted, switch)

    result = call_service(switch_all, common)
    if len(result.not_there) == len(wanted) == 1:
        raise REPORTS.not_there(wanted[0])
    if common.as_json:
        print_json({"version": 1, "reports": [report_values(report) for report in result.done], **result.as_values()})
    else:
        print_reports(result.done, as_json=False)
    return result.report(REPORTS, done="resumed" if resume else "paused", common=common)


@command(app, "delete", short_help="Delete the named reports, and nothing else.")
def delete_reports(
    report_ids: ReportIds = None,
    *,
    orphans: Orphans = False,
    unused: Unused = False,
    older_than: OlderThan = None,
    yes: options.Yes = False,
    output: options.Output = None,
    common: CommonOptions,
) -> int:
    """
    Delete the named reports with their executions and files, and nothing else.

    Orphans are reports of this tool that no run of the output folder waits for.

    Examples:
        bulkpull reports delete cdc61cfe-d028-4333-a215-a1df51ccbfd4
        bulkpull reports delete --yes cdc61cfe-d028-4333-a215-a1df51ccbfd4
        bulkpull reports delete --orphans --older-than 2d
        bulkpull reports delete --orphans --yes
        bulkpull reports delete --unused --output data
    """
    if [bool(report_ids), orphans, unused].count(True) != 1:
        raise typer.BadParameter("give either the ids of reports, or --orphans, or --unused")
    if older_than is not None and not orphans:
        raise typer.BadParameter("--older-than goes with --orphans")
    from bulkpull.cli.report_cleanup import delete_orphans, delete_unused  # slow to load

    settings = load_settings(common, output=output)
    if unused:
        return delete_unused(yes=yes, settings=settings, common=common)
    if orphans:
        return delete_orphans(older_than or timedelta(days=2), yes=yes, settings=settings, common=common)
    named = report_ids or []
    only_id = named[0] if len(named) == 1 else None
    listed = call_service(lambda client: client.get_reports(report_id=only_id), common, settings=settings)
    found, missing = find_named(named, {report.report_id: report for report in listed})
    return delete_named(found, missing, kind=REPORTS, settings=settings, yes=yes, common=common)


def is_our_report(report: Report) -> bool:
    """Whether a report bears the mark of this tool's exports (behaviour 80)."""
    from bulkpull.pipeline.steps.naming import parse_report_name  # slow to load

    return parse_report_name(report.name) is not None


async def find_report(client: InsightsClient, report_id: str) -> Report:
    """The report of that id; raises `NotThere` where there is none."""
    return REPORTS.only(await client.get_reports(report_id=report_id), report_id)


def print_reports(reports: Sequence[Report], *, as_json: bool) -> None:
    if as_json:
        print_json({"version": 1, "reports": [report_values(report) for report in reports]})
    elif reports:
        print_table(new_table(("report", "status", "runs", "name"), map(_row, reports), fold=["name"]))


def _row(report: Report) -> tuple[str, str, str, str]:
    runs = "once"
    if not report.execute_now:
        times = f" ×{report.recurrence_count}" if report.recurrence_count else ""
        runs = f"{report.recurrence_h} h{times}" if report.recurrence_h is not None else ""
    return printable(report.report_id), printable(report.status), runs, printable(report.name)


def _print_one(report: Report) -> None:
    values: dict[str, Any] = report_values(report)
    window, start, runs, origin = values["window"], values["start_at"], "on a schedule", None
    if report.recurrence_h:
        times = f", {report.recurrence_count} times in all" if report.recurrence_count else ""
        runs = f"every {report.recurrence_h} hours{times}"
    if report.execute_now:
        start, runs = None, "once, at once"
        origin = "this tool, which deletes it when it is no longer needed" if is_our_report(report) else None
    print_grid(
        ("report", report.report_id),
        ("name", report.name),
        ("description", report.description),
        ("made by", origin),
        ("status", report.status),
        ("runs", runs),
        ("start", start),
        ("window", f"{window['start']} to {window['end']}" if window else None),
        ("created", values["created_at"]),
        ("changed", values["modified_at"]),
        ("format", report.format),
        ("callback", f"{report.callback_method or 'POST'} {values['callback_url']}" if report.callback_url else None),
        ("query", report.query_id),
        text=report.query_text,
    )
