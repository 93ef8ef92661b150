"""Exports all datasets of a run in one task group; a failed dataset does not stop the others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial

import anyio

from bulkpull.event_types import PullFinished, ReportsUnused
from bulkpull.events import Level, about
from bulkpull.model import Pull
from bulkpull.pipeline.context import RunContext
from bulkpull.pipeline.nightly.decision import Decision
from bulkpull.pipeline.nightly.execute import DecisionExecutor
from bulkpull.pipeline.nightly.scheduled_reports import ScheduledReportMaker
from bulkpull.pipeline.request import ExportRequest
from bulkpull.pipeline.run_cleanup import delete_outdated_queries, delete_unneeded_reports, limit_tidying
from bulkpull.pipeline.run_decisions import RunDecisions, unused_note
from bulkpull.pipeline.run_results import RunResults

_LEVELS = {"complete": Level.INFO, "skipped": Level.INFO, "unavailable": Level.WARNING}


async def run_datasets(
    pulls: Sequence[Pull],
    create_context: Callable[..., Awaitable[RunContext]],
    *,
    decided: RunDecisions,
    request: ExportRequest,
    results: RunResults,
    conversions_ahead: int,
) -> None:
    """
    Execute the decisions for all pulls, and delete what is no longer needed on the service.

    Args:
        results: Has an outcome for each pull; gets the new one, also where the run is interrupted.
    """
    async with anyio.create_task_group() as watching:
        async with anyio.create_task_group() as tidying:
            async with anyio.create_task_group() as working:
                context = await create_context(background=working, tidying=tidying)
                watching.start_soon(context.poller.run)
                if conversions_ahead:
                    from bulkpull.pipeline.steps.convert import warm_up  # noqa: PLC0415 - as in `DecisionExecutor`

                    watching.start_soon(partial(warm_up, context.conversions, most=conversions_ahead))
                maker = ScheduledReportMaker(
                    client=context.client,
                    submitter=context.submitter,
                    events=context.events,
                    lead_h=context.settings.standing_lead_hours,
                    idle=[report for _, report in decided.unused],
                )
                for pull in pulls:
                    decision = decided.decisions[pull.dataset]
                    working.start_soon(
                        partial(_run_dataset, decision, context, maker, request=request, results=results)
                    )
                delete_unneeded_reports(context, decided.found.done, orphans=decided.found.orphans)
                if decided.unused:
                    context.events.emit(ReportsUnused(reports=[report.report_id for _, report in decided.unused]))
                    results.notes.append(unused_note(decided.unused))
                if not request.submit_only:
                    tidying.start_soon(delete_outdated_queries, context, {pull.dataset for pull in pulls})
            limit_tidying(context, watching)
        watching.cancel_scope.cancel()


async def _run_dataset(
    decision: Decision,
    context: RunContext,
    maker: ScheduledReportMaker,
    *,
    request: ExportRequest,
    results: RunResults,
) -> None:
    """Export one dataset; an error becomes part of its outcome and is not raised."""
    dataset = decision.pull.dataset
    error: Exception | None = None
    executor = DecisionExecutor(
        decision,
        results.outcome(dataset),
        context,
        maker,
        only_new_data=request.nightly,
        reset_types=request.reset_types,
        submit_only=request.submit_only,
    )
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
        context.events.emit(PullFinished(level=level, status=record.status, rows=record.rows, reason=record.reason))
