"""Starts the export of every dataset of a run, and deletes what the run does not need on the service."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

import anyio.to_thread

from bulkpull.errors import BulkpullError
from bulkpull.event_types import PullFinished, ReportsUnused
from bulkpull.events import Level, about
from bulkpull.model import Pull
from bulkpull.output.ledger_facts import ReportFacts, ScheduledReportFacts
from bulkpull.pipeline.context import RunContext
from bulkpull.pipeline.nightly.decision_rules import Action
from bulkpull.pipeline.nightly.execute import DecisionExecutor
from bulkpull.pipeline.outcome import RunResults
from bulkpull.pipeline.plan_estimate import slowest_first
from bulkpull.pipeline.run_decisions import RunDecisions, unused_note

_LEVELS = {"complete": Level.INFO, "skipped": Level.INFO, "unavailable": Level.WARNING}


async def start_datasets(
    pulls: Sequence[Pull], context: RunContext, *, decided: RunDecisions, results: RunResults, warms_up: bool
) -> None:
    """Start the pulls as decided, the slowest first; each puts its outcome into `results`, also where interrupted."""
    pulls = slowest_first(pulls, usual_s=context.usual_s, rows=context.submitter.weights)
    decisions = [decided.decisions[pull.dataset] for pull in pulls]
    if any(decision.action is not Action.SKIP for decision in decisions):
        await anyio.to_thread.run_sync(_load_export)
    if warms_up:
        from bulkpull.pipeline.steps.convert import warm_up  # noqa: PLC0415 - as in `_load_export`

        # One for all small files: another costs half a second of processor time and is left to large files.
        context.watching.start_soon(partial(warm_up, context.conversions, most=1))
    idle = [report for _, report in decided.unused]
    for decision in decisions:
        planned = results.outcome(decision.pull.dataset)
        context.background.start_soon(_run_dataset, DecisionExecutor(decision, planned, context, idle), results)
    for dataset in context.reusable.done:
        for report in context.reusable.rest(dataset):
            context.discard_report(report, dataset=dataset)
    for report in context.reusable.orphans:
        context.discard_report(report, dataset=None)
    if decided.unused:
        context.events.emit(ReportsUnused(reports=[report.report_id for report in idle]))
        results.notes.append(unused_note(decided.unused))
    if not context.request.submit_only:
        context.tidying.start_soon(_delete_outdated_queries, context, {pull.dataset for pull in pulls})


def _load_export() -> None:
    """Load the modules that fetch and convert: a tenth of a second that a run without new data saves, in a thread."""
    import bulkpull.pipeline.dataset  # noqa: F401, PLC0415 - see above


async def _run_dataset(executor: DecisionExecutor, results: RunResults) -> None:
    """Export one dataset; an error becomes part of its outcome and is not raised."""
    dataset = executor.decision.pull.dataset
    error: Exception | None = None
    with about(dataset):
        try:
            if (refused := results.refused.get(dataset)) is not None:
                raise refused
            await executor.execute()
        except Exception as caught:  # noqa: BLE001 - a fault in one dataset, also one of ours, must not harm others
            error = caught
        finally:  # also when the run is interrupted
            results.put(replace(executor.outcome, error=error))
        record = results.record(dataset)
        level = _LEVELS.get(record.status, Level.ERROR)
        executor.context.events.emit(
            PullFinished(level=level, status=record.status, rows=record.rows, reason=record.reason)
        )


async def _delete_outdated_queries(context: RunContext, datasets: Collection[str]) -> None:
    """Delete queries that this folder created for today's datasets with other columns than today."""
    queries = context.submitter.queries
    await queries.wait_until_settled(datasets)
    made = await context.ledger.distinct((ReportFacts, ScheduledReportFacts), ["query_id"])
    if noted := {query_id for dataset, query_id in made if dataset in queries.datasets}:
        with suppress(BulkpullError):  # optional: the next run tries again
            await queries.sweep(noted, tidying=True)
