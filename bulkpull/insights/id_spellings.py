"""Spells the service's ids as they were first seen, so that ids can be compared as they stand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from bulkpull.model import Execution, Query, Report


class IdSpellings:
    """
    The first spelling of each id.

    The service may spell one id in several cases (behaviour 153): lower case in the reply to a creation, upper case in
    a listing. The first spelling is kept as it was sent, and goes into addresses, the ledger and the manifest.
    """

    def __init__(self) -> None:
        self._first: dict[str, str] = {}

    def add(self, ids: Iterable[str]) -> None:
        """Take note of ids that earlier replies or the ledger hold."""
        for item_id in ids:
            self.of(item_id)

    def of(self, item_id: str) -> str:
        """The first spelling of an id; an id that is new is its own."""
        return self._first.setdefault(item_id.strip().casefold(), item_id.strip())

    def of_query(self, query: Query) -> Query:
        """A query with its id as first spelled."""
        return replace(query, query_id=self.of(query.query_id))

    def of_report(self, report: Report) -> Report:
        """A report with its ids as first spelled."""
        return replace(report, report_id=self.of(report.report_id), query_id=self.of(report.query_id))

    def of_execution(self, execution: Execution) -> Execution:
        """An execution with its ids as first spelled."""
        return replace(execution, execution_id=self.of(execution.execution_id), report_id=self.of(execution.report_id))
