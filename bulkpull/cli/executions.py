"""`bulkpull executions`: the executions of a report. Links are never shown: whoever has one has the data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from bulkpull.cli.command_decorator import command, new_app
from bulkpull.cli.console import new_table, print_message, print_table
from bulkpull.cli.json_output import execution_values, format_time
from bulkpull.cli.options import CommonOptions, option
from bulkpull.cli.reports import find_report
from bulkpull.cli.service_call import call_service
from bulkpull.cli.stdio import print_json
from bulkpull.errors import RequestRejected
from bulkpull.model import Execution, ExecutionStatus, Report
from bulkpull.redact import printable

if TYPE_CHECKING:
    from bulkpull.insights.client import InsightsClient

app = new_app()

_LAST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionFilter:
    """Which executions to show; no status stands for all of them."""

    history: Annotated[bool, option("--all", "Executions of the last 90 days, newest first, not only the latest.")] = (
        False
    )
    status: Annotated[
        list[ExecutionStatus] | None,
        option("--status", "Only these; may be repeated.", case_sensitive=False),
    ] = None
    execution_id: Annotated[
        list[str] | None, option("--execution-id", "Only this one; may be repeated.", metavar="ID")
    ] = None


@command(app)
def executions(
    report_id: Annotated[str, typer.Argument(metavar="REPORT_ID", hidden=True)],
    wanted: ExecutionFilter,
    *,
    common: CommonOptions,
) -> None:
    """
    Show the latest execution of the report REPORT_ID.

    A secure link is not shown, only that there is one: whoever has it has the data.

    Examples:
        bulkpull executions cdc61cfe-d028-4333-a215-a1df51ccbfd4
        bulkpull executions cdc61cfe-d028-4333-a215-a1df51ccbfd4 --all
        bulkpull executions cdc61cfe-d028-4333-a215-a1df51ccbfd4 --json
    """

    # None so far is no failure (behaviour 102); a report that is not there looks the same to the service (105).
    async def fetch(client: InsightsClient) -> tuple[Report, list[Execution]]:
        return await find_report(client, report_id), await _find(client, report_id, wanted)

    report, found = call_service(fetch, common)
    if common.as_json:
        print_json({"version": 1, "executions": [execution_values(execution) for execution in found]})
    elif found:
        print_table(new_table(("execution", "status", "generated"), map(_row, found), fold=["generated"]))
    else:
        print_message(_why_none(report, wanted))


async def _find(client: InsightsClient, report_id: str, wanted: ExecutionFilter) -> list[Execution]:
    names = {status.casefold() for status in wanted.status or ()}
    statuses = tuple(wanted.status or ExecutionStatus)
    ids = tuple(wanted.execution_id or ()) or None
    ask = partial(client.get_executions, [report_id], latest=not (wanted.history or ids), execution_ids=ids)
    try:
        found = await ask(statuses=statuses)
    except RequestRejected:
        if len(statuses) == 1:
            raise
        # If the service refuses several statuses in one call, request them one by one (behaviour 107).
        found = [execution for status in statuses for execution in await ask(statuses=[status])]
    # If the service ignores the filter, an execution comes once per requested status: the last one counts.
    by_id = {execution.execution_id.casefold(): execution for execution in found}
    shown = [execution for execution in by_id.values() if not names or execution.status.casefold() in names]
    # Newest first, whatever the service's order (behaviour 178); what is still being made has no time.
    return sorted(shown, key=lambda execution: execution.generated_at or _LAST, reverse=True)


def _why_none(report: Report, wanted: ExecutionFilter) -> str:
    if wanted.status or wanted.execution_id:
        return "no execution matches"
    if report.start_at and not report.execute_now:
        return f"no execution yet: the report starts at {format_time(report.start_at)}"
    return "no execution yet"


def _row(execution: Execution) -> tuple[str, str, str]:
    words = format_time(execution.generated_at) or ""
    if execution.link is not None:
        expires = format_time(execution.link.expires_at)
        link = f"link available, expires {expires}" if expires else "link available"
        words = f"{words}; {link}" if words else link
    return printable(execution.execution_id), printable(execution.status), words
