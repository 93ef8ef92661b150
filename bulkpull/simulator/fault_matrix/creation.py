"""Rows 28 to 39: queries and reports, which are not idempotent."""

from __future__ import annotations

from bulkpull.simulator.fault_matrix.row import fails, here, survives
from bulkpull.simulator.faults import Fault

_QUERY, _REPORT = "POST ScheduledQueries", "POST ScheduledReport"
_QUOTA = "User has exceeded its report creation quota of 50 active reports"
_ONCE = {"reports_created": 1, "queries_created": 1}

ROWS = (
    fails(
        "28",
        "the query is refused",
        here("http_status", endpoint=_QUERY, times=None, status=400, message="Incorrect column name"),
        reason_words=("Incorrect column name",),
        reports_created=0,
    ),
    survives("29", "the query's name is taken by another", here("name_taken"), reports_created=1, queries_created=1),
    survives("30a", "reset before the query was stored", here("reset_before_acting", endpoint=_QUERY), **_ONCE),
    survives("30b", "reset before the report was ordered", here("reset_before_acting", endpoint=_REPORT), **_ONCE),
    survives("31a", "reset after the query was stored", here("reset_after_acting", endpoint=_QUERY), **_ONCE),
    survives("31b", "reset after the report was ordered", here("reset_after_acting", endpoint=_REPORT), **_ONCE),
    survives(
        "31c", "502 after the query was stored", here("status_after_acting", endpoint=_QUERY, status=502), **_ONCE
    ),
    survives(
        "31d",
        "502 from a gateway after the report was ordered",
        here("status_after_acting", endpoint=_REPORT, status=502, body="html"),
        **_ONCE,
    ),
    survives(
        "32",
        "the listing lags behind a lost answer",
        here("reset_after_acting", endpoint=_REPORT),
        scenario={"visible_lag_s": 0.8},
        **_ONCE,
    ),
    fails(
        "33",
        "the answer is lost and the listing fails",
        here("reset_after_acting", endpoint=_REPORT),
        Fault("http_status", endpoint="GET ScheduledReport", times=None, args={"status": 503}),
        spares_others=False,
        reports_created=1,
    ),
    survives("34a", "success with an empty body", here("empty_body", endpoint=_REPORT), **_ONCE),
    survives("34b", "success without an id", here("idless_body", endpoint=_REPORT), **_ONCE),
    survives("34c", "success with JSON that stops in the middle", here("cut_json", endpoint=_QUERY), **_ONCE),
    survives("34d", "success with a web page", here("html_body", endpoint=_REPORT), **_ONCE),
    survives(
        "35a", "two reports with our mark", here("acts_twice", endpoint=_REPORT), reports_created=2, queries_created=1
    ),
    survives(
        "35b", "two queries with our mark", here("acts_twice", endpoint=_QUERY), reports_created=1, queries_created=2
    ),
    fails(
        "36a",
        "the quota of reports is full",
        here("http_status", endpoint=_REPORT, times=None, status=400, message=_QUOTA),
        settings={"report_timeout_seconds": 2},
        reports_created=0,
        reason_words=("quota",),
    ),
    survives(
        "36b",
        "the quota of one-off reports is full for a while",
        scenario={"one_off_quota": 1, "one_off_window_s": 1.5},
        settings={"one_off_quota_window_seconds": 1.5},
        **_ONCE,
    ),
    survives("37", "throttled while ordering the report", here("throttle", endpoint=_REPORT), **_ONCE),
    survives(
        "39a",
        "the query is deleted before the report is ordered",
        here("query_vanishes"),
        reports_created=1,
        queries_created=2,
    ),
    survives(
        "39b",
        "the query is deleted while the report is under way",
        here("query_vanishes_later"),
        scenario={"latency_s": {"*": 0.3}},
        settings={"report_timeout_seconds": 3},
        reports_created=2,
        queries_created=2,
    ),
)
"""Rows of the section "Creating", with 28 and 29."""
