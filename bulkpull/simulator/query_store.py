"""The stored queries of the simulated service: system queries and user queries (behaviours 59 to 80)."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from bulkpull.simulator import error_replies
from bulkpull.simulator.entities import StoredQuery
from bulkpull.simulator.error_replies import Refusal, bad_request
from bulkpull.simulator.listed_datasets import Table, system_queries
from bulkpull.simulator.query_parser import ParsedQuery, parse_query
from bulkpull.simulator.request_validation import Fields
from bulkpull.simulator.simulator_context import Context

# Behaviour 71.
_NAME = re.compile(r"(?:[^\W_]| )+")
_SYSTEM_SINCE = datetime(2021, 3, 1, tzinfo=UTC)


class QueryStore:
    """Stores queries; tests may read and change `stored`, and `created` counts the user's queries per dataset."""

    def __init__(self, context: Context, tables: dict[str, Table]) -> None:
        self._scenario, self._clock, self._faults = context.scenario, context.clock, context.faults
        self._tables = tables
        self.created: Counter[str] = Counter()
        self.stored = {
            query_id: StoredQuery(
                query_id=query_id,
                name=name,
                description=f"{name} data",
                text=text,
                user=None,
                created_at=_SYSTEM_SINCE,
            )
            for query_id, name, text in system_queries(tables.values())
        }

    def parse(self, text: str) -> ParsedQuery:
        return parse_query(text, self._tables.values())

    def understood(self, text: str) -> ParsedQuery | None:
        """The query where the datasets of today have all that it names, else `None`."""
        try:
            return self.parse(text)
        except Refusal:
            return None

    def accept(self, text: str) -> ParsedQuery:
        """Read a query that a caller sends; the fault `metrics_refused` refuses it because of its metrics."""
        parsed = self.parse(text)
        if any(column.is_metric for column in parsed.columns):
            fault = self._faults.take("metrics_refused", datasets=(parsed.table.name,))
            if fault is not None:
                raise bad_request(error_replies.METRICS_REFUSED[fault.args.get("words", "names")])
        return parsed

    def create(self, body: Fields) -> StoredQuery:
        """Store a query; name and text are trimmed, and what is between stays as sent (behaviour 70)."""
        name, text = body.required("Name"), body.required("Query")
        if not _NAME.fullmatch(name):
            raise bad_request(error_replies.INVALID_QUERY_NAME)
        parsed = self.accept(text)
        if sum(not query.is_system for query in self.stored.values()) >= self._scenario.query_quota:
            raise bad_request(error_replies.QUERY_QUOTA)
        self.created[parsed.table.name] += 1
        return self.keep(name=name, text=text, description=body.text("Description"))

    def keep(self, *, name: str, text: str, description: str | None) -> StoredQuery:
        query = StoredQuery(
            query_id=str(uuid4()),
            name=name,
            description=description,
            text=text,
            user=self._scenario.username,
            created_at=self._clock.now(),
        )
        self.stored[query.query_id] = query
        return query

    def list(self, params: Fields) -> list[StoredQuery]:
        """The queries that the filters leave; 404 when they leave none (behaviour 74)."""
        only_system = params.flag("includeOnlySystemQueries", default=False)
        with_system = params.flag("includeSystemQueries", default=True) or only_system
        query_id, name = params.text("queryId"), params.text("queryName")
        listed_until = self.listed_until()
        found = [
            query
            for query in self.stored.values()
            if (with_system if query.is_system else not only_system)
            and (query_id is None or query.query_id == query_id.casefold())
            and (name is None or query.name.casefold() == name.casefold())
            and query.created_at <= listed_until
        ]
        if not found and (query_id or name):
            raise error_replies.no_item()
        return found

    def delete(self, query_id: str) -> StoredQuery:
        """Remove a user's query; the system's stay (behaviour 75)."""
        query = self.stored.get(query_id.casefold())
        if query is None:
            raise error_replies.no_item()
        if query.is_system:
            raise bad_request(error_replies.INVALID_QUERY_ID)
        return self.stored.pop(query.query_id)

    def find(self, query_id: str) -> StoredQuery:
        query = self.stored.get(query_id.strip().casefold())
        if query is None:
            raise bad_request(error_replies.INVALID_QUERY_ID)
        return query

    def listed_until(self) -> datetime:
        """Objects that were created later are not in listings yet."""
        fault = self._faults.peek("listing_lag")
        lag_s = float(fault.args.get("seconds", 1.0)) if fault else self._scenario.visible_lag_s
        return self._clock.now() - timedelta(seconds=lag_s)
