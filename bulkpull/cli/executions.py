"""`bulkpull executions`: what became of a report."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from bulkpull.cli import options
from bulkpull.cli.errors import LogFormat, OutputOptions, told
from bulkpull.cli.options import examples

app = typer.Typer()

_EXAMPLE_ID = "cdc61cfe-d028-4333-a215-a1df51ccbfd4"
EPILOG = examples(
    f"bulkpull executions {_EXAMPLE_ID}",
    f"bulkpull executions {_EXAMPLE_ID} --all",
    f"bulkpull executions {_EXAMPLE_ID} --json",
)


class Status(StrEnum):
    """The documented states of an execution."""

    PENDING = "Pending"
    RUNNING = "Running"
    PAUSED = "Paused"
    COMPLETED = "Completed"


@app.command(epilog=EPILOG, short_help="Show what became of a report.")
def executions(
    report_id: Annotated[str, typer.Argument(metavar="REPORT_ID", hidden=True)],
    *,
    history: Annotated[bool, typer.Option("--all", help="Those of the last 90 days, not only the latest.")] = False,
    status: Annotated[
        list[Status] | None, typer.Option("--status", case_sensitive=False, help="Only these; may be repeated.")
    ] = None,
    execution_id: Annotated[
        list[str] | None, typer.Option("--execution-id", help="Only this one; may be repeated.")
    ] = None,
    config: options.Config = None,
    as_json: options.AsJson = False,
    log_format: options.Format = LogFormat.CONSOLE,
    log_level: options.Level = None,
) -> None:
    """
    Show the latest execution of the report REPORT_ID.

    A link is only told to be available: whoever has it has the data.
    """
    speech = OutputOptions(log_format, log_level)
    with told(speech, as_json=as_json):
        from bulkpull.cli.work.executions import ExecutionFilter, show_executions  # noqa: PLC0415 - not for `--help`

        wanted = ExecutionFilter(
            statuses=tuple(each.value for each in status or ()),
            execution_ids=tuple(execution_id or ()),
            history=history,
        )
        show_executions(report_id, wanted, config=config, as_json=as_json, speech=speech)
