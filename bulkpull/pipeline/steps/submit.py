"""
Submits a pull: creates its query and report on the service.

Creating is not idempotent (behaviour 45), so names carry a fingerprint (`naming`). A query with unchanged text is
reused from run to run; a report belongs to one run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio

from bulkpull.clock import Clock
from bulkpull.errors import QuotaExceeded, RequestRejected
from bulkpull.event_types import ReportCreated
from bulkpull.events import Events
from bulkpull.insights.client import InsightsClient
from bulkpull.insights.report_orders import ReportOrder
from bulkpull.model import Pull, Query, Report
from bulkpull.pipeline.steps.in_flight import ReportsInFlight
from bulkpull.pipeline.steps.naming import DESCRIPTION, report_name
from bulkpull.pipeline.steps.report_quota import OneOffQuota
from bulkpull.pipeline.steps.stored_queries import StoredQueries
from bulkpull.query import normalise

# How long to wait for reports of others to end, after each refusal in a row.
_OTHERS_END_S = (15.0, 30.0, 60.0, 120.0, 240.0)


@dataclass(slots=True)
class Submitter:
    """Creates reports for one run; when a quota is short, the largest first, by rows of last snapshots (`weights`)."""

    client: InsightsClient
    queries: StoredQueries
    quota: OneOffQuota
    clock: Clock
    events: Events
    run_id: str
    in_flight: ReportsInFlight
    weights: dict[str, int] = field(default_factory=dict)
    _making: dict[str, anyio.Lock] = field(default_factory=dict)
    _ordered: Counter[str] = field(default_factory=Counter)
    _pairs: int = 0
    _pair_ended: anyio.Event = field(default_factory=anyio.Event)
    _is_short_of_reports: bool = False

    async def submit_report(self, pull: Pull, *, attempt: int = 1) -> Report:
        """
        Make sure that the service is making a report for `pull`, and only one.

        A second call with the same arguments finds what the first one made, also after a lost answer.

        Raises:
            RequestRejected: The service refused the query or the report.
            AccessDenied: The role does not allow this dataset.
            TransferError, ServiceTrouble, Throttled: The service could not be asked, as often as allowed.
        """
        return await self.with_query(pull, lambda query: self._report_for(pull, query, attempt=attempt))

    async def with_query(self, pull: Pull, order: Callable[[Query], Awaitable[Report]]) -> Report:
        """Order a report on the stored query of `pull`, found or made; once more where it vanished meanwhile."""
        query = await self.queries.find(pull)
        if query is None:
            # One query per text, also if several windows and datasets need it at once.
            async with self._making.setdefault(normalise(pull.query_text), anyio.Lock()):
                query = await self.queries.find_stored(pull)
                if query is None:
                    async with self._pair():
                        return await self._order_on(await self.queries.make(pull), pull, order)
        return await self._order_on(query, pull, order)

    async def _order_on(self, query: Query, pull: Pull, order: Callable[[Query], Awaitable[Report]]) -> Report:
        try:
            return await order(query)
        except RequestRejected as error:
            if "queryid" not in error.message.casefold().replace(" ", ""):
                raise
            # The query was deleted since it was listed (behaviour 73, "Invalid QueryId").
            self.queries.forget(query)
            async with self._making.setdefault(f"again: {normalise(pull.query_text)}", anyio.Lock()):
                again = await self.queries.find_stored(pull) or await self.queries.make(pull)
            return await order(again)

    @asynccontextmanager
    async def _pair(self) -> AsyncIterator[None]:
        """
        Make a query and order its report: two calls that belong together.

        If few calls are left, no more pairs begin than can be finished. Otherwise the queries of all datasets would use
        up the allowance, and the service would begin no report before it is renewed.
        """
        pacer = self.client.pacer
        with pacer.order_ahead():
            while (
                pacer.calls_left is not None
                and not self._is_short_of_reports
                and self._pairs >= max(1, pacer.calls_left // 2)
            ):
                await self._pair_ended.wait()
        self._pairs += 1
        try:
            yield
        finally:
            self._pairs -= 1
            self._wake_pairs()

    def _wake_pairs(self) -> None:
        self._pair_ended.set()
        self._pair_ended = anyio.Event()

    async def _report_for(self, pull: Pull, query: Query, *, attempt: int) -> Report:
        order = ReportOrder(
            name=report_name(pull, run_id=self.run_id, attempt=attempt),
            query_id=query.query_id,
            description=DESCRIPTION,
            window=pull.window,
        )
        weight, ahead = self.weights.get(pull.dataset, len(pull.offered.columns)), self._ordered[pull.dataset]
        self._ordered[pull.dataset] += 1
        refusals = 0
        while True:
            async with self.quota.slot(weight=weight, ahead=ahead):
                try:
                    report = await self.client.create_report(order, name_is_unique=True)
                except QuotaExceeded as error:
                    if error.kind not in ("one_off", "active_reports"):
                        raise
                    refused = error
                    self._is_short_of_reports = True  # reports are limited here, not calls; the wait may take hours
                    self._wake_pairs()
                    if refused.kind == "one_off":
                        self.quota.refused(limit=refused.limit)
                else:
                    self.quota.succeeded()
                    self.events.emit(ReportCreated(report_id=report.report_id))
                    return report
            if refused.kind == "active_reports":
                self.in_flight.refused(quota=refused.limit)
                if self.in_flight.has_ordered:
                    await self.in_flight.wait_for_end()
                elif refusals < len(_OTHERS_END_S):
                    await self.clock.sleep(_OTHERS_END_S[refusals])
                else:
                    raise refused
            refusals += 1
