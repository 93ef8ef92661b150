"""What users store at the simulated service: queries, and reports with their executions (behaviours 59 to 101)."""

from __future__ import annotations

import heapq
import re
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

from bulkpull.simulator.api_replies import (
    INVALID_PARAMETERS,
    INVALID_QUERY,
    INVALID_QUERY_ID,
    UNKNOWN_COLUMN,
    Refusal,
    bad_request,
    no_item,
)
from bulkpull.simulator.entities import ReportOrder, StoredExecution, StoredQuery, StoredReport
from bulkpull.simulator.faults import EXECUTION_FAULTS
from bulkpull.simulator.listed_datasets import Table, system_queries
from bulkpull.simulator.query_parser import ParsedQuery, parse_query
from bulkpull.simulator.request_validation import Fields, read_order
from bulkpull.simulator.simulator_context import Context

# No document has the text for a metric that is offered and refused in a query (behaviour 68).
_METRICS_REFUSED = {
    "names": UNKNOWN_COLUMN,
    "syntax": INVALID_QUERY,
    "length": "Query is too long",
}
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
                query_id=query_id, name=name, description=f"{name} data", text=text, user=None, created_at=_SYSTEM_SINCE
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
                raise bad_request(_METRICS_REFUSED[fault.args.get("words", "names")])
        return parsed

    def create(self, body: Fields) -> StoredQuery:
        """Store a query; name and text are trimmed, and what is between stays as sent (behaviour 70)."""
        name, text = body.required("Name"), body.required("Query")
        if not _NAME.fullmatch(name):
            # No document has the text for a refused name; only the refusal is known (behaviour 71).
            raise bad_request("Invalid query name")
        parsed = self.accept(text)
        if sum(not query.is_system for query in self.stored.values()) >= self._scenario.query_quota:
            raise bad_request("Number of queries exceeded. Delete few queries before creating new queries")
        self.created[parsed.table.name] += 1
        return self.keep(name=name, text=text, description=body.text("Description"))

    def keep(self, *, name: str, text: str, description: str | None) -> StoredQuery:
        user, now = self._scenario.username, self._clock.now()
        query = StoredQuery(name=name, description=description, text=text, user=user, created_at=now)
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
            raise no_item()
        return found

    def delete(self, query_id: str) -> StoredQuery:
        """Remove a user's query; the system's stay (behaviour 75)."""
        query = self.stored.get(query_id.casefold())
        if query is None:
            raise no_item()
        if query.is_system:
            raise bad_request(INVALID_QUERY_ID)
        return self.stored.pop(query.query_id)

    def find(self, query_id: str) -> StoredQuery:
        query = self.stored.get(query_id.strip().casefold())
        if query is None:
            raise bad_request(INVALID_QUERY_ID)
        return query

    def listed_until(self) -> datetime:
        """Objects that were created later are not in listings yet."""
        fault = self._faults.peek("listing_lag")
        lag_s = float(fault.args.get("seconds", 1.0)) if fault else self._scenario.visible_lag_s
        return self._clock.now() - timedelta(seconds=lag_s)


