"""The plan of an export, as a table or as JSON: reads only, nothing is created."""

from __future__ import annotations

from typing import Any

import anyio
from rich.table import Table

from bulkpull.cli.logs import LogListener, libraries_logged_by, write_line
from bulkpull.cli.speech import LogLevel, Speech
from bulkpull.cli.streams import print_data, print_json
from bulkpull.cli.work.consoles import error_console, print_table
from bulkpull.clock import iso_utc
from bulkpull.events import Events
from bulkpull.journey.plan import Plan
from bulkpull.journey.request import ExportRequest, plan_export
from bulkpull.settings import Settings

_COMPLETE, _LOST = 0, 3


def show_plan(request: ExportRequest, *, settings: Settings, as_json: bool, speech: Speech) -> int:
    """
    Print what an export would do; returns 3 when a dataset that was asked for is not to be had, else 0.

    Raises:
        BulkpullError: A name is unknown, or the service could not be asked.
    """
    log = LogListener(speech, write=write_line, default=LogLevel.WARNING)

    async def ask() -> Plan:
        return await plan_export(request, settings=settings, events=Events(log))

    with libraries_logged_by(log):
        plan = anyio.run(ask)
    rows = plan_as_rows(plan)
    if as_json:
        print_json({"version": 1, "plan": rows})
    else:
        print_table(_table(rows))
        for row in rows:
            if row["source"]:
                print_data(f"\n{row['dataset']}: {row['query']}")
            for note in row["notes"]:
                error_console().print(f"note:  {row['dataset']}: {note}", soft_wrap=True)
    return _LOST if any(missing.named or missing.failed for missing in plan.unavailable) else _COMPLETE


def plan_as_rows(plan: Plan) -> list[dict[str, Any]]:
    """The plan as JSON values: what is pulled first, then what is not to be had and why (pure)."""
    pulls = [
        {
            "dataset": pull.dataset,
            "source": pull.source,
            "action": "pull",
            "query": pull.query_text,
            "columns": len(pull.columns),
            "timespan": pull.timespan,
            "wider_timespan": pull.wider_timespan,
            "window": {"start": iso_utc(pull.window.start), "end": iso_utc(pull.window.end)} if pull.window else None,
            "reason": None,
            "notes": list(pull.notes),
        }
        for pull in plan.pulls
    ]
    missing: list[dict[str, Any]] = [
        {
            "dataset": each.dataset,
            "source": None,
            "action": "failed" if each.failed else "unavailable",
            "query": None,
            "columns": 0,
            "timespan": None,
            "wider_timespan": None,
            "window": None,
            "reason": each.reason,
            "notes": [],
        }
        for each in plan.unavailable
    ]
    return pulls + missing


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("dataset", no_wrap=True)
    table.add_column("action", no_wrap=True)
    table.add_column("span", overflow="fold")
    table.add_column("columns", justify="right", no_wrap=True)
    if any(row["reason"] for row in rows):
        table.add_column("reason", overflow="fold")
    for row in rows:
        window = row["window"]
        span = f"{window['start'][:10]}..{window['end'][:10]}" if window else row["timespan"] or ""
        cells = [row["dataset"], row["action"], span, str(row["columns"] or "")]
        if row["reason"]:
            cells.append(row["reason"].removeprefix(f"{row['dataset']}: "))
        table.add_row(*cells)
    return table
