"""`bulkpull reports`: the user's orders for reports, one-off and scheduled."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated

import typer

from bulkpull.cli import completion as complete
from bulkpull.cli import options
from bulkpull.cli.durations import read_span
from bulkpull.cli.errors import LogFormat, OutputOptions, told
from bulkpull.cli.options import examples

app = typer.Typer(
    name="reports",
    help="The user's reports, one-off and scheduled.",
    no_args_is_help=True,
    epilog=examples("bulkpull reports list", "bulkpull reports create --help"),
)

ReportId = Annotated[str, typer.Argument(metavar="ID", help="A report's id, as `reports list` shows it.")]
ReportIds = Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Ids of reports.")]
SomeIds = Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of reports.")]
Description = Annotated[str | None, typer.Option("--description", help='What it is for; on update, "" removes it.')]
Start = Annotated[
    datetime | None,
    typer.Option(
        "--start",
        formats=["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M%z", "%Y-%m-%dT%H:%M:%S%z"],
        metavar="TIME",
        help="First run: 2026-01-31T06:00 (UTC) or 2026-01-31T08:00+02:00; four hours ahead; default: at once then.",
    ),
]
CallbackUrl = Annotated[
    str | None,
    typer.Option("--callback-url", help='Public https address that is told of each file; on update, "" removes it.'),
]


class FileFormat(StrEnum):
    """How fields are separated."""

    CSV = "csv"
    TSV = "tsv"


class CallbackMethod(StrEnum):
    """How the callback address is called."""

    GET = "GET"
    POST = "POST"


Method = Annotated[
    CallbackMethod | None,
    typer.Option("--callback-method", case_sensitive=False, help="How that is told; default: POST."),
]
_EXAMPLE_ID = "cdc61cfe-d028-4333-a215-a1df51ccbfd4"


@app.command(
    "list", epilog=examples("bulkpull reports list", "bulkpull reports list --mine", "bulkpull reports list --json")
)
def list_reports(
    *,
    name: Annotated[str | None, typer.Option("--name", help="Only the reports of this name.")] = None,
    query_id: Annotated[str | None, typer.Option("--query-id", help="Only the reports on this query.")] = None,
    mine: Annotated[bool, typer.Option("--mine", help="Only those that this tool made for its exports.")] = False,
    config: options.Config = None,
    as_json: options.AsJson = False,
    log_format: options.Format = LogFormat.CONSOLE,
    log_level: options.Level = None,
) -> None:
    """Show the user's reports: their status, and how often they run."""
    speech = OutputOptions(log_format, log_level)
    with told(speech, as_json=as_json):
        from bulkpull.cli.work import reports  # noqa: PLC0415 - `--help` needs none of it

        reports.list_reports(name=name, query_id=query_id, mine=mine, config=config, as_json=as_json, speech=speech)


@app.command("show", epilog=examples(f"bulkpull reports show {_EXAMPLE_ID}"))
def show_report(
    report_id: ReportId,
    *,
    config: options.Config = None,
    as_json: options.AsJson = False,
    log_format: options.Format = LogFormat.CONSOLE,
    log_level: options.Level = None,
) -> None:
    """Show one report; exit status 2 when there is none of that id."""
    speech = OutputOptions(log_format, log_level)
    with told(speech, as_json=as_json):
        from bulkpull.cli.work import reports  # noqa: PLC0415 - `--help` needs none of it

        reports.show_report(report_id, config=config, as_json=as_json, speech=speech)


