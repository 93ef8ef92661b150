"""Rows 28 to 52: queries and reports, whose creation is not idempotent, and executions."""

from __future__ import annotations

from bulkpull.simulator.fault_matrix.row import fails, here, survives
from bulkpull.simulator.faults import Fault

_QUERY, _REPORT = "POST ScheduledQueries", "POST ScheduledReport"
_QUOTA = "User has exceeded its report creation quota of 50 active reports"

_SLOW = {"latency_s": {"*": 0.5}}

ROWS = (
    fails(
        "28",
        "the query is refused",
        here("http_status", endpoint=_QUERY, times=None, status=400, message="Incorrect column name"),
    ),
    survives("29", "the query's name is taken by another", here("name_taken")),
    survives("30a", "reset before the query was stored", here("reset_before_acting", endpoint=_QUERY)),
    survives("30b", "reset before the report was ordered", here("reset_before_acting", endpoint=_REPORT)),
    survives("31a", "reset after the query was stored", here("reset_after_acting", endpoint=_QUERY)),
    survives("31b", "reset after the report was ordered", here("reset_after_acting", endpoint=_REPORT)),
    survives("31c", "502 after the query was stored", here("status_after_acting", endpoint=_QUERY, status=502)),
    survives(
        "31d",
        "502 from a gateway after the report was ordered",
        here("status_after_acting", endpoint=_REPORT, status=502, body="html"),
    ),
    survives(
        "32",
        "the listing lags behind a lost answer",
        here("reset_after_acting", endpoint=_REPORT),
        scenario={"visible_lag_s": 0.8},
    ),
    fails(
        "33",
        "the answer is lost and the listing fails",
        here("reset_after_acting", endpoint=_REPORT),
        Fault("http_status", endpoint="GET ScheduledReport", times=None, args={"status": 503}),
    ),
    survives("34a", "success with an empty body", here("empty_body", endpoint=_REPORT)),
    survives("34b", "success without an id", here("idless_body", endpoint=_REPORT)),
    survives("34c", "success with JSON that stops in the middle", here("cut_json", endpoint=_QUERY)),
    survives("34d", "success with a web page", here("html_body", endpoint=_REPORT)),
    survives("35a", "two reports with our mark", here("acts_twice", endpoint=_REPORT)),
    survives("35b", "two queries with our mark", here("acts_twice", endpoint=_QUERY)),
    fails(
        "36a",
        "the quota of reports is full",
        here("http_status", endpoint=_REPORT, times=None, status=400, message=_QUOTA),
        settings={"report_timeout_seconds": 2},
    ),
    survives(
        "36b",
        "the quota of one-off reports is full for a while",
        scenario={"one_off_quota": 1, "one_off_window_s": 1.5},
        settings={"one_off_quota_window_seconds": 1.5},
    ),
    survives("37", "throttled while ordering the report", here("throttle", endpoint=_REPORT)),
    survives("39a", "the query is deleted before the report is ordered", here("query_vanishes")),
    survives(
        "39b",
        "the query is deleted while the report is under way",
        here("query_vanishes_later"),
        scenario={"latency_s": {"*": 0.3}},
        settings={"report_timeout_seconds": 3},
    ),
    survives("40a", "404 before the first completion", scenario=_SLOW),
    survives("40b", "Pending before the first completion", scenario={**_SLOW, "pending_without_status": "200"}),
    survives("41a", "several statuses in one call are refused", scenario={**_SLOW, "joined_status": False}),
    survives("41b", "several reports in one call are refused", scenario={**_SLOW, "joined_ids": False}),
    survives("41c", "one id spoils the call for all", here("one_id_spoils_batch", times=None), scenario=_SLOW),
    survives("42a", "the answer lacks an id", here("batch_lacks_ids", times=3)),
    survives("42b", "the answer holds a stranger", here("strangers_in_batch", times=3)),
    survives("43a", "an unknown status, then the usual ones", here("execution_status_unknown_word", reads=3)),
    survives("43b", "cancelled once", here("execution_fails", status="Cancelled"), scenario=_SLOW),
    survives("44", "paused until resumed", here("execution_paused")),
    survives("45a", "failed once", here("execution_fails"), scenario=_SLOW),
    fails("45b", "failed always", here("execution_fails", times=None), scenario=_SLOW),
    survives("46a", "the first execution never ends", here("execution_stuck"), settings={"report_timeout_seconds": 2}),
    fails("46b", "no execution ever ends", here("execution_stuck", times=None), settings={"report_timeout_seconds": 2}),
    survives(
        "47a",
        "polling meets 503",
        Fault("http_status", endpoint="execution", times=4, args={"status": 503}),
        scenario=_SLOW,
    ),
    survives(
        "47b", "polling meets resets", Fault("reset_before_acting", endpoint="execution", times=4), scenario=_SLOW
    ),
    survives("48", "Completed, Pending, Completed", here("execution_flips_back")),
    survives("49a", "Completed, and the link comes later", here("completed_without_link", reads=2)),
    survives("49b", "Completed with an empty link at first", here("completed_without_link", reads=2, link="empty")),
    fails(
        "49c",
        "Completed and never a link",
        here("completed_without_link", times=None, reads=None),
        settings={"report_timeout_seconds": 3},
    ),
    survives("50", "the first answer is an older execution", here("old_execution_first", reads=3)),
    survives("51a", "reportGeneratedTime is null", here("generated_time_odd", value=None)),
    survives("51b", "reportGeneratedTime has another form", here("generated_time_odd", value="11/23/2026 2:04:05 AM")),
    survives("51c", "reportGeneratedTime lies in the future", here("generated_time_odd", value="2099-01-01T00:00:00Z")),
    survives("52", "the data are redacted", Fault("redacted", times=None)),
)
"""Rows of the sections "Creating", with 28 and 29, and "Polling"."""