class ReportStore:
    """Creates reports; tests may read and change `stored`, and `created` counts reports per dataset."""

    def __init__(self, context: Context, queries: QueryStore) -> None:
        self._scenario, self._clock, self._faults = context.scenario, context.clock, context.faults
        self._queries = queries
        self.stored: dict[str, StoredReport] = {}
        self.created: Counter[str] = Counter()
        # Deleting a report does not give its one-off back, so these outlive it.
        self._one_offs: list[datetime] = []
        # When each of the places at which executions are made is free again, where their number is limited.
        self._free_at: list[datetime] = []

    def create(self, body: Fields, *, correlation_id: str) -> StoredReport:
        """Create a report, under the rules of behaviours 81 to 94; a one-off report is queued at once."""
        body.required("ReportName")
        query = self._queries.find(body.required("QueryId"))
        # A stored query may have fallen behind the live columns (behaviour 76).
        parsed = self._queries.parse(query.text)
        if self._faults.take("query_vanishes", datasets=(parsed.table.name,)):
            del self._queries.stored[query.query_id]
            raise bad_request(INVALID_QUERY_ID)
        now = self._clock.now()
        definition = self._read(body, parsed, correlation_id)
        self._check_quota(one_off=definition.execute_now)
        report = StoredReport(
            query_id=query.query_id,
            query_text=query.text,
            parsed=parsed,
            user=self._scenario.username,
            created_at=now,
            **asdict(definition),
        )
        self.stored[report.report_id] = report
        self.created[report.dataset] += 1
        if report.execute_now:
            self._one_offs.append(now)
            report.made = 1
            self._begin(report, at=now)
        if self._faults.take("query_vanishes_later", datasets=(report.dataset,)):
            self._queries.stored.pop(report.query_id, None)
            self.lose_query(report.query_id)
        return report

    def list(self, params: Fields) -> list[StoredReport]:
        ids, name, query_id = params.text("reportId"), params.text("reportName"), params.text("queryId")
        wanted = {part.strip().casefold() for part in ids.split(";")} if ids else None
        listed_until = self._queries.listed_until()
        self.advance()
        found = [
            report
            for report in self.stored.values()
            if (wanted is None or report.report_id in wanted)
            and (name is None or report.name.casefold() == name.casefold())
            and (query_id is None or report.query_id == query_id.casefold())
            and report.created_at <= listed_until
        ]
        if not found and (ids or name or query_id):
            raise no_item()
        return found

    def update(self, report_id: str, body: Fields, *, correlation_id: str) -> StoredReport:
        """Change a scheduled report; its query stays, and a one-off cannot be changed (behaviours 91 and 95)."""
        report = self.find(report_id)
        change = self._read(body, report.parsed, correlation_id, previous=report)
        if report.execute_now:
            raise bad_request(INVALID_PARAMETERS)
        self.advance()
        for name, value in asdict(change).items():
            setattr(report, name, value)
        report.made, report.modified_at = 0, self._clock.now()
        return report

    def delete(self, report_id: str) -> StoredReport:
        """Remove a report with its executions and files (behaviour 97)."""
        return self.stored.pop(self.find(report_id).report_id)

    def pause(self, report_id: str) -> StoredReport:
        """Stop the schedule; what is under way stands still until the report is resumed (behaviour 110)."""
        report = self.find(report_id)
        if not report.is_paused:
            report.pauses.append((self._clock.now(), None))
        return report

    def resume(self, report_id: str) -> StoredReport:
        """Go on after a pause; scheduled times that passed meanwhile are lost."""
        report = self.find(report_id)
        self.advance()
        if report.is_paused:
            begin, _ = report.pauses.pop()
            report.pauses.append((begin, self._clock.now()))
        for execution in report.executions:
            if execution.fault is not None and execution.fault.name == "execution_paused":
                execution.fault = None
        return report

    def exhaust(self, report_id: str) -> None:
        """Use up its recurrences (behaviour 88); no call of the API does this, only time."""
        report = self.find(report_id)
        self.advance()
        report.count = report.made

    def find(self, report_id: str) -> StoredReport:
        report = self.stored.get(report_id.casefold())
        if report is None:
            raise no_item()
        return report

    def lose_query(self, query_id: str) -> None:
        """A query is gone: the reports on it make nothing any more."""
        for report in self.stored.values():
            if report.query_id == query_id and report.query_gone_at is None:
                report.query_text, report.query_gone_at = None, self._clock.now()

    def advance(self) -> None:
        """Begin every execution whose time has come since the last call."""
        now = self._clock.now()
        for report in self.stored.values():
            if report.execute_now or report.interval_h is None:
                continue
            while report.count is None or report.made < report.count:
                due_at = report.start_at + timedelta(hours=report.interval_h) * report.made
                if due_at > now:
                    break
                report.made += 1
                if not report.was_paused_at(due_at):
                    self._begin(report, at=due_at)

    def upcoming(self, report: StoredReport) -> StoredExecution:
        """The execution that comes next; the seed's service shows it as Pending before its time (behaviour 103)."""
        if report.next_execution is None:
            latency_s = self._scenario.report_latency_s(report.dataset)
            report.next_execution = StoredExecution(started_at=report.start_at, latency_s=latency_s)
        return report.next_execution

    def _read(
        self, body: Fields, parsed: ParsedQuery, correlation_id: str, *, previous: StoredReport | None = None
    ) -> ReportOrder:
        """Check a body; a badly formatted time is a 500 as documented, or a 400 (behaviour 41)."""
        message = f"Internal error encountered while creating report. Correlation ID <{correlation_id}>"
        return read_order(
            body,
            now=self._clock.now(),
            minimum_recurrence_h=parsed.table.minimum_recurrence_h,
            bad_time=Refusal(500, message) if self._scenario.bad_time == 500 else None,  # noqa: PLR2004 - a status
            previous=previous,
        )

    def _begin(self, report: StoredReport, *, at: datetime) -> None:
        fault = self._faults.take(*EXECUTION_FAULTS, datasets=(report.dataset,))
        if fault is not None and fault.name == "old_execution_first":
            report.executions.append(StoredExecution(started_at=at - timedelta(days=1), latency_s=0.0))
        execution = self.upcoming(report)
        execution.started_at, execution.fault = at, fault
        # A query that is gone counts by `query_gone_at`.
        execution.answerable = report.query_text is None or self._queries.understood(report.query_text) is not None
        if self._scenario.reports_at_once is not None:
            # It waits for one of the places at which executions are made, and takes it.
            if len(self._free_at) >= self._scenario.reports_at_once:
                execution.started_at = max(at, heapq.heappop(self._free_at))
            heapq.heappush(self._free_at, execution.started_at + timedelta(seconds=execution.latency_s))
        report.next_execution = None
        report.executions.append(execution)

    def _check_quota(self, *, one_off: bool) -> None:
        now = self._clock.now()
        if one_off:
            limit, window_s = self._scenario.one_off_quota, self._scenario.one_off_window_s
            recent = sum((now - at).total_seconds() < window_s for at in self._one_offs)
            if limit is not None and recent >= limit:
                # Behaviour 85: it passes with time.
                quota = f"{limit} reports/{window_s / 60:g} mins"
                raise bad_request(f"User has exceeded its ExecuteNow report creation quota of {quota}")
            most = self._scenario.unfinished_report_quota
            counted = sum(
                any(report.status_of(execution, now=now) != "Completed" for execution in report.executions)
                for report in self.stored.values()
                if report.execute_now
            )
        else:
            self.advance()
            most = self._scenario.active_report_quota
            counted = sum(report.status == "Active" for report in self.stored.values())
        if most is not None and counted >= most:
            # Behaviour 86: it passes when a report is deleted.
            raise bad_request(f"User has exceeded its report creation quota of {most} active reports")