@app.command(
    "create",
    epilog=examples(
        "bulkpull reports create --dataset Profile --now --demo",
        "bulkpull reports create --dataset AzureUsage --every 24 --times 30",
        "bulkpull reports create --query-id ID --now --since 2026-01-01",
    ),
)
def create_report(
    *,
    query_id: Annotated[str | None, typer.Option("--query-id", help="The query that it is on.")] = None,
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", autocompletion=complete.dataset_names, help="Or all columns of this dataset."),
    ] = None,
    at_once: Annotated[bool, typer.Option("--now", help="Run once, at once.")] = False,
    since: options.Since = None,
    until: options.Until = None,
    timespan: options.Timespan = None,
    every: Annotated[int | None, typer.Option("--every", help="Run every so many hours: 4 to 2160.")] = None,
    start: Start = None,
    times: Annotated[int | None, typer.Option("--times", help="How often in all; default: endless.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="Up to 256 characters without semicolon.")] = None,
    description: Description = None,
    file_format: Annotated[FileFormat, typer.Option("--format", help="Of the file.")] = FileFormat.CSV,
    callback_url: CallbackUrl = None,
    callback_method: Method = None,
    demo: options.Demo = False,
    config: options.Config = None,
    as_json: options.AsJson = False,
    log_format: options.Format = LogFormat.CONSOLE,
    log_level: options.Level = None,
) -> None:
    """
    Order a report: once with --now, or again and again with --every.

    Exports order and delete their own reports by themselves; this is for others.
    """
    speech = OutputOptions(log_format, log_level)
    with told(speech, as_json=as_json):
        from bulkpull.cli.work import orders  # noqa: PLC0415 - `--help` needs none of it

        order = orders.Order(
            query_id=query_id,
            dataset=dataset,
            name=name,
            description=description,
            at_once=at_once,
            since=options.day_of(since),
            until=options.day_of(until),
            timespan=timespan,
            start_at=_in_utc(start),
            every_h=every,
            times=times,
            format=file_format.value,
            callback_url=callback_url,
            callback_method=callback_method.value if callback_method else None,
        )
        orders.create_report(order, demo=demo, config=config, as_json=as_json, speech=speech)


@app.command(
    "update",
    epilog=examples(
        f"bulkpull reports update {_EXAMPLE_ID} --every 48",
        f"bulkpull reports update {_EXAMPLE_ID} --name Weekly",
    ),
)
def update_report(
    report_id: ReportId,
    *,
    name: Annotated[str | None, typer.Option("--name", help="Up to 256 characters without semicolon.")] = None,
    description: Description = None,
    every: Annotated[int | None, typer.Option("--every", help="Run every so many hours: 4 to 2160.")] = None,
    start: Start = None,
    times: Annotated[int | None, typer.Option("--times", help="How often in all.")] = None,
    file_format: Annotated[FileFormat | None, typer.Option("--format", help="Of the file.")] = None,
    callback_url: CallbackUrl = None,
    callback_method: Method = None,
    config: options.Config = None,
    as_json: options.AsJson = False,
    log_format: options.Format = LogFormat.CONSOLE,
    log_level: options.Level = None,
) -> None:
    """Change a scheduled report; its query cannot be changed."""
    speech = OutputOptions(log_format, log_level)
    with told(speech, as_json=as_json):
        from bulkpull.cli.work import orders  # noqa: PLC0415 - `--help` needs none of it

        change = orders.Change(
            name=name,
            description=description,
            start_at=_in_utc(start),
            every_h=every,
            times=times,
            format=file_format.value if file_format else None,
            callback_url=callback_url,
            callback_method=callback_method.value if callback_method else None,
        )
        orders.update_report(report_id, change, config=config, as_json=as_json, speech=speech)


@app.command("pause", epilog=examples(f"bulkpull reports pause {_EXAMPLE_ID}"))
def pause_report(
    report_ids: SomeIds,
    *,
    config: options.Config = None,
    as_json: options.AsJson = False,
    log_format: options.Format = LogFormat.CONSOLE,
    log_level: options.Level = None,
) -> None:
    """Stop the schedules of the named reports until they are resumed."""
    speech = OutputOptions(log_format, log_level)
    with told(speech, as_json=as_json):
        from bulkpull.cli.work import reports  # noqa: PLC0415 - `--help` needs none of it

        code = reports.switch_reports(report_ids, resume=False, config=config, as_json=as_json, speech=speech)
        raise typer.Exit(code)


@app.command("resume", epilog=examples(f"bulkpull reports resume {_EXAMPLE_ID}"))
def resume_report(
    report_ids: SomeIds,
    *,
    config: options.Config = None,
    as_json: options.AsJson = False,
    log_format: options.Format = LogFormat.CONSOLE,
    log_level: options.Level = None,
) -> None:
    """Let paused reports run again."""
    speech = OutputOptions(log_format, log_level)
    with told(speech, as_json=as_json):
        from bulkpull.cli.work import reports  # noqa: PLC0415 - `--help` needs none of it

        code = reports.switch_reports(report_ids, resume=True, config=config, as_json=as_json, speech=speech)
        raise typer.Exit(code)


@app.command(
    "delete",
    short_help="Delete the named reports, and nothing else.",
    epilog=examples(
        f"bulkpull reports delete {_EXAMPLE_ID}",
        f"bulkpull reports delete --yes {_EXAMPLE_ID}",
        "bulkpull reports delete --orphans --older-than 2d",
        "bulkpull reports delete --orphans --yes",
        "bulkpull reports delete --unused --output data",
    ),
)
def delete_reports(
    report_ids: ReportIds = None,
    *,
    orphans: Annotated[
        bool, typer.Option("--orphans", help="One-off reports of exports that were cut off; without --yes, only show.")
    ] = False,
    unused: Annotated[
        bool,
        typer.Option(
            "--unused", help="Scheduled reports of the output folder that its last night did not use; needs --yes."
        ),
    ] = False,
    older_than: Annotated[
        timedelta | None,
        typer.Option("--older-than", metavar="TIME", parser=read_span, help="Age of orphans; default: 2d."),
    ] = None,
    yes: options.Yes = False,
    output: options.Output = None,
    config: options.Config = None,
    as_json: options.AsJson = False,
    log_format: options.Format = LogFormat.CONSOLE,
    log_level: options.Level = None,
) -> None:
    """
    Delete the named reports with their executions and files, and nothing else.

    Orphans bear this tool's mark, and no run of the output folder waits for them.
    """
    if [bool(report_ids), orphans, unused].count(True) != 1:
        raise typer.BadParameter("give either the ids of reports, or --orphans, or --unused")
    if older_than is not None and not orphans:
        raise typer.BadParameter("--older-than goes with --orphans")
    speech = OutputOptions(log_format, log_level)
    with told(speech, as_json=as_json):
        from bulkpull.cli.work import reports  # noqa: PLC0415 - `--help` needs none of it

        if unused:
            code = reports.delete_unused(yes=yes, output=output, config=config, as_json=as_json, speech=speech)
        elif orphans:
            age = older_than or timedelta(days=2)
            code = reports.delete_orphans(age, yes=yes, output=output, config=config, as_json=as_json, speech=speech)
        else:
            code = reports.delete_reports(report_ids or (), yes=yes, config=config, as_json=as_json, speech=speech)
        raise typer.Exit(code)


def _in_utc(moment: datetime | None) -> datetime | None:
    if moment is None:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
