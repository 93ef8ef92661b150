"""The runs of an output folder, read from its ledger; nothing is created or changed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.table import Table

from bulkpull import formatting as figures
from bulkpull.cli.stdio import print_json
from bulkpull.cli.work.consoles import error_console, print_table
from bulkpull.config.settings import Settings
from bulkpull.output.ledger import Ledger, RunEntry
from bulkpull.output.past import ask_ledger

_MOST_SHOWN = 20


def show_runs(*, everything: bool = False, output: Path | None, config: Path | None, as_json: bool) -> None:
    """
    Print the runs, newest first.

    Args:
        everything: All of them, not the newest twenty alone; JSON has all in any case.

    Raises:
        SettingsError: A setting is wrong.
        LedgerError: The ledger cannot be read.
    """
    folder = Settings.load(config, output=output).output
    runs = ask_ledger(folder, Ledger.runs) or []
    if as_json:
        print_json({"version": 1, "output": str(folder), "runs": [_as_values(run) for run in runs]})
    elif runs:
        shown = runs if everything else runs[:_MOST_SHOWN]
        print_table(_table(shown))
        if len(shown) < len(runs):
            console = error_console()
            console.print(f"the newest {len(shown)} of {len(runs):,} runs; --all shows every one", soft_wrap=True)
    else:
        error_console().print(f"no runs yet in {folder}", soft_wrap=True)


def _as_values(run: RunEntry) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "status": run.status or "unfinished",
        "started_at": run.started_at,
        "finished_at": run.ended_at,
        "datasets": dict(run.summary or {}),
        "request": dict(run.request),
    }


def _table(runs: list[RunEntry]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("run", "started", "took", "status"):
        table.add_column(name, no_wrap=True, justify="right" if name == "took" else "left")
    table.add_column("datasets", overflow="fold")
    for run in runs:
        table.add_row(run.run_id, run.started_at, _took(run), run.status or "unfinished", _counts(run.summary))
    return table


def _took(run: RunEntry) -> str:
    if run.ended_at is None:
        return ""
    took = datetime.fromisoformat(run.ended_at) - datetime.fromisoformat(run.started_at)
    return figures.length(took.total_seconds())


def _counts(summary: Mapping[str, Any] | None) -> str:
    return ", ".join(f"{number} {status}" for status, number in (summary or {}).items())
