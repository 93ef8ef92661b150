"""The plan of an export, as a table or as JSON: reads only, nothing is created."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import anyio
from rich.table import Table

from bulkpull.catalog import load_catalog
from bulkpull.cli.console import new_table, print_message, print_table
from bulkpull.cli.log_output import LogListener, libraries_logged_by, write_line
from bulkpull.cli.options import CommonOptions, LogLevel
from bulkpull.cli.stdio import print_data, print_json
from bulkpull.clock import iso_utc
from bulkpull.config.settings import Settings
from bulkpull.errors import AuthError
from bulkpull.events import Events
from bulkpull.foreign_text import visible
from bulkpull.formatting import join_some
from bulkpull.model import Pull
from bulkpull.observability.failures import group_by_reason
from bulkpull.output.manifest import Current
from bulkpull.output.snapshots import load_published
from bulkpull.output.store import LocalStore
from bulkpull.pipeline.decide import Action, Decision
from bulkpull.pipeline.kept_history import history_starts
from bulkpull.pipeline.nightly.plan import plan_nightly
from bulkpull.pipeline.offer_check import published_datasets
from bulkpull.pipeline.plan import Plan
from bulkpull.pipeline.plan_estimate import ExportEstimate, estimate_export
from bulkpull.pipeline.request import ExportRequest, plan_export
from bulkpull.pipeline.splitting import split_pull

_COMPLETE, _LOST = 0, 3


def show_plan(request: ExportRequest, *, settings: Settings, common: CommonOptions) -> int:
    """
    Print what an export would do; returns 3 when a dataset that was asked for is not to be had, 4 when it looks
    like a lost role, else 0.

    Raises:
        BulkpullError: A name is unknown, or the service could not be asked.
    """
    log = LogListener(common, write=write_line, default=LogLevel.WARNING)
    output = settings.output.absolute()
    store = LocalStore(output)
    records = load_published(store, Current.load(store))
    published = published_datasets(records, catalog=load_catalog())

    async def ask() -> tuple[Plan, list[dict[str, Any]], ExportEstimate]:
        if request.nightly:
            plan, decisions = await plan_nightly(request, settings=settings, events=Events(log))
        else:
            starts, decisions = history_starts(records), {}
            plan = await plan_export(
                request, settings=settings, events=Events(log), published=published, history_starts=starts
            )
        rows = plan_as_rows(plan, decisions)
        reports = {row["dataset"]: row["reports"] for row in rows if row["action"] == "pull"}
        return plan, rows, await estimate_export(reports, settings=settings, now=datetime.now(UTC))

    with libraries_logged_by(log):
        plan, rows, estimate = anyio.run(ask)
    if common.as_json:
        notes = {"notes": list(plan.notes)} if plan.notes else {}
        print_json({"version": 1, "plan": rows, "estimate": estimate.as_values()} | notes)
    elif not common.quiet:
        print_table(_table(rows))
        too_many = too_many_reports(rows, most=settings.reports_per_dataset)
        _print_metrics_and_reasons(rows)
        for note in (*plan.notes, estimate.sentence, *too_many):
            print_message(f"note:  {note}")
        for row in rows:
            if row["source"] and row["query"]:
                print_data(f"\n{row['dataset']}: {visible(row['query'], lines=True)}")
            for note in row["notes"]:
                print_message(f"note:  {row['dataset']}: {note}")
    if any(isinstance(missing.error, AuthError) for missing in plan.unavailable):
        return AuthError.exit_code
    return _LOST if any(missing.named or missing.failed for missing in plan.unavailable) else _COMPLETE


def plan_as_rows(plan: Plan, decisions: Mapping[str, Decision] | None = None) -> list[dict[str, Any]]:
    """
    The plan as JSON values: first the pulls, then unavailable datasets with the reason (pure).

    Args:
        decisions: What a nightly run would do, by dataset.
    """
    pulls = [
        {
            "dataset": pull.dataset,
            "source": pull.source,
            "action": "pull",
            "query": pull.query_text,
            "columns": len(pull.columns) - len(pull.metrics),
            "metrics": list(pull.metrics),
            "metrics_left_out": list(pull.metrics_left_out),
            "timespan": pull.timespan,
            "wider_timespan": pull.wider_timespan,
            "window": {"start": iso_utc(pull.window.start), "end": iso_utc(pull.window.end)} if pull.window else None,
            "reports": reports_of(pull),
            "reason": None,
            "notes": list(pull.notes),
        }
        | _decision_values((decisions or {}).get(pull.dataset))
        for pull in plan.pulls
    ]
    missing: list[dict[str, Any]] = [
        {
            "dataset": unavailable.dataset,
            "source": unavailable.source,
            "action": "failed" if unavailable.failed else "unavailable",
            "query": None,
            "columns": 0,
            "metrics": [],
            "metrics_left_out": [],
            "timespan": None,
            "wider_timespan": None,
            "window": None,
            "reports": 0,
            "reason": unavailable.reason,
            "notes": [],
        }
        for unavailable in plan.unavailable
    ]
    return pulls + missing


def too_many_reports(rows: Sequence[Mapping[str, Any]], *, most: int) -> list[str]:
    """
    A note for each dataset whose windows need more reports than allowed (pure).

    Args:
        most: The setting `reports_per_dataset`.
    """
    return [
        f"{row['dataset']}: {row['reports']:,} reports are more than `reports_per_dataset` allows; --yes allows them"
        for row in rows
        if row["reports"] > most
    ]


def reports_of(pull: Pull) -> int:
    """How many reports a pull needs where none of them fails: one, or one for each window."""
    return len(split_pull(pull, catalog=load_catalog(), now=datetime.now(UTC)))


def _decision_values(decision: Decision | None) -> dict[str, Any]:
    """What a nightly run would do for a dataset, and with its scheduled report."""
    schedule = decision.schedule if decision else None
    if decision is None or schedule is None:
        return {}
    is_kept = decision.action is Action.KEEP
    values: dict[str, Any] = {
        "standing_report": schedule.action,
        "reason": decision.reason if is_kept else schedule.replace_reason,
    }
    if decision.execution is not None:
        return values | {"action": "publish", "execution_id": decision.execution.execution_id}
    return values | {"action": "skip" if is_kept else "pull"}


def _table(rows: list[dict[str, Any]]) -> Table:
    has_windows = any(row["reports"] > 1 for row in rows)
    is_nightly = any("standing_report" in row for row in rows)
    columns = [
        *("dataset", "action", "span"),
        *(["reports"] if has_windows else []),
        "columns",
        *(["schedule"] if is_nightly else []),
    ]
    table = new_table(*columns, right=["reports", "columns"], fold=["span"])
    for row in rows:
        window = row["window"]
        span = f"{window['start'][:10]}..{window['end'][:10]}" if window else row["timespan"] or ""
        reports = [str(row["reports"] or "")] if has_windows else []
        cells = [row["dataset"], row["action"], span, *reports, str(row["columns"] or "")]
        if is_nightly:
            cells.append(row.get("standing_report", ""))
        table.add_row(*cells)
    return table


def _print_metrics_and_reasons(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print what is too long for a column of the table: the names of the metrics, and each reason once."""
    metrics = [f"{row['dataset']}: {', '.join(row['metrics'])}" for row in rows if row["metrics"]]
    reasons = group_by_reason((row["dataset"], row["reason"]) for row in rows if row["reason"])
    if metrics:
        print_data(visible(f"metrics: {'; '.join(metrics)}"))
    for datasets, reason in reasons:
        print_data(visible(f"reason:  {join_some(datasets)}: {reason}"))
