"""An earlier run: which of its reports are ready, what is left of it resumed, and what it held back published."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from bulkpull.catalog import load_catalog
from bulkpull.cli.console import error_console, new_table, print_message, print_table
from bulkpull.cli.invocation import Invocation, option_words
from bulkpull.cli.json_output import format_time
from bulkpull.cli.options import CommonOptions
from bulkpull.cli.run_display import run_with_display
from bulkpull.cli.service_call import call_service, load_settings
from bulkpull.cli.stdio import print_json
from bulkpull.cli.summary import print_summary
from bulkpull.config.settings import Settings
from bulkpull.errors import RequestRejected, SettingsError
from bulkpull.formatting import join_some, plural
from bulkpull.insights.client import InsightsClient
from bulkpull.model import Execution, ExecutionStatus
from bulkpull.output.ledger import Ledger, RunEntry, StepEntry, published_datasets, read_facts
from bulkpull.output.ledger_facts import ReportFacts
from bulkpull.output.run_history import ask_ledger, load_manifest, resolve_run_id
from bulkpull.output.store import open_store
from bulkpull.pipeline.open_run import choose_run, is_unfinished, resumed_request
from bulkpull.pipeline.run import Run
from bulkpull.redact import printable


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

    async def fetch(client: InsightsClient) -> list[Execution]:
        try:
            return await client.get_executions(list(awaited), statuses=tuple(ExecutionStatus))
        except RequestRejected:
            # A service that takes no joined form (behaviour 107) lists completed ones by itself (102).
            done = [ExecutionStatus.COMPLETED]
            return [item for report_id in awaited for item in await client.get_executions([report_id], statuses=done)]

    found = call_service(fetch, common, settings=settings) if awaited else []
    latest = {execution.report_id.casefold(): execution for execution in found}
    values: list[dict[str, Any]] = []
    for report_id, dataset in awaited.items():
        execution = latest.get(report_id.casefold())
        values.append(
            {
                "dataset": dataset,
                "report_id": report_id,
                "status": execution.status if execution else None,
                "ready": execution is not None and execution.is_completed,
                "generated_at": format_time(execution.generated_at) if execution else None,
            }
        )
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
    collect = Invocation(settings.output, config=common.config).resume(chosen)
    print_message(f"run {chosen}: {state}" + (f": {collect}" if ready else ""))


def awaited_reports(steps: Sequence[StepEntry]) -> dict[str, str]:
    """The reports that a run created, by id with their dataset, but for datasets that it has published (pure)."""
    published = published_datasets(steps)
    created = {entry.facts.report_id: entry.dataset for entry in read_facts(ReportFacts, steps)}
    return {report_id: dataset for report_id, dataset in created.items() if dataset not in published}


def resume_run(
    run_id: str | None, *, output: Path | None, common: CommonOptions, published_anyway: Collection[str] | None = ()
) -> int:
    """
    Resume a run, without `run_id` the newest unfinished one, else the newest; returns the exit status.

    A run that has nothing left to do is shown as it ended. The datasets that a run failed to export are tried again;
    those of `published_anyway` (`None` for all) are published although they would be held back.
    """
    settings = load_settings(common, output=output)
    run = choose_run(run_id, runs=ask_ledger(settings.output, Ledger.runs) or [], output=settings.output)
    request = run.request
    since, until = (str(request.get(name) or "")[:10] for name in ("since", "until"))
    # The options that the run was begun with, as far as the settings do not say the same.
    options = option_words(
        since=since,
        until=until,
        timespan=request.get("timespan") if request.get("timespan") != settings.timespan else None,
        metrics=request.get("metrics") if request.get("metrics") != settings.metrics else None,
    )
    invocation = Invocation(output=settings.output, config=common.config, command=run.command, options=options)
    if run.status == "complete":
        return _show_ended(run, settings, invocation, common=common)
    export_request, settings = resumed_request(run, settings=settings)
    return run_with_display(
        lambda events: Run(export_request, settings, events, resume=run.run_id, published_anyway=published_anyway),
        invocation=invocation,
        common=common,
    )


def publish_held(run_id: str, dataset: str | None, *, output: Path | None, common: CommonOptions) -> int:
    """Publish what a run held back, all of it or one dataset, from the data that it kept; returns the exit status."""
    folder = load_settings(common, output=output).output
    run = choose_run(run_id, runs=ask_ledger(folder, Ledger.runs) or [], output=folder)
    manifest = load_manifest(open_store(folder), run.run_id)
    held = [record.dataset for record in manifest.datasets if record.held_back] if manifest else []
    wanted = load_catalog().canonical(dataset or "")
    chosen = [name for name in held if dataset is None or name.casefold() == wanted.casefold()]
    if not chosen:
        raise SettingsError(
            f"run {run.run_id} holds back no data" + (f" of {wanted}" if dataset else ""),
            why=f"it holds back {join_some(held)}" if held else None,
            fix=f"`bulkpull runs show {run.run_id}` shows how each dataset ended",
        )
    return resume_run(run.run_id, output=output, common=common, published_anyway=chosen)


def _show_ended(run: RunEntry, settings: Settings, invocation: Invocation, *, common: CommonOptions) -> int:
    manifest = load_manifest(open_store(settings.output), run.run_id)
    if manifest is None:
        raise SettingsError(
            f"run {run.run_id} is complete, and its manifest is gone", fix="`bulkpull status` shows what is published"
        )
    if common.as_json:
        print_json(manifest.as_dict())
    if not common.quiet and not common.logs_json:
        print_summary(manifest, error_console(), invocation=invocation)
        print_message(f"run {run.run_id} is complete: nothing was left to do")
    return 0
