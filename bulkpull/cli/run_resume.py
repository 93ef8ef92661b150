"""An earlier run resumed: its unfinished and failed datasets, or the reports that it only submitted."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from bulkpull.catalog import load_catalog
from bulkpull.cli.command_settings import load_settings
from bulkpull.cli.console import error_console, print_message
from bulkpull.cli.invocation import Invocation
from bulkpull.cli.options import CommonOptions
from bulkpull.cli.run_display import run_with_display
from bulkpull.cli.stdio import print_json
from bulkpull.cli.summary import print_summary
from bulkpull.config.settings import Settings
from bulkpull.errors import SettingsError
from bulkpull.events import Events
from bulkpull.formatting import join_some
from bulkpull.output.ledger import Ledger, RunEntry
from bulkpull.output.run_history import ask_ledger, load_manifest
from bulkpull.output.store import open_store
from bulkpull.pipeline.open_run import choose_run, resumed_request
from bulkpull.pipeline.run import Run


def resume_run(
    run_id: str | None, *, output: Path | None, common: CommonOptions, published_anyway: Collection[str] | None = ()
) -> int:
    """
    Resume a run; returns the exit status.

    Without `run_id` it is the newest unfinished one, else the newest. A run that has nothing left to do is shown as it
    ended. The datasets that a run failed to export are tried again.

    Args:
        published_anyway: Datasets that are published although they would be held back; `None` for all.
    """
    settings = load_settings(common, output=output)
    runs = ask_ledger(settings.output, Ledger.runs) or []
    run = choose_run(run_id, runs=runs, output=settings.output)
    options = _options_to_repeat(run, settings)
    invocation = Invocation(output=settings.output, config=common.config, command=run.command, options=options)
    if run.status == "complete":
        return _show_ended(run, settings, invocation, common=common)
    request, settings = resumed_request(run, settings=settings)
    return run_with_display(
        lambda listener: Run(request, settings, Events(listener), resume=run.run_id, published_anyway=published_anyway),
        invocation=invocation,
        common=common,
    )


def publish_held(run_id: str, dataset: str | None, *, output: Path | None, common: CommonOptions) -> int:
    """
    Publish what a run held back, from the data that it kept; returns the exit status.

    Args:
        dataset: The only one to be published; `None` for all that the run held back.
    """
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


def _options_to_repeat(run: RunEntry, settings: Settings) -> tuple[str, ...]:
    """The options that the run was begun with, as far as the settings do not say the same."""
    asked = {
        "--since": str(run.request.get("since") or "")[:10],
        "--until": str(run.request.get("until") or "")[:10],
        "--timespan": run.request.get("timespan") if run.request.get("timespan") != settings.timespan else None,
        "--metrics": run.request.get("metrics") if run.request.get("metrics") != settings.metrics else None,
    }
    return tuple(word for option, value in asked.items() if value for word in (option, value))


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
