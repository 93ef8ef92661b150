"""Which reports of a submitted run are ready: one call of the service, and nothing is fetched or changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bulkpull.cli.console import new_table, print_message, print_table
from bulkpull.cli.json_output import format_time
from bulkpull.cli.options import CommonOptions
from bulkpull.cli.service_call import call_service
from bulkpull.cli.stdio import print_json
from bulkpull.config.settings import Settings
from bulkpull.errors import RequestRejected, SettingsError
from bulkpull.formatting import plural
from bulkpull.insights.client import InsightsClient
from bulkpull.model import Execution, ExecutionStatus
from bulkpull.output.ledger import Ledger, RunEntry, StepEntry, published_datasets, read_facts
from bulkpull.output.ledger_facts import ReportFacts
from bulkpull.output.run_history import ask_ledger, resolve_run_id
from bulkpull.pipeline.open_run import is_unfinished
from bulkpull.redact import printable


@dataclass(frozen=True, slots=True)
class AwaitedReport:
    """A report that a run ordered and has not published yet."""

    dataset: str
    report_id: str


def show_readiness(run_id: str | None, *, settings: Settings, common: CommonOptions) -> None:
    """Print which reports of a run are ready; without `run_id`, of the newest unfinished one."""

    async def read(ledger: Ledger) -> tuple[list[RunEntry], dict[str, list[StepEntry]]]:
        runs = await ledger.runs()
        return runs, {run.run_id: await ledger.steps(run.run_id) for run in runs if is_unfinished(run)}

    runs, steps = ask_ledger(settings.output, read) or ([], {})
    unfinished = [run.run_id for run in runs if is_unfinished(run)]
    known = unfinished if run_id is None and unfinished else [run.run_id for run in runs]
    chosen = resolve_run_id(run_id, known=known, output=settings.output)
    base = next(run.request.get("api_base_url") for run in runs if run.run_id == chosen)
    awaited = awaited_reports(steps.get(chosen, ()))
    if awaited and base != settings.api_base_url:
        raise SettingsError(
            f"run {chosen} was made against {base}, and the settings name {settings.api_base_url}",
            fix="use the settings that the run was started with",
        )
    ids = [report.report_id for report in awaited]
    found = call_service(lambda client: _executions(client, ids), settings=settings, common=common) if ids else []
    latest = {execution.report_id.casefold(): execution for execution in found}
    values = [_as_values(report, latest.get(report.report_id.casefold())) for report in awaited]
    ready = sum(report["ready"] for report in values)
    if common.as_json:
        print_json({"version": 1, "run_id": chosen, "ready": ready, "waiting": len(values) - ready, "reports": values})
        return
    if values:
        rows = (
            (printable(row["report_id"]), printable(row["status"] or "not begun"), row["dataset"]) for row in values
        )
        print_table(new_table(("report", "status", "dataset"), rows, fold=["dataset"]))
    state = f"{ready} of {plural(len(values), 'report')} ready" if values else "it has no pending reports"
    more = f": bulkpull runs resume {chosen}" if ready else ""
    print_message(f"run {chosen}: {state}{more}")


def awaited_reports(steps: Sequence[StepEntry]) -> list[AwaitedReport]:
    """The reports that a run ordered, but for datasets that it has published (pure)."""
    noted, published = read_facts(ReportFacts, steps), published_datasets(steps)
    ordered = {entry.facts.report_id: AwaitedReport(entry.dataset, entry.facts.report_id) for entry in noted}
    return [report for report in ordered.values() if report.dataset not in published]


async def _executions(client: InsightsClient, report_ids: Sequence[str]) -> list[Execution]:
    try:
        return await client.get_executions(report_ids, statuses=tuple(ExecutionStatus))
    except RequestRejected:
        # A service that takes no joined form (behaviour 107) lists completed ones by itself (102).
        return [
            execution
            for report_id in report_ids
            for execution in await client.get_executions([report_id], statuses=[ExecutionStatus.COMPLETED])
        ]


def _as_values(awaited: AwaitedReport, execution: Execution | None) -> dict[str, Any]:
    return {
        "dataset": awaited.dataset,
        "report_id": awaited.report_id,
        "status": execution.status if execution else None,
        "ready": execution is not None and execution.is_completed,
        "generated_at": format_time(execution.generated_at) if execution else None,
    }
