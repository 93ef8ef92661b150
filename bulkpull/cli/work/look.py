"""Which reports of a submitted run are ready: one call of the service, and nothing is fetched or changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from bulkpull import formatting as figures
from bulkpull.cli.errors import OutputOptions
from bulkpull.cli.stdio import print_json
from bulkpull.cli.work.ask import ask
from bulkpull.cli.work.consoles import error_console, print_table
from bulkpull.cli.work.values import told_time
from bulkpull.config.settings import Settings
from bulkpull.errors import RequestRejected, SettingsError
from bulkpull.insights.client import InsightsClient
from bulkpull.model import Execution, ExecutionStatus
from bulkpull.output.ledger import Ledger, RunEntry, StepEntry
from bulkpull.output.past import ask_ledger
from bulkpull.output.run_history import resolve_run_id
from bulkpull.pipeline.resume import is_unfinished
from bulkpull.redact import printable


@dataclass(frozen=True, slots=True)
class Awaited:
    """A report that a run ordered and has not published yet."""

    dataset: str
    report_id: str


def look_at_run(
    run_id: str | None, *, output: Path | None, config: Path | None, as_json: bool, speech: OutputOptions
) -> None:
    """
    Print which reports of a run are ready; without `run_id` of the newest one that is unfinished.

    Raises:
        SettingsError: There is no such run, or it was made against another service.
        BulkpullError: The service could not be asked.
    """
    settings = Settings.load(config, output=output)

    async def read(ledger: Ledger) -> tuple[list[RunEntry], dict[str, list[StepEntry]]]:
        runs = await ledger.runs()
        return runs, {run.run_id: await ledger.steps(run.run_id) for run in runs if is_unfinished(run)}

    runs, steps = ask_ledger(settings.output, read) or ([], {})
    unfinished = [run.run_id for run in runs if is_unfinished(run)]
    chosen = (
        unfinished[0]
        if run_id is None and unfinished
        else resolve_run_id(run_id, known=[run.run_id for run in runs], output=settings.output)
    )
    base = next(run.request.get("api_base_url") for run in runs if run.run_id == chosen)
    awaited = awaited_reports(steps.get(chosen, ()))
    if awaited and base != settings.api_base_url:
        raise SettingsError(
            f"run {chosen} was made against {base}, and the settings name {settings.api_base_url}",
            fix="look with the settings that it was begun with",
        )
    ids = [each.report_id for each in awaited]
    found = ask(lambda client: _executions(client, ids), settings=settings, speech=speech) if ids else []
    latest = {each.report_id.casefold(): each for each in found}
    values = [_as_values(each, latest.get(each.report_id.casefold())) for each in awaited]
    ready = sum(each["ready"] for each in values)
    if as_json:
        print_json({"version": 1, "run_id": chosen, "ready": ready, "waiting": len(values) - ready, "reports": values})
        return
    if values:
        print_table(_table(values))
    told = f"{ready} of {figures.count(len(values), 'report')} ready" if values else "it waits for no report"
    more = f": bulkpull runs resume {chosen}" if ready else ""
    error_console().print(f"run {chosen}: {told}{more}", soft_wrap=True)


def awaited_reports(steps: Iterable[StepEntry]) -> list[Awaited]:
    """The reports that a run ordered, but for datasets that it has published (pure)."""
    ordered: dict[str, Awaited] = {}
    published: set[str] = set()
    for step in steps:
        if step.step == "report":
            ordered[str(step.facts["report_id"])] = Awaited(step.dataset, str(step.facts["report_id"]))
        elif step.step == "published":
            published.add(step.dataset)
    return [each for each in ordered.values() if each.dataset not in published]


async def _executions(client: InsightsClient, report_ids: Sequence[str]) -> list[Execution]:
    try:
        return await client.get_executions(report_ids, statuses=tuple(ExecutionStatus))
    except RequestRejected:
        # A service that takes no joined form (behaviour 107) tells of completed ones by itself (102).
        return [
            execution
            for report_id in report_ids
            for execution in await client.get_executions([report_id], statuses=[ExecutionStatus.COMPLETED])
        ]


def _as_values(awaited: Awaited, execution: Execution | None) -> dict[str, Any]:
    return {
        "dataset": awaited.dataset,
        "report_id": awaited.report_id,
        "status": execution.status if execution else None,
        "ready": execution is not None and execution.is_completed,
        "generated_at": told_time(execution.generated_at) if execution else None,
    }


def _table(values: Iterable[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("report", no_wrap=True)
    table.add_column("status", no_wrap=True)
    table.add_column("dataset", overflow="fold")
    for each in values:
        table.add_row(printable(each["report_id"]), printable(each["status"] or "not begun"), each["dataset"])
    return table
