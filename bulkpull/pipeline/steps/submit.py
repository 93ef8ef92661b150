"""
What a run stores on the service: queries, found or made and deleted when nothing needs them, and reports on them.

Creating is not idempotent (behaviour 45), so names carry a fingerprint (`naming`). A query with unchanged text is
reused from run to run; a report belongs to one run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Container
from contextlib import asynccontextmanager, suppress
from copy import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

import anyio

from bulkpull.clock import Clock, sleep_unless
from bulkpull.errors import (
    AccessDenied,
    BulkpullError,
    ListUnknown,
    NotFound,
    QuotaExceeded,
    ReportingError,
    RequestRejected,
    TransferError,
)
from bulkpull.event_types import QueryAdopted, QueryCreated, QueryDeleted, ReportCreated
from bulkpull.events import Events
from bulkpull.insights.client import InsightsClient
from bulkpull.insights.definitions import ReportDefinition
from bulkpull.insights.idempotent_create import GATHER_S, SharedLookup
from bulkpull.model import Pull, Query, Report
from bulkpull.pipeline.steps.metric_refusals import drop_metrics
from bulkpull.pipeline.steps.naming import DESCRIPTION, is_ours, query_name, report_name
from bulkpull.pipeline.steps.report_limits import OneOffQuota, ReportsInFlight
from bulkpull.query import normalise

# How long to wait for reports of others to end, after each refusal in a row.
_OTHERS_END_S = (15.0, 30.0, 60.0, 120.0, 240.0)


@dataclass(slots=True)
class StoredQueries:
    """Finds and makes the queries of one run, and remembers what the service listed."""

    client: InsightsClient
    clock: Clock
    events: Events
    datasets: set[str] = field(default_factory=set)
    """Datasets for which a query was found or created."""
    settled: anyio.Event = field(default_factory=anyio.Event)
    """Set when all queries of this run are known."""
    _queries: dict[str, Query] | None = None
    _needed: set[str] = field(default_factory=set)
    _expected: Collection[str] | None = None
    _listing: anyio.Lock = field(default_factory=anyio.Lock)
    _failed_listings: list[BulkpullError] = field(default_factory=list)
    _duplicates: list[Query] = field(default_factory=list)
    _after_making: SharedLookup[Query] = field(init=False)
    _in_making: int = 0
    _all_made: anyio.Event = field(default_factory=anyio.Event)

    def __post_init__(self) -> None:
        self._after_making = SharedLookup(
            lambda name: self.client.get_queries(name=name), clock=self.clock, gather=self._until_all_made
        )

    async def find(self, pull: Pull) -> Query | None:
        """The stored query of a pull of this run; `None` where it has to be made."""
        known = await self._known_queries()
        text = normalise(pull.query_text)
        # Where the service refuses the metrics, the query without them serves, which an earlier run may have stored.
        self._needed |= {text, normalise(drop_metrics(pull).query_text)}
        self.datasets.add(pull.dataset)
        if self._expected is not None and self.datasets.issuperset(self._expected):
            self.settled.set()
        query = known.get(text)
        if query is not None:
            self.events.emit(QueryAdopted(query_id=query.query_id))
        return query

    async def wait_until_settled(self, datasets: Collection[str]) -> None:
        """Wait until it is known which queries these datasets want, or until `settled` is set."""
        self._expected = datasets
        await self.settled.wait()

    async def find_stored(self, pull: Pull) -> Query | None:
        """As `find`, for a pull that is known already."""
        return (await self._known_queries()).get(normalise(pull.query_text))

    async def make(self, pull: Pull) -> Query:
        """Store the query of a pull; where the quota is full, unused ones of ours make room."""
        known = await self._known_queries()
        create = partial(self.client.create_query, name=query_name(pull), text=pull.query_text, description=DESCRIPTION)
        self._in_making += 1
        try:
            try:
                query = await create()
            except QuotaExceeded:
                if not await self.sweep():
                    raise
                query = await create()
        finally:
            self._in_making -= 1
            if not self._in_making:
                self._all_made.set()
                self._all_made = anyio.Event()
        self.events.emit(QueryCreated(query_id=query.query_id))
        known[normalise(pull.query_text)] = query = await self._oldest_duplicate(query)
        return query

    async def _until_all_made(self) -> None:
        """One listing serves all queries that are being made now."""
        if self._in_making:
            await sleep_unless(self._all_made, GATHER_S, clock=self.clock)

    async def _oldest_duplicate(self, made: Query) -> Query:
        """
        The query to use: of several of one text the oldest, so that runs side by side agree on one (case W10).

        Any other that was just made is deleted; by the next run if the list cannot be read, or few calls are left.
        """
        if not self.client.pacer.has_plenty:
            return made
        try:
            listed = await self._after_making.find(made.name)
        except (ReportingError, TransferError):
            return made
        alike = [query for query in listed if is_ours(query) and normalise(query.text) == normalise(made.text)]
        oldest = min(alike, key=_made_at, default=made)
        if oldest.query_id == made.query_id or all(query.query_id != made.query_id for query in alike):
            return made  # the listing is behind: the oldest is unknown
        self.events.emit(QueryAdopted(query_id=oldest.query_id))
        try:
            await self.client.delete_query(made.query_id, optional=True)
        except NotFound:
            pass
        except (ReportingError, TransferError):
            self._duplicates.append(made)
        else:
            self.events.emit(QueryDeleted(query_id=made.query_id))
        return oldest

    async def _known_queries(self) -> dict[str, Query]:
        failed_before = len(self._failed_listings)
        async with self._listing:
            if self._queries is None:
                if len(self._failed_listings) > failed_before:
                    raise copy(self._failed_listings[-1])  # the listing that this dataset waited for
                try:
                    listed = await self.client.get_queries()
                except (AccessDenied, ListUnknown):
                    listed = []  # a role may be refused the listing and still be allowed to create
                except BulkpullError as error:
                    self._failed_listings.append(error)
                    raise
                self._queries = {}
                for query in sorted(filter(is_ours, listed), key=_made_at):
                    # Of several of one text the oldest serves.
                    if self._queries.setdefault(normalise(query.text), query) is not query:
                        self._duplicates.append(query)
            return self._queries

    def forget(self, query: Query) -> None:
        self._duplicates = [duplicate for duplicate in self._duplicates if duplicate.query_id != query.query_id]
        text, queries = normalise(query.text), self._queries or {}
        if text in queries and queries[text].query_id == query.query_id:
            del queries[text]

    async def sweep(self, among: Container[str] | None = None, *, tidying: bool = False) -> bool:
        """
        Delete our own queries that no report uses and this run does not want; whether there were any.

        They are chosen from the ids `among`, or from all to make room (behaviour 72); `tidying`: nothing waits for it.
        """
        known = await self._known_queries()
        unwanted = [query for text, query in known.items() if text not in self._needed]
        idle = [query for query in (*unwanted, *self._duplicates) if among is None or query.query_id in among]
        if not idle:
            return False
        try:
            in_use = {report.query_id for report in await self.client.get_reports(tidying=tidying, whole=True)}
        except (AccessDenied, ListUnknown):
            return False  # which queries are in use is unknown, so that none is known to be idle
        idle = [query for query in idle if query.query_id not in in_use]
        for query in idle:
            with suppress(NotFound):  # another machine has deleted it
                await self.client.delete_query(query.query_id, tidying=tidying)
                self.events.emit(QueryDeleted(query_id=query.query_id))
            self.forget(query)
        return bool(idle)


def _made_at(query: Query) -> tuple[bool, datetime, str]:
    """Sorts queries by age; of two of one moment the smaller id counts as older, so that every run decides alike."""
    return query.created_at is None, query.created_at or datetime.min.replace(tzinfo=UTC), query.query_id


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
    _submitted: Counter[str] = field(default_factory=Counter)
    _pairs: int = 0
    _pair_ended: anyio.Event = field(default_factory=anyio.Event)
    _is_short_of_reports: bool = False

    async def submit_report(self, pull: Pull, *, attempt: int = 1) -> Report:
        """
        Make sure that the service is making a report for `pull`, and only one, also after a lost answer.

        Raises:
            RequestRejected: The service refused the query or the report.
            AccessDenied: The role does not allow this dataset.
            TransferError, ServiceTrouble, Throttled: The service could not be asked, as often as allowed.
        """
        return await self.with_query(pull, lambda query: self._report_for(pull, query, attempt=attempt))

    async def with_query(self, pull: Pull, create: Callable[[Query], Awaitable[Report]]) -> Report:
        """Create a report on the stored query of `pull`, found or made; once more where it vanished meanwhile."""
        query = await self.queries.find(pull)
        if query is None:
            # One query per text, also if several windows and datasets need it at once.
            async with self._making.setdefault(normalise(pull.query_text), anyio.Lock()):
                query = await self.queries.find_stored(pull)
                if query is None:
                    async with self._pair():
                        return await self._create_on(await self.queries.make(pull), pull, create)
        return await self._create_on(query, pull, create)

    async def _create_on(self, query: Query, pull: Pull, create: Callable[[Query], Awaitable[Report]]) -> Report:
        try:
            return await create(query)
        except RequestRejected as error:
            if "queryid" not in error.message.casefold().replace(" ", ""):
                raise
            # The query was deleted since it was listed (behaviour 73, "Invalid QueryId").
            self.queries.forget(query)
            async with self._making.setdefault(f"again: {normalise(pull.query_text)}", anyio.Lock()):
                again = await self.queries.find_stored(pull) or await self.queries.make(pull)
            return await create(again)

    @asynccontextmanager
    async def _pair(self) -> AsyncIterator[None]:
        """
        Make a query and create its report; of few calls that are left, no more pairs begin than can be finished.

        Otherwise the queries of all datasets would use them up, and no report would begin before they are renewed.
        """
        pacer = self.client.pacer
        with pacer.report_ahead():
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
        definition = ReportDefinition(
            name=report_name(pull, run_id=self.run_id, attempt=attempt),
            query_id=query.query_id,
            description=DESCRIPTION,
            window=pull.window,
        )
        weight, ahead = self.weights.get(pull.dataset, len(pull.offered.columns)), self._submitted[pull.dataset]
        self._submitted[pull.dataset] += 1
        refusals = 0
        while True:
            async with self.quota.slot(weight=weight, ahead=ahead):
                try:
                    report = await self.client.create_report(definition, name_is_unique=True)
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
                if self.in_flight.has_created:
                    await self.in_flight.wait_for_end()
                elif refusals < len(_OTHERS_END_S):
                    await self.clock.sleep(_OTHERS_END_S[refusals])
                else:
                    raise refused
            refusals += 1
