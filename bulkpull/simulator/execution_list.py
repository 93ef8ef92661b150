"""Lists executions: filters, the latest of each report, and execution faults (behaviours 102 to 119)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from bulkpull.simulator import error_replies
from bulkpull.simulator.entities import StoredExecution, StoredReport, wire_time
from bulkpull.simulator.error_replies import Refusal, bad_request, requested_value
from bulkpull.simulator.faults import Fault
from bulkpull.simulator.report_store import ReportStore
from bulkpull.simulator.request_validation import Fields
from bulkpull.simulator.simulator_context import Context

_STATUSES = ("Pending", "Running", "Paused", "Completed")
# Behaviour 111.
_KEPT = timedelta(days=90)
_UNSEEN = ""
"""The status of an execution that this reading does not show."""

_FIRST_READS = frozenset({"execution_status_unknown_word", "old_execution_first"})
"""The plights whose status shows in the first reads only."""
_ONCE_COMPLETED = frozenset({"execution_fails", "execution_flips_back", "completed_without_link", "generated_time_odd"})
"""The plights that show when the execution is completed; only those readings count."""
_STATUS_SHOWN = {
    "execution_stuck": "Running",
    "execution_paused": "Paused",
    "execution_fails": "Failed",
    "execution_status_unknown_word": "Queued",
    "old_execution_first": _UNSEEN,
}
"""What a plight shows as status, unless its arguments have another word."""

LinkMaker = Callable[[StoredReport, StoredExecution], str]
"""Signs a link to an execution's file; every reading gives a fresh one (behaviour 122)."""


@dataclass(frozen=True, slots=True)
class _View:
    """An execution as this reply shows it."""

    execution: StoredExecution
    report: StoredReport
    status: str
    link: str | None = None
    generated_at: str | None = None

    @property
    def record(self) -> dict[str, Any]:
        """The callback's two keys are null although the report has them (behaviour 116)."""
        return {
            "executionId": self.execution.execution_id,
            "reportId": self.report.report_id,
            **self.report.recurrence,
            "callbackUrl": None,
            "CallbackMethod": None,
            "format": self.report.format,
            "executionStatus": self.status,
            "reportLocation": None,
            "reportAccessSecureLink": self.link,
            "reportExpiryTime": None,
            "reportGeneratedTime": self.generated_at,
        }


class ExecutionReader:
    """Answers the call that lists executions."""

    def __init__(self, context: Context, reports: ReportStore, sign: LinkMaker) -> None:
        self._scenario, self._clock, self._faults = context.scenario, context.clock, context.faults
        self._reports, self._sign = reports, sign

    def read(self, report_ids: str, params: Fields) -> list[dict[str, Any]]:
        """
        The executions of one report or, joined by `;`, of several.

        Raises:
            Refusal: 404 when nothing matches (behaviours 104 and 105), 400 for an unknown status or a refused `;`.
        """
        ids = [report_id for report_id in report_ids.casefold().split(";") if report_id]
        statuses = self._statuses(params.text("executionStatus"))
        reports = [self._reports.stored[report_id] for report_id in ids if report_id in self._reports.stored]
        if len(ids) > 1:
            if not self._scenario.joined_ids or self._refused("ids"):
                raise requested_value(";".join(ids))
            if self._faults.take("one_id_spoils_batch", datasets=[report.dataset for report in reports]):
                raise bad_request(error_replies.INVALID_PARAMETERS)
            reports = [report for report in reports if not self._strikes("batch_lacks_ids", report)]
        self._reports.advance()
        for report in reports:
            if self._strikes("report_vanishes", report):
                self._reports.stored.pop(report.report_id, None)
        reports = [report for report in reports if report.report_id in self._reports.stored]
        latest_only = params.flag("getLatestExecution", default=True)
        wanted_ids = params.text("executionId")
        records: list[dict[str, Any]] = []
        for report in reports:
            views = self._matching(report, statuses, wanted_ids)
            records += [view.record for view in (views[-1:] if latest_only else views)]
        if not records:
            raise Refusal(404, error_replies.NO_EXECUTION)
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

    def _matching(self, report: StoredReport, statuses: tuple[str, ...] | None, wanted_ids: str | None) -> list[_View]:
        now = self._clock.now()
        executions = [execution for execution in report.executions if execution.started_at >= now - _KEPT]
        seed_like = self._scenario.pending_without_status == "200"
        if seed_like and not executions:
            executions = [self._reports.upcoming(report)]
        views = [self._view(execution, report, now=now) for execution in executions]
        views = [view for view in views if view.status != _UNSEEN]
        if wanted_ids is not None:
            wanted = {part.strip().casefold() for part in wanted_ids.split(";")}
            views = [view for view in views if view.execution.execution_id in wanted]
        if statuses is not None:
            # A status that no document lists cannot be asked for: it shows among those that are not completed.
            unlisted = statuses != ("Completed",)
            return [view for view in views if view.status in statuses or (unlisted and view.status not in _STATUSES)]
        completed = [view for view in views if view.status == "Completed"]
        return completed or (views if seed_like else [])

    def _view(self, execution: StoredExecution, report: StoredReport, *, now: datetime) -> _View:
        status, plight = report.status_of(execution, now=now), execution.plight
        if plight is None or (status != "Completed" and plight.name in _ONCE_COMPLETED):
            return self._plain(execution, report, status=status)
        return self._view_in_plight(execution, report, plight, status=status)

    def _view_in_plight(self, execution: StoredExecution, report: StoredReport, plight: Fault, *, status: str) -> _View:
        """What a fault of the execution shows."""
        execution.reads += 1
        most = plight.args.get("reads", 2)
        early = most is None or execution.reads <= int(most)
        if plight.name == "execution_flips_back" and early:
            return _View(execution, report, "Completed" if execution.reads % 2 else "Pending")
        if plight.name in _STATUS_SHOWN and (early or plight.name not in _FIRST_READS):
            status = str(plight.args.get("status", _STATUS_SHOWN[plight.name]))
        view = self._plain(execution, report, status=status)
        if plight.name == "completed_without_link" and early:
            return replace(view, link="" if plight.args.get("link") == "empty" else None)
        return replace(view, generated_at=plight.args.get("value")) if plight.name == "generated_time_odd" else view

    def _plain(self, execution: StoredExecution, report: StoredReport, *, status: str) -> _View:
        if status != "Completed":
            return _View(execution, report, status)
        link = self._sign(report, execution)
        return _View(execution, report, status, link=link, generated_at=wire_time(report.completed_at(execution)))
