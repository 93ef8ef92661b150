"""The executions of a report: what became of each. Links are never shown, because whoever has one has the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from bulkpull.cli.errors import OutputOptions
from bulkpull.cli.stdio import print_json
from bulkpull.cli.work.ask import ask
from bulkpull.cli.work.consoles import error_console, print_table
from bulkpull.cli.work.reports import the_report
from bulkpull.cli.work.target import aimed
from bulkpull.cli.work.values import execution_values, told_time
from bulkpull.errors import RequestRejected
from bulkpull.insights.client import InsightsClient
from bulkpull.model import Execution, ExecutionStatus, Report
from bulkpull.redact import printable


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionFilter:
    """Which executions to show; no status stands for all of them."""

    statuses: tuple[str, ...] = ()
    execution_ids: tuple[str, ...] = ()
    history: bool = False


def show_executions(
    report_id: str, wanted: ExecutionFilter, *, config: Path | None, as_json: bool, speech: OutputOptions
) -> None:
    """
    Print a report's latest execution, or those of the last 90 days; none so far is no failure (behaviour 102).

    Raises:
        NotThere: There is no such report, which the service itself does not tell apart (105).
    """

    async def look(client: InsightsClient) -> tuple[Report, list[Execution]]:
        return await the_report(client, report_id), await _find(client, report_id, wanted)

    with aimed(config, demo=False) as settings:
        report, executions = ask(look, settings=settings, speech=speech)
    if as_json:
        print_json({"version": 1, "executions": [execution_values(each) for each in executions]})
    elif executions:
        print_table(_table(executions))
    else:
        error_console().print(_told_none(report, wanted), soft_wrap=True)


async def _find(client: InsightsClient, report_id: str, wanted: ExecutionFilter) -> list[Execution]:
    statuses = wanted.statuses or tuple(ExecutionStatus)
    latest = not (wanted.history or wanted.execution_ids)
    ids = wanted.execution_ids or None
    try:
        found = await client.get_executions([report_id], statuses=statuses, latest=latest, execution_ids=ids)
    except RequestRejected:
        if len(statuses) == 1:
            raise
        # A service that does not take several statuses at once is asked for one after the other (behaviour 107).
        found = [
            execution
            for status in statuses
            for execution in await client.get_executions(
                [report_id], statuses=[status], latest=latest, execution_ids=ids
            )
        ]
    # Where a filter is not honoured, one execution comes once for each status that was asked for: the last word counts.
    found = list({each.execution_id.casefold(): each for each in found}.values())
    if not wanted.statuses:
        return found
    asked = {status.casefold() for status in wanted.statuses}
    return [execution for execution in found if execution.status.casefold() in asked]


def _told_none(report: Report, wanted: ExecutionFilter) -> str:
    if wanted.statuses or wanted.execution_ids:
        return "no execution matches"
    if report.start_at and not report.execute_now:
        return f"no execution yet: the report starts at {told_time(report.start_at)}"
    return "no execution yet"


def _table(executions: Sequence[Execution]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("execution", "status"):
        table.add_column(name, no_wrap=True)
    table.add_column("generated", overflow="fold")
    for each in executions:
        told = (told_time(each.generated_at), _told_link(each))
        table.add_row(printable(each.execution_id), printable(each.status), "; ".join(word for word in told if word))
    return table


def _told_link(execution: Execution) -> str | None:
    if execution.link is None:
        return None
    expires = told_time(execution.link.expires_at)
    return f"link available, expires {expires}" if expires else "link available"
