"""
The state of one tenant, without any network: datasets, queries, reports, executions.

All state follows from the requests and the clock; nothing runs in the background. Tests may read and change `queries`,
`reports` and `executions`.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from typing import Any

from bulkpull.simulator.api_replies import NULL_OR_MISSING, bad_request, no_item
from bulkpull.simulator.entities import StoredExecution, StoredQuery, StoredReport, Window, wire_time
from bulkpull.simulator.execution_list import ExecutionReader, LinkMaker
from bulkpull.simulator.generated_values import edition_at
from bulkpull.simulator.listed_datasets import Table, offered_tables
from bulkpull.simulator.query_months import days_between, months_between, whole_months
from bulkpull.simulator.query_parser import ParsedQuery
from bulkpull.simulator.report_data import Extract
from bulkpull.simulator.request_validation import Fields, read_window
from bulkpull.simulator.scenario import ColumnDrift
from bulkpull.simulator.simulator_context import Context
from bulkpull.simulator.stored_objects import QueryStore, ReportStore

TEST_ROWS = 100
"""Most rows of a test query (behaviour 78)."""


class Service:
    """
    The documented service.

    Attributes:
        queries, reports: All that are stored, by id; the system's queries among them.
        created_queries, created_reports: How many users ever created, per dataset; deleted ones count.
    """

    def __init__(self, context: Context, sign: LinkMaker) -> None:
        self.scenario, self._clock = context.scenario, context.clock
        self.tables: dict[str, Table] = offered_tables(context.scenario)
        self.query_store = QueryStore(context, self.tables)
        self.report_store = ReportStore(context, self.query_store)
        self.execution_list = ExecutionReader(context, self.report_store, sign)
        self.queries, self.created_queries = self.query_store.stored, self.query_store.created
        self.reports, self.created_reports = self.report_store.stored, self.report_store.created

    @property
    def executions(self) -> list[StoredExecution]:
        """Every execution of every report that has begun by now."""
        self.report_store.advance()
        return [execution for report in self.reports.values() for execution in report.executions]

    def drift(self, dataset: str, drift: ColumnDrift) -> None:
        """Change the live columns; queries that name one which is gone are not answered again (behaviours 73, 76)."""
        self.report_store.advance()  # what was due before saw the columns as they were
        self.tables[dataset] = self.tables[dataset].drifted(drift)

    def standing_reports(self, dataset: str) -> list[StoredReport]:
        """The reports of the dataset that recur, whatever their status."""
        self.report_store.advance()
        return [report for report in self.reports.values() if report.dataset == dataset and report.is_standing]

    def list_datasets(self, params: Fields) -> list[dict[str, Any]]:
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
            raise no_item()
        return found

    def delete_query(self, query_id: str) -> StoredQuery:
        """Remove a query; the reports on it make nothing any more."""
        query = self.query_store.delete(query_id)
        self.report_store.lose_query(query.query_id)
        return query

    def test_query(self, params: Fields) -> Extract:
        """The rows that a test query asks for, by text or by id, never by both (behaviour 78)."""
        text, query_id = params.text("exportQuery"), params.text("queryId")
        if (text is None) == (query_id is None):
            raise bad_request(NULL_OR_MISSING)
        parsed = self.query_store.accept(text if text is not None else self.query_store.find(query_id or "").text)
        window = read_window(params.text("startTime"), params.text("endTime"))
        parsed = replace(parsed, limit=min(TEST_ROWS, parsed.limit or TEST_ROWS))
        return self._extract(parsed, at=self._clock.now(), window=window)

    def extract_of(self, execution_id: str) -> Extract | None:
        """What the file of an execution holds; `None` when the execution is gone with its report (behaviour 97)."""
        for report in self.reports.values():
            for execution in report.executions:
                if execution.execution_id == execution_id:
                    return self._extract_of(report, execution.started_at)
        return None

    def dataset_of_query(self, text_or_id: str) -> str | None:
        """The canonical name of the dataset that a query's text or id is about, for faults that strike one dataset."""
        stored = self.queries.get(text_or_id.strip().casefold())
        parsed = self.query_store.understood(stored.text if stored else text_or_id)
        return parsed.table.name if parsed else None

    def whole_extract(
        self,
        dataset: str,
        columns: tuple[str, ...] | None = None,
        *,
        at: datetime | None = None,
        window: tuple[datetime, datetime] | None = None,
    ) -> Extract:
        """
        What a report on these columns of the dataset without a TIMESPAN holds, begun `at` (now by default).

        Without `columns`: all columns, then the amounts that no column holds (behaviour 160). `window` has an exclusive
        end; six months by default.
        """
        table = self.tables[dataset]
        amounts = [metric for metric in table.metrics if metric.kind == "amount"]
        names = columns or tuple(column.name for column in (*table.columns, *amounts))
        text = f"SELECT {', '.join(names)} FROM {table.listed_name}"  # noqa: S608 - the service's own language, not SQL
        parsed = self.query_store.parse(text)
        return self._extract(parsed, at=at or self._clock.now(), window=window or (None, None), inclusive=False)

    def _extract_of(self, report: StoredReport, at: datetime) -> Extract:
        window = (None, None) if self.scenario.windows == "ignored" else report.window
        if self.scenario.windows == "rounded":
            window = whole_months(*window)
        make = self.scenario.contents.get(report.dataset)
        extract = self._extract(report.parsed, at=at, window=window)
        return replace(
            extract,
            tsv=extract.tsv or report.format == "tsv",
            content=make(*window, at) if make is not None else None,
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

    def _extract(self, parsed: ParsedQuery, *, at: datetime, window: Window, inclusive: bool | None = None) -> Extract:
        """What a query brings at a moment: of the window, where it has a start or an end, else of its own span."""
        inclusive = self.scenario.inclusive_end if inclusive is None else inclusive
        months = months_between(parsed.table, parsed.timespan, window, now=at, inclusive=inclusive)
        return Extract(
            query=parsed,
            months=months,
            window=days_between(*window, now=at, inclusive=inclusive) if months is not None else None,
            edition=edition_at(parsed.table, at) if self.scenario.refreshes else 0,
            tsv=self.scenario.tsv,
            line_ending=self.scenario.line_ending,
            seed=self.scenario.seed,
            rows=self.scenario.rows_of(parsed.table.name),
            hidden=parsed.table.sensitive if self.scenario.role == "viewer" else frozenset(),
            hidden_vanish=self.scenario.redaction == "vanish",
        )
