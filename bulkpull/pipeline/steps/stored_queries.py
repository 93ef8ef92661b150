"""The queries that this tool has stored on the service: found, made, and deleted when nothing needs them."""

from __future__ import annotations

from collections.abc import Collection, Container
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
    TransferError,
)
from bulkpull.event_types import QueryAdopted, QueryCreated, QueryDeleted
from bulkpull.events import Events
from bulkpull.insights.client import InsightsClient
from bulkpull.insights.idempotent_create import GATHER_S, SharedLookup
from bulkpull.model import Pull, Query
from bulkpull.pipeline.steps.metric_refusals import drop_metrics
from bulkpull.pipeline.steps.naming import DESCRIPTION, is_ours, query_name
from bulkpull.query import normalise


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

        If another query is used, the one just made is deleted. If the list cannot be read, or few calls are left, the
        new query is used, and the next run deletes duplicates.
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
        self._duplicates = [double for double in self._duplicates if double.query_id != query.query_id]
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
            await self.client.delete_query(query.query_id, tidying=tidying)
            self.forget(query)
            self.events.emit(QueryDeleted(query_id=query.query_id))
        return bool(idle)


def _made_at(query: Query) -> tuple[bool, datetime, str]:
    """Sorts queries by age; of two of one moment the smaller id counts as older, so that every run decides alike."""
    return query.created_at is None, query.created_at or datetime.min.replace(tzinfo=UTC), query.query_id
