"""Exports all datasets of a run in one task group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from bulkpull.event_types import PullFinished, ReportsUnused
from bulkpull.events import Level, about
from bulkpull.model import Pull
from bulkpull.pipeline.context import RunContext
from bulkpull.pipeline.nightly.decision_rules import Action
from bulkpull.pipeline.nightly.execute import DecisionExecutor
from bulkpull.pipeline.outcome import RunResults
from bulkpull.pipeline.report_deletion import delete_outdated_queries, delete_unneeded_reports
from bulkpull.pipeline.run_decisions import RunDecisions, unused_note

# How long deletions may go on once all datasets are done.
_TIDYING_S = 10.0
_LEVELS = {"complete": Level.INFO, "skipped": Level.INFO, "unavailable": Level.WARNING}


async def run_datasets(
    pulls: Sequence[Pull],
    context: RunContext,
    *,
    decided: RunDecisions,
    results: RunResults,
    conversions_ahead: int,
) -> None:
    """Execute the decisions for all pulls, and put each outcome into `results`, also where the run is interrupted."""
    decisions = [decided.decisions[pull.dataset] for pull in pulls]
    if any(decision.action is not Action.SKIP for decision in decisions):
        await anyio.to_thread.run_sync(_load_export)
    idle = [report for _, report in decided.unused]
    async with anyio.create_task_group() as watching:
        async with anyio.create_task_group() as tidying:
            async with anyio.create_task_group() as working:
                context.background, context.tidying = working, tidying
                watching.start_soon(context.poller.run)
                if conversions_ahead:
                    from bulkpull.pipeline.steps.convert import warm_up  # noqa: PLC0415 - as in `_load_export`

                    # One for all small files: another costs half a second of processor time and is left to large files.
                    watching.start_soon(partial(warm_up, context.conversions, most=1))
                for decision in decisions:
                    planned = results.outcome(decision.pull.dataset)
                    working.start_soon(_run_dataset, DecisionExecutor(decision, planned, context, idle), results)
                delete_unneeded_reports(context, decided.found)
                if decided.unused:
                    context.events.emit(ReportsUnused(reports=[report.report_id for report in idle]))
                    results.notes.append(unused_note(decided.unused))
                if not context.request.submit_only:
                    tidying.start_soon(delete_outdated_queries, context, {pull.dataset for pull in pulls})
            _limit_tidying(context, watching)
        watching.cancel_scope.cancel()


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


def _limit_tidying(context: RunContext, watching: TaskGroup) -> None:
    """Limit the time for deletions after all datasets are done; stop at once if few calls are left."""
    if not context.client.pacer.has_plenty:
        context.tidying.cancel_scope.cancel()
        return

    async def cut_off() -> None:
        await context.clock.sleep(_TIDYING_S)
        context.tidying.cancel_scope.cancel()

    context.submitter.queries.settled.set()
    watching.start_soon(cut_off)
