"""The plan of an export, as a table or as JSON: reads only, nothing is created."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import anyio

from bulkpull.cli.console import new_table, print_message, print_table
from bulkpull.cli.json_output import format_time
from bulkpull.cli.log_output import LogListener, libraries_logged_by, write_line
from bulkpull.cli.options import CommonOptions, LogLevel
from bulkpull.cli.stdio import print_data, print_json
from bulkpull.cli.summary import describe_metrics
from bulkpull.config.settings import Settings
from bulkpull.errors import AuthError
from bulkpull.events import Events
from bulkpull.formatting import join_some, plural
from bulkpull.observability.failures import group_by_reason
from bulkpull.pipeline.nightly.decision_rules import Action, Decision
from bulkpull.pipeline.request import ExportRequest
from bulkpull.pipeline.run_plan import RunPlan, plan_run
from bulkpull.untrusted_text import visible
from bulkpull.window_bounds import window_values

_COMPLETE, _LOST = 0, 3
_ACTIONS = {
    Action.SKIP: "skip",
    Action.TAKE_EXECUTION: "publish",
    Action.COLLECT_REPORT: "collect",
    Action.ORDER_REPORT: "pull",
}
"""What the plan's JSON calls the decisions; `pull` and `publish` are older than the decisions themselves."""
_SHOWN = {
    "pull": ("create", "a new one-off report is created and fetched"),
    "collect": ("collect", "reports of an earlier run are fetched, and missing ones created"),
    "publish": ("take", "the newest execution of its scheduled report is fetched"),
    "skip": ("skip", "the published data stay"),
    "unavailable": ("unavailable", "the service does not offer it to this account"),
    "failed": ("failed", "it cannot be exported"),
}
"""The word for people, and what it means."""
_SCHEDULES = {"make": "create"}
"""The words for people for what becomes of a scheduled report, where they differ from those of the JSON."""


def show_plan(request: ExportRequest, *, settings: Settings, common: CommonOptions) -> int:
    """Print what an export would do; returns 3 if a requested dataset is not to be had, 4 for a lost role, else 0."""
    log = LogListener(common, write=write_line, default=LogLevel.WARNING)

    with libraries_logged_by(log):
        run_plan = anyio.run(partial(plan_run, request, settings=settings, events=Events(log)))
    plan, estimate, rows = run_plan.plan, run_plan.estimate, plan_as_rows(run_plan)
    if common.as_json:
        notes = {"notes": list(plan.notes)} if plan.notes else {}
        values = {"version": 1, "resumes": run_plan.resumes, "plan": rows, "estimate": estimate.as_values()}
        print_json(values | notes)
    elif not common.quiet:
        _print_table(rows)
        _print_metrics_and_reasons(rows)
        first = [f"it resumes run {run_plan.resumes}"] if run_plan.resumes else []
        first += [estimate.obstacle] if estimate.obstacle else []
        many = [row for row in rows if row["reports"] > settings.reports_per_dataset]
        words = "reports are more than `reports_per_dataset` allows; --yes allows them"
        too_many = [f"{row['dataset']}: {row['reports']:,} {words}" for row in many]
        for note in (*first, *plan.notes, estimate.sentence, *schedule_notes(rows), *too_many):
            print_message(f"note:  {note}")
        for row in rows:
            if row["source"] and row["query"]:
                print_data(f"\n{row['dataset']}: {visible(row['query'], lines=True)}")
            for note in row["notes"]:
                print_message(f"note:  {row['dataset']}: {note}")
    if any(isinstance(dataset.error, AuthError) for dataset in plan.unavailable):
        return AuthError.exit_code
    return _LOST if any(dataset.named or dataset.failed for dataset in plan.unavailable) else _COMPLETE


