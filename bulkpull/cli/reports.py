"""`bulkpull reports`: the user's orders for reports, one-off and scheduled."""

from __future__ import annotations

from typing import Annotated

import typer

from bulkpull.cli import options
from bulkpull.cli.options import examples
from bulkpull.cli.speech import LogFormat, Speech, told

app = typer.Typer(name="reports", help="The user's reports, one-off and scheduled.", no_args_is_help=True)

ReportId = Annotated[str, typer.Argument(metavar="ID", help="A report's id, as `reports list` shows it.")]
ReportIds = Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of reports.")]
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
    speech = Speech(log_format, log_level)
    with told(speech):
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
    """Show one report; exit status 3 when there is none of that id."""
    speech = Speech(log_format, log_level)
    with told(speech):
        from bulkpull.cli.work import reports  # noqa: PLC0415 - `--help` needs none of it

        reports.show_report(report_id, config=config, as_json=as_json, speech=speech)


@app.command("pause", epilog=examples(f"bulkpull reports pause {_EXAMPLE_ID}"))
def pause_report(
    report_id: ReportId,
    *,
    config: options.Config = None,
    as_json: options.AsJson = False,
    log_format: options.Format = LogFormat.CONSOLE,
    log_level: options.Level = None,
) -> None:
    """Stop a report's schedule until it is resumed."""
    speech = Speech(log_format, log_level)
    with told(speech):
        from bulkpull.cli.work import reports  # noqa: PLC0415 - `--help` needs none of it

        reports.switch_report(report_id, resume=False, config=config, as_json=as_json, speech=speech)


@app.command("resume", epilog=examples(f"bulkpull reports resume {_EXAMPLE_ID}"))
def resume_report(
    report_id: ReportId,
    *,
    config: options.Config = None,
    as_json: options.AsJson = False,
    log_format: options.Format = LogFormat.CONSOLE,
    log_level: options.Level = None,
) -> None:
    """Let a paused report run again."""
    speech = Speech(log_format, log_level)
    with told(speech):
        from bulkpull.cli.work import reports  # noqa: PLC0415 - `--help` needs none of it

        reports.switch_report(report_id, resume=True, config=config, as_json=as_json, speech=speech)


@app.command(
    "delete", epilog=examples(f"bulkpull reports delete {_EXAMPLE_ID}", f"bulkpull reports delete --yes {_EXAMPLE_ID}")
)
def delete_reports(
    report_ids: ReportIds,
    *,
    yes: options.Yes = False,
    config: options.Config = None,
    as_json: options.AsJson = False,
    log_format: options.Format = LogFormat.CONSOLE,
    log_level: options.Level = None,
) -> None:
    """Delete the named reports with their executions and files, and nothing else."""
    speech = Speech(log_format, log_level)
    with told(speech):
        from bulkpull.cli.work import reports  # noqa: PLC0415 - `--help` needs none of it

        raise typer.Exit(reports.delete_reports(report_ids, yes=yes, config=config, as_json=as_json, speech=speech))
