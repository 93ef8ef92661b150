"""
The state of one tenant, without any network: datasets, queries, reports, executions.

All state follows from the requests and the clock; nothing runs in the background. Tests may read and change `queries`,
`reports` and `executions`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from bulkpull.simulator import error_replies
from bulkpull.simulator.entities import StoredExecution, StoredQuery, StoredReport, wire_query, wire_report, wire_time
from bulkpull.simulator.error_replies import Refusal, bad_request
from bulkpull.simulator.execution_list import ExecutionReader, LinkMaker
from bulkpull.simulator.faults import FaultBox
from bulkpull.simulator.listed_datasets import Table, offered_tables
from bulkpull.simulator.query_months import days_between, months_between, months_of_span, whole_months
from bulkpull.simulator.query_parser import ParsedQuery
from bulkpull.simulator.query_store import QueryStore
from bulkpull.simulator.report_data import Extract
from bulkpull.simulator.report_store import ReportStore
from bulkpull.simulator.request_validation import Fields, parse_time
from bulkpull.simulator.row_numbers import edition_at
from bulkpull.simulator.scenario import ColumnDrift, Scenario, SimulatorClock

TEST_ROWS = 100
"""Most rows of a test query (behaviour 78)."""


@dataclass(frozen=True, slots=True)
class ServiceResult:
    """The result of a successful call: records and the envelope's message, null for some calls (behaviour 31)."""

    records: list[dict[str, Any]]
    message: str | None = None


