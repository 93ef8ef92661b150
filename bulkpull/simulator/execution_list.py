"""Lists executions: filters, the latest of each report, and execution faults (behaviours 102 to 119)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from bulkpull.simulator.api_replies import INVALID_PARAMETERS, Refusal, bad_request, requested_value
from bulkpull.simulator.entities import StoredExecution, StoredReport, wire_time
from bulkpull.simulator.request_validation import Fields
from bulkpull.simulator.simulator_context import Context
from bulkpull.simulator.stored_objects import ReportStore

_STATUSES = ("Pending", "Running", "Paused", "Completed")
# Behaviour 111.
_KEPT = timedelta(days=90)
_UNSEEN = ""
"""The status of an execution that this reading does not show."""

_FIRST_READS = frozenset({"execution_status_unknown_word", "old_execution_first"})
"""The faults whose status shows in the first reads only."""
_ONCE_COMPLETED = frozenset({"execution_fails", "execution_flips_back", "completed_without_link", "generated_time_odd"})
"""The faults that show when the execution is completed; only those readings count."""
_STATUS_SHOWN = {
    "execution_stuck": "Running",
    "execution_paused": "Paused",
    "execution_fails": "Failed",
    "execution_status_unknown_word": "Queued",
    "old_execution_first": _UNSEEN,
}
"""The status that a fault shows, unless its arguments name another."""

_NO_EXECUTION = (
    "There are no executions that have occurred for the given filter conditions. Double check the reportId or "
    "executionId and retry the API after the report's scheduled execution time"
)

Records = list[dict[str, Any]]
LinkMaker = Callable[[StoredReport, StoredExecution], str]
"""Signs a link to an execution's file; every reading gives a fresh one (behaviour 122)."""


class ExecutionReader:
    """Answers the call that lists executions."""

    def __init__(self, context: Context, reports: ReportStore, sign: LinkMaker) -> None:
        self._scenario, self._clock, self._faults = context.scenario, context.clock, context.faults
        self._reports, self._sign = reports, sign

    def read(self, report_ids: str, params: Fields) -> Records:
        """The executions of one report or, joined by `;`, of several; 404 for none (behaviours 104 and 105)."""
        ids = [report_id for report_id in report_ids.casefold().split(";") if report_id]
        statuses = self._statuses(params.text("executionStatus"))
        reports = [self._reports.stored[report_id] for report_id in ids if report_id in self._reports.stored]
        if len(ids) > 1:
            if not self._scenario.joined_ids or self._refused("ids"):
                raise requested_value(";".join(ids))
            if self._faults.take("one_id_spoils_batch", datasets=[report.dataset for report in reports]):
                raise bad_request(INVALID_PARAMETERS)
            reports = [report for report in reports if not self._strikes("batch_lacks_ids", report)]
        self._reports.advance()
        for report in reports:
            if self._strikes("report_vanishes", report):
                self._reports.stored.pop(report.report_id, None)
        reports = [report for report in reports if report.report_id in self._reports.stored]
        latest_only = params.flag("getLatestExecution", default=True)
        wanted_ids = params.text("executionId")
        records: Records = []
        for report in reports:
            found = self._matching(report, statuses, wanted_ids)
            records += found[-1:] if latest_only else found
        if not records:
            raise Refusal(404, _NO_EXECUTION)
        if self._faults.take("strangers_in_batch", datasets=[report.dataset for report in reports]):
            records.insert(0, {**records[0], "executionId": str(uuid4()), "reportId": str(uuid4())})
        return records

    def _statuses(self, text: str | None) -> tuple[str, ...] | None:
        """The statuses asked for, `None` when the caller named none (behaviours 102 and 103)."""
        if text is None:
            return None
        words = [word.strip() for word in text.split(";")]
        if len(words) > 1 and (not self._scenario.joined_status or self._refused("status")):
            raise requested_value(text)
        accepted = (*_STATUSES, "Failed") if self._scenario.failed_status else _STATUSES
        known = {status.casefold(): status for status in accepted}
        for word in words:
            if word.casefold() not in known:
                raise requested_value(word)
        return tuple(known[word.casefold()] for word in words)

    def _refused(self, form: str) -> bool:
        fault = self._faults.peek("joined_form_refused")
        return fault is not None and fault.args.get("form", form) == form

    def _strikes(self, name: str, report: StoredReport) -> bool:
        return self._faults.take(name, datasets=(report.dataset,)) is not None

    def _matching(self, report: StoredReport, statuses: tuple[str, ...] | None, wanted_ids: str | None) -> Records:
        now = self._clock.now()
        executions = [execution for execution in report.executions if execution.started_at >= now - _KEPT]
        seed_like = self._scenario.pending_without_status == "200"
        if seed_like and not executions:
            executions = [self._reports.upcoming(report)]
        records = [self._record(execution, report, now=now) for execution in executions]
        records = [record for record in records if record["executionStatus"] != _UNSEEN]
        if wanted_ids is not None:
            wanted = {part.strip().casefold() for part in wanted_ids.split(";")}
            records = [record for record in records if record["executionId"] in wanted]
        if statuses is not None:
            # A status that no document lists cannot be asked for: it shows among those that are not completed.
            unlisted = statuses != ("Completed",)
            return [
                record
                for record in records
                if record["executionStatus"] in statuses or (unlisted and record["executionStatus"] not in _STATUSES)
            ]
        completed = [record for record in records if record["executionStatus"] == "Completed"]
        return completed or (records if seed_like else [])

    def _record(self, execution: StoredExecution, report: StoredReport, *, now: datetime) -> dict[str, Any]:
        status, fault = report.status_of(execution, now=now), execution.fault
        if fault is None or (status != "Completed" and fault.name in _ONCE_COMPLETED):
            return self._plain(execution, report, status=status)
        execution.reads += 1
        most = fault.args.get("reads", 2)
        early = most is None or execution.reads <= int(most)
        if fault.name in _STATUS_SHOWN and (early or fault.name not in _FIRST_READS):
            status = str(fault.args.get("status", _STATUS_SHOWN[fault.name]))
        changes: dict[str, Any] = {}
        if fault.name == "execution_flips_back" and early:
            # Completed and Pending by turns, and never with a link.
            status, changes = "Pending", {"executionStatus": "Completed" if execution.reads % 2 else "Pending"}
        elif fault.name == "completed_without_link" and early:
            changes = {"reportAccessSecureLink": "" if fault.args.get("link") == "empty" else None}
        elif fault.name == "generated_time_odd":
            changes = {"reportGeneratedTime": fault.args.get("value")}
        return self._plain(execution, report, status=status) | changes

    def _plain(self, execution: StoredExecution, report: StoredReport, *, status: str) -> dict[str, Any]:
        """The callback's two keys are null although the report has them (behaviour 116)."""
        is_completed = status == "Completed"
        return {
            "executionId": execution.execution_id,
            "reportId": report.report_id,
            **report.recurrence,
            "callbackUrl": None,
            "CallbackMethod": None,
            "format": report.format,
            "executionStatus": status,
            "reportLocation": None,
            "reportAccessSecureLink": self._sign(report, execution) if is_completed else None,
            "reportExpiryTime": None,
            "reportGeneratedTime": wire_time(report.completed_at(execution)) if is_completed else None,
        }