def plan_as_rows(run_plan: RunPlan) -> list[dict[str, Any]]:
    """The plan as JSON values: first the pulls, then unavailable datasets with the reason (pure)."""
    pulls = [
        {
            "dataset": pull.dataset,
            "source": pull.source,
            "query": pull.query_text,
            "columns": len(pull.columns) - len(pull.metrics),
            "metrics": list(pull.metrics),
            "metrics_left_out": list(pull.metrics_left_out),
            "timespan": pull.timespan,
            "wider_timespan": pull.wider_timespan,
            "window": window_values(pull.window),
            "reports": run_plan.estimate.reports.get(pull.dataset, 0),
            "notes": list(pull.notes),
        }
        | _decision_values(run_plan.decisions[pull.dataset], next_due_at=run_plan.next_due_at.get(pull.dataset))
        for pull in run_plan.plan.pulls
    ]
    nothing: dict[str, Any] = dict.fromkeys(("query", "timespan", "wider_timespan", "window", "decision"))
    nothing |= {"columns": 0, "reports": 0, "metrics": [], "metrics_left_out": [], "notes": []}
    missing = [
        nothing
        | {
            "dataset": unavailable.dataset,
            "source": unavailable.source,
            "action": "failed" if unavailable.failed else "unavailable",
            "reason": unavailable.reason,
        }
        for unavailable in run_plan.plan.unavailable
    ]
    return pulls + missing


def schedule_notes(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """How many scheduled reports a nightly run creates and keeps, and when they are executed next (pure)."""
    notes: list[str] = []
    for actions, verb, which in ((("make", "replace"), "created", "first"), (("keep",), "kept", "next")):
        chosen = [row for row in rows if row.get("standing_report") in actions]
        moments = sorted(row["next_due_at"] for row in chosen if row["next_due_at"])
        due = ""
        if moments:
            first, last = moments[0], moments[-1]
            due = f"; {'its' if len(chosen) == 1 else 'their'} {which} execution is due "
            due += f"at {first}" if first == last else f"between {first} and {last}"
        if chosen:
            notes.append(f"{plural(len(chosen), 'scheduled report')} would be {verb}{due}")
    return notes


def _decision_values(decision: Decision, *, next_due_at: datetime | None) -> dict[str, Any]:
    """What the run would do for a dataset, why, and what a nightly run would do with its scheduled report."""
    schedule, reason = decision.schedule, decision.reason
    if schedule is not None and schedule.replace_reason:
        reason = f"{reason}; its scheduled report is replaced: {schedule.replace_reason}"
    values: dict[str, Any] = {
        "action": _ACTIONS[decision.action],
        "decision": decision.as_record().model_dump(mode="json"),
        "reason": reason,
    }
    if schedule is not None:
        values |= {"standing_report": schedule.action, "next_due_at": format_time(next_due_at)}
    if decision.execution is not None:
        values["execution_id"] = decision.execution.execution_id
    return values


def _print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the plan; columns for windows and for scheduled reports only where it has any."""
    cells = []
    for row in rows:
        window, scheduled = row["window"], row.get("standing_report", "")
        cells.append(
            {
                "dataset": row["dataset"],
                "action": _SHOWN[row["action"]][0],
                "span": f"{window['start'][:10]}..{window['end'][:10]}" if window else row["timespan"] or "",
                "reports": str(row["reports"] or ""),
                "columns": str(row["columns"] or ""),
                "scheduled report": _SCHEDULES.get(scheduled, scheduled),
            }
        )
    columns = ["dataset", "action", "span", "reports", "columns", "scheduled report"]
    if not any(row["reports"] > 1 for row in rows):
        columns.remove("reports")
    if not any("standing_report" in row for row in rows):
        columns.remove("scheduled report")
    shown = ([row[column] for column in columns] for row in cells)
    print_table(new_table(columns, shown, right=["reports", "columns"], fold=["span"]))


def _print_metrics_and_reasons(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print what is too long for a column of the table: what each action means, the metrics, and each reason once."""
    actions = dict.fromkeys(_SHOWN[row["action"]] for row in rows)
    print_data(f"actions: {'; '.join(f'{word} = {meaning}' for word, meaning in actions)}")
    if metrics := describe_metrics({row["dataset"]: row["metrics"] for row in rows}):
        print_data(visible(f"metrics: {metrics}"))
    given = ((row["dataset"], row["reason"]) for row in rows if row["reason"])
    for datasets, reason in group_by_reason(given, may_differ="moments"):
        print_data(visible(f"reason:  {join_some(datasets)}: {reason}"))
