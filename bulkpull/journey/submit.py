"""
Submit: a pull → a query and a report on the service.

Creating is not idempotent (behaviour 45), so names carry a mark (`names`). A query whose text is unchanged is used
again from run to run; reports belong to one run.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container
from dataclasses import dataclass, field

import anyio

from bulkpull.clock import Clock
from bulkpull.errors import AccessDenied, QuotaExceeded, RequestRejected
from bulkpull.events import Events
from bulkpull.journey.names import is_own, query_name, report_name
from bulkpull.journey.quota import OneOffQuota
from bulkpull.model import Pull, Query, Report
from bulkpull.query import normalise
from bulkpull.reporting.client import ReportingClient

DESCRIPTION = "Made by bulkpull; deleted by it when no longer needed"


@dataclass(slots=True)
class Submitter:
    """
    Makes queries and reports for one run, and remembers which queries the service holds already.

    Args:
        weights: How much work a dataset was last time (rows); the heaviest is asked for first when a quota is short.
    """

    client: ReportingClient
    quota: OneOffQuota
    clock: Clock
    events: Events
    run_id: str
    weights: dict[str, int] = field(default_factory=dict)
    _queries: dict[str, Query] | None = None
    datasets: set[str] = field(default_factory=set)
    """Datasets that a query was found or made for."""
    _wanted: set[str] = field(default_factory=set)
    _listing: anyio.Lock = field(default_factory=anyio.Lock)

    async def submit_report(self, pull: Pull, *, attempt: int = 1) -> Report:
        """
        Make sure that the service is making a report for `pull`, and only one.

        A second call with the same arguments finds what the first one made, also after a lost answer.

        Returns:
            The report, with an execution under way.

        Raises:
            RequestRejected: The service refused the query or the report.
            AccessDenied: The role does not allow this dataset.
            TransferError, ServiceTrouble, Throttled: The service could not be asked, as often as allowed.
        """
        return await self.with_query(pull, lambda query: self._report_for(pull, query, attempt=attempt))

    async def with_query(self, pull: Pull, order: Callable[[Query], Awaitable[Report]]) -> Report:
        """
        Order a report on the stored query of `pull`, which is found or made; once more where it vanished meanwhile.

        Raises:
            RequestRejected, AccessDenied, TransferError, ServiceTrouble, Throttled: As `order`, and as making a query.
        """
        query = await self._query_for(pull)
        try:
            return await order(query)
        except RequestRejected as error:
            if "queryid" not in error.told.casefold().replace(" ", ""):
                raise
            # Somebody deleted the query since it was listed (behaviour 73, "Invalid QueryId").
            self._forget(query)
            return await order(await self._query_for(pull))

    async def _query_for(self, pull: Pull) -> Query:
        known = await self._known_queries()
        wanted = normalise(pull.query_text)
        self._wanted.add(wanted)
        self.datasets.add(pull.dataset)
        query = known.get(wanted)
        if query is not None:
            self.events.emit("query.adopted", query_id=query.query_id)
            return query
        try:
            query = await self.client.create_query(name=query_name(pull), text=pull.query_text, description=DESCRIPTION)
        except QuotaExceeded:
            if not await self.sweep_queries():
                raise
            query = await self.client.create_query(name=query_name(pull), text=pull.query_text, description=DESCRIPTION)
        self.events.emit("query.created", query_id=query.query_id)
        known[wanted] = query
        return query

    async def _report_for(self, pull: Pull, query: Query, *, attempt: int) -> Report:
        name = report_name(pull, run_id=self.run_id, attempt=attempt)
        while True:
            async with self.quota.turn(weight=self.weights.get(pull.dataset, len(pull.offered.columns))):
                try:
                    report = await self.client.create_report(
                        name=name, query_id=query.query_id, description=DESCRIPTION, window=pull.window
                    )
                except QuotaExceeded as refused:
                    if refused.kind != "one_off":
                        raise
                    self.quota.refused(limit=refused.limit)
                    continue
                self.quota.succeeded()
            self.events.emit("report.created", report_id=report.report_id)
            return report

    async def _known_queries(self) -> dict[str, Query]:
        async with self._listing:
            if self._queries is None:
                try:
                    listed = await self.client.get_queries()
                except AccessDenied:
                    listed = []  # a role may be refused the listing and still be allowed to create
                self._queries = {normalise(query.text): query for query in listed if is_own(query)}
            return self._queries

    def _forget(self, query: Query) -> None:
        if self._queries:
            self._queries.pop(normalise(query.text), None)

    async def sweep_queries(self, among: Container[str] | None = None) -> bool:
        """
        Delete our own queries that no report uses and this run does not want; whether there were any.

        Args:
            among: Ids to choose from; `None` for all, to make room (behaviour 72).

        Raises:
            BulkpullError: The service could not be asked, or did not delete one.
        """
        idle = [
            query
            for text, query in (await self._known_queries()).items()
            if text not in self._wanted and (among is None or query.query_id in among)
        ]
        if not idle:
            return False
        in_use = {report.query_id for report in await self.client.get_reports()}
        idle = [query for query in idle if query.query_id not in in_use]
        for query in idle:
            await self.client.delete_query(query.query_id)
            self._forget(query)
            self.events.emit("query.deleted", query_id=query.query_id)
        return bool(idle)