class Service:
    """The documented service."""

    def __init__(self, scenario: Scenario, *, clock: SimulatorClock, faults: FaultBox, sign: LinkMaker) -> None:
        self.scenario, self._clock, self._faults = scenario, clock, faults
        self.tables: dict[str, Table] = offered_tables(scenario)
        self.query_store = QueryStore(scenario, self.tables, clock=clock, faults=faults)
        self.report_store = ReportStore(scenario, self.query_store, clock=clock, faults=faults)
        self._reader = ExecutionReader(scenario, self.report_store, clock=clock, faults=faults, sign=sign)

    @property
    def queries(self) -> dict[str, StoredQuery]:
        """Every stored query by id, the system's among them."""
        return self.query_store.stored

    @property
    def reports(self) -> dict[str, StoredReport]:
        return self.report_store.stored

    @property
    def created_queries(self) -> Counter[str]:
        """How many queries users ever stored, per dataset; deleted ones count."""
        return self.query_store.created

    @property
    def created_reports(self) -> Counter[str]:
        """How many reports were ever ordered, per dataset; deleted ones count."""
        return self.report_store.created

    @property
    def executions(self) -> list[StoredExecution]:
        """Every execution of every report that has begun by now."""
        self.report_store.advance()
        return [execution for report in self.reports.values() for execution in report.executions]

    def drift(self, dataset: str, drift: ColumnDrift) -> None:
        """
        Change the live columns from now on.

        A query that names a column which is gone is refused, and one that is stored already is never answered again
        (behaviours 73 and 76).
        """
        self.report_store.advance()  # what was due before saw the columns as they were
        self.tables[dataset] = self.tables[dataset].drifted(drift)

    def standing_reports(self, dataset: str) -> list[StoredReport]:
        """The reports of the dataset that recur, whatever their status."""
        self.report_store.advance()
        return [report for report in self.reports.values() if report.dataset == dataset and report.is_standing]

    def list_datasets(self, params: Fields) -> ServiceResult:
        """The offered datasets, or the one that is asked for."""
        wanted = params.text("datasetName")
        found = [
            {
                "datasetName": table.listed_name,
                "selectableColumns": [column.name for column in table.columns],
                "availableMetrics": [metric.name for metric in table.metrics],
                "availableDateRanges": list(table.date_ranges),
                "minimumRecurrenceInterval": table.minimum_recurrence_h,
            }
            for table in self.tables.values()
            if wanted is None or table.listed_name.casefold() == wanted.casefold()
        ]
        if not found:
            raise Refusal(404, error_replies.NO_ITEM)
        return ServiceResult(found, "Dataset fetched successfully")

    def create_query(self, body: Fields) -> ServiceResult:
        return ServiceResult([wire_query(self.query_store.create(body))], "Query created successfully")

    def list_queries(self, params: Fields) -> ServiceResult:
        return ServiceResult(
            [wire_query(query) for query in self.query_store.list(params)], "Queries fetched successfully"
        )

    def delete_query(self, query_id: str) -> ServiceResult:
        query = self.query_store.delete(query_id)
        self.report_store.lose_query(query.query_id)
        return ServiceResult([wire_query(query)], "Query deleted successfully")

    def test_query(self, params: Fields) -> Extract:
        """The rows that a test query asks for, by text or by id, never by both (behaviour 78)."""
        text, query_id = params.text("exportQuery"), params.text("queryId")
        if (text is None) == (query_id is None):
            raise bad_request(error_replies.NULL_OR_MISSING)
        parsed = self.query_store.accept(text if text is not None else self.query_store.find(query_id or "").text)
        times = []
        for name, message in (("startTime", error_replies.START_FORMAT), ("endTime", error_replies.END_FORMAT)):
            value = params.text(name)
            moment = parse_time(value) if value is not None else None
            if value is not None and moment is None:
                raise bad_request(message)
            times.append(moment)
        start, end = times
        if start is not None and end is not None and end <= start:
            raise bad_request(error_replies.END_BEFORE_START)
        most = min(TEST_ROWS, parsed.limit or TEST_ROWS)
        return self._extract(parsed, at=self._clock.now(), start=start, end=end, limit=most)

    def create_report(self, body: Fields, *, correlation_id: str) -> ServiceResult:
        report = self.report_store.create(body, correlation_id=correlation_id)
        return ServiceResult([wire_report(report)], "Report created successfully")

    def list_reports(self, params: Fields) -> ServiceResult:
        return ServiceResult(
            [wire_report(report) for report in self.report_store.list(params)], "Reports fetched successfully"
        )

    def update_report(self, report_id: str, body: Fields, *, correlation_id: str) -> ServiceResult:
        report = self.report_store.update(report_id, body, correlation_id=correlation_id)
        return ServiceResult([wire_report(report)], "Report updated successfully")

    def delete_report(self, report_id: str) -> ServiceResult:
        return ServiceResult([wire_report(self.report_store.delete(report_id))], "Report deleted successfully")

    def pause_report(self, report_id: str) -> ServiceResult:
        return ServiceResult([wire_report(self.report_store.pause(report_id))], "Report paused successfully")

    def resume_report(self, report_id: str) -> ServiceResult:
        return ServiceResult([wire_report(self.report_store.resume(report_id))], "Report resumed successfully")

    def read_executions(self, report_ids: str, params: Fields) -> ServiceResult:
        return ServiceResult(self._reader.read(report_ids, params))

    def extract_of(self, execution_id: str) -> Extract | None:
        """What the file of an execution holds; `None` when the execution is gone with its report (behaviour 97)."""
        for execution, report in self._pairs():
            if execution.execution_id == execution_id:
                return self._extract_of(report, execution)
        return None

    def dataset_of_query(self, text_or_id: str) -> str | None:
        """The canonical name of the dataset that a query's text or id is about, for faults that strike one dataset."""
        stored = self.queries.get(text_or_id.strip().casefold())
        try:
            return self.query_store.parse(stored.text if stored else text_or_id).table.name
        except Refusal:
            return None

    def whole_extract(
        self,
        dataset: str,
        columns: tuple[str, ...] | None = None,
        *,
        at: datetime | None = None,
        window: tuple[datetime, datetime] | None = None,
    ) -> Extract:
        """
        What a report on these columns of the dataset holds, begun `at`: of `window`, or of six months.

        Without `columns`: all columns, then the amounts that no column holds (behaviour 160).
        """
        table = self.tables[dataset]
        amounts = [metric for metric in table.metrics if metric.kind == "amount"]
        names = columns or tuple(column.name for column in (*table.columns, *amounts))
        text = f"SELECT {', '.join(names)} FROM {table.listed_name}"  # noqa: S608 - the service's own language, not SQL
        start, end = window or (None, None)
        parsed, at = self.query_store.parse(text), at or self._clock.now()
        return self._extract(parsed, at=at, start=start, end=end, inclusive=False)

    def _pairs(self) -> Iterator[tuple[StoredExecution, StoredReport]]:
        for report in self.reports.values():
            for execution in report.executions:
                yield execution, report

    def _extract_of(self, report: StoredReport, execution: StoredExecution) -> Extract:
        parsed, at, manner = report.parsed, execution.started_at, self.scenario.windows
        start, end = (None, None) if manner == "ignored" else report.window
        if manner == "rounded":
            start, end = whole_months(start, end)
        make = self.scenario.contents.get(parsed.table.name)
        tsv = report.format == "tsv"
        return replace(
            self._extract(parsed, at=at, start=start, end=end, tsv=tsv, limit=parsed.limit),
            content=make(start, end, at) if make is not None else None,
            provenance=self._provenance_of(report, at) if self.scenario.provenance else None,
        )

    def _provenance_of(self, report: StoredReport, at: datetime) -> str:
        """The question that a report answers, and when; compared with the labels that a reader finds."""
        facts = {
            "account": self.scenario.tenant_id,
            "span": report.parsed.timespan,
            "filter": sorted([condition.column.name.casefold(), condition.operator, *condition.values]
                             for condition in report.parsed.conditions),
            "window": [moment and wire_time(moment) for moment in report.window],
            "version": wire_time(at),
        }  # fmt: skip
        return json.dumps(facts, sort_keys=True)

    def _extract(
        self,
        parsed: ParsedQuery,
        *,
        at: datetime,
        start: datetime | None,
        end: datetime | None,
        inclusive: bool | None = None,
        tsv: bool = False,
        limit: int | None = None,
    ) -> Extract:
        """What a query brings at a moment: of the window, where it has a start or an end, else of its own span."""
        inclusive = self.scenario.inclusive_end if inclusive is None else inclusive
        if start is None and end is None:
            months = months_of_span(parsed.table, parsed.timespan, now=at)
        else:
            months = months_between(parsed.table, start=start, end=end, now=at, inclusive=inclusive)
        days = days_between(start, end, now=at, inclusive=inclusive)
        viewer = self.scenario.role == "viewer"
        return Extract(
            table=parsed.table,
            columns=parsed.columns,
            conditions=parsed.conditions,
            orderings=parsed.orderings,
            distinct=parsed.distinct,
            limit=limit,
            months=months,
            window=days if months is not None else None,
            edition=edition_at(parsed.table, at) if self.scenario.refreshes else 0,
            tsv=tsv or self.scenario.tsv,
            seed=self.scenario.seed,
            hidden=parsed.table.sensitive if viewer else frozenset(),
            hidden_vanish=self.scenario.redaction == "vanish",
        )
